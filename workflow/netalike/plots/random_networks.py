"""Random and trained networks by depth: how alike they look, and how much of that the inputs explain."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netalike.plots.by_layer import add_legend
from netalike.plots.intervals import interval_note, mean_interval
from netalike.plots.studies import (
    DEPTH_LABEL,
    KINDS,
    Look,
    at_common_depths,
    by_measure,
    draw_by_depth,
    level,
    require,
    shared_legend,
    similarities,
    similarity_label,
    span,
    undefined_note,
    with_factors,
)
from netalike.plots.theme import new_figure, theme

_NETWORKS = {
    "trained": KINDS["same_task"]._replace(label="trained"),
    "untrained": KINDS["untrained"]._replace(label="untrained"),
}


@theme()
def random_by_depth(rows: pd.DataFrame) -> Figure:
    """Draw the similarity of each kind of pair along the layers, one panel per measure.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``tasks_<study>``; those of CKA and deconfounded CKA with the factors `depth` and `pair`
        are drawn.

    Returns
    -------
    Figure
        Means over pairs with 95 % intervals over networks, on one scale, with one legend.

    Raises
    ------
    NetalikeError
        If no row compares two networks.
    """
    found = with_factors(similarities(rows), "depth", "pair")
    found = found[found["pair"].isin(list(KINDS)) & found["depth"].notna()]
    require(found, "random networks by depth", "rows of CKA with the factors depth and pair")
    found = at_common_depths(found)
    panels = list(by_measure(found))
    figure, axes = new_figure(3.5 * len(panels), 4.6, columns=len(panels))
    for ax, (look, group) in zip(axes, panels, strict=True):
        for kind, pairs in _kinds(group):
            draw_by_depth(ax, pairs, KINDS[kind], f"{KINDS[kind].label} ({_count(pairs)})")
        ax.set_title(look.label)
        ax.set_xlabel(DEPTH_LABEL)
        ax.grid(axis="y")
        level(ax, 0)
    axes[0].set_ylabel(similarity_label())
    span(axes, 0, 1)
    notes = [f"mean over pairs; {interval_note(found)}".replace("\n", " "), *undefined_note(found)]
    handles, _ = axes[0].get_legend_handles_labels()
    shared_legend(figure, handles, notes)
    return figure


def _kinds(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(kind, rows[rows["pair"] == kind]) for kind in KINDS if (rows["pair"] == kind).any()]


def _count(rows: pd.DataFrame) -> str:
    pairs = len(rows[["network_a", "network_b"]].drop_duplicates())
    return f"{pairs} pair{'s' * (pairs != 1)}"


@theme()
def explained_by_depth(ax: Axes, rows: pd.DataFrame, title: str = "") -> Axes:
    """Draw the share of variance of a layer's Gram matrix that the inputs explain, by depth.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        Rows of ``explained_by_inputs`` with the factors `depth` and `network` (trained, untrained, or noise, which has
        no depth and is drawn as a level).
    title : str

    Returns
    -------
    Axes
        Means with 95 % intervals over networks, thin lines for the single networks.

    Raises
    ------
    NetalikeError
        If there are no such rows.
    """
    found = with_factors(rows[rows["quantity"] == "explained_by_inputs"], "depth", "network")
    require(found, "variance explained by depth", "rows of explained_by_inputs with the factors depth and network")
    deep = found[found["depth"].notna()]
    common = at_common_depths(deep)
    for name, look in _NETWORKS.items():
        group = deep[deep["network"] == name]
        if len(group):
            _draw_single_networks(ax, group, look)
            label = f"{name} (mean of {group['network_a'].nunique()} networks)"
            draw_by_depth(ax, common[common["network"] == name], look, label)
    _draw_noise(ax, found[found["network"] == "noise"])
    span([ax], 0, 1)
    ax.set_title(title)
    ax.set_xlabel(DEPTH_LABEL)
    ax.set_ylabel("share of variance of the Gram matrix\nexplained by the inputs (1 = all)")
    ax.grid(axis="y")
    add_legend(ax, found, "thin lines: single networks")
    return ax


def _draw_single_networks(ax: Axes, rows: pd.DataFrame, look: Look) -> None:
    for _, network in rows.groupby("network_a", sort=True):
        along = network.sort_values("depth")
        ax.plot(along["depth"], along["value"], color=look.colour, alpha=0.3, linewidth=0.7)


def _draw_noise(ax: Axes, rows: pd.DataFrame) -> None:
    mean = mean_interval(rows).mean
    if len(rows) and mean == mean:
        look = KINDS["noise"]
        level(ax, mean, label=f"{look.label} ({mean:.2f})", linestyle=":", color=look.colour, linewidth=1.5)
