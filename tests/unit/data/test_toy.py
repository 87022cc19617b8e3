"""The toy problem's data: positions, targets, noise, density and curvature."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from netalike.data.toy import curvature, toy_data, with_noise
from netalike.errors import NetalikeError, UnknownNameError


def test_inputs_lie_on_the_circle_and_targets_are_the_sine():
    data = toy_data(100, 4)
    assert data.x.shape == (100, 2)
    assert np.abs(np.linalg.norm(data.x, axis=1) - 1).max() < 1e-12
    assert np.arctan2(data.x[:, 1], data.x[:, 0]) % (2 * np.pi) == pytest.approx(2 * np.pi * data.alpha)
    assert data.target == pytest.approx(np.sin(8 * np.pi * data.alpha))
    assert (np.diff(data.alpha) > 0).all()
    assert 0 <= data.alpha.min() < data.alpha.max() < 1


def test_a4_one_seed_gives_one_sample_and_splits_are_independent():
    assert np.array_equal(toy_data(64, 1, seed=3).alpha, toy_data(64, 1, seed=3).alpha)
    others = [toy_data(64, 1, seed=4), *(toy_data(64, 1, seed=3, split=split) for split in ("validation", "test"))]
    for other in others:
        assert not np.array_equal(toy_data(64, 1, seed=3).alpha, other.alpha)


def test_frequencies_share_positions_and_smaller_samples_are_part_of_larger_ones():
    assert np.array_equal(toy_data(64, 1).alpha, toy_data(64, 16, noise=0.5).alpha)
    assert set(toy_data(64, 1).alpha) < set(toy_data(128, 1).alpha)


def test_a5_density_is_aligned_with_sorted_alpha():
    data = toy_data(200, 1, "triangular")
    assert np.array_equal(data.density, 2 * data.alpha)
    assert (np.diff(data.density) > 0).all()
    assert toy_data(20, 1).density.tolist() == [1.0] * 20


def test_triangular_positions_have_their_distribution():
    alpha = toy_data(20_000, 1, "triangular").alpha
    shares = [(alpha <= edge).mean() for edge in (0.25, 0.5, 0.75)]
    assert shares == pytest.approx([0.0625, 0.25, 0.5625], abs=0.01)


def test_a6_noise_is_part_of_the_labels_and_not_of_the_targets():
    clean, noisy = toy_data(5000, 2), toy_data(5000, 2, noise=0.2)
    assert np.array_equal(clean.labels, clean.target)
    assert np.array_equal(noisy.target, clean.target)
    assert (noisy.labels - noisy.target).std() == pytest.approx(0.2, rel=0.05)
    assert with_noise(clean, 0.4, 0).noise == pytest.approx(2 * noisy.noise)
    assert abs(np.corrcoef(with_noise(clean, 0.2, 1).noise, noisy.noise)[0, 1]) < 0.05


@pytest.mark.parametrize(("frequency", "largest"), [(1, 39.5), (2, 157.9), (4, 631.7), (8, 2526.6)])
def test_curvature_is_that_of_the_second_differences_and_has_the_published_maximum(frequency, largest):
    alpha = np.linspace(0, 1, 200_001)
    found = curvature(alpha, frequency)
    assert found.max() == pytest.approx(largest, abs=0.05)
    y = np.sin(2 * np.pi * frequency * alpha)
    slope = np.gradient(y, alpha)
    by_definition = np.abs(np.gradient(slope, alpha)) / (1 + slope**2) ** 1.5
    assert found[10:-10] == pytest.approx(by_definition[10:-10], rel=1e-3, abs=0.01)


def test_the_published_code_would_call_the_setting_the_same():
    assert toy_data(2048, 1).name == "d_uniform_f_1_n_2048_s_0"
    assert toy_data(8, 0.5, "triangular", 0.25).name == "d_triangular_f_0.5_n_8_s_0.25"


def test_what_is_no_toy_problem_is_refused():
    with pytest.raises(UnknownNameError, match=r"distribution .* 'triangle'.*Did you mean 'triangular'"):
        toy_data(8, 1, "triangle")
    with pytest.raises(UnknownNameError, match="split of the toy problem 'val'"):
        toy_data(8, 1, split="val")
    with pytest.raises(NetalikeError, match="at least 1 sample, got 0"):
        toy_data(0, 1)
    with pytest.raises(NetalikeError, match=r"above 0, got -1"):
        toy_data(8, -1)
    with pytest.raises(NetalikeError, match=r"0 or more; got nan"):
        toy_data(8, 1, noise=float("nan"))


def test_no_framework_is_imported():
    code = "import sys, netalike.data.toy, netalike.configuration.toy_study; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
