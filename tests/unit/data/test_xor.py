"""XOR clouds: centres, deviations, classes, seeds and splits."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from netalike.data.xor import CLOUDS, xor_data
from netalike.errors import NetalikeError, UnknownNameError


@pytest.mark.parametrize(
    ("clouds", "centres", "deviation"),
    [
        ("simulation", [(2, 0), (0, 2), (2, 2), (0, 0)], 0.3),
        ("tutorial", [(1, 1), (-1, -1), (1, -1), (-1, 1)], 0.4),
    ],
)
def test_N5_centres_are_moved_by_the_mean_of_the_noise_and_the_spread_is_a_standard_deviation(
    clouds, centres, deviation
):
    data = xor_data(20_000, seed=1, clouds=clouds)
    assert list(CLOUDS[clouds].centres) == centres
    for cloud, centre in enumerate(centres):
        points = data.x[data.cloud == cloud]
        assert points.mean(axis=0) == pytest.approx(centre, abs=0.02)
        assert points.std(axis=0) == pytest.approx([deviation] * 2, rel=0.03)


def test_opposite_corners_are_of_one_class_and_samples_are_in_order():
    data = xor_data(3)
    assert data.labels.tolist() == [0] * 6 + [1] * 6
    assert data.cloud.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    for clouds in CLOUDS.values():
        (a, b, c, d), middle = np.asarray(clouds.centres), np.mean(clouds.centres, axis=0)
        assert np.array_equal((a + b) / 2, middle)
        assert np.array_equal((c + d) / 2, middle)


def test_one_seed_gives_one_sample_and_splits_are_independent():
    assert np.array_equal(xor_data(5, seed=(0, 3)).x, xor_data(5, seed=[0, 3]).x)
    others = [xor_data(5, seed=(0, 4)), xor_data(5, seed=(1, 3)), xor_data(5, seed=(0, 3), split="test")]
    for other in others:
        assert not np.isin(xor_data(5, seed=(0, 3)).x, other.x).any()


def test_what_are_no_clouds_is_refused():
    with pytest.raises(UnknownNameError, match=r"XOR clouds 'tutorials'.*Did you mean 'tutorial'"):
        xor_data(5, clouds="tutorials")
    with pytest.raises(UnknownNameError, match=r"split of the XOR clouds 'validation': expected one of train, test"):
        xor_data(5, split="validation")
    with pytest.raises(NetalikeError, match="at least 1 point, got 0"):
        xor_data(0)


def test_no_framework_is_imported():
    code = "import sys, netalike.data.xor; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
