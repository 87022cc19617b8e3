"""Shared responses of all pairs of networks of a panel at matched layers, and how alike their RSMs are.

Lu et al. (2018): shared response model (Chen et al. 2015) and second-order similarity. Half of the images, drawn by the
seed, are for the fit and the other half for the numbers. A layer with more than `max_units` units takes part with so
many of them, drawn by the seed from all units in the order of their variance: the order in which a network lists its
units changes nothing. Each layer is scaled to a mean variance of 1, since the maps have no scale. There are at most as
many features as units, and as images of the fit. Noise, which has one layer, is compared with every layer of the other
network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netalike.alignment import SharedResponse, between_rsm, mean_correlation, rsm, second_order
from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.evidence.measurements import OK, condition
from netalike.evidence.metering import Meter
from netalike.evidence.rows import relation
from netalike.measures.recorded import matched_layers
from netalike.measures.sources import NOISE
from netalike.progress import progress as progress_bar

MEASURES = ("shared_variance/srm", "rsm_similarity/pearson", "shared_rsm_similarity/pearson")

Row = dict[str, Any]
Floats = NDArray[np.float64]
Key = tuple[str, str]
"""Network and layer."""

_KEY = "+".join(MEASURES)  # what a meter calls them: they are computed together
_SMALLEST = 8  # images: at least 4 in each half


@dataclass(frozen=True, eq=False)
class Prepared:
    """What one layer of one network brings to all its pairs.

    Attributes
    ----------
    fit, held_out : ndarray, shapes (n_fit, p) and (n_held_out, p)
        Chosen units, centred and scaled to a mean variance of 1 by the images of the fit.
    within : ndarray, shape (n_held_out, n_held_out), or NetalikeError
        Pearson RSM of all units, or why there is none: a pattern that is the same in all units.
    kernel : ndarray, shape (n_held_out, n_held_out)
        RSM of the chosen units, by the centred kernel.
    """

    fit: Floats
    held_out: Floats
    within: Floats | NetalikeError
    kernel: Floats


@dataclass(frozen=True)
class _Job:
    a: Key
    b: Key
    pair: str


def align_pairs(
    recordings: Mapping[str, Mapping[str, ArrayLike]],
    orders: Mapping[str, NDArray[np.int64]],
    pairs: Sequence[tuple[str, str]],
    panel: Mapping[str, Any],
    settings: Mapping[str, Any],
    progress: bool | None = None,
    meter: Meter | None = None,
) -> list[Row]:
    """Fit a shared response of the two networks of each pair at matched layers, and compare their RSMs.

    Parameters
    ----------
    recordings : mapping of network to mapping of layer to array, shape (n, ...)
        Of the same n images; memory-mapped arrays are read one layer at a time.
    orders : mapping of network to array, shape (n,)
        Networks that take their samples in another order.
    pairs : sequence of (str, str)
        Names, controls among them; a pair that answers no question (see `evidence.rows.relation`) is left out.
    panel : mapping
        ``members`` (network to family) and ``seed``.
    settings : mapping
        ``features`` (None: as many as the narrower layer has units), ``max_units``, ``iterations``.
    progress : bool, optional
        None shows a bar on a terminal.
    meter : Meter, optional
        Is told what the measures cost.

    Returns
    -------
    list of dict
        Without paper, experiment, data set, split and seed, in the order of the pairs; of the held-out images. By
        layer, ``shared_variance/srm``: the share of variance that the shared response explains, mean of the two (see
        `SharedResponse.score`; 1 of a network with itself, about k / (2 p) = 1/2 of networks that have nothing in
        common, since the shared response holds a half of each). ``rsm_similarity/pearson``: the
        correlation of the two networks' Pearson RSMs of all units. ``shared_rsm_similarity/pearson``: the correlation
        of the RSM between the two networks in the shared space with the mean RSM within them, both of the chosen units
        and by the centred kernel, which rotations leave as it is. All are symmetric.

    Raises
    ------
    UnknownNameError
        For a network without recordings.
    ShapeError
        If there are fewer than 8 images, or networks have different numbers of them.

    Notes
    -----
    A layer is prepared once, O(n^2 p), and forgotten after its last pair: pairs go layer by layer, so that 4 n^2 + 8 n
    max_units bytes a network are kept. A pair costs O(iterations max_units^3 + n^2).
    """
    seed, meter = panel["seed"], meter or Meter("alignment")
    held_out = len(halves(_samples(recordings, pairs), seed)[1])
    jobs = list(_jobs(recordings, pairs, panel["members"]))
    _count(meter, jobs)
    found: dict[int, list[Row]] = {}
    sides = _sides(jobs, recordings, _Preparing(recordings, orders, seed, settings["max_units"]), meter)
    for i, a, b in progress_bar(sides, "aligning pairs", total=len(jobs), shown=progress):
        found[i] = [{**row, "n_samples": held_out} for row in _rows(jobs[i], a, b, settings, seed, meter)]
    return [row for i in range(len(jobs)) for row in found[i]]


def _sides(
    jobs: Sequence[_Job], recordings: Mapping[str, Mapping[str, ArrayLike]], prepare_layer: _Preparing, meter: Meter
) -> Iterator[tuple[int, Prepared | str, Prepared | str]]:
    """Yield the number of each job with its two sides, in an order in which few layers are kept at a time."""
    order = sorted(range(len(jobs)), key=lambda i: _depth(recordings, jobs[i]))
    last = {key: place for place, i in enumerate(order) for key in (jobs[i].a, jobs[i].b)}
    kept: dict[Key, Prepared | str] = {}
    for place, i in enumerate(order):
        a, b = jobs[i].a, jobs[i].b
        for key in (a, b):
            if key not in kept:
                with meter.networks(_KEY, 0):
                    kept[key] = prepare_layer(*key)
        yield i, kept[a], kept[b]
        kept = {key: value for key, value in kept.items() if last[key] > place}


def _samples(recordings: Mapping[str, Mapping[str, ArrayLike]], pairs: Sequence[tuple[str, str]]) -> int:
    """Return the number of images, which has to be the same for all networks."""
    counts: dict[str, int] = {}
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        if name not in recordings:
            raise unknown_name("recorded network", name, recordings)
        counts[name] = len(np.asarray(next(iter(recordings[name].values()))))
    if len(set(counts.values())) > 1 or min(counts.values(), default=_SMALLEST) < _SMALLEST:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ShapeError(f"an alignment needs recordings of the same images, at least {_SMALLEST}; got {told}.")
    return next(iter(counts.values()), _SMALLEST)


def _jobs(
    recordings: Mapping[str, Mapping[str, ArrayLike]], pairs: Sequence[tuple[str, str]], families: Mapping[str, str]
) -> Iterator[_Job]:
    for a, b in pairs:
        pair = relation(a, b, families)
        if pair is not None:
            for layer_a, layer_b in _matched(recordings, a, b):
                yield _Job((a, layer_a), (b, layer_b), pair)


def _matched(recordings: Mapping[str, Mapping[str, ArrayLike]], a: str, b: str) -> list[tuple[str, str]]:
    layers_a, layers_b = list(recordings[a]), list(recordings[b])
    if a == NOISE:
        return [(layers_a[0], layer) for layer in layers_b]
    if b == NOISE:
        return [(layer, layers_b[0]) for layer in layers_a]
    return matched_layers(layers_a, layers_b)


def _depth(recordings: Mapping[str, Mapping[str, ArrayLike]], job: _Job) -> float:
    """Relative depth of a pair's layers."""
    network, layer = job.b if job.a[0] == NOISE else job.a
    layers = list(recordings[network])
    return layers.index(layer) / len(layers)


