"""Similarities of representational geometries without storing a matrix: RSMs are products of normalised patterns.

Every RSM here is ``left @ right.T`` of two arrays of patterns. Its entries are made block by block, and what is kept
of them are means and products: those of N matrices give every correlation of weighted means of them, so that a
bootstrap over networks costs N by N numbers per draw. Needs numpy alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_BLOCK = 128  # rows of the RSMs at a time: those of one matrix of 2,000 images fit into a cache
_FEWEST_NETWORKS = 3  # to be resampled
_LARGEST_CORRELATION = 1 - 1e-6  # Fisher's z of 1 is infinite
_LARGEST_VALUE = 1 - 1e-12
_ROUNDING = 1e-12  # a variance this small beside 1 is rounding


class Side(NamedTuple):
    """An RSM as the product ``left @ right.T``; both of shape (n, k)."""

    left: Floats
    right: Floats


def normalised(patterns: Floats, kind: str) -> Floats:
    """Bring patterns to the form whose products are the entries of an RSM.

    Parameters
    ----------
    patterns : ndarray, shape (n, p)
    kind : {"pearson", "cosine", "centred_kernel"}
        Pearson's correlation of patterns; their cosine; or their products less the mean pattern, scaled to a mean
        diagonal of 1. The last two do not change when patterns are rotated, the first does (N7).

    Returns
    -------
    ndarray, float32, shape (n, p)

    Notes
    -----
    What `netalike.alignment.rsm` computes, in float32 and without a matrix of images.
    """
    if kind == "centred_kernel":
        centred = patterns - patterns.mean(axis=0, dtype=np.float64).astype(np.float32)
        size = math.sqrt(_square(centred) / len(centred))
        return np.asarray(centred / np.float32(size or 1))
    if kind == "pearson":
        patterns = patterns - patterns.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", patterns, patterns))[:, None]
    return np.asarray(patterns / np.where(lengths > 0, lengths, 1))


def within_sides(networks: Sequence[Floats], kind: str) -> list[Side]:
    """Return the RSM of each network.

    Parameters
    ----------
    networks : sequence of ndarray, shape (n, p_i)
    kind : str
        See `normalised`.

    Returns
    -------
    list of Side
    """
    return [Side(patterns, patterns) for patterns in (normalised(one, kind) for one in networks)]


def between_sides(networks: Sequence[Floats], kind: str) -> list[Side]:
    """Return, for each network, the RSM of its patterns with the mean of the other networks' patterns.

    Parameters
    ----------
    networks : sequence of ndarray, shape (n, p)
    kind : str
        See `normalised`.

    Returns
    -------
    list of Side
        Leave one out, from the sum of all: O(N n p).
    """
    total = np.sum(networks, axis=0)
    count = np.float32(len(networks) - 1)
    return [Side(normalised(one, kind), normalised((total - one) / count, kind)) for one in networks]


# ---- second-order similarity -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Triangles:
    """Means and covariances of the strict lower triangles of M matrices.

    Attributes
    ----------
    covariance : ndarray, shape (M, M)
        Over the n (n - 1) / 2 entries.
    n_entries : int
    kept : list of ndarray
        The blocks of matrices that were asked for, to be `joined` to those of another call.
    """

    covariance: Doubles
    n_entries: int
    kept: list[Floats]


def triangles(
    sides: Sequence[Side], joined: Sequence[Floats] = (), keep: slice | None = None, fisher: bool = False
) -> Triangles:
    """Compare the strict lower triangles of RSMs with each other.

    Parameters
    ----------
    sides : sequence of Side
        Of the same n images.
    joined : sequence of ndarray
        Blocks that another call has `kept`: its matrices come after those of `sides`.
    keep : slice, optional
        Matrices whose entries are kept: 2 n^2 bytes each.
    fisher : bool
        Whether entries are taken to Fisher's z first.

    Returns
    -------
    Triangles

    Notes
    -----
    Published: the strict lower triangle, also of the matrix between networks, which is not symmetric (N11). Each entry
    is computed once, in float32, less the mean of its matrix, so that the geometry of an untrained network, whose
    entries are all near 1, is not lost to rounding; sums over blocks are in float64. O(M n^2 (k + M) / 2) products, and
    memory for `_BLOCK` rows of each matrix.
    """
    n = len(sides[0].left)
    shifts = [np.float32(_mean_entry(side)) for side in sides]
    m = len(sides) + (len(joined[0]) if len(joined) else 0)
    total, products, kept = np.zeros(m), np.zeros((m, m)), []
    for number, start in enumerate(range(0, n, _BLOCK)):
        stop = min(start + _BLOCK, n)
        entries = np.empty((m, (stop - start) * stop), dtype=np.float32)
        for row, side, shift in zip(entries, sides, shifts, strict=False):
            _fill(row.reshape(stop - start, stop), side, slice(start, stop), shift, fisher)
        if len(joined):
            entries[len(sides) :] = joined[number]
        if keep is not None:
            kept.append(entries[keep].copy())
        total += entries @ np.ones(entries.shape[1], dtype=np.float32)
        products += entries @ entries.T
    count = n * (n - 1) // 2
    means = total / count
    return Triangles(products / count - np.outer(means, means), count, kept)


def _mean_entry(side: Side) -> float:
    """Mean of the entries off the diagonal, without making the matrix."""
    n = len(side.left)
    left, right = (np.ones(n, dtype=np.float32) @ part for part in side)
    return float((left @ right - np.vdot(*side)) / (n * (n - 1)))


def _fill(out: Floats, side: Side, rows: slice, shift: np.float32, fisher: bool) -> None:
    """Write rows of the strict lower triangle of an RSM, less the shift; 0 on and above the diagonal."""
    np.matmul(side.left[rows], side.right[: rows.stop].T, out=out)
    if fisher:
        np.clip(out, -_LARGEST_CORRELATION, _LARGEST_CORRELATION, out=out)
        np.arctanh(out, out=out)
    out -= shift
    size = rows.stop - rows.start
    out[:, rows.start :] *= np.tri(size, k=-1, dtype=np.float32)


class Similarity(NamedTuple):
    """A correlation with its interval; NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan


