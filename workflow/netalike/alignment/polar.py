"""The orthogonal factor of a matrix: the rotation that is nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WELL_CONDITIONED = 1e-8
"""Smallest over largest eigenvalue of the Gram matrix; below it half of the digits would be lost in squaring."""


def polar_rows(matrix: Floats) -> tuple[Floats, bool]:
    """Return the matrix with orthonormal rows that is nearest to a wide one.

    Parameters
    ----------
    matrix : array, shape (k, p), k <= p

    Returns
    -------
    factor : array, shape (k, p)
        U V' of the singular value decomposition U D V'.
    well_conditioned : bool
        Whether the Gram matrix was good enough; if not, a full decomposition was made.

    Notes
    -----
    (B B')^(-1/2) B by the eigenvectors of the k x k Gram matrix: O(k^2 p) in matrix products and one symmetric
    eigenproblem, against the dearer decomposition of B. Errors are of the order of the machine's precision times the
    squared condition number, so at most 1e-8.
    """
    values, vectors = np.linalg.eigh(matrix @ matrix.T)
    if not values[0] > WELL_CONDITIONED * values[-1]:
        return polar_rows_by_svd(matrix), False
    half = vectors / values**0.25
    return (half @ half.T) @ matrix, True


def polar_rows_by_svd(matrix: Floats) -> Floats:
    """Return the same by singular value decomposition, for every condition number.

    Parameters
    ----------
    matrix : array, shape (k, p), k <= p

    Returns
    -------
    array, shape (k, p)
    """
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    factor: Floats = left @ right
    return factor


class PolarFactors:
    """Orthogonal factors of the matrices of several networks, again in each iteration.

    A network whose matrix is ill-conditioned is decomposed in full at once, and its Gram matrix tried again after one,
    three, seven ... iterations. Where the products of matrices are allowed several threads, so many networks are
    computed at once: a single decomposition gains little from them.

    Parameters
    ----------
    count : int
        Number of networks.
    rigid : bool
        Whether the matrices are square: the first ones, of a random start, are then nearly singular.
    """

    def __init__(self, count: int, rigid: bool = False) -> None:
        self._misses, self._waits = [0] * count, [int(rigid)] * count
        self._blas = _blas_threads()

    def __call__(self, matrices: Sequence[Floats]) -> list[Floats]:
        """Return the factor of each matrix, shape (k, p_i)."""
        workers = min(self._blas.threads, len(matrices))
        if workers == 1:
            return [self._factor(i, matrix) for i, matrix in enumerate(matrices)]
        with self._blas.single(), ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self._factor, range(len(matrices)), matrices))

    def _factor(self, network: int, matrix: Floats) -> Floats:
        if self._waits[network]:
            self._waits[network] -= 1
            return polar_rows_by_svd(matrix)
        factor, well_conditioned = polar_rows(matrix)
        self._misses[network] = 0 if well_conditioned else self._misses[network] + 1
        self._waits[network] = 2 ** self._misses[network] - 2 if self._misses[network] else 0
        return factor


class _BlasThreads:
    """How many threads a product of matrices takes, where threadpoolctl (part of scikit-learn) can tell."""

    def __init__(self, controller: Any = None) -> None:
        self._controller = controller
        found = controller.info() if controller is not None else []
        self.threads = max((pool["num_threads"] for pool in found if pool["user_api"] == "blas"), default=1)

    def single(self) -> AbstractContextManager[Any]:
        """Allow each product one thread inside the block."""
        if self._controller is None:
            return nullcontext()
        limited: AbstractContextManager[Any] = self._controller.limit(limits=1, user_api="blas")
        return limited


def _blas_threads() -> _BlasThreads:
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return _BlasThreads()
    return _BlasThreads(ThreadpoolController())
