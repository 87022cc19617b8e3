"""The networks of a panel on a map under each measure: near is alike."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from netalike.plots.comparison_common import family_of, in_order, label_of, look_of, reasons, saying, state_of
from netalike.plots.studies import with_factors
from netalike.plots.theme import GREY, marker, new_figure, palette, theme

_TITLE = "The networks under each measure: near is alike"
_LINE = 24  # characters that fit into a map
_MOST_COLUMNS = 6
_MAP = 1.75  # inches
_FEWEST = 3  # networks that a map says something about
_HOLLOW = ("untrained",)
_CONTROLS = {"permuted_samples": "x", "permuted_units": "+", "noise": "*"}


@theme()
def network_maps(rows: pd.DataFrame, members: Mapping[str, str] | None = None) -> Figure:
    """Draw one map of the networks per measure.

    Parameters
    ----------
    rows : DataFrame
        Summary rows of a panel; those of ``map_position`` (estimator the measure, factor `axis`) and ``map_stress`` are
        drawn.
    members : mapping of network to family, optional
        Colours; the ids without their seeds do so without it.

    Returns
    -------
    Figure
        One panel per measure with its stress. Axes mean nothing by themselves: each map is moved, turned, mirrored and
        scaled onto the first. A panel, or the figure, says so where there is no map.
    """
    found = with_factors(rows[rows["quantity"] == "map_position"], "axis")
    keys = in_order([*found["estimator"], *rows.loc[rows["quantity"] == "map_stress", "estimator"]])
    maps = {key: positions(found[found["estimator"] == key]) for key in keys}
    if not any(map(len, maps.values())):
        why = f"Undefined: {reasons(found)[0]}." if reasons(found) else f"It takes at least {_FEWEST} networks."
        return saying(_TITLE, f"No measure gives a map of these networks. {why}")
    columns = min(_MOST_COLUMNS, max(3, math.ceil(math.sqrt(len(keys)))))
    lines = math.ceil(len(keys) / columns)
    looks = _looks(maps, members)
    height = (_MAP + 0.35) * lines + 1.05 + 0.16 * math.ceil(len(looks) / 4)
    figure, axes = new_figure(_MAP * columns + 0.3, height, lines, columns)
    first = next(places for places in maps.values() if len(places))
    for ax, key in zip(axes, keys, strict=False):
        _draw_map(ax, onto(maps[key], first), found[found["estimator"] == key], looks, members)
        _title_map(ax, key, rows)
    for ax in axes[len(keys) :]:
        ax.set_axis_off()
    _add_legend(figure, maps, looks)
    return figure


def positions(rows: pd.DataFrame) -> pd.DataFrame:
    """Arrange the positions of one measure.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``map_position`` with the column `axis`.

    Returns
    -------
    DataFrame, shape (networks, 2)
        Columns x and y, indexed by network; networks without a position are left out.
    """
    places = rows.drop_duplicates(["network_a", "axis"]).pivot(index="network_a", columns="axis", values="value")
    return places.reindex(index=pd.unique(rows["network_a"]), columns=["x", "y"]).dropna()


def onto(places: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Move, turn, mirror and scale a map as a whole, so that it lies on another as well as it can.

    Parameters
    ----------
    places, reference : DataFrame, shape (networks, 2)

    Returns
    -------
    DataFrame, shape (networks, 2)
        Ratios of distances are kept: centred, of root mean square 1, and turned by the orthogonal Procrustes solution
        on the networks of both maps.
    """
    if places.empty:
        return places
    own, target = _normalised(places), _normalised(reference)
    common = own.index.intersection(target.index)
    left, _, right = np.linalg.svd(own.loc[common].to_numpy().T @ target.loc[common].to_numpy())
    turn: NDArray[np.float64] = left @ right
    return pd.DataFrame(own.to_numpy() @ turn, index=own.index, columns=["x", "y"])


def _normalised(places: pd.DataFrame) -> pd.DataFrame:
    centred = places - places.mean()
    size = float(np.sqrt((centred.to_numpy() ** 2).sum(axis=1).mean()))
    return centred / size if size > 0 else centred


def _looks(maps: Mapping[str, pd.DataFrame], members: Mapping[str, str] | None) -> dict[str, tuple[object, str]]:
    """Family of networks -> colour and marker."""
    networks = dict.fromkeys(network for places in maps.values() for network in places.index if network != "noise")
    families = list(dict.fromkeys(family_of(network, members) for network in networks))
    return {family: (palette(len(families))[i], marker(i)) for i, family in enumerate(families)}


def _draw_map(
    ax: Axes,
    places: pd.DataFrame,
    rows: pd.DataFrame,
    looks: Mapping[str, tuple[object, str]],
    members: Mapping[str, str] | None,
) -> None:
    for network, (x, y) in zip(places.index, places.to_numpy(), strict=True):
        _draw_network(ax, str(network), x, y, looks, members)
    ax.set(xticks=[], yticks=[])
    if places.empty:
        why = reasons(rows)[0] if reasons(rows) else "no position"
        words = textwrap.fill(f"no map: {why}", _LINE)
        ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", fontsize=6.5)
        ax.set_aspect("equal")
        return
    reach = 1.12 * float(np.abs(places.to_numpy()).max()) or 1.0
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set_aspect("equal")


def _draw_network(
    ax: Axes,
    network: str,
    x: float,
    y: float,
    looks: Mapping[str, tuple[object, str]],
    members: Mapping[str, str] | None,
) -> None:
    state = state_of(network)
    colour, shape = (GREY, "") if network == "noise" else looks[family_of(network, members)]
    hollow = state in _HOLLOW
    ax.plot(
        x,
        y,
        _CONTROLS.get(state, shape),
        color="white" if hollow else colour,
        markeredgecolor=colour if hollow or state in _CONTROLS else "white",
        markeredgewidth=1.1 if hollow or state in _CONTROLS else 0.5,
        markersize=5,
        alpha=0.9,
    )


def _title_map(ax: Axes, key: str, rows: pd.DataFrame) -> None:
    stress = rows[(rows["quantity"] == "map_stress") & (rows["estimator"] == key)]["value"].dropna()
    ax.set_title(label_of(key), fontsize=7)
    ax.set_xlabel(f"stress {stress.iloc[0]:.2f}" if len(stress) else "", fontsize=7)
    for side, spine in ax.spines.items():
        spine.set_visible(True)
        spine.set(color=look_of(key).colour, linewidth=2.5 if side == "top" else 0.8)


def _add_legend(figure: Figure, maps: Mapping[str, pd.DataFrame], looks: Mapping[str, tuple[object, str]]) -> None:
    states = {state_of(str(network)) for places in maps.values() for network in places.index}
    handles = [
        Line2D([], [], color=colour, marker=shape, linestyle="", label=family)  # type: ignore[arg-type]
        for family, (colour, shape) in looks.items()
    ]
    if "untrained" in states:
        handles.append(
            Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="", label="hollow: untrained")
        )
    handles += [
        Line2D([], [], color=GREY, marker=shape, linestyle="", label=state.replace("_", " "))
        for state, shape in _CONTROLS.items()
        if state in states
    ]
    notes = [
        "axes have no unit: each map is turned and scaled onto the first;",
        "stress: 0 = all distances are as measured",
    ]
    legend = figure.legend(handles=handles, loc="outside lower left", ncols=4, title="\n".join(notes))
    legend.set_alignment("left")
    figure.suptitle(_TITLE, x=0.01, ha="left", fontsize=10, fontweight="bold")
