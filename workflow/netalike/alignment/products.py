"""Products of the activations of several networks with their bases, from the images or from cross products."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]

# squared means over variance above which centring afterwards costs more digits than the type can spare
_LARGE_MEAN = {np.dtype(np.float64): 100.0, np.dtype(np.float32): 4.0}
_WORTH_IT = 2.0  # how much cheaper cross products have to be by count


class Products(Protocol):
    """What an iteration needs of the centred activations X_i of all networks, shape (n, p_i)."""

    def cross(self, weights: Iterable[Floats], mix: Floats) -> tuple[list[Floats], Floats]:
        """Multiply with weighted bases V_i.

        Parameters
        ----------
        weights : iterable of array, shape (k, p_i)
            Transposed bases, each times its weight.
        mix : array, shape (k, k)

        Returns
        -------
        cross : list of array, shape (k, p_i)
            The shared response, ``mix A`` with ``A = sum_i V_i X_i'``, times the activations of each network.
        inner : array, shape (k, k)
            ``A A'``.
        """

    def shared(self) -> Floats:
        """Return the shared response ``mix A`` of the last call of `cross`, shape (k, n)."""


def products(X: Sequence[Reals], means: Sequence[Floats], features: int, iterations: int) -> Products:
    """Choose the cheaper way.

    Parameters
    ----------
    X : sequence of array, shape (n, p_i)
    means : sequence of array, shape (p_i,)
        What is subtracted of each unit.
    features : int
    iterations : int

    Returns
    -------
    FromImages or FromCrossProducts

    Notes
    -----
    With P the sum of widths, an iteration costs 4 P n k operations on the images and 2 P^2 k on cross products, which
    cost P^2 n to make. These are taken where they are cheaper by half, which implies P < n: they are then smaller than
    the activations.
    """
    n, width = len(X[0]), sum(x.shape[1] for x in X)
    by_images = 4 * width * n * features * iterations
    by_products = width**2 * n + 2 * width**2 * features * iterations + 2 * width * n * features
    return FromCrossProducts(X, means) if _WORTH_IT * by_products < by_images else FromImages(X, means, features)


class FromImages:
    """Products from the activations themselves, in their own precision.

    They are not copied: their means are taken out of the products, but for a network whose means are so large that this
    would cost digits.

    Parameters
    ----------
    X : sequence of array, shape (n, p_i), float32 or float64
        All of one type.
    means : sequence of array, shape (p_i,)
    features : int
    """

    def __init__(self, X: Sequence[Reals], means: Sequence[Floats], features: int) -> None:
        dtype = X[0].dtype
        large = [_has_large_mean(x, mean) for x, mean in zip(X, means, strict=True)]
        self._X = [(x - mean).astype(dtype) if copy else x for x, mean, copy in zip(X, means, large, strict=True)]
        self._means = [np.zeros_like(mean) if copy else mean for mean, copy in zip(means, large, strict=True)]
        # made once: asking the system for memory anew takes as long as filling it
        self._summed, self._shared = (np.empty((features, len(X[0])), dtype) for _ in range(2))
        self._gemm = linalg.get_blas_funcs("gemm", dtype=dtype)

    def cross(self, weights: Iterable[Floats], mix: Floats) -> tuple[list[Floats], Floats]:
        """Multiply with weighted bases, see `Products`."""
        summed, product, dtype = self._summed, self._shared, self._summed.dtype
        summed[:], offset = 0, np.zeros(len(mix))
        for weight, x, mean in zip(weights, self._X, self._means, strict=True):
            # adds to `summed`, seen as (n, k) in Fortran's order, without an array between
            self._gemm(1.0, x.T, np.ascontiguousarray(weight, dtype).T, 1.0, summed.T, trans_a=True, overwrite_c=True)
            offset += weight @ mean
        summed -= offset[:, None].astype(dtype)
        precise = summed.astype(np.float64, copy=False)
        inner, shared = precise @ precise.T, np.matmul(mix.astype(dtype, copy=False), summed, out=product)
        left = shared.sum(1, dtype=np.float64)
        pairs = zip(self._X, self._means, strict=True)
        return [np.subtract(shared @ x, np.outer(left, mean), dtype=np.float64) for x, mean in pairs], inner

    def shared(self) -> Floats:
        """Return the shared response, see `Products`."""
        return self._shared.astype(np.float64)


class FromCrossProducts:
    """Products from the cross products of all pairs of networks: an iteration does not touch the images.

    In float64 whatever the activations are.

    Parameters
    ----------
    X : sequence of array, shape (n, p_i)
    means : sequence of array, shape (p_i,)
    """

    def __init__(self, X: Sequence[Reals], means: Sequence[Floats]) -> None:
        self._X, self._means = X, means
        self._places = [slice(*ends) for ends in pairwise(accumulate((x.shape[1] for x in X), initial=0))]
        self._gram = np.empty((self._places[-1].stop,) * 2)
        for i, rows in enumerate(self._places):
            own = X[i] - means[i]
            for j, columns in enumerate(self._places[: i + 1]):
                self._gram[rows, columns] = own.T @ (own if j == i else X[j] - means[j])
                self._gram[columns, rows] = self._gram[rows, columns].T
        self._mixed = np.empty((0, 0))

    def cross(self, weights: Iterable[Floats], mix: Floats) -> tuple[list[Floats], Floats]:
        """Multiply with weighted bases, see `Products`."""
        side_by_side = np.concatenate(list(weights), axis=1)
        found = side_by_side @ self._gram
        self._mixed = mix @ side_by_side
        mixed = mix @ found
        return [mixed[:, place] for place in self._places], found @ side_by_side.T

    def shared(self) -> Floats:
        """Return the shared response, see `Products`."""
        parts = zip(self._X, self._means, self._places, strict=True)
        return np.asarray(sum(self._mixed[:, place] @ (x - mean).T for x, mean, place in parts))


def _has_large_mean(x: Reals, mean: Floats) -> bool:
    share = len(x) * float(mean @ mean)
    return share > _LARGE_MEAN[x.dtype] * (float(np.vdot(x, x)) - share)