def _count(meter: Meter, jobs: Sequence[_Job]) -> None:
    networks = {key[0] for job in jobs for key in (job.a, job.b)}
    pairs = {(job.a[0], job.b[0]) for job in jobs}
    with meter.networks(_KEY, len(networks)), meter.pairs(_KEY, len(pairs)):
        pass


# ---- one layer of one network ----------------------------------------------------------------------------------------


class _Preparing:
    """Reads layers, and makes of each what all its pairs need."""

    def __init__(
        self,
        recordings: Mapping[str, Mapping[str, ArrayLike]],
        orders: Mapping[str, NDArray[np.int64]],
        seed: int,
        max_units: int,
    ) -> None:
        self._recordings, self._orders, self._seed, self._max_units = recordings, orders, seed, max_units

    def __call__(self, network: str, layer: str) -> Prepared | str:
        """Prepare a layer; return why that cannot be done, instead."""
        X = np.asarray(self._recordings[network][layer])
        X = X.reshape(len(X), -1)
        try:
            return prepare(X[self._orders[network]] if network in self._orders else X, self._seed, self._max_units)
        except NetalikeError as error:
            return f"{_reason(error)} (layer {layer} of {network})"


def prepare(X: ArrayLike, seed: int, max_units: int) -> Prepared:
    """Split, choose units, scale, and compute the RSMs of one layer.

    Parameters
    ----------
    X : array_like, shape (n, p)
    seed : int
    max_units : int

    Returns
    -------
    Prepared

    Raises
    ------
    NetalikeError
        If the activations are not finite or do not vary.
    """
    # in one order of memory, so that sums over images are the same numbers wherever a unit stands
    X = np.ascontiguousarray(X)
    fit, held_out = halves(len(X), seed)
    if not np.isfinite(X.sum(dtype=np.float64)):
        raise NetalikeError("the activations hold numbers that are not finite")
    chosen = X[:, chosen_units(X[fit], seed, max_units)].astype(np.float64)
    scale = math.sqrt(float(chosen[fit].var(axis=0).mean()))
    if scale == 0 or not (chosen[held_out] != chosen[held_out][0]).any():
        raise NetalikeError("the activations do not vary over the images")
    chosen = (chosen - chosen[fit].mean(axis=0)) / scale
    within: Floats | NetalikeError
    try:
        within = rsm(X[held_out], "pearson")
    except NetalikeError as error:
        within = error
    return Prepared(chosen[fit], chosen[held_out], within, rsm(chosen[held_out], "centred_kernel"))


