"""Representational similarity matrices of images, within networks and between them, and their correlations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from netalike.alignment import checks
from netalike.errors import NetalikeError, ShapeError, unknown_name

Floats = NDArray[np.float64]

KINDS = ("pearson", "cosine", "centred_kernel")
METHODS = ("pearson", "spearman", "kendall")
PARTS = ("lower", "all")


def rsm(X: ArrayLike, kind: str = "pearson") -> Floats:
    """Compare the patterns of all pairs of images in one network.

    Parameters
    ----------
    X : array_like, shape (n, p)
        One row, or pattern, for each image.
    kind : {"pearson", "cosine", "centred_kernel"}
        ``pearson``, as published, correlates patterns over the units: it removes the mean of each pattern over the
        units, so that a rotation of the units changes it (N7). ``cosine`` and ``centred_kernel`` are unchanged by
        rotations; the latter are products of patterns less their mean over the images, scaled to a mean diagonal of
        1, and unchanged by constants added to units too.

    Returns
    -------
    array, shape (n, n)
        Symmetric.

    Raises
    ------
    UnknownNameError
        For an unknown kind.
    ShapeError
        If X is no matrix.
    NetalikeError
        For a NaN, or a pattern that has no direction: constant (Pearson), zero (cosine), or all equal (kernel).

    Notes
    -----
    O(n^2 p).
    """
    patterns = _unit_patterns(_double([X])[0], kind, "the network")
    return patterns @ patterns.T


def within_rsms(networks: Sequence[ArrayLike], kind: str = "pearson") -> list[Floats]:
    """Compute the RSM of each network.

    Parameters
    ----------
    networks : sequence of array_like, shape (n, p_i)
        The same images in the same order.
    kind : {"pearson", "cosine", "centred_kernel"}
        As of `rsm`.

    Returns
    -------
    list of array, shape (n, n)

    Raises
    ------
    NetalikeError
        As `rsm`, naming the network; ShapeError for different numbers of images.
    """
    found = _double(networks)
    patterns = (_unit_patterns(x, kind, f"network {i}") for i, x in enumerate(found))
    return [own @ own.T for own in patterns]


def between_rsm(networks: Sequence[ArrayLike], kind: str = "pearson", fisher_z: bool = False) -> Floats:
    """Compare the patterns of images between networks: each with the mean of the others, averaged.

    Parameters
    ----------
    networks : sequence of array_like, shape (n, p)
        At least two, of the same images and equally wide.
    kind : {"pearson", "cosine", "centred_kernel"}
        As of `rsm`.
    fisher_z : bool
        Average inverse hyperbolic tangents of the correlations, not these themselves as published (N11).

    Returns
    -------
    array, shape (n, n)
        Entry (a, b): image a in a network, image b in the mean of the other networks. Not symmetric.

    Raises
    ------
    NetalikeError
        As `between_rsms`.
    """
    total, count = np.zeros(0), 0
    for one in _between(networks, kind):
        values = _arctanh(one) if fisher_z else one
        total, count = (values if count == 0 else np.add(total, values, out=total)), count + 1
    mean = total / count
    return np.tanh(mean) if fisher_z else mean


def between_rsms(networks: Sequence[ArrayLike], kind: str = "pearson") -> Floats:
    """Compare the patterns of images in each network with those in the mean of the other networks.

    Parameters
    ----------
    networks : sequence of array_like, shape (n, p)
        At least two, of the same images and equally wide.
    kind : {"pearson", "cosine", "centred_kernel"}
        As of `rsm`.

    Returns
    -------
    array, shape (N, n, n)

    Raises
    ------
    ShapeError
        For fewer than two networks, different numbers of images, or different widths, which only have a mean after
        an alignment.
    NetalikeError
        As `rsm`, naming the network.

    Notes
    -----
    The others' mean is taken from the sum over all: O(N n^2 p).
    """
    return np.stack(list(_between(networks, kind)))


def _between(networks: Sequence[ArrayLike], kind: str) -> Iterator[Floats]:
    found = _double(networks)
    widths = sorted({x.shape[1] for x in found})
    if len(found) < 2 or len(widths) > 1:
        raise ShapeError(
            f"RSMs between networks need at least 2 networks of one width, got {len(found)} of "
            f"{', '.join(map(str, widths)) or 'none'}: transform them with a SharedResponse first."
        )
    total = np.sum(found, axis=0)
    for i, x in enumerate(found):
        others = (total - x) / (len(found) - 1)
        own = _unit_patterns(x, kind, f"network {i}")
        yield own @ _unit_patterns(others, kind, f"the mean of all networks but {i}").T


def _double(networks: Sequence[ArrayLike]) -> list[Floats]:
    return [x.astype(np.float64, copy=False) for x in checks.activations(networks)]


def _unit_patterns(X: Floats, kind: str, name: str) -> Floats:
    """Patterns whose products are the entries of the RSM, shape (n, p)."""
    if kind not in KINDS:
        raise unknown_name("kind of RSM", kind, KINDS)
    centred = X if kind == "cosine" else X - X.mean(axis=1 if kind == "pearson" else 0, keepdims=True)
    norms = np.sqrt(np.einsum("ij,ij->i", centred, centred))
    if kind == "centred_kernel":
        norms = np.full(len(X), np.sqrt(np.mean(norms**2)))
    # what is left of a constant after its mean is subtracted is rounding
    scale = np.sqrt(np.einsum("ij,ij->i", X, X))
    bad = np.flatnonzero(~(norms > 1e-13 * scale)) if kind != "cosine" else np.flatnonzero(norms == 0)
    if len(bad):
        _refuse_patterns(bad, len(X), kind, name)
    return np.asarray(centred / norms[:, None])


def _refuse_patterns(bad: NDArray[np.intp], n: int, kind: str, name: str) -> None:
    why = {"pearson": "constant over the units", "cosine": "zero", "centred_kernel": "the same for all images"}[kind]
    advice = "leave the layer out" if kind == "centred_kernel" else "leave the images out, or take the centred_kernel"
    raise NetalikeError(
        f"undefined: the patterns of {len(bad)} of {n} images in {name} are {why} (first: image {bad[0]}), so that the "
        f"{kind} RSM has no value: {advice}."
    )


def class_rsm(X: ArrayLike, labels: ArrayLike, kind: str = "pearson") -> Floats:
    """Compare the mean patterns of classes in one network.

    Parameters
    ----------
    X : array_like, shape (n, p)
    labels : array_like, shape (n,)
        Class of each image.
    kind : {"pearson", "cosine", "centred_kernel"}
        As of `rsm`.

    Returns
    -------
    array, shape (C, C)
        Classes in ascending order of their labels.

    Raises
    ------
    ShapeError
        For another number of labels than images.
    NetalikeError
        As `rsm`.
    """
    found, given = _double([X])[0], np.asarray(labels)
    if given.shape != (len(found),):
        raise ShapeError(f"labels of shape {given.shape} for {len(found)} images: give one label for each image.")
    classes, places = np.unique(given, return_inverse=True)
    sums = np.zeros((len(classes), found.shape[1]))
    np.add.at(sums, places, found)
    return rsm(sums / np.bincount(places)[:, None], kind)


def second_order(a: ArrayLike, b: ArrayLike, method: str = "pearson", part: str = "lower") -> float:
    """Correlate two RSMs.

    Parameters
    ----------
    a, b : array_like, shape (n, n)
        Of the same images.
    method : {"pearson", "spearman", "kendall"}
        ``kendall`` is tau-b.
    part : {"lower", "all"}
        The triangle below the diagonal, as published for networks trained on images; or all entries with the
        diagonal, as published for the simulation.

    Returns
    -------
    float
        In [-1, 1].

    Raises
    ------
    UnknownNameError
        For an unknown method or part.
    ShapeError
        For matrices that are not square or not of one size.
    NetalikeError
        If the entries of one do not vary.

    Notes
    -----
    O(n^2), Kendall and Spearman O(n^2 log n). The entries depend on each other: a p-value over them means nothing;
    take `second_order_over_networks`.
    """
    for kind, given, allowed in (("method of correlation", method, METHODS), ("part of an RSM", part, PARTS)):
        if given not in allowed:
            raise unknown_name(kind, given, allowed)
    x, y = _entries([a, b], part)
    if method == "kendall":
        return float(stats.kendalltau(x, y).statistic)
    if method == "spearman":
        x, y = stats.rankdata(x), stats.rankdata(y)
    return float(_correlations(_centred_entries(np.stack([x, y])))[0, 1])


def consistency(rsms: Sequence[ArrayLike]) -> Floats:
    """Correlate the lower triangles of all pairs of RSMs.

    Parameters
    ----------
    rsms : sequence of array_like, shape (n, n)
        One for each network, of the same images.

    Returns
    -------
    array, shape (N, N)
        Pearson correlations; 1 on the diagonal.

    Raises
    ------
    ShapeError
        For matrices that are not square or not of one size.
    NetalikeError
        If the entries of one do not vary.
    """
    return _correlations(_centred_entries(_entries(rsms, "lower")))


def mean_correlation(values: ArrayLike, axis: int | None = None, fisher_z: bool = False) -> Floats:
    """Average correlations.

    Parameters
    ----------
    values : array_like
        In [-1, 1]; RSMs of networks with ``axis=0``, or numbers of `consistency`.
    axis : int, optional
        Over which; None averages all.
    fisher_z : bool
        Average inverse hyperbolic tangents, and go back (N11). The published means are without.

    Returns
    -------
    array, or a number for ``axis=None``
    """
    given = np.asarray(values, dtype=np.float64)
    return np.tanh(_arctanh(given).mean(axis)) if fisher_z else np.asarray(given.mean(axis))


def second_order_over_networks(
    list_a: Sequence[ArrayLike], list_b: Sequence[ArrayLike], n_boot: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Correlate two mean RSMs, with an interval over networks.

    Parameters
    ----------
    list_a, list_b : sequence of array_like, shape (n, n)
        RSMs of the same networks in the same order, such as those between networks in the shared space and those
        within them.
    n_boot : int
        How often networks are drawn anew, with replacement, the same for both.
    seed : int

    Returns
    -------
    value, low, high : float
        Pearson correlation of the lower triangles of the two means, and its 95 % percentile interval.

    Raises
    ------
    ShapeError
        For lists of different lengths, or matrices that are not square or not of one size.
    NetalikeError
        If the entries of one do not vary.

    Notes
    -----
    A mean of RSMs is linear in them, so that all that is needed are the products of all pairs of triangles: O(N^2 n^2)
    once, and O(N^2) for each draw. A leave-one-out mean inside an RSM between networks is not made anew.
    """
    if len(list_a) != len(list_b):
        raise ShapeError(f"{len(list_a)} and {len(list_b)} RSMs: give those of the same networks in the same order.")
    count = len(list_a)
    entries = _centred_entries(_entries([*list_a, *list_b], "lower"))
    gram = entries @ entries.T
    draws = np.random.default_rng(seed).integers(count, size=(n_boot, count))
    weights = np.stack([np.bincount(draw, minlength=count) for draw in draws]) / count
    values = _weighted_correlations(gram, np.vstack([np.full(count, 1 / count), weights]))
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return float(values[0]), float(low), float(high)


