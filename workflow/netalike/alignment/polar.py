"""The orthogonal factor of a matrix: the rotation that is nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WELL_CONDITIONED = 1e-8
"""Smallest over largest eigenvalue of the Gram matrix; below it half of the digits would be lost in squaring."""

NEARBY = 1e-5
"""Largest estimated error, as a norm of k x k numbers, of a factor that is turned from the last and not decomposed."""

_SMALL = 1e-4  # rotations whose square is lost in the step that makes the factor orthogonal


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
    factor, axes = polar_rows_and_axes(matrix)
    return factor, axes is not None


def polar_rows_and_axes(matrix: Floats) -> tuple[Floats, Floats | None]:
    """Return what `polar_rows` does, and the left singular vectors on the way.

    Parameters
    ----------
    matrix : array, shape (k, p), k <= p

    Returns
    -------
    factor : array, shape (k, p)
    axes : array, shape (k, k), or None
        Left singular vectors as columns; None where the Gram matrix was too ill-conditioned to give them.
    """
    values, vectors = np.linalg.eigh(matrix @ matrix.T, UPLO="U")  # in OpenBLAS a little faster than "L"
    if not values[0] > WELL_CONDITIONED * values[-1]:
        return polar_rows_by_svd(matrix), None
    half = vectors / values**0.25
    return (half @ half.T) @ matrix, vectors


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


@dataclass(frozen=True)
class Settled:
    """Where the factor of a square matrix is, for that of a matrix nearby.

    Attributes
    ----------
    axes : array, shape (k, k)
        Left singular vectors of a matrix nearby, as columns.
    turned : array, shape (k, k)
        ``axes' Q`` of an orthogonal matrix Q near the factor that is sought.
    """

    axes: Floats
    turned: Floats


def polar_nearby(matrix: Floats, settled: Settled) -> tuple[Floats, Settled] | None:
    """Return the orthogonal factor of a square matrix, where it is not far from that of another.

    Parameters
    ----------
    matrix : array, shape (k, k)
    settled : Settled

    Returns
    -------
    factor : array, shape (k, k)
        Orthogonal to the machine's precision, with an estimated error of at most `NEARBY`. None in place of both where
        it would be larger.
    settled : Settled
        Of this matrix.

    Notes
    -----
    The factor Q makes C = B Q' symmetric and positive. From a Q nearby, exp(W) Q does where W C' + C W = C - C', but
    for terms of second order. In the singular vectors of a matrix nearby C is almost diagonal: W is the right side over
    sums of diagonal elements, and once again for what is left. Only C and the orthogonality of Q need double precision,
    all else is a small correction: four products in double precision, one of them symmetric, and three or four in
    single.
    """
    product = (settled.axes.T @ matrix) @ settled.turned.T
    rotation = _rotation(product)
    if rotation is None:
        return None
    near = settled.turned + rotation @ settled.turned.astype(np.float32)
    left = near @ near.T
    left *= -0.5
    left[np.diag_indices(len(left))] += 0.5
    near += left.astype(np.float32) @ near.astype(np.float32)  # Newton and Schulz: squares the error
    return settled.axes @ near, Settled(settled.axes, near)


def _rotation(product: Floats) -> NDArray[np.float32] | None:
    """exp(W) - 1 of `polar_nearby` from C, or None where ``|W2|^2 / |W1| + |W1|^3`` of both steps is too large."""
    mean = np.trace(product) / len(product)
    if not mean > 0:
        return None
    product /= mean  # single precision has few exponents
    single, skew = product.astype(np.float32), (product - product.T).astype(np.float32)
    sums = single.diagonal()[:, None] + single.diagonal()
    if not sums.min() > 0:
        return None
    first: NDArray[np.float32] = skew / sums
    size = float(np.linalg.norm(first))
    if not size**3 <= NEARBY:
        return None
    half = first @ single.T
    second = np.divide(skew - half + half.T, sums, out=half)
    if size and float(np.linalg.norm(second)) ** 2 / size + size**3 > NEARBY:
        return None
    first += second
    if size > _SMALL:
        first += np.float32(0.5) * (first @ first)
    return first


class PolarFactors:
    """Orthogonal factors of the matrices of several networks, again in each iteration.

    A network whose matrix is ill-conditioned is decomposed in full at once, and its Gram matrix tried again after one,
    three, seven ... iterations. Where the products of matrices are allowed several threads, so many networks are
    computed at once: a single decomposition gains little from them. Square matrices are not decomposed again as soon as
    they change little from call to call: the last factor is turned into the next, see `polar_nearby`.

    Parameters
    ----------
    count : int
        Number of networks.
    rigid : bool
        Whether the matrices are square: the first ones, of a random start, are then nearly singular.
    """

    def __init__(self, count: int, rigid: bool = False) -> None:
        self._misses, self._waits = [0] * count, [int(rigid)] * count
        self._settled: list[Settled | None] = [None] * count
        self._known = [0] * count  # decompositions that gave the axes
        self._blas = _blas_threads()

    def __call__(self, matrices: Sequence[Floats]) -> list[Floats]:
        """Return the factor of each matrix, shape (k, p_i)."""
        workers = min(self._blas.threads, len(matrices))
        if workers == 1:
            return [self._factor(i, matrix) for i, matrix in enumerate(matrices)]
        with self._blas.single(), ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self._factor, range(len(matrices)), matrices))

    def _factor(self, network: int, matrix: Floats) -> Floats:
        settled = self._settled[network]
        if settled is not None:
            found = polar_nearby(matrix, settled)
            if found is not None:
                factor, self._settled[network] = found
                return factor
        return self._decomposed(network, matrix)

    def _decomposed(self, network: int, matrix: Floats) -> Floats:
        if self._waits[network]:
            self._waits[network] -= 1
            return polar_rows_by_svd(matrix)
        factor, axes = polar_rows_and_axes(matrix)
        self._misses[network] = 0 if axes is not None else self._misses[network] + 1
        self._waits[network] = 2 ** self._misses[network] - 2 if self._misses[network] else 0
        self._settled[network] = None
        if axes is not None and matrix.shape[0] == matrix.shape[1]:
            self._known[network] += 1
            if self._known[network] > 1:  # after the first the next is far: an attempt would be in vain
                self._settled[network] = Settled(axes, axes.T @ factor)
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
