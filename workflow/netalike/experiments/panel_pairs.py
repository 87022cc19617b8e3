"""One value for each pair of networks and each measure, from the rows of all families of a panel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netalike.errors import NetalikeError
from netalike.evidence.claims.resampling import draw
from netalike.evidence.measurements import OK, parse_condition
from netalike.experiments.panel_measures import PANEL_MEASURES, TRAINED
from netalike.measures.recorded import matched_layers

PAIR_COLUMNS: tuple[str, ...] = (
    "panel",
    "network_a",
    "network_b",
    "pair",
    "family",
    "measure",
    "n_layers",
    "n_samples",
    "value",
    "low",
    "high",
    "interval",
    "standardised",
    "status",
)
"""Columns of the table of pairs."""

BY_LAYERS, BY_IMAGES, NO_INTERVAL = "layers", "images", ""
_FEWEST_LAYERS = 3  # of fewer, resampling says nothing
_CHUNK = 2000  # pairs whose resamples are in memory at once
_PAIR = ["measure", "network_a", "network_b", "pair"]
_LAYERS = ["layer_a", "layer_b"]
_USED = ["experiment", "network_a", "network_b", *_LAYERS, "n_samples", "value", "low", "high", "status"]


def pair_table(
    rows: pd.DataFrame,
    panel: Mapping[str, Any],
    n_boot: int = 1000,
    asked: Iterable[tuple[str, str]] | None = None,
) -> pd.DataFrame:
    """Reduce the rows of a panel to one value for each measure and pair of networks.

    Parameters
    ----------
    rows : DataFrame
        Rows of the measurement table of all families of the panel; rows of single networks are passed over.
    panel : mapping
        ``members`` (network id to family), ``seed``; ``name``, if the experiments' names do not say it.
    n_boot : int
        Resamples of the matched layers.
    asked : iterable of (str, str), optional
        The pairs that are wanted, in either order (`netalike.comparison.pairs_of`): CKA has others beside them, which
        no other measure has. All unless given.

    Returns
    -------
    DataFrame
        Columns `PAIR_COLUMNS`, measures in the order of `PANEL_MEASURES`, pairs in that of the members, controls
        behind them. `value` is the mean over the matched layers and over both directions, of those that are defined;
        `n_layers` counts them, and is 0 for a measure of whole networks. `interval` says what `low` and `high` are:
        ``layers``, a 95 % percentile bootstrap over the matched layers (at least 3), which says how far the value
        hangs on which layers are compared; or ``images``, the intervals that the family's rule made by resampling
        images, the mean of the ends where there are several. `standardised` is the value less the mean, in standard
        deviations, of the panel's pairs of trained networks, the sign turned for a distance, so that more is more
        alike.

    Raises
    ------
    NetalikeError
        If there is no row of a measure on a pair.

    Notes
    -----
    Where all pairs of layers are there, those that `measures.recorded.matched_layers` matches are taken; of noise,
    which has one layer of no depth, all. Rows of a pair that differ in nothing but other factors of the condition
    (such as the seed images of an inversion) are averaged. O(rows) and O(n_boot * pairs * measures * layers).
    """
    measured = _measured(rows)
    if asked is not None:
        wanted = {frozenset(pair) for pair in asked}
        sides = zip(measured["network_a"], measured["network_b"], strict=True)
        measured = measured[[frozenset(pair) in wanted for pair in sides]]
    if measured.empty:
        known = ", ".join(sorted({name.partition("/")[0] for name in PANEL_MEASURES}))
        raise NetalikeError(
            f"no row of {len(rows)} is a measure of a pair of networks: expected quantities such as {known}, with the "
            "factor pair= in the condition; give the files of the families of this panel."
        )
    by_layer = _by_layer(_in_order(_at_matched_layers(measured), panel["members"]))
    pairs = _reduced(by_layer, panel.get("seed", 0), n_boot)
    pairs["panel"] = panel.get("name") or _panel_name(measured)
    pairs["family"] = pairs["measure"].map(lambda key: PANEL_MEASURES[key].family)
    pairs["standardised"] = _standardised(pairs)
    return _sorted(pairs, panel["members"])[list(PAIR_COLUMNS)]


def _measured(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of measures on pairs, with the measure's key and the kind of pair."""
    kinds = {text: parse_condition(text).get("pair", "") for text in rows["condition"].unique()}
    found = rows[_USED].assign(
        measure=rows["quantity"] + "/" + rows["estimator"], pair=rows["condition"].map(kinds).astype(object)
    )
    return found[found["measure"].isin(list(PANEL_MEASURES)) & (found["pair"] != "")]


def _panel_name(rows: pd.DataFrame) -> str:
    """Experiments of a panel are called after a family and the panel: ``layers_digits``."""
    return str(rows["experiment"].iloc[0]).partition("_")[2]


# ---- layers ----------------------------------------------------------------------------------------------------------


def _at_matched_layers(rows: pd.DataFrame) -> pd.DataFrame:
    free = (rows["pair"] == "noise") | (rows["layer_a"] == "") | (rows["layer_b"] == "")
    keys = ["experiment", "network_a", "network_b", *_LAYERS]
    layers = rows.loc[~free, keys].drop_duplicates()
    wanted = pd.DataFrame(_wanted(layers), columns=keys).assign(wanted=True)
    chosen = rows[keys].merge(wanted, on=keys, how="left")["wanted"].eq(True).to_numpy()
    return rows[free.to_numpy() | chosen]


