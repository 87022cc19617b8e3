"""Denoising on the toy problem: the identity of claim P16, its residual, and the bounds of the factor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netalike.evidence.measurements import table
from netalike.experiments.toy import Kernel, kernel_of
from netalike.experiments.toy_denoising import averages, denoising_rows, rms
from netalike.training.toy import ToySettings, toy_runs, train_toys

SETTINGS = ToySettings(epochs=40, batch_size=16, lr=1e-3, loss="l2", polish=300, halvings=1)


@pytest.fixture(scope="module")
def trained():
    return train_toys(toy_runs(64, [1, 2], [0, 1, 2], noise=0.2), SETTINGS)


@pytest.fixture(scope="module")
def rows(trained):
    return table(denoising_rows([trained], "toy_test", bins=8), paper="input_similarity", dataset="toy-uniform")


def value(rows, quantity, estimator, network="toy-f1-n64-s0", step=460):
    kept = (rows["quantity"] == quantity) & (rows["estimator"] == estimator) & (rows["network_a"] == network)
    return rows[kept & (rows["step"] == step)]["value"].item()


def test_p16_in_a_stationary_point_the_averages_of_predictions_and_labels_agree(rows):
    for network in ("toy-f1-n64-s0", "toy-f2-n64-s2"):
        early, late = (value(rows, "identity_residual", "unnormalised", network, step) for step in (80, 460))
        noise = value(rows, "averaged_noise", "unnormalised", network)
        assert late < 0.1 * noise
        assert late < 0.1 * early
        assert value(rows, "gradient_norm", "l2", network) < 0.1 * value(rows, "gradient_norm", "l2", network, 80)


def test_p16_the_identity_is_exact_where_the_gradient_is_zero():
    # labels whose residuals are orthogonal to every gradient: sum_j X_j r_j = 0
    run = toy_runs(64, [1], [0], noise=0.2)[0]
    generator = np.random.default_rng(0)
    gradients = generator.standard_normal((64, 10))
    raw, scale = gradients @ gradients.T, np.linalg.norm(gradients, axis=1)
    error = generator.standard_normal(64)
    error -= gradients @ np.linalg.lstsq(gradients, error, rcond=None)[0]
    kernel = Kernel(raw, raw / np.outer(scale, scale), run.data.labels + error)
    assert np.abs(averages(kernel, run).residual).max() < 1e-9 / np.abs(raw.sum(1)).min()


def test_the_residual_is_the_gradient_of_the_loss_seen_by_each_sample(trained):
    run, network = trained.runs[0], trained.network(0, 20).double()
    kernel = kernel_of(network, run.data)
    x, labels = torch.from_numpy(run.data.x), torch.from_numpy(run.data.labels)
    gradient = torch.autograd.grad((network(x)[:, 0] - labels).square().sum() / 2, list(network.parameters()))
    first = torch.autograd.grad(network(x)[0, 0], list(network.parameters()))
    product = sum(float((a * b).sum()) for a, b in zip(first, gradient, strict=True))
    assert averages(kernel, run).residual[0] == pytest.approx(product / kernel.raw[0].sum(), rel=1e-8)


def test_gradient_norms_are_those_of_autograd(trained, rows):
    run, network = trained.runs[0], trained.network(0, 20).double()
    x, labels = torch.from_numpy(run.data.x), torch.from_numpy(run.data.labels)
    gradient = torch.autograd.grad((network(x)[:, 0] - labels).square().mean(), list(network.parameters()))
    norm = float(torch.cat([part.flatten() for part in gradient]).norm())
    assert value(rows, "gradient_norm", "l2", step=80) == pytest.approx(norm, rel=1e-8)
    assert 0 < value(rows, "relative_gradient_norm", "l2") < value(rows, "relative_gradient_norm", "l2", step=80) < 1


def test_the_factor_is_between_its_bounds_and_no_similarity_is_negative(rows):
    assert value(rows, "bound_violations", "normalised") == 0
    assert value(rows, "negative_similarities", "normalised") == 0
    lower, factor, upper = (
        value(rows, f"denoising_{word}", "normalised") for word in ("lower_bound", "factor", "upper_bound")
    )
    assert lower == pytest.approx(1 / 8)
    assert lower <= factor <= upper < 1


def test_equal_neighbours_reduce_the_noise_by_the_root_of_their_number():
    run = toy_runs(64, [1], [0], noise=0.2)[0]
    groups = np.kron(np.eye(4), np.ones((16, 16)))
    found = averages(Kernel(groups, groups, run.data.target), run)
    assert found.factor == pytest.approx(np.full(64, 1 / 4))
    assert found.upper == pytest.approx(np.full(64, 1 / 4))
    assert found.noise[:16] == pytest.approx(np.full(16, run.data.noise[:16].mean()))
    assert found.shift == pytest.approx(run.data.target - np.repeat(run.data.target.reshape(4, 16).mean(1), 16))
    # 200 draws of four averages: 5 %, with room
    assert found.fresh.mean() == pytest.approx(1 / 16, rel=0.2)


def test_a_negative_similarity_can_break_the_upper_bound_and_is_reported():
    run = toy_runs(4, [1], [0], noise=0.2)[0]
    similarity = np.eye(4) + np.array([[0, 0.9, -0.9, -0.5], [0.9, 0, 0, 0], [-0.9, 0, 0, 0], [-0.5, 0, 0, 0]])
    found = averages(Kernel(similarity, similarity, run.data.target), run)
    assert found.factor_normalised[0] > found.upper[0]


def test_noise_is_measured_in_units_of_its_deviation(trained, rows):
    run = trained.runs[0]
    found = averages(kernel_of(trained.network(0), run.data), run)
    assert value(rows, "averaged_noise", "unnormalised") == pytest.approx(rms(found.noise) / 0.2)
    assert value(rows, "noisy_error", "prediction") == pytest.approx(rms(found.error) / 0.2)
    ratio = (rms(found.noise) / 0.2 / rms(found.factor)) ** 2
    assert value(rows, "noise_variance_ratio", "own_noise") == pytest.approx(ratio)
    fresh = [value(rows, "noise_variance_ratio", "fresh_noise", f"toy-f{f}-n64-s{s}") for f in (1, 2) for s in range(3)]
    assert np.mean(fresh) == pytest.approx(1, abs=0.15)


def test_runs_without_noise_have_no_rows_and_diverged_ones_say_so():
    clean = train_toys(toy_runs(16, [1], [0]), ToySettings(epochs=1, loss="l2"))
    assert denoising_rows([clean], "toy_test") == []
    broken = train_toys(toy_runs(16, [1], [0], noise=1e39), ToySettings(epochs=1, loss="l2"))
    [row] = denoising_rows([broken], "toy_test")
    assert (row["quantity"], row["status"]) == ("identity_residual", "undefined: the training diverged")


def test_bins_are_of_the_last_epoch(rows):
    bins = rows[(rows["estimator"] == "by_position") & (rows["network_a"] == "toy-f1-n64-s0")]
    assert set(bins["step"]) == {460}
    assert set(bins["quantity"]) == {"denoising_factor", "denoising_upper_bound", "averaged_noise"}
    assert bins["condition"].iloc[0] == "alpha=0.06250;bin=000;frequency=1;n=64;noise=0.2"