def second_order(covariance: Doubles, first: slice, second: slice, draws: Doubles) -> Similarity:
    """Correlate the mean of some matrices with the mean of others, with an interval over networks.

    Parameters
    ----------
    covariance : ndarray, shape (M, M)
        Of `Triangles`.
    first, second : slice
        Of N matrices each, one per network, in the same order.
    draws : ndarray, shape (draws, N)
        How often each network is drawn, see `network_draws`.

    Returns
    -------
    Similarity
        Pearson's correlation of the two means, with a 95 % interval; none with fewer than three networks. NaN where a
        mean has no variance.

    Notes
    -----
    A mean over the fewer distinct networks of a draw is noisier, so that its correlation lies below that of all
    networks, often with the whole percentile interval. The spread of the draws is taken and not their place: the
    percentiles are moved so that their median falls on the value, on the scale of Fisher's z.
    """
    blocks = [covariance[a, b] for a, b in ((first, first), (first, second), (second, second))]
    n = blocks[0].shape[0]
    value = float(_correlations(np.ones((1, n)), *blocks)[0])
    if n < _FEWEST_NETWORKS or not len(draws) or math.isnan(value):
        return Similarity(value)
    found = _correlations(draws, *blocks)
    drawn = np.arctanh(np.clip(found[np.isfinite(found)], -_LARGEST_VALUE, _LARGEST_VALUE))
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
    place = math.atanh(min(max(value, -_LARGEST_VALUE), _LARGEST_VALUE))
    return Similarity(value, min(math.tanh(place + low - middle), value), max(math.tanh(place + high - middle), value))


def _correlations(weights: Doubles, own: Doubles, cross: Doubles, other: Doubles) -> Doubles:
    variances = [np.einsum("di,ij,dj->d", weights, part, weights, optimize=True) for part in (own, cross, other)]
    product = variances[0] * variances[2]
    known = product > (_ROUNDING * len(own)) ** 2
    return np.asarray(np.where(known, variances[1] / np.sqrt(np.where(known, product, 1)), np.nan))


def network_draws(n: int, count: int, seed: int) -> Doubles:
    """Draw networks with replacement.

    Parameters
    ----------
    n : int
        Number of networks.
    count : int
        Of draws.
    seed : int

    Returns
    -------
    ndarray, shape (count, n)
        How often each was drawn.
    """
    drawn = np.random.default_rng([seed, 3]).multinomial(n, np.full(n, 1 / n), size=count)
    return drawn.astype(np.float64)


def correlations(covariance: Doubles) -> Doubles:
    """Return Pearson's correlation of every two matrices; NaN for one without variance."""
    spread = np.sqrt(np.clip(np.diagonal(covariance), 0, None))
    spread = np.where(spread > _ROUNDING, spread, np.nan)
    return np.asarray(covariance / np.outer(spread, spread))


def mean_interval(values: Doubles, draws: Doubles) -> Similarity:
    """Average a value of each network, with an interval over networks.

    Parameters
    ----------
    values : ndarray, shape (N,)
    draws : ndarray, shape (draws, N)

    Returns
    -------
    Similarity
    """
    value = float(np.mean(values))
    if len(values) < _FEWEST_NETWORKS or not len(draws) or math.isnan(value):
        return Similarity(value)
    low, high = np.quantile(draws @ values / len(values), [0.025, 0.975])
    return Similarity(value, float(low), float(high))


