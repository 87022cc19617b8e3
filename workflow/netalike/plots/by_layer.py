"""Values along the layers of networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from netalike.errors import NetalikeError
from netalike.plots.intervals import MeanInterval, interval_note, mean_interval
from netalike.plots.theme import GREY, direction_label, marker, measure_label, name_ticks, palette, theme

_ROOM_FOR_THE_LEGEND = 1.5  # inches


class _Curve(NamedTuple):
    label: str
    x: np.ndarray
    points: list[MeanInterval]

    @property
    def means(self) -> np.ndarray:
        return np.array([point.mean for point in self.points])

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([point.low for point in self.points]), np.array([point.high for point in self.points])


@theme()
def self_similarity(ax: Axes, rows: pd.DataFrame, title: str = "A network compared with itself") -> Axes:
    """Draw the similarity of each layer with itself, which has to be 1, for each estimator.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        Rows of any measures of similarity; those of a layer with itself in the same network are drawn.
    title : str

    Returns
    -------
    Axes

    Raises
    ------
    NetalikeError
        If no row compares a layer with itself.
    """
    same = rows[(rows["network_a"] == rows["network_b"]) & (rows["layer_a"] == rows["layer_b"])]
    _require(same, "self-similarity", "rows of a layer with itself: network_a = network_b and layer_a = layer_b")
    layers = list(same["layer_a"].unique())
    ax.axhline(1, color=GREY, linewidth=1, linestyle="--", label="expected: 1")
    curves = list(_curves_of_measures(same, layers))
    for i, curve in enumerate(curves):
        shift = 0.6 * ((i + 0.5) / len(curves) - 0.5)  # estimators that agree would hide one another
        _draw_points(ax, curve, i, len(curves), shift)
    _include(ax, same["value"], 0.9, 1.1)
    _finish_by_layer(ax, layers, title, "similarity with itself", same)
    return ax


@theme()
def measure_by_layer(ax: Axes, rows: pd.DataFrame, title: str = "", label: str | None = None) -> Axes:
    """Draw the mean of each measure along matched layers, with its interval over pairs of networks.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        Rows of any measures; those between equally named layers of two networks are drawn.
    title : str
    label : str, optional
        Of the value axis; says that 1 is the same and higher is more alike when left out.

    Returns
    -------
    Axes

    Raises
    ------
    NetalikeError
        If no row compares equally named layers of two networks.
    """
    matched = rows[(rows["layer_a"] == rows["layer_b"]) & (rows["network_a"] != rows["network_b"])]
    _require(matched, "a measure by layer", "rows between equally named layers of two networks")
    layers = list(matched["layer_a"].unique())
    curves = list(_curves_of_measures(matched, layers))
    for i, curve in enumerate(curves):
        _draw_line(ax, curve, i, len(curves))
    for level in (0, 1):
        ax.axhline(level, color=GREY, linewidth=0.8, linestyle=":")
    _include(ax, matched["value"], 0, 1)
    _finish_by_layer(ax, layers, title, label or f"value\n({direction_label()})", matched)
    return ax


@theme()
def pve_by_depth(ax: Axes, rows: pd.DataFrame, title: str = "", label: str | None = None) -> Axes:
    """Draw the share of a layer's structure that the input explains, trained against untrained.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        Rows of single networks, with the share of variance explained by the input in `value`. Networks whose name
        ends in ``@untrained`` are drawn as untrained.
    title : str
    label : str, optional
        Of the value axis.

    Returns
    -------
    Axes
        Layers by name where all networks have the same ones, by relative depth (0 the first, 1 the last) otherwise.

    Raises
    ------
    NetalikeError
        If there are no rows.
    """
    _require(rows, "variance explained by depth", "rows of the share of variance that the input explains")
    groups = {
        "trained": rows[~rows["network_a"].str.endswith("@untrained")],
        "untrained": rows[rows["network_a"].str.endswith("@untrained")],
    }
    groups = {name: group for name, group in groups.items() if len(group)}
    layers = _common_layers(rows)
    for i, (name, group) in enumerate(groups.items()):
        count = group["network_a"].nunique()
        legend = f"{name} ({count} network{'s' if count > 1 else ''})"
        _draw_single_networks(ax, group, palette(2)[i])
        _draw_line(ax, _depth_curve(group, layers, legend), i, 2)
    _include(ax, rows["value"], 0, 1)
    _finish_by_layer(ax, layers, title, label or "share of variance\nexplained by the input", rows)
    return ax


def _require(rows: pd.DataFrame, figure: str, expected: str) -> None:
    if rows.empty:
        raise NetalikeError(f"nothing to draw for {figure}: expected {expected}; the selection has none.")


def _curves_of_measures(rows: pd.DataFrame, layers: list[str]) -> Iterator[_Curve]:
    for (quantity, estimator), group in rows.groupby(["quantity", "estimator"], sort=False, observed=True):
        points = [mean_interval(group[group["layer_a"] == layer]) for layer in layers]
        yield _Curve(measure_label(str(quantity), str(estimator)), np.arange(len(layers), dtype=float), points)


def _draw_points(ax: Axes, curve: _Curve, position: int, total: int, shift: float) -> None:
    low, high = curve.bounds
    errors = np.nan_to_num(np.maximum([curve.means - low, high - curve.means], 0))
    ax.errorbar(
        curve.x + shift,
        curve.means,
        yerr=errors,
        fmt=marker(position),
        color=palette(total)[position],
        label=curve.label,
        elinewidth=1.2,
        markersize=4.5,
    )


def _draw_line(ax: Axes, curve: _Curve, position: int, total: int) -> None:
    colour = palette(total)[position]
    ax.fill_between(curve.x, *curve.bounds, color=colour, alpha=0.2, linewidth=0)
    ax.plot(curve.x, curve.means, color=colour, marker=marker(position), label=curve.label)


def _include(ax: Axes, values: pd.Series, low: float, high: float) -> None:
    """Make the value axis span at least low to high, and all values."""
    known = values.dropna()
    low, high = min([low, *known]), max([high, *known])
    ax.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))


def _common_layers(rows: pd.DataFrame) -> list[str] | None:
    orders = {tuple(group.unique()) for _, group in rows.groupby("network_a", sort=False)["layer_a"]}
    return list(orders.pop()) if len(orders) == 1 else None


def _depths(rows: pd.DataFrame) -> pd.Series:
    """Return the relative depth of each row's layer in its network."""
    position = rows.groupby("network_a", sort=False)["layer_a"].transform(lambda names: pd.factorize(names)[0])
    last = position.groupby(rows["network_a"]).transform("max").clip(lower=1)
    return position / last


