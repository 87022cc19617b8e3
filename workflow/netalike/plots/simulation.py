"""The simulation of shared responses: correlations with the truth, and the similarity matrices behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from netalike.errors import NetalikeError
from netalike.experiments.simulation_published import BARS, READING_ERROR
from netalike.plots.intervals import mean_interval
from netalike.plots.studies import level, require, shared_legend, span, undefined_note, with_factors
from netalike.plots.theme import new_figure, palette, theme

_COLOURS = palette(10)
_PANELS: Mapping[str, str] = {
    "haar": "Orthogonal (Haar)",
    "uniform_qr": "Orthogonal (uniform QR,\nas published)",
    "permutation": "Permutation",
    "independent": "No copies: two networks\ntrained independently",
}
_BAR_WIDTH = 0.2


class _Series(NamedTuple):
    """A kind of bar: its rows, and its look."""

    label: str
    space: str
    center: str
    rank: str
    z_score: str
    colour: Any
    hatch: str


_SERIES = (
    _Series("shared, as published", "shared", "brainiak", "kendall_as_published", "published", _COLOURS[0], ""),
    _Series("native, as published", "native", "none", "kendall_as_published", "own", _COLOURS[2], ""),
    _Series("shared, corrected", "shared", "mean", "kendall", "own", _COLOURS[9], "////"),
    _Series("native, corrected", "native", "mean", "kendall", "own", _COLOURS[8], "...."),
)
_NOTES = (
    "as published: the mean is left in before activity is projected, and the native rank correlation is Pearson's;",
    "corrected: the mean of the training activity is subtracted everywhere, and rank is Kendall's tau-b.",
)


@theme()
def simulation_bars(rows: pd.DataFrame) -> Figure:
    """Draw how well similarity between copies of a network agrees with the truth, by space, measure and mode.

    Parameters
    ----------
    rows : DataFrame
        Rows ``rsm_correlation`` of the simulation, see `netalike.experiments.simulation`.

    Returns
    -------
    Figure
        A panel per transform of the copies, and one for independent networks where there are any. Bars are means over
        repeats with 95 % intervals; diamonds with intervals beside them are the published bars.

    Raises
    ------
    NetalikeError
        If there are no such rows.
    """
    found = _correlations(rows)
    require(found, "simulation_bars", "rows of rsm_correlation")
    panels = [name for name in _PANELS if (found["transform"] == name).any()]
    figure, axes = new_figure(1.2 + 3.1 * len(panels), 4.7, columns=len(panels))
    for ax, name in zip(axes, panels, strict=True):
        _draw_bars(ax, found[found["transform"] == name], name)
        ax.set_title(_PANELS[name])
    span(axes, -0.2, 1.0)
    axes[0].set_ylabel("correlation with the true similarity matrix\n(1 = same, higher is more alike)")
    repeats = found["seed"].nunique()
    notes = [*_NOTES, f"{repeats} repeats; intervals: 95 %, bootstrap over repeats".replace("1 repeats", "1 repeat")]
    handles: list[Artist] = [
        Patch(facecolor=one.colour, hatch=one.hatch, edgecolor="white", label=one.label) for one in _SERIES
    ]
    handles.append(_published_handle())
    shared_legend(figure, handles, [*notes, *undefined_note(found)], columns=5)
    return figure


def _correlations(rows: pd.DataFrame) -> pd.DataFrame:
    chosen = rows[rows["quantity"] == "rsm_correlation"]
    found = with_factors(chosen, "transform", "variant", "space", "center", "z_score")
    return found.assign(transform=found["transform"].where(found["variant"] == "", found["variant"]))


def _draw_bars(ax: Axes, rows: pd.DataFrame, transform: str) -> None:
    for group, measure in enumerate(("linear", "rank")):
        for position, one in enumerate(_SERIES):
            own = rows[(rows["space"] == one.space) & (rows["center"] == one.center)]
            rank = "kendall" if transform == "independent" else one.rank  # the tutorial has no correlations
            own = own[own["estimator"] == ("pearson" if measure == "linear" else rank)]
            own = own[own["z_score"].isin(["", one.z_score])]
            place = group + _BAR_WIDTH * (position - 1.5)
            _draw_bar(ax, own, one, place)
            if one.center != "mean" and (transform, one.space, measure) in BARS:
                _draw_published(ax, BARS[transform, one.space, measure], place - 0.29 * _BAR_WIDTH)
    level(ax, 0, color="black", linestyle="-")
    level(ax, 1)
    ax.set_xticks([0, 1], labels=["linear\n(Pearson)", "rank\n(Kendall)"])
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.5, 1.5)
    ax.grid(axis="y")


def _draw_bar(ax: Axes, rows: pd.DataFrame, look: _Series, place: float) -> None:
    mean, low, high, _ = mean_interval(rows)
    ax.bar(place, mean, 0.94 * _BAR_WIDTH, color=look.colour, hatch=look.hatch, edgecolor="white", linewidth=0)
    ax.plot([place + 0.2 * _BAR_WIDTH] * 2, [low, high], color="#374151", linewidth=1.8, zorder=4)


def _draw_published(ax: Axes, bar: tuple[float, float, float], place: float) -> None:
    value, low, high = bar
    ax.plot([place, place], [low, high], color="black", linewidth=0.9, zorder=5)
    ax.plot(place, value, "D", color="white", markeredgecolor="black", markersize=4.5, zorder=6)


def _published_handle() -> Line2D:
    label = f"published bar (read off ± {READING_ERROR:g})"
    return Line2D(
        [], [], color="black", marker="D", markerfacecolor="white", markersize=4.5, linewidth=0.9, label=label
    )


# ---- matrices --------------------------------------------------------------------------------------------------------

_ROBUST = (2, 98)  # percentiles, as published
_MODES = (
    ("As published: mean left in", ("brainiak.shared", "none.truth", "none.native")),
    ("Corrected: mean subtracted everywhere", ("mean.shared", "mean.truth", "mean.native")),
)
_TITLES = (
    "between networks,\nshared space",
    "within networks,\nnative space (truth)",
    "between networks,\nnative space",
)
_ROW_NAMES: Mapping[str, str] = {
    "haar": "orthogonal (Haar)",
    "uniform_qr": "orthogonal (uniform QR)",
    "permutation": "permutation",
    "independent": "independent networks",
}


@theme()
def simulation_rsms(pictures: Mapping[str, NDArray[Any]]) -> Figure:
    """Draw the similarity matrices of the simulation: between networks when aligned, within them, and between them.

    Parameters
    ----------
    pictures : mapping of str to ndarray
        As `netalike.experiments.simulation.simulate` returns them, of one repeat.

    Returns
    -------
    Figure
        A row per transform of the copies; three matrices as published, and three corrected. Images are sorted by class
        and cloud, with lines between clouds, thick between classes. Three matrices share one colour scale, from the
        2nd to the 98th percentile of their entries.

    Raises
    ------
    NetalikeError
        If there is no matrix.
    """
    names = [name for name in _ROW_NAMES if f"{name}.none.truth" in pictures]
    if not names:
        raise NetalikeError(
            f"nothing to draw for simulation_rsms: expected matrices such as 'haar.none.truth', got {sorted(pictures)}."
        )
    figure, _ = new_figure(12.4, 1.0 + 1.75 * len(names), 0, 0)
    parts = np.asarray(figure.subfigures(1, 2, wspace=0.02)).tolist()
    for part, (mode, keys), letter in zip(parts, _MODES, "ab", strict=True):
        part.suptitle(f"({letter}) {mode}", fontsize=10, fontweight="bold")
        axes = part.subplots(len(names), len(keys), squeeze=False)
        for line, name in zip(axes, names, strict=True):
            _draw_matrices(line, pictures, name, keys)
        for ax, title in zip(axes[0], _TITLES, strict=True):
            ax.set_title(title, fontsize=8.5, fontweight="normal", loc="center")
    return figure


def _draw_matrices(axes: Sequence[Axes], pictures: Mapping[str, NDArray[Any]], name: str, keys: Sequence[str]) -> None:
    labels, clouds = pictures[f"{name}.labels"], pictures[f"{name}.clouds"]
    order = np.lexsort((clouds, labels))
    found = [pictures[_key(pictures, name, key)][np.ix_(order, order)] for key in keys]
    low, high = np.nanpercentile(np.stack(found), _ROBUST)
    for ax, matrix in zip(axes, found, strict=True):
        image = ax.imshow(matrix, vmin=low, vmax=high, cmap="viridis", interpolation="nearest")
        _draw_borders(ax, labels[order], clouds[order])
    _name_classes(axes[0], labels[order])
    axes[0].set_ylabel(_ROW_NAMES[name])
    bar = axes[0].figure.colorbar(image, ax=list(axes), extend="both", aspect=18, pad=0.02, shrink=0.9)
    bar.set_label("correlation of\ntwo patterns", fontsize=7.5)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)


def _key(pictures: Mapping[str, NDArray[Any]], name: str, key: str) -> str:
    """The tutorial standardises patterns in a way of its own: its published matrix is another one."""
    published = f"{name}.published.shared"
    return published if key == "brainiak.shared" and published in pictures else f"{name}.{key}"


def _draw_borders(ax: Axes, labels: NDArray[Any], clouds: NDArray[Any]) -> None:
    for edges, width in ((np.flatnonzero(np.diff(clouds)), 0.5), (np.flatnonzero(np.diff(labels)), 1.8)):
        for edge in edges:
            for line in (ax.axhline, ax.axvline):
                line(edge + 0.5, color="white", linewidth=width)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _name_classes(ax: Axes, labels: NDArray[Any]) -> None:
    classes = np.unique(labels)
    middles = [float(np.flatnonzero(labels == one).mean()) for one in classes]
    ax.set_yticks(middles, labels=[f"class {one}" for one in classes], rotation=90, va="center")
    ax.tick_params(axis="y", length=0)
