"""A map of the networks of a panel under each measure: multidimensional scaling of their dissimilarities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from netalike.errors import ShapeError
from netalike.evidence.measurements import OK, condition
from netalike.experiments.panel_measures import DISTANCE, PANEL_MEASURES, TRAINED, PanelMeasure

Floats = NDArray[np.float64]
Row = dict[str, Any]

_AXES = ("x", "y")
_FEWEST_NETWORKS = 3
_ITERATIONS, _GAIN = 500, 1e-9
_NAN = float("nan")


def map_rows(pairs: pd.DataFrame, panel: Mapping[str, Any]) -> list[Row]:
    """Place the trained networks of a panel in the plane, once for each measure.

    Parameters
    ----------
    pairs : DataFrame
        As `panel_pairs.pair_table` makes it.
    panel : mapping
        ``members`` (network id to family).

    Returns
    -------
    list of dict
        ``map_position`` of each network (`network_a`), estimator the measure's key, condition ``axis`` (x or y) and
        ``group`` (the network's family); and ``map_stress``, Kruskal's stress-1: the share of the distances that the
        map gets wrong. Positions are in units of the measure's mean dissimilarity, about the origin, the longest
        extent along x. NaN with a status where a network has no defined pair, or the pairs do not hold together.

    Notes
    -----
    The dissimilarity of a pair is how far a similarity is below that of a network with itself (below the largest
    where that is not fixed), and a distance as it is. See `scaled`.
    """
    found: list[Row] = []
    for key in (key for key in PANEL_MEASURES if (pairs["measure"] == key).any()):
        of_measure = pairs[(pairs["measure"] == key) & pairs["pair"].isin(TRAINED)]
        found += _map(PANEL_MEASURES[key], of_measure, panel["members"])
    return found


def _map(measure: PanelMeasure, pairs: pd.DataFrame, members: Mapping[str, str]) -> Iterator[Row]:
    distances = _dissimilarities(measure, pairs, list(members))
    kept = _connected(distances)
    enough = int(kept.sum()) >= _FEWEST_NETWORKS and np.nanmax(distances, initial=0.0) > 0
    positions, stress = np.full((len(members), len(_AXES)), np.nan), _NAN
    if enough:
        positions[kept], stress = scaled(distances[np.ix_(kept, kept)])
    lacking = "undefined: fewer than 3 networks with values that differ" if not enough else ""
    for (network, family), place, there in zip(members.items(), positions, kept, strict=True):
        status = lacking or (OK if there else "undefined: no chain of defined pairs leads to the other networks")
        for axis, value in zip(_AXES, place, strict=True):
            told = {"quantity": "map_position", "estimator": measure.key, "network_a": network}
            yield {**told, "condition": condition(axis=axis, group=family), "value": value, "status": status}
    yield {"quantity": "map_stress", "estimator": measure.key, "value": stress, "status": lacking or OK}


def _dissimilarities(measure: PanelMeasure, pairs: pd.DataFrame, networks: list[str]) -> Floats:
    """Symmetric, zero on the diagonal, NaN where undefined."""
    values = pairs["value"].to_numpy(float)
    if measure.direction != DISTANCE:
        most = measure.identical if measure.identical is not None else np.nanmax(values, initial=-np.inf)
        values = np.maximum(most - values, 0.0)
    places = {network: place for place, network in enumerate(networks)}
    a, b = (pairs[name].map(places).to_numpy(int) for name in ("network_a", "network_b"))
    found = np.full((len(networks),) * 2, np.nan)
    found[a, b] = found[b, a] = values
    np.fill_diagonal(found, 0.0)
    return found


def _connected(distances: Floats) -> NDArray[np.bool_]:
    """The largest set of networks that defined pairs connect; the first of equally large ones."""
    reach = np.isfinite(distances)
    for _ in range(len(reach)):
        reach = (reach.astype(float) @ reach) > 0
    found: NDArray[np.bool_] = reach[reach.sum(axis=1).argmax()]
    return found


# ---- scaling ---------------------------------------------------------------------------------------------------------


def scaled(dissimilarities: ArrayLike, axes: int = 2) -> tuple[Floats, float]:
    """Place points so that their distances are as near as can be to given dissimilarities.

    Parameters
    ----------
    dissimilarities : array_like, shape (n, n)
        Symmetric, zero on the diagonal, not negative; NaN where unknown. The known ones must connect all points.
    axes : int

    Returns
    -------
    positions : array, shape (n, axes)
        In units of the mean dissimilarity, centred, the longest extent along the first axis; the point farthest out
        along each axis is on its positive side.
    stress : float
        Kruskal's stress-1, ``sqrt(sum((d - delta)^2) / sum(d^2))`` over the known pairs, d between positions.

    Raises
    ------
    ShapeError
        If the matrix is not square.

    Notes
    -----
    Metric scaling by majorisation (SMACOF; de Leeuw 1977, Borg and Groenen 2005, chapter 8), begun at the classical
    scaling (Torgerson 1952) with the unknown filled by the mean. Nothing is drawn: the same input gives the same bits.
    At most 500 iterations of O(n^2), after one pseudo-inverse of O(n^3).
    """
    given = np.asarray(dissimilarities, float)
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise ShapeError(f"dissimilarities of shape {given.shape}: expected a square matrix.")
    known = np.isfinite(given) & ~np.eye(len(given), dtype=bool)
    target = np.where(known, given, 0.0) / given[known].mean()
    start = _classical(np.where(known | np.eye(len(given), dtype=bool), target, 1.0), axes)
    positions = _turned(_majorised(start, target, known.astype(float)))
    return positions, _stress(positions, target, known)


def _classical(distances: Floats, axes: int) -> Floats:
    centring = np.eye(len(distances)) - 1 / len(distances)
    values, vectors = np.linalg.eigh(-0.5 * centring @ distances**2 @ centring)
    chosen = np.argsort(-values, kind="stable")[:axes]
    return np.asarray(vectors[:, chosen] * np.sqrt(np.maximum(values[chosen], 0.0)))


def _majorised(positions: Floats, target: Floats, known: Floats) -> Floats:
    """Take Guttman transforms until the stress falls no more."""
    inverse = np.linalg.pinv(np.diag(known.sum(axis=1)) - known)
    before = np.inf
    for _ in range(_ITERATIONS):
        distances = _between(positions)
        stress = float((known * (distances - target) ** 2).sum())
        if before - stress <= _GAIN * max(stress, _GAIN):
            break
        before = stress
        ratio = known * target / np.where(distances > 0, distances, np.inf)
        positions = inverse @ ((np.diag(ratio.sum(axis=1)) - ratio) @ positions)
    return positions


def _between(positions: Floats) -> Floats:
    return np.asarray(np.sqrt(((positions[:, None] - positions[None]) ** 2).sum(axis=-1)))


def _turned(positions: Floats) -> Floats:
    """Centre, turn to the principal axes, and settle the sign of each axis."""
    centred = positions - positions.mean(axis=0)
    turned = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    farthest = turned[np.abs(turned).argmax(axis=0), np.arange(turned.shape[1])]
    return np.asarray(turned * np.where(farthest < 0, -1.0, 1.0))


def _stress(positions: Floats, target: Floats, known: NDArray[np.bool_]) -> float:
    distances = _between(positions)[known]
    return float(np.sqrt(((distances - target[known]) ** 2).sum() / (distances**2).sum()))
