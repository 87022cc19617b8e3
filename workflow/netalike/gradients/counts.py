"""Numbers of neighbours of a sample, and its nearest ones, from a similarity matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from netalike.errors import NetalikeError, ShapeError
from netalike.gradients.arrays import Array, ArrayT, Floats, finite, like, to_numpy

# Numbers of a block of rows.
_BLOCK = 2_000_000
# Of the published code.
EXPONENTS = (2.0, 3.0, 4.0)
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.925, 0.95, 0.975, 0.99)


def soft_counts(K: ArrayT, include_self: bool = True) -> ArrayT:
    """Count neighbours softly: N_S(i) = sum_j k_ij.

    Parameters
    ----------
    K : ndarray or Tensor, shape (n, n)
        Normalised scalar similarity of all pairs of samples.
    include_self : bool
        Whether a sample is its own neighbour. The published code counts it in its fast form only.

    Returns
    -------
    ndarray or Tensor (as K), shape (n,)
        In samples; negative similarities lower it.

    Raises
    ------
    ShapeError, NetalikeError
        If K is not square, or not finite.

    Notes
    -----
    `netalike.gradients.soft_counts_of` gives the same in O(n p), without K.
    """
    similarities = _square(K)
    counts = similarities.sum(1)
    return like(counts if include_self else counts - similarities.diagonal(), K)


def less_soft_counts(K: ArrayT, exponents: Sequence[float] = EXPONENTS, include_self: bool = True) -> ArrayT:
    """Count neighbours with a weight that falls faster: sum over k_ij > 0 of k_ij^m.

    Parameters
    ----------
    K : ndarray or Tensor, shape (n, n)
    exponents : sequence of float
        Each above 0. At 1, this is the soft count without its negative terms.
    include_self : bool

    Returns
    -------
    ndarray or Tensor (as K), shape (len(exponents), n)

    Raises
    ------
    NetalikeError
        If an exponent is not above 0, or K is not finite.
    """
    check_exponents(exponents)
    similarities = _square(K)
    blocks = [
        less_soft_counts_of_rows(
            similarities[rows], exponents, None if include_self else np.arange(rows.start, rows.stop)
        )
        for rows in row_blocks(similarities.shape)
    ]
    return like(np.concatenate(blocks, axis=1), K)


def less_soft_counts_of_rows(
    rows: Floats, exponents: Sequence[float], left_out: NDArray[np.int64] | None = None
) -> Floats:
    """Count as `less_soft_counts`, for some samples.

    Parameters
    ----------
    rows : ndarray, shape (s, n)
        Similarities of s samples with all.
    exponents : sequence of float
    left_out : ndarray of int, shape (s,), optional
        A column of each row that is not counted.

    Returns
    -------
    ndarray, shape (len(exponents), s)
    """
    positive = np.clip(rows, 0, None)
    if left_out is not None:
        positive[np.arange(len(rows)), left_out] = 0
    return np.stack([(positive**m).sum(1) for m in exponents])


def check_exponents(exponents: Sequence[float]) -> None:
    """Raise `NetalikeError` unless each exponent of a less soft count is above 0."""
    bad = [m for m in exponents if not m > 0]
    if bad:
        raise NetalikeError(f"less soft counts need exponents above 0, got {bad[0]}.")


def hard_counts(K: ArrayT, thresholds: Sequence[float] = THRESHOLDS, include_self: bool = True) -> ArrayT:
    """Count the neighbours whose similarity is above a threshold: #{j : k_ij > t}, strictly.

    Parameters
    ----------
    K : ndarray or Tensor, shape (n, n)
    thresholds : sequence of float
    include_self : bool
        A sample counts itself where its own similarity (1, or 0 for a zero gradient) is above the threshold.

    Returns
    -------
    ndarray or Tensor (as K), shape (len(thresholds), n)
        Whole numbers, int64.

    Raises
    ------
    ShapeError, NetalikeError
        If K is not square, or not finite.
    """
    similarities = _square(K)
    blocks = [
        hard_counts_of_rows(similarities[rows], thresholds, None if include_self else np.arange(rows.start, rows.stop))
        for rows in row_blocks(similarities.shape)
    ]
    return like(np.concatenate(blocks, axis=1), K)


def hard_counts_of_rows(
    rows: Floats, thresholds: Sequence[float], left_out: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Count as `hard_counts`, for some samples.

    Parameters
    ----------
    rows : ndarray, shape (s, n)
        Similarities of s samples with all.
    thresholds : sequence of float
    left_out : ndarray of int, shape (s,), optional
        A column of each row that is not counted.

    Returns
    -------
    ndarray of int64, shape (len(thresholds), s)
    """
    counts = np.stack([np.count_nonzero(rows > t, axis=1) for t in thresholds])
    if left_out is not None:
        own = rows[np.arange(len(rows)), left_out]
        counts -= own > np.asarray(thresholds)[:, None]
    return counts.astype(np.int64, copy=False)