def halves(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the images of the fit, and those that are held out of it.

    Parameters
    ----------
    n : int
    seed : int

    Returns
    -------
    fit, held_out : ndarray
        Ascending; of an odd number of images the larger part is for the fit.
    """
    drawn = np.random.default_rng([seed, 0]).permutation(n)
    size = (n + 1) // 2
    return np.sort(drawn[:size]), np.sort(drawn[size:])


def chosen_units(X: ArrayLike, seed: int, max_units: int) -> NDArray[np.int64]:
    """Choose units, whatever the order in which they are listed.

    Parameters
    ----------
    X : array_like, shape (n, p)
    seed : int
        Of the draw; where there are no more than `max_units` units, all are taken.
    max_units : int

    Returns
    -------
    ndarray, shape (min(p, max_units),)
        By descending variance, and of equal variance by descending mean: of units listed in another order the same
        ones come out in the same order, but for units with the same numbers.
    """
    X = np.asarray(X)
    variance, mean = X.var(axis=0, dtype=np.float64), X.mean(axis=0, dtype=np.float64)
    order = np.lexsort((-mean, -variance))
    if len(order) <= max_units:
        return order
    drawn = np.random.default_rng([seed, 1]).choice(len(order), max_units, replace=False)
    return order[np.sort(drawn)]


# ---- one pair --------------------------------------------------------------------------------------------------------


def _rows(
    job: _Job, a: Prepared | str, b: Prepared | str, settings: Mapping[str, Any], seed: int, meter: Meter
) -> Iterator[Row]:
    values: dict[str, tuple[float, str]]
    if isinstance(a, str) or isinstance(b, str):
        values = dict.fromkeys(MEASURES, (math.nan, a if isinstance(a, str) else str(b)))
    else:
        # the start of the fit depends on the order of the networks, and the result must not
        first, second = (a, b) if job.a <= job.b else (b, a)
        values = _values(first, second, settings, seed, meter)
    for measure, (value, why) in values.items():
        quantity, _, estimator = measure.partition("/")
        yield {
            "network_a": job.a[0],
            "layer_a": job.a[1],
            "network_b": job.b[0],
            "layer_b": job.b[1],
            "quantity": quantity,
            "estimator": estimator,
            "condition": condition(pair=job.pair),
            "value": value,
            "status": f"undefined: {why}" if why else OK,
        }


def _values(
    a: Prepared, b: Prepared, settings: Mapping[str, Any], seed: int, meter: Meter
) -> dict[str, tuple[float, str]]:
    with meter.pairs(_KEY, 0):
        model = fit_pair(a, b, settings["features"], settings["iterations"], seed)
        found: tuple[Callable[[], float], ...] = (
            lambda: float(model.score([a.held_out, b.held_out]).mean()),
            lambda: second_order(_known(a.within), _known(b.within)),
            lambda: shared_similarity(model, a, b),
        )
        return dict(zip(MEASURES, map(_tried, found), strict=True))


def fit_pair(a: Prepared, b: Prepared, features: int | None, iterations: int, seed: int) -> SharedResponse:
    """Fit the shared response of two layers.

    Parameters
    ----------
    a, b : Prepared
    features : int, optional
        At most; there are no more than units of the narrower layer, and than images of the fit.
    iterations, seed : int

    Returns
    -------
    SharedResponse
        Fitted to a, then b.
    """
    largest = min(a.fit.shape[1], b.fit.shape[1], len(a.fit))
    size = largest if features is None else min(features, largest)
    return SharedResponse(size, iterations=iterations, seed=seed).fit([a.fit, b.fit])


def shared_similarity(model: SharedResponse, a: Prepared, b: Prepared) -> float:
    """Correlate the RSM between two networks in their shared space with the mean RSM within them.

    Parameters
    ----------
    model : SharedResponse
        Of `fit_pair`.
    a, b : Prepared

    Returns
    -------
    float
        Pearson correlation of the lower triangles, held-out images.
    """
    between = between_rsm(model.transform([a.held_out, b.held_out]), "centred_kernel")
    return second_order(between, mean_correlation([a.kernel, b.kernel], axis=0))


def _known(matrix: Floats | NetalikeError) -> Floats:
    if isinstance(matrix, NetalikeError):
        raise matrix
    return matrix


def _tried(compute: Callable[[], float]) -> tuple[float, str]:
    """Return a number, or why there is none."""
    try:
        return compute(), ""
    except NetalikeError as error:
        return math.nan, _reason(error)


def _reason(error: NetalikeError) -> str:
    return str(error).removeprefix("undefined: ").rstrip(".")
