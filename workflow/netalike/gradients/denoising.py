"""How far a network averages the noise of its labels away: weights, denoising factor, neighbour consistency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netalike.errors import ShapeError
from netalike.gradients.arrays import Array, Floats, finite, to_numpy

# Condition number of sum_j K_ij above which its inverse is a pseudo-inverse, as a share of 1 / rounding.
_CONDITION_SHARE = 1e-2


@dataclass(frozen=True)
class Denoising:
    """The kernel average of n samples over m, and what it does to independent noise.

    Attributes
    ----------
    factor : ndarray, shape (n,)
        sqrt(Tr(S_i) / d): standard deviation of the averaged noise as a share of that of one label; 1 / sqrt(N) for N
        equal neighbours. It bounds the error of the average, not of the prediction.
    matrix : ndarray, shape (n, d, d)
        S_i = sum_j A_ij' A_ij: covariance of sum_j e_j' A_ij for independent noise e_j of unit variance.
    matrix_published : ndarray, shape (n, d, d)
        sum_j A_ij A_ij', as the published code has it: the same trace, so the same factor, but not the covariance.
    weights : ndarray, shape (n, m, d, d)
        A_ij, with sum_j A_ij = I where that sum of kernels is regular.
    condition : ndarray, shape (n,)
        Condition number of sum_j K_ij; infinite where it is singular.
    regular : ndarray of bool, shape (n,)
        False where the sum was inverted on its range only, so that the weights do not add up to the identity.
    """

    factor: Floats
    matrix: Floats
    matrix_published: Floats
    weights: Floats
    condition: Floats
    regular: np.ndarray[tuple[int], np.dtype[np.bool_]]


def denoising(K: Array) -> Denoising:
    """Compute the weights of the kernel average and its denoising factor.

    Parameters
    ----------
    K : ndarray or Tensor, shape (n, m, d, d)
        Matrix kernel, not normalised, of n samples with the m samples of the training set; (n, m) stands for d = 1.

    Returns
    -------
    Denoising
        In float64. For d = 1 the weights are k_ij / sum_j k_ij and the factor is their Euclidean norm.

    Raises
    ------
    ShapeError, NetalikeError
        If the shape is another one, or an entry is not finite.

    Notes
    -----
    A_ij = K_ij' (sum_j K_ij')^(-1), in the row-vector convention: the average is E_k[y](i)' = sum_j y_j' A_ij. Where L2
    training has converged, E_k[y_hat] = E_k[y] (specification, claim P16). A singular sum is inverted on its range;
    a zero gradient gives weights and factor 0, and ``regular`` False. O(n m d^3).
    """
    numbers = to_numpy(K)
    kernel = finite(numbers[:, :, None, None] if numbers.ndim == 2 else numbers, "K", "n m d d").astype(np.float64)
    transposed = kernel.transpose(0, 1, 3, 2)
    total = transposed.sum(1)  # (n, d, d)
    limit = _CONDITION_SHARE / float(np.finfo(numbers.dtype).eps)
    singular_values = np.linalg.svd(total, compute_uv=False)
    largest, smallest = singular_values[:, 0], singular_values[:, -1]
    condition = np.divide(largest, smallest, out=np.full(len(total), np.inf), where=smallest > 0)
    weights = transposed @ np.linalg.pinv(total, rcond=1 / limit)[:, None]
    matrix = np.einsum("ijba,ijbc->iac", weights, weights)
    published = np.einsum("ijab,ijcb->iac", weights, weights)
    factor = np.sqrt(np.trace(matrix, axis1=1, axis2=2) / kernel.shape[-1])
    return Denoising(factor, matrix, published, weights, condition, condition < limit)


def kernel_average(K: Array, values: Array) -> Floats:
    """Average values over samples with the kernel's weights: E_k[y](i)' = sum_j y_j' A_ij.

    Parameters
    ----------
    K : ndarray or Tensor, shape (n, m, d, d) or (n, m)
        Not normalised.
    values : ndarray or Tensor, shape (m, d) or (m,)
        Labels, predictions or noise of the m samples.

    Returns
    -------
    ndarray, float64, shape (n, d)

    Raises
    ------
    ShapeError
        If the values are not one row of d numbers for each of the m samples.
    """
    return _average(denoising(K).weights, values)


def _average(weights: Floats, values: Array) -> Floats:
    return np.asarray(np.einsum("ja,ijab->ib", _rows(values, weights.shape[1], weights.shape[3]), weights))


def neighbour_consistency(K: Array, predictions: Array) -> Floats:
    """Measure how far each prediction is from the kernel average of all predictions: |y_i - E_k[y](i)|_2.

    Parameters
    ----------
    K : ndarray or Tensor, shape (n, n, d, d) or (n, n)
        Matrix kernel, not normalised.
    predictions : ndarray or Tensor, shape (n, d) or (n,)
        The network's own outputs; not its labels. This is the paper's "shift".

    Returns
    -------
    ndarray, float64, shape (n,)
        In the unit of the predictions.

    Raises
    ------
    ShapeError
        If the kernel is not one of n samples with themselves, or the predictions have another shape.
    """
    shape = tuple(to_numpy(K).shape)
    if len(shape) < 2 or shape[0] != shape[1]:
        raise ShapeError(f"neighbour consistency needs the kernel of n samples with themselves, got shape {shape}.")
    weights = denoising(K).weights
    own = _rows(predictions, weights.shape[1], weights.shape[3])
    return np.asarray(np.linalg.norm(own - _average(weights, predictions), axis=1))


def _rows(values: Array, m: int, d: int) -> Floats:
    numbers = to_numpy(values).astype(np.float64)
    rows = numbers[:, None] if numbers.ndim == 1 else numbers
    if rows.shape != (m, d):
        raise ShapeError(f"{m} samples and {d} outputs need values of shape {(m, d)}, got {numbers.shape}.")
    return finite(rows, "values", "m d")