def nearest(K: ArrayT, k: int, include_self: bool = False) -> tuple[ArrayT, ArrayT]:
    """Find the k most similar samples of each sample.

    Parameters
    ----------
    K : ndarray or Tensor, shape (n, n)
    k : int
        At least 1; at most n, or n - 1 without the sample itself.
    include_self : bool
        Whether a sample may be among its own neighbours. The published code always lists it, first.

    Returns
    -------
    indices : as K, shape (n, k), int64
        Most similar first; of equally similar samples, the one with the smaller index first.
    similarities : as K, shape (n, k)

    Raises
    ------
    NetalikeError
        If there are not so many other samples.
    """
    similarities = _square(K)
    indices, values = nearest_columns(similarities, k, None if include_self else np.arange(len(similarities)))
    return like(indices, K), like(values, K)


def nearest_columns(
    rows: Floats, k: int, left_out: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], Floats]:
    """Find the k largest entries of each row.

    Parameters
    ----------
    rows : ndarray, shape (s, n)
    k : int
    left_out : ndarray of int, shape (s,), optional
        A column of each row that is passed over.

    Returns
    -------
    indices : ndarray of int64, shape (s, k)
        Largest first, ties by index.
    values : ndarray, shape (s, k)

    Raises
    ------
    NetalikeError
        If a row has fewer than k entries to choose from.
    """
    available = rows.shape[1] - (left_out is not None)
    if not 1 <= k <= available:
        raise NetalikeError(f"{k} nearest neighbours of {available} candidates: choose a k from 1 to {available}.")
    indices = np.empty((len(rows), k), np.int64)
    for part in row_blocks(rows.shape):
        keys = -rows[part]
        if left_out is not None:
            keys[np.arange(len(keys)), left_out[part]] = np.inf
        indices[part] = _smallest(keys, k)
    return indices, np.take_along_axis(rows, indices, axis=1)


def _smallest(keys: Floats, k: int) -> NDArray[np.int64]:
    """Return the columns of the k smallest entries of each row, in their order, ties by column; (s, k)."""
    last = np.partition(keys, k - 1, axis=1)[:, k - 1 : k]
    below, ties = keys < last, keys == last
    chosen = below | (ties & (np.cumsum(ties, axis=1) <= k - below.sum(1, keepdims=True)))
    columns = np.nonzero(chosen)[1].reshape(len(keys), k)
    order = np.argsort(np.take_along_axis(keys, columns, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(columns, order, axis=1))


def row_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Split the rows of a matrix (s, n) into blocks of a few million numbers, so that copies of a block are small."""
    size = max(1, _BLOCK // max(1, shape[1]))
    for start in range(0, shape[0], size):
        yield slice(start, min(start + size, shape[0]))


def nearest_to_values(values: Array, targets: Sequence[float] | Floats) -> NDArray[np.int64]:
    """Find the sample whose value is nearest to each target: argmin |value - target|.

    Parameters
    ----------
    values : ndarray or Tensor, shape (n,)
        For example the soft counts of n samples.
    targets : sequence of float
        For example the centres of a histogram's bins, each of which then has a representative.

    Returns
    -------
    ndarray of int64, shape (len(targets),)
        The smallest index, where two are equally near.

    Raises
    ------
    ShapeError, NetalikeError
        If the values are no vector, or not finite.
    """
    numbers = finite(values, "values", "n")
    return np.asarray(np.abs(numbers[None, :] - to_numpy(targets)[:, None]).argmin(1), dtype=np.int64)


def _square(K: object) -> Floats:
    similarities = to_numpy(K)
    if similarities.ndim != 2 or similarities.shape[0] != similarities.shape[1]:
        raise ShapeError(
            f"a similarity matrix of shape (n, n) is needed, got {similarities.shape}. "
            "`scalar` reduces a matrix kernel (n, n, d, d) to it."
        )
    return finite(similarities, "K", "n n")
