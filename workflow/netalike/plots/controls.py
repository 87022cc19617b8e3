"""Known answers beside measured ones: what a measure says where we know what it should say."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from netalike.errors import NetalikeError
from netalike.plots.by_layer import add_legend
from netalike.plots.intervals import mean_interval
from netalike.plots.theme import GREY, direction_label, marker, measure_label, palette, theme

# from the most alike to the least
_ORDER = (
    "same network twice",
    "trained, other seed",
    "trained, other kind",
    "trained and untrained",
    "both untrained",
    "permuted samples",
    "independent noise",
)


def control_of(network_a: str, network_b: str) -> str:
    """Say which comparison a pair of network ids is.

    Parameters
    ----------
    network_a, network_b : str
        For example ``"tiny10-digits-s0"`` and ``"tiny10-digits-s0@permuted_samples"``, or ``"noise"``.

    Returns
    -------
    str
        "same network twice", "trained, other seed" (one family, two seeds), "trained, other kind" (two families),
        "trained and untrained",
        "both untrained", "permuted samples", "independent noise", or the words after an @ that is none of these.
    """
    if network_a == network_b:
        return _ORDER[0]
    marks = {name.partition("@")[2] for name in (network_a, network_b)} - {""}
    if marks == {"untrained"}:
        return _ORDER[4] if "@" in network_a and "@" in network_b else _ORDER[3]
    if "noise" in marks | {network_a, network_b}:
        return "independent noise"
    for mark in ("permuted_samples", *sorted(marks - {"untrained"}), "untrained"):
        if mark in marks:
            return mark.replace("_", " ")
    return _ORDER[1] if _family(network_a) == _family(network_b) else _ORDER[2]


def _family(network: str) -> str:
    family, dash, seed = network.rpartition("-s")
    return family if dash and seed.isdigit() else network


@theme()
def controls(ax: Axes, rows: pd.DataFrame, title: str = "Controls", label: str | None = None) -> Axes:
    """Draw each measure on comparisons whose answer is known, with the trained pairs between them.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        Rows of any measures, between layers of equal depth (see `control_of` for the comparisons).
    title : str
    label : str, optional
        Of the value axis; says that 1 is the same and higher is more alike when left out.

    Returns
    -------
    Axes
        Large points are means over layers and pairs with their intervals, small ones the single values.

    Raises
    ------
    NetalikeError
        If there are no rows.
    """
    if rows.empty:
        raise NetalikeError("nothing to draw for controls: expected rows that compare layers; there are none.")
    pairs = [control_of(a, b) for a, b in zip(rows["network_a"], rows["network_b"], strict=True)]
    matched = rows.assign(control=pairs)
    present = set(pairs)
    names = [name for name in _ORDER if name in present] + sorted(present - set(_ORDER))
    groups = list(matched.groupby(["quantity", "estimator"], sort=False, observed=True))
    for i, ((quantity, estimator), group) in enumerate(groups):
        _draw_measure(ax, group, names, i, len(groups), measure_label(str(quantity), str(estimator)))
    _finish(ax, names, title, label or f"value ({direction_label()})", matched)
    return ax


def _draw_measure(ax: Axes, rows: pd.DataFrame, names: list[str], position: int, total: int, label: str) -> None:
    colour = palette(total)[position]
    generator = np.random.default_rng(position)
    for y, name in enumerate(names):
        group = rows[rows["control"] == name]
        height = y + 0.72 * ((position + 0.5) / total - 0.5)
        scatter = height + (0.5 / total) * (generator.random(len(group)) - 0.5)
        ax.plot(group["value"], scatter, ".", color=colour, alpha=0.35, markersize=3.5, markeredgewidth=0, zorder=2)
        _draw_mean(ax, group, height, colour, marker(position), label if y == 0 else "_nolegend_")


def _draw_mean(
    ax: Axes, rows: pd.DataFrame, height: float, colour: tuple[float, float, float], shape: str, label: str
) -> None:
    mean, low, high, _ = mean_interval(rows)
    ax.plot([low, high], [height, height], color=colour, linewidth=2, zorder=3)
    ax.plot(mean, height, shape, color=colour, markersize=6.5, markeredgecolor="white", label=label, zorder=4)


def _finish(ax: Axes, names: list[str], title: str, label: str, rows: pd.DataFrame) -> None:
    for level in (0, 1):
        ax.axvline(level, color=GREY, linewidth=1, linestyle="--", zorder=1)
    for edge in range(1, len(names)):
        ax.axhline(edge - 0.5, color="#e5e7eb", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(names)), labels=names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(label)
    ax.set_title(title)
    add_legend(ax, rows, "large: means over layers and pairs", "small: single values")