def _wanted(rows: pd.DataFrame) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the pairs of layers of one depth, of each pair of networks."""
    for (experiment, a, b), group in rows.groupby(["experiment", "network_a", "network_b"], sort=False):
        layers = [(str(one), str(other)) for one, other in zip(group["layer_a"], group["layer_b"], strict=True)]
        layers_a, layers_b = (list(dict.fromkeys(side)) for side in zip(*layers, strict=True))
        if len(layers) > min(len(layers_a), len(layers_b)):  # every layer against every layer
            layers = matched_layers(layers_a, layers_b)
        yield from ((str(experiment), str(a), str(b), layer_a, layer_b) for layer_a, layer_b in layers)


def _in_order(rows: pd.DataFrame, members: Mapping[str, str]) -> pd.DataFrame:
    """Name the two networks of a pair in one order, in whichever direction they were compared."""
    places = _places(rows, members)
    swapped = (rows["network_a"].map(places) > rows["network_b"].map(places)).to_numpy()
    turned = {
        f"{name}_{side}": np.where(swapped, rows[f"{name}_{other}"], rows[f"{name}_{side}"])
        for name in ("network", "layer")
        for side, other in ("ab", "ba")
    }
    return rows.assign(**turned)


def _places(rows: pd.DataFrame, members: Mapping[str, str]) -> dict[str, int]:
    """Networks in the order of the panel, then controls by name; noise, which has no ``@``, is last."""
    names = pd.unique(pd.concat([rows["network_a"], rows["network_b"]]).astype(object))
    controls = sorted((name for name in names if name not in members), key=lambda name: ("@" not in name, name))
    return {name: place for place, name in enumerate([*members, *controls])}


def _by_layer(rows: pd.DataFrame) -> pd.DataFrame:
    """Average the directions, and whatever else differs, at each pair of layers."""
    grouped = rows.groupby([*_PAIR, *_LAYERS], sort=False)
    means = grouped[["value", "low", "high"]].mean()
    return means.assign(n_samples=grouped["n_samples"].max(), status=grouped["status"].first()).reset_index()


# ---- pairs -----------------------------------------------------------------------------------------------------------


def _reduced(layers: pd.DataFrame, seed: int, n_boot: int) -> pd.DataFrame:
    """Average over layers, with the interval that fits the measure."""
    grouped = layers.groupby(_PAIR, sort=False)
    pairs = grouped[["value", "low", "high"]].mean()
    pairs = pairs.assign(
        n_samples=grouped["n_samples"].max(), status=grouped["status"].first(), n_layers=grouped["value"].count()
    ).reset_index()
    pairs.loc[pairs["value"].notna(), "status"] = OK
    layerwise = pairs["measure"].map(lambda key: PANEL_MEASURES[key].layerwise).to_numpy(bool)
    pairs["n_layers"] = pairs["n_layers"].where(layerwise, 0)
    pairs["interval"] = np.where(pairs["low"].notna(), BY_IMAGES, NO_INTERVAL)
    low, high = _layer_intervals(
        layers["value"].to_numpy(float), grouped.ngroup().to_numpy().astype(np.int64), seed, n_boot
    )
    resampled = layerwise & np.isfinite(low)
    pairs.loc[resampled, "low"], pairs.loc[resampled, "high"] = low[resampled], high[resampled]
    pairs.loc[resampled, "interval"] = BY_LAYERS
    return pairs


def _layer_intervals(
    values: NDArray[np.float64], groups: NDArray[np.int64], seed: int, n_boot: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Resample the layers of each group; groups of as many layers have the same resamples."""
    counts = np.bincount(groups[np.isfinite(values)], minlength=int(groups.max(initial=-1)) + 1)
    order = np.argsort(groups, kind="stable")
    ordered = values[order][np.isfinite(values[order])]
    starts = np.concatenate([[0], counts.cumsum()[:-1]])
    low, high = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    for n_layers in np.unique(counts[counts >= _FEWEST_LAYERS]):
        shares = draw([int(n_layers)], n_boot, seed)[0] / n_layers
        alike = np.flatnonzero(counts == n_layers)
        for chunk in np.array_split(alike, -(-len(alike) // _CHUNK)):
            means = shares @ ordered[starts[chunk] + np.arange(n_layers)[:, None]]
            low[chunk], high[chunk] = np.quantile(means, (0.025, 0.975), axis=0)
    return low, high


def _standardised(pairs: pd.DataFrame) -> pd.Series:
    trained = pairs[pairs["pair"].isin(TRAINED)].groupby("measure")["value"]
    deviation = trained.std().where(lambda found: found > 0)
    sign = pairs["measure"].map(lambda key: PANEL_MEASURES[key].sign)
    return sign * (pairs["value"] - pairs["measure"].map(trained.mean())) / pairs["measure"].map(deviation)


def _sorted(pairs: pd.DataFrame, members: Mapping[str, str]) -> pd.DataFrame:
    places, order = _places(pairs, members), {key: place for place, key in enumerate(PANEL_MEASURES)}
    keys = pd.DataFrame(
        {
            "measure": pairs["measure"].map(order),
            "a": pairs["network_a"].map(places),
            "b": pairs["network_b"].map(places),
        }
    )
    return pairs.loc[keys.sort_values(["measure", "a", "b"]).index].reset_index(drop=True)