def _weighted_correlations(gram: Floats, weights: Floats) -> Floats:
    """Correlation of weighted means of the first and of the second half, for each row of weights."""
    count = weights.shape[1]
    a, b = slice(0, count), slice(count, None)
    own_a, own_b, both = (
        np.einsum("ri,ij,rj->r", weights, gram[rows, columns], weights) for rows, columns in ((a, a), (b, b), (a, b))
    )
    return np.asarray(np.clip(both / np.sqrt(own_a * own_b), -1, 1))


def _entries(matrices: Sequence[ArrayLike], part: str) -> Floats:
    """Entries of each matrix in a row."""
    shapes = [np.shape(matrix) for matrix in matrices]
    first = shapes[0] if shapes else ()
    if any(shape != first for shape in shapes) or len(first) != 2 or first[0] != first[1] or first[0] < 3:
        given = ", ".join(map(str, dict.fromkeys(shapes))) or "none"
        raise ShapeError(f"RSMs of shapes {given}: expected square ones of the same images, at least 3.")
    if part == "all":
        return np.stack([np.asarray(matrix, dtype=np.float64).ravel() for matrix in matrices])
    below = np.tri(first[0], k=-1, dtype=bool)
    return np.stack([np.asarray(matrix, dtype=np.float64)[below] for matrix in matrices])


def _centred_entries(entries: Floats) -> Floats:
    scale = np.abs(entries).max(axis=1)
    entries = entries - entries.mean(axis=1, keepdims=True)
    for i, row in enumerate(entries):
        if not np.abs(row).max() > 1e-13 * scale[i]:
            raise NetalikeError(
                f"undefined: the entries of RSM {i} do not vary, or hold a NaN, so that it correlates with nothing."
            )
    return entries


def _correlations(centred: Floats) -> Floats:
    gram = centred @ centred.T
    norms = np.sqrt(gram.diagonal())
    found: Floats = np.clip(gram / np.outer(norms, norms), -1, 1)
    np.fill_diagonal(found, 1.0)
    return found


def _arctanh(values: Floats) -> Floats:
    # a correlation of 1 with itself may come out above it by rounding; its z is infinite, and goes back to 1
    with np.errstate(divide="ignore"):
        return np.arctanh(np.clip(values, -1, 1))