# ---- blocks of classes -----------------------------------------------------------------------------------------------


def block_contrast(side: Side, labels: NDArray[Any]) -> float:
    """Return the mean entry of an RSM within classes less the mean entry between classes.

    Parameters
    ----------
    side : Side
        Of n images.
    labels : ndarray, shape (n,)

    Returns
    -------
    float
        The diagonal is left out; NaN if no class has two images, or there is one class. O(n k), without the matrix.
    """
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    members = (np.arange(len(counts))[:, None] == classes).astype(np.float32)  # (classes, n)
    left, right = ((members @ part).astype(np.float64) for part in side)
    diagonal = float(np.vdot(*side))
    inside, whole = float((left * right).sum()), float(left.sum(axis=0) @ right.sum(axis=0))
    n_inside, n_whole = int((counts**2).sum()), len(labels) ** 2
    if n_inside == len(labels) or n_inside == n_whole:
        return math.nan
    return (inside - diagonal) / (n_inside - len(labels)) - (whole - inside) / (n_whole - n_inside)


def class_similarity(patterns: Floats, labels: NDArray[Any]) -> Doubles:
    """Correlate the mean patterns of classes.

    Parameters
    ----------
    patterns : ndarray, shape (n, p)
    labels : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (classes, classes)
        Pearson's correlations, classes ascending; NaN for a class whose mean has no variance over units.
    """
    means = np.stack([patterns[labels == name].mean(axis=0, dtype=np.float64) for name in np.unique(labels)])
    centred = means - means.mean(axis=1, keepdims=True)
    return correlations(centred @ centred.T / centred.shape[1])


# ---- variance and trajectories ---------------------------------------------------------------------------------------


def share_explained(native: Sequence[Floats], shared: Sequence[Floats], own: bool, by_unit: bool) -> Doubles:
    """Return how much of each network's patterns the mean of the networks' shared responses explains.

    Parameters
    ----------
    native : sequence of ndarray, shape (n, p_i)
        Patterns of N networks, as they were projected.
    shared : sequence of ndarray, shape (n, k)
        Their projections on orthonormal bases.
    own : bool
        Whether the mean contains the network itself, as published. N independent networks then reach 1/N, while the
        mean of the others explains nothing of them.
    by_unit : bool
        Whether the variance is that of each unit over the images, or of all numbers, as published.

    Returns
    -------
    ndarray, shape (N,)
        1 - mean((W_i mean - X_i)^2) / var(X_i): 1 is the same; at most 0 where the mean says nothing.

    Notes
    -----
    The bases are not needed: |W m - X|^2 = |m - W' X|^2 + |X|^2 - |W' X|^2 for orthonormal columns of W.
    """
    total = np.sum(shared, axis=0, dtype=np.float64)
    found = []
    for patterns, one in zip(native, shared, strict=True):
        mean = total / len(shared) if own else (total - one) / (len(shared) - 1)
        outside = _square(patterns) - _square(one)
        variance = float(patterns.var(axis=0 if by_unit else None, dtype=np.float64).mean()) * patterns.size
        found.append(1 - (_square(mean - one) + outside) / variance if variance > 0 else math.nan)
    return np.asarray(found)


def _square(values: NDArray[Any]) -> float:
    return float(np.einsum("ij,ij->", values, values, dtype=np.float64))


def smoothed(patterns: Floats, window: int) -> Floats:
    """Average each unit over windows of consecutive images.

    Parameters
    ----------
    patterns : ndarray, shape (n, p)
    window : int

    Returns
    -------
    ndarray, shape (n - window + 1, p)
    """
    sums = np.cumsum(patterns, axis=0, dtype=np.float64)
    sums[window:] -= sums[:-window]
    return np.asarray(sums[window - 1 :] / window, dtype=np.float32)


def trajectory_distances(trajectories: Sequence[Floats]) -> Doubles:
    """Return how far each trajectory is from the mean of the others, beside its own extent.

    Parameters
    ----------
    trajectories : sequence of ndarray, shape (points, k)

    Returns
    -------
    ndarray, shape (N,)
        Root mean square distance at the same point, over the root mean square distance of the trajectory's points from
        their centre: 0 where they overlap, about 1 or more where they have nothing to do with each other.
    """
    total = np.sum(trajectories, axis=0, dtype=np.float64)
    found = []
    for one in trajectories:
        extent = _square(one - one.mean(axis=0, dtype=np.float64))
        distance = _square((total - one) / (len(trajectories) - 1) - one)
        found.append(math.sqrt(distance / extent) if extent > 0 else math.nan)
    return np.asarray(found)
