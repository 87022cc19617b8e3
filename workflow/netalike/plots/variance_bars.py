"""Variance explained by a shared response, one bar per network."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from netalike.plots.studies import require, shared_legend, undefined_note, with_factors
from netalike.plots.theme import GREY, name_ticks, new_figure, palette, theme

_COLOURS = palette(10)
_TITLES = {"published": "by the mean of all networks", "leave_one_out": "by the mean of the others"}
# control -> words, colour, line
_CONTROLS: Mapping[str, tuple[str, object, str]] = {
    "noise": ("independent noise in place of all networks", GREY, ":"),
    "shuffled": ("a network with shuffled images", _COLOURS[3], "--"),
}
_PER_NETWORK = 0.28  # inches


@theme()
def variance_bars(rows: pd.DataFrame) -> Figure:
    """Draw how much of each network's held-out activity the shared response explains, in one layer.

    Parameters
    ----------
    rows : DataFrame
        ``variance_explained`` of an alignment, in one layer and mode.

    Returns
    -------
    Figure
        Left by the mean of all networks, as published, right by the mean of the other networks; controls as lines.

    Raises
    ------
    NetalikeError
        If it was not measured.
    """
    found = with_factors(rows[rows["quantity"] == "variance_explained"], "control")
    require(found, "variance_bars", "rows of variance_explained")
    own = found[found["control"] == "none"]
    names = list(dict.fromkeys(own["network_a"]))
    figure, axes = new_figure(max(7.2, 2 * (1.2 + _PER_NETWORK * len(names))), 3.9, columns=2)
    for ax, (estimator, title) in zip(axes, _TITLES.items(), strict=True):
        _draw(ax, found[found["estimator"] == estimator], names)
        ax.set_title(title)
    axes[0].set_ylabel("share of held-out variance explained\n(1 = all)")
    low, high = (limit(ax.get_ylim()[i] for ax in axes) for i, limit in enumerate((min, max)))
    for ax in axes:
        ax.set_ylim(min(low, 0), max(high, 1.02))
    shown = [control for control in _CONTROLS if (found["control"] == control).any()]
    shared_legend(figure, _handles(shown), _notes(own, len(names)), columns=3)
    return figure


def _draw(ax: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    values = rows[rows["control"] == "none"].set_index("network_a")["value"].reindex(names)
    ax.bar(range(len(names)), values, width=0.7, color=_COLOURS[0])
    for control, (_, colour, line) in _CONTROLS.items():
        chosen = rows.loc[rows["control"] == control, "value"]
        if chosen.notna().any():
            ax.axhline(float(chosen.mean()), color=colour, linestyle=line, linewidth=1.5)
    ax.axhline(0, color=GREY, linewidth=0.8)
    name_ticks(ax, names)
    ax.set(xlabel="network", xlim=(-0.7, len(names) - 0.3))


def _handles(controls: list[str]) -> list[Patch | Line2D]:
    handles: list[Patch | Line2D] = [Patch(color=_COLOURS[0], label="aligned")]
    for control in controls:
        label, colour, line = _CONTROLS[control]
        handles.append(Line2D([], [], color=colour, linestyle=line, linewidth=1.5, label=label))  # type: ignore[arg-type]
    return handles


def _notes(own: pd.DataFrame, count: int) -> list[str]:
    layer = own["layer_a"].iloc[0] if len(own) else ""
    notes = [f"layer {layer}; a mean that holds the network itself explains about 1/{count} of noise (left),"]
    notes.append("the others' mean nothing (right; below 0 it is worse than no prediction)")
    return [*notes, *undefined_note(own)]
