"""Pairs of networks by measures, and statistics over them with intervals from a bootstrap over networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netalike.evidence.claims.resampling import MIN_UNITS, draw
from netalike.experiments.panel_measures import PANEL_MEASURES

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Texts = NDArray[np.object_]
Facts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class PairGrid:
    """The pairs of a panel and their values under each measure, larger being more alike.

    Attributes
    ----------
    network_a, network_b, pair : array of str, shape (pairs,)
        The two networks, and how they are related.
    measures : tuple of str
        Keys.
    values : array, shape (pairs, measures)
        NaN where undefined or not measured; distances have their sign turned.
    measured : array of bool, shape (pairs, measures)
        Whether there is a row, be its value defined or not.
    """

    network_a: Texts
    network_b: Texts
    pair: Texts
    measures: tuple[str, ...]
    values: Floats
    measured: Mask

    def of(self, measure: str) -> Floats | None:
        """Return the values of a measure, shape (pairs,); None if the panel has none."""
        return self.values[:, self.measures.index(measure)] if measure in self.measures else None


def pair_grid(pairs: pd.DataFrame) -> PairGrid:
    """Arrange a table of pairs as a matrix.

    Parameters
    ----------
    pairs : DataFrame
        As `panel_pairs.pair_table` makes it.

    Returns
    -------
    PairGrid
        Pairs in the order in which they first appear, measures in that of `PANEL_MEASURES`.
    """
    keys = ["network_a", "network_b", "pair"]
    measures = tuple(key for key in PANEL_MEASURES if (pairs["measure"] == key).any())
    rows = pairs.groupby(keys, sort=False).ngroup().to_numpy()
    columns = pairs["measure"].map({key: place for place, key in enumerate(measures)}).to_numpy(int)
    unique = pairs[keys].drop_duplicates()
    values, measured = np.full((len(unique), len(measures)), np.nan), np.zeros((len(unique), len(measures)), bool)
    signs = np.array([PANEL_MEASURES[key].sign for key in measures])
    values[rows, columns] = pairs["value"].to_numpy(float) * signs[columns]
    measured[rows, columns] = True
    a, b, kind = (unique[key].to_numpy(object) for key in keys)
    return PairGrid(a, b, kind, measures, values, measured)


def base(network: str) -> str:
    """Return the network that a control was made from: ``a`` of ``a@untrained``."""
    return network.split("@")[0]


def distinct(network_a: Texts, network_b: Texts) -> int:
    """Count the networks of some pairs, controls as the networks that they were made from."""
    return len({base(network) for network in (*network_a, *network_b)})


class NetworkBootstrap:
    """Resamples of the networks of a panel, the same for every statistic.

    Parameters
    ----------
    networks : sequence of str
        The panel's members.
    n_boot : int
    seed : int

    Attributes
    ----------
    weights : array, shape (1 + n_boot, networks)
        How often each network takes part: all once, then the resamples.

    Notes
    -----
    Two values of pairs that share a network depend on each other, so that networks and not pairs are drawn, with
    replacement. A pair has the product of its networks' weights: a network that was drawn twice is never paired with
    itself. A control goes with the network that it was made from.
    """

    def __init__(self, networks: Sequence[str], n_boot: int, seed: int) -> None:
        self._places = {network: place for place, network in enumerate(networks)}
        n = len(self._places)
        self.weights = np.concatenate([np.ones((1, n)), draw([n], n_boot, seed)[0]])

    def of_pairs(self, network_a: Texts, network_b: Texts) -> Floats:
        """Return the weights of pairs, shape (1 + n_boot, pairs)."""
        one, other = self.of_networks(network_a), self.of_networks(network_b)
        same = np.array([base(a) == base(b) for a, b in zip(network_a, network_b, strict=True)], bool)
        return np.asarray(one * np.where(same, 1.0, other))

    def of_networks(self, networks: Texts) -> Floats:
        """Return the weights of networks, shape (1 + n_boot, networks given); noise always takes part."""
        places = np.array([self._places.get(base(network), -1) for network in networks], int)
        return np.where(places < 0, 1.0, self.weights[:, places])

    def summary(self, statistic: Floats, networks: int) -> dict[str, float]:
        """Turn a statistic under all weights into a value and its interval.

        Parameters
        ----------
        statistic : array, shape (1 + n_boot,)
        networks : int
            How many networks it is of.

        Returns
        -------
        dict
            ``value``, ``low``, ``high``: a 95 % percentile interval; NaN of fewer than 5 networks, or where more than
            half of the resamples have no value.

        Notes
        -----
        Percentiles, because the statistics are bounded and often at their bound, where the correction of BCa for bias
        goes wrong.
        """
        value, nan = float(statistic[0]), float("nan")
        if not np.isfinite(value) or networks < MIN_UNITS:
            return {"value": value, "low": nan, "high": nan}
        resampled = statistic[1:][np.isfinite(statistic[1:])]
        if 2 * len(resampled) < len(statistic) - 1 or not len(resampled):
            return {"value": value, "low": nan, "high": nan}
        low, high = np.quantile(resampled, (0.025, 0.975))
        return {"value": value, "low": float(low), "high": float(high)}
