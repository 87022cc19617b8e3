"""Means over pairs of networks, with an interval that knows that pairs share networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from netalike.evidence.claims.keys import base_network

_DRAWS = 1000
_FEWEST_NETWORKS = 3  # to be resampled


class MeanInterval(NamedTuple):
    """A mean with its interval; NaN where there is nothing to average, or only one network to resample."""

    mean: float
    low: float
    high: float
    n: int


def mean_interval(rows: pd.DataFrame, seed: int = 0) -> MeanInterval:
    """Average values over pairs of networks, with a 95 % bootstrap interval.

    Parameters
    ----------
    rows : DataFrame
        Columns network_a, network_b, value, low, high; rows without a value are left out.
    seed : int
        Of the resampling.

    Returns
    -------
    MeanInterval
        `n` counts the values averaged. A single row keeps the interval that it came with. Otherwise the interval is NaN
        when there are fewer than three networks.

    Notes
    -----
    Pairs that share a network are not independent, so that networks are drawn with replacement, and a pair weighs as
    often as both of its networks were drawn (the pigeonhole bootstrap, Owen 2007). Resampling the 190 pairs of 20
    networks as if each were its own observation would give an interval several times too narrow.
    """
    known = rows[rows["value"].notna()]
    values = known["value"].to_numpy(float)
    if not len(values):
        return MeanInterval(float("nan"), float("nan"), float("nan"), 0)
    if len(values) == 1:
        return MeanInterval(float(values[0]), float(known["low"].iloc[0]), float(known["high"].iloc[0]), 1)
    weights = _pair_weights(known, np.random.default_rng(seed))
    if weights is None:
        return MeanInterval(float(values.mean()), float("nan"), float("nan"), len(values))
    totals = weights.sum(axis=1)
    means = (weights @ values)[totals > 0] / totals[totals > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return MeanInterval(float(values.mean()), float(low), float(high), len(values))


def _pair_weights(rows: pd.DataFrame, generator: np.random.Generator) -> np.ndarray | None:
    """Return how often each row counts in each draw, shape (draws, rows); None with too few networks."""
    a = rows["network_a"].map(base_network)
    b = rows["network_b"].fillna("").map(base_network)
    alone = (b == "") | (b == "noise") | (b == a)
    names = pd.unique(pd.concat([a, b[~alone]]))
    if len(names) < _FEWEST_NETWORKS:
        return None
    position = {name: i for i, name in enumerate(names)}
    drawn = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_DRAWS)
    of_a = drawn[:, a.map(position).to_numpy()]
    of_b = drawn[:, b.where(~alone, a).map(position).to_numpy()]
    return np.asarray(np.where(alone.to_numpy(), of_a, of_a * of_b), dtype=float)


def interval_note(rows: pd.DataFrame) -> str:
    """Say what the intervals of `mean_interval` are, for a legend."""
    bases = pd.concat([rows["network_a"], rows["network_b"].fillna("")]).map(base_network)
    if bases[~bases.isin(["", "noise"])].nunique() >= _FEWEST_NETWORKS:
        return "intervals: 95 %,\nbootstrap over networks"
    return "intervals: as measured" if rows["low"].notna().any() else "too few networks for intervals"
