"""What the figures of a comparison share: order, names and colours of its measures, and words where data is missing."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from netalike.evidence.claims.keys import base_network
from netalike.evidence.measurements import OK
from netalike.experiments.panel_measures import FAMILIES, PANEL_MEASURES
from netalike.plots.studies import Look
from netalike.plots.theme import GREY, UNDEFINED_GREY, measure_label, new_figure, palette, theme

_COLOURS = palette(10)
FAMILY_LOOKS: Mapping[str, Look] = {
    family: Look(FAMILIES[family], colour, marker, "")
    for family, colour, marker in zip(
        FAMILIES,
        (_COLOURS[0], _COLOURS[9], _COLOURS[1], _COLOURS[2], _COLOURS[4], _COLOURS[7]),
        ("o", "P", "s", "^", "D", "v"),
        strict=True,
    )
}
"""Family of measures -> how figures draw it."""

OTHER = Look("other measures", _COLOURS[5], "X", "")
"""How measures are drawn that the registry does not know."""

_NO_CELL: dict[str, Any] = {"facecolor": UNDEFINED_GREY, "edgecolor": GREY, "hatch": "////", "linewidth": 0}


def in_order(keys: Iterable[str]) -> list[str]:
    """Return the distinct keys of measures family by family, as the registry has them; then all others by name."""
    present = set(keys)
    known = [key for key in PANEL_MEASURES if key in present]
    return known + sorted(present - set(known))


def label_of(key: str) -> str:
    """Return the short name of a measure."""
    return PANEL_MEASURES[key].label if key in PANEL_MEASURES else measure_label(*key.split("/", 1))


def look_of(key: str) -> Look:
    """Return colour and marker of a measure: those of its family."""
    return FAMILY_LOOKS[PANEL_MEASURES[key].family] if key in PANEL_MEASURES else OTHER


def looks_of(keys: Iterable[str]) -> list[Look]:
    """Return the looks of the families that some of the measures belong to, each once, in order."""
    return list(dict.fromkeys(look_of(key) for key in in_order(keys)))


def family_starts(keys: Sequence[str]) -> list[int]:
    """Return the places, the first left out, at which another family of measures begins."""
    return [i for i in range(1, len(keys)) if look_of(keys[i]) != look_of(keys[i - 1])]


def colour_strip(ax: Axes, keys: Sequence[str]) -> None:
    """Fill axes with one coloured cell per measure, side by side: its family."""
    for i, key in enumerate(keys):
        ax.axvspan(i, i + 1, color=look_of(key).colour, linewidth=0)
    ax.set(xlim=(0, len(keys)), ylim=(0, 1), xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def family_patches(keys: Iterable[str]) -> list[Patch]:
    """Return the entries of a legend that name the colours of the families."""
    return [Patch(color=look.colour, label=look.label) for look in looks_of(keys)]


def hatch_empty(ax: Axes) -> None:
    """Hatch what no cell covers, so that a cell without a number is seen as such."""
    ax.patch.set(**_NO_CELL)


def empty_patch(words: str = "undefined: the reason is in the table") -> Patch:
    """Return the entry of a legend for cells without a number."""
    return Patch(label=words, **_NO_CELL)


def state_of(network: str) -> str:
    """Return what a network of a panel is: ``trained``, the control behind the @ of its id, or ``noise``."""
    return "noise" if network == "noise" else network.partition("@")[2] or "trained"


def family_of(network: str, members: Mapping[str, str] | None = None) -> str:
    """Return the family of a network: as the panel says it, else its id without the seed.

    Parameters
    ----------
    network : str
        Id of a network or of a control of it.
    members : mapping of network to family, optional
    """
    base = base_network(network)
    if members and base in members:
        return str(members[base])
    name, dash, seed = base.rpartition("-s")
    return name if dash and seed.isdigit() else base


def reasons(rows: pd.DataFrame) -> list[str]:
    """Return why rows have no number, the most frequent reason first."""
    found = rows.loc[rows["status"] != OK, "status"].value_counts(sort=True)
    return [str(status).removeprefix("undefined: ") for status in found.index]


@theme()
def saying(title: str, words: str) -> Figure:
    """Make a figure that says why there is nothing to draw, so that nobody waits for it or reads it as a zero.

    Parameters
    ----------
    title : str
        Of the figure that would be there.
    words : str
        What is missing, and what would bring it.
    """
    figure, (ax,) = new_figure(6.4, 1.9)
    ax.set_axis_off()
    ax.set_title(title)
    ax.text(0, 0.9, textwrap.fill(words, 88), transform=ax.transAxes, va="top", color="#374151")
    return figure
