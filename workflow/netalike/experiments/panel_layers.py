"""Test 6 of the ReSi benchmark, Layer Monotonicity: of one network, nearer layers ought to be more alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netalike.evidence.measurements import parse_condition
from netalike.experiments.panel_measures import PANEL_MEASURES, panel_measure

_FEWEST_LAYERS = 3


@dataclass(frozen=True)
class Conformity:
    """How far the layers of one network are in order under one measure.

    Attributes
    ----------
    measure, network : str
    rate : float
        Share of the triples in order.
    triples : int
    """

    measure: str
    network: str
    rate: float
    triples: int


def conformities(rows: pd.DataFrame) -> list[Conformity]:
    """Compute the conformity rate of each measure on each trained network.

    Parameters
    ----------
    rows : DataFrame
        Rows of the measurement table; those of networks with themselves (``pair=self``) at all pairs of layers are
        used, and the layers are in the order of the rows.

    Returns
    -------
    list of Conformity
        Of measures and networks with values for three layers against each other, in the order of the rows.
    """
    conditions = rows["condition"].unique()
    selves = [text for text in conditions if parse_condition(text).get("pair") == "self"]
    chosen = rows[rows["condition"].isin(selves) & (rows["layer_a"] != "") & (rows["layer_b"] != "")]
    chosen = chosen.assign(measure=chosen["quantity"] + "/" + chosen["estimator"])
    chosen = chosen[chosen["measure"].isin(list(PANEL_MEASURES))]
    found = []
    for (key, network), group in chosen.groupby(["measure", "network_a"], sort=False):
        rate, triples = conformity(PANEL_MEASURES[str(key)].sign * _matrix(group))
        if triples:
            found.append(Conformity(str(key), str(network), rate, triples))
    return found


def conformity(similarities: NDArray[np.float64]) -> tuple[float, int]:
    """Compute the share of triples of layers in which the nearer layer is at least as similar as the farther one.

    Parameters
    ----------
    similarities : array, shape (layers, layers)
        Between the layers of one network, in order of depth; NaN where undefined.

    Returns
    -------
    rate : float
        NaN without triples.
    triples : int
        ``(i, j, k)`` with ``i < j < k`` or ``i > j > k``, of which the similarities of (i, j) and (i, k) are defined.

    Notes
    -----
    1 less the violation rate of the benchmark: a tie is no violation. O(layers^3).
    """
    i, j, k = np.indices((len(similarities),) * 3)
    near, far = similarities[:, :, None], similarities[:, None, :]
    counted = (((i < j) & (j < k)) | ((i > j) & (j > k))) & np.isfinite(near) & np.isfinite(far)
    triples = int(counted.sum())
    return (float((near >= far)[counted].mean()) if triples else float("nan")), triples


def _matrix(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Values of layer against layer; of a symmetric measure one triangle is enough."""
    layers = list(dict.fromkeys([*rows["layer_a"], *rows["layer_b"]]))
    if len(layers) < _FEWEST_LAYERS or len(rows) <= len(layers):
        return np.full((1, 1), np.nan)
    places = {layer: place for place, layer in enumerate(layers)}
    matrix = np.full((len(layers),) * 2, np.nan)
    matrix[rows["layer_a"].map(places), rows["layer_b"].map(places)] = rows["value"]
    symmetric = panel_measure(str(rows["measure"].iloc[0])).symmetric
    return np.where(np.isnan(matrix), matrix.T, matrix) if symmetric else matrix
