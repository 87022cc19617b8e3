"""Weights, denoising factor and neighbour consistency (claim P16)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netalike.errors import NetalikeError, ShapeError
from netalike.gradients import kernel_average, kernel_matrix, neighbour_consistency, similarity, soft_counts
from netalike.gradients.denoising import denoising


def kernel(n: int = 7, p: int = 11, d: int = 2, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, p, d)) + 1.5 * np.random.default_rng(9).normal(size=(1, p, d))
    return kernel_matrix(x)


def test_weights_add_up_to_the_identity():
    found = denoising(kernel())
    np.testing.assert_allclose(found.weights.sum(1), np.broadcast_to(np.eye(2), (7, 2, 2)), atol=1e-10)
    assert found.regular.all()


def test_weights_by_definition():
    k = kernel()
    weights = denoising(k).weights
    np.testing.assert_allclose(weights[3, 5], k[3, 5].T @ np.linalg.inv(k[3].sum(0).T), rtol=1e-9)


def test_one_output_is_the_norm_of_the_relative_kernel():
    k = np.abs(np.random.default_rng(0).normal(size=(5, 5)))
    relative = k / k.sum(1, keepdims=True)
    np.testing.assert_allclose(denoising(k).factor, np.linalg.norm(relative, axis=1), rtol=1e-12)
    np.testing.assert_allclose(denoising(k).weights[..., 0, 0], relative, rtol=1e-12)


def test_b9_the_correct_matrix_is_the_covariance_and_the_published_is_not():
    found = denoising(kernel())
    noise = np.random.default_rng(1).normal(size=(200_000, 7, 2))
    averaged = np.einsum("sja,jab->sb", noise, found.weights[2])
    covariance = averaged.T @ averaged / len(noise)
    error = np.abs(covariance - found.matrix[2]).max()
    assert error < 4e-3 * np.trace(covariance)
    assert np.abs(covariance - found.matrix_published[2]).max() > 10 * error
    np.testing.assert_allclose(
        np.trace(found.matrix, axis1=1, axis2=2), np.trace(found.matrix_published, axis1=1, axis2=2), rtol=1e-10
    )


def test_p16_equal_neighbours_average_like_independent_labels():
    k = kernel_matrix(np.tile(np.random.default_rng(0).normal(size=(1, 9, 2)), (16, 1, 1)))
    np.testing.assert_allclose(denoising(k).factor, 1 / 4, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_p16_bounds_of_the_factor(seed):
    x = np.abs(np.random.default_rng(seed).normal(size=(12, 6)))  # similarities between 0 and 1
    k = similarity(x)
    factor = denoising(k).factor
    assert (factor >= 1 / np.sqrt(12) - 1e-12).all()
    assert (factor <= 1 / np.sqrt(soft_counts(k)) + 1e-12).all()


@pytest.mark.parametrize("d", [1, 3])
def test_p16_averages_of_predictions_and_labels_agree_at_a_stationary_point(d):
    """Least squares in a linear model of d outputs: the gradients do not depend on the parameters."""
    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(20, 8, d)), rng.normal(size=(20, d))
    design = x.transpose(0, 2, 1).reshape(20 * d, 8)  # f_a(i) = X_i[:, a] . theta
    theta = np.linalg.lstsq(design, labels.ravel(), rcond=None)[0]
    predictions = (design @ theta).reshape(20, d)
    k = kernel_matrix(x)
    assert np.abs(predictions - labels).max() > 0.5
    np.testing.assert_allclose(kernel_average(k, predictions), kernel_average(k, labels), rtol=1e-7, atol=1e-9)


def test_neighbour_consistency_by_definition():
    k, y = kernel(), np.random.default_rng(2).normal(size=(7, 2))
    weights = denoising(k).weights
    average = np.stack([sum(y[j] @ weights[i, j] for j in range(7)) for i in range(7)])
    np.testing.assert_allclose(neighbour_consistency(k, y), np.linalg.norm(y - average, axis=1), rtol=1e-10)
    np.testing.assert_allclose(neighbour_consistency(k, np.ones((7, 2))), 0, atol=1e-9)  # a constant is its average


def test_zero_gradient_and_singular_sums():
    x = np.random.default_rng(0).normal(size=(5, 9, 2)) + 2 * np.random.default_rng(9).normal(size=(1, 9, 2))
    x[1] = 0
    x[2, :, 1] = 0  # one dead output
    found = denoising(kernel_matrix(x))
    assert found.regular.tolist() == [True, False, False, True, True]
    assert found.factor[1] == 0
    assert np.isinf(found.condition[1])
    summed = found.weights[2].sum(0)  # a projection on the range of the sum
    np.testing.assert_allclose(summed @ summed, summed, atol=1e-12)
    assert np.trace(summed) == pytest.approx(1, abs=1e-12)
    assert np.isfinite(found.weights).all()


def test_tensors_and_float32_are_taken():
    k = torch.from_numpy(kernel()).float()
    np.testing.assert_allclose(denoising(k).factor, denoising(k.numpy().astype(np.float64)).factor, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda k: denoising(k[0, 0, 0]), ShapeError, r"K: expected shape \(n, m, d, d\)"),
        (lambda k: denoising(k * np.nan), NetalikeError, "K: the entry .* is nan"),
        (lambda k: kernel_average(k, np.zeros((7, 3))), ShapeError, r"values of shape \(7, 2\), got \(7, 3\)"),
        (lambda k: neighbour_consistency(k[:3], np.zeros((7, 2))), ShapeError, "n samples with themselves"),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(kernel())