def _depth_curve(rows: pd.DataFrame, layers: list[str] | None, label: str) -> _Curve:
    if layers is not None:
        points = [mean_interval(rows[rows["layer_a"] == layer]) for layer in layers]
        return _Curve(label, np.arange(len(layers), dtype=float), points)
    tenths = _depths(rows).mul(10).round().div(10)  # networks of other lengths have no common depths
    x = np.sort(tenths.unique())
    return _Curve(label, x, [mean_interval(rows[tenths == depth]) for depth in x])


def _draw_single_networks(ax: Axes, rows: pd.DataFrame, colour: tuple[float, float, float]) -> None:
    by_name = _common_layers(rows) is not None
    for _, network in rows.groupby("network_a", sort=False):
        x = np.arange(len(network)) if by_name else _depths(network)
        ax.plot(x, network["value"], color=colour, alpha=0.25, linewidth=0.7)


def _finish_by_layer(ax: Axes, layers: list[str] | None, title: str, label: str, rows: pd.DataFrame) -> None:
    ax.set_title(title)
    ax.set_ylabel(label)
    ax.grid(axis="y")
    if layers is None:
        ax.set_xlabel("relative depth (0 = first layer, 1 = last)")
    else:
        name_ticks(ax, layers, "x", taken=_ROOM_FOR_THE_LEGEND)
        ax.set_xlim(-0.5, len(layers) - 0.5)
        ax.set_xlabel("layer, from the input to the output")
    add_legend(ax, rows)


def add_legend(ax: Axes, rows: pd.DataFrame, *notes: str) -> None:
    """Put the legend beside the axes, with what the intervals are and how many values are missing."""
    lines = [*notes, interval_note(rows)]
    missing = int(rows["value"].isna().sum())
    if missing:
        lines.append(f"{missing} of {len(rows)} values undefined,\nleft out of the means")
    handles, labels = ax.get_legend_handles_labels()
    legend = ax.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.01, 1.02), title="\n".join(lines))
    legend.set_alignment("left")
