"""The one look of every figure: fonts, colours, sizes, and how a direction is put into words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

PNG_DPI = 150
GREY = "#6b7280"
UNDEFINED_GREY = "#d1d5db"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same picture
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.color": "#374151",
    "ytick.color": "#374151",
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": PNG_DPI,
    # Letters as shapes, each drawn once and referred to: the file needs no font of the reader's machine.
    "svg.fonttype": "path",
    # The ids inside an SVG are random unless salted: two runs must write the same bytes.
    "svg.hashsalt": "netalike",
}

_SPELLING = {
    "auc": "AUC",
    "cca": "CCA",
    "cka": "CKA",
    "hsic": "HSIC",
    "procrustes": "Procrustes",
    "pve": "PVE",
    "pwcca": "PWCCA",
    "rsa": "RSA",
    "rsm": "RSM",
    "srm": "SRM",
    "svcca": "SVCCA",
}

_ESTIMATORS = {"published_psd": "PSD projection", "r2": "R²", "first": "weights of the first"}


@contextmanager
def theme() -> Iterator[None]:
    """Draw in netalike's style inside the block, or inside the decorated function; nothing changes outside.

    Every function of this package already does so; your own code needs it only for what it draws itself.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        for name, setting in _STYLE.items():
            mpl.rcParams[name] = setting  # type: ignore[index]
        yield


def palette(n: int) -> list[tuple[float, float, float]]:
    """Return n colours that colour-blind readers can tell apart (ten, then again from the first)."""
    return [tuple(colour) for colour in sns.color_palette("colorblind", n)]


def marker(position: int) -> str:
    """Return the marker of the series at this position: a second cue beside the colour."""
    return MARKERS[position % len(MARKERS)]


@theme()
def new_figure(width: float = 6.4, height: float = 3.6, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Make a figure with a grid of axes, without pyplot and its list of open figures.

    Parameters
    ----------
    width, height : float
        Size in inches.
    rows, columns : int
        The grid of axes; 0 for none, where the function that draws makes its own.

    Returns
    -------
    figure : Figure
        With a layout that keeps labels and legends apart.
    axes : list of Axes
        Row by row.
    """
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]
    return figure, axes


def direction_label(higher_is_alike: bool = True, same: float | None = 1.0) -> str:
    """Put into words how to read a measure: every colour bar and value axis says it.

    Parameters
    ----------
    higher_is_alike : bool
        False for a distance.
    same : float or None
        The value for two equal representations; None where there is no such value.

    Returns
    -------
    str
        For example ``"1 = same, higher is more alike"`` or ``"0 = same, lower is more alike"``.
    """
    words = f"{'higher' if higher_is_alike else 'lower'} is more alike"
    return words if same is None else f"{same:g} = same, {words}"


def measure_label(quantity: str, estimator: str = "") -> str:
    """Return the name of a measure as a reader knows it.

    Parameters
    ----------
    quantity, estimator : str
        As in the measurement table.

    Returns
    -------
    str
        For example ``"deconfounded CKA, unbiased"``.
    """
    words = [_SPELLING.get(word, word) for word in quantity.split("_")]
    spelled = _ESTIMATORS.get(estimator, estimator.replace("_", " "))
    return " ".join(words) + (f", {spelled}" if estimator else "")


def figure_of(axes: Axes) -> Figure:
    """Return the figure that axes belong to."""
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes without a figure"
    return figure


def size_in_inches(axes: Axes) -> tuple[float, float]:
    """Return width and height of axes as placed now; names and legends may still take a part of it."""
    box, dpi = axes.get_window_extent(), figure_of(axes).dpi
    return float(box.width / dpi), float(box.height / dpi)


def name_ticks(axes: Axes, names: Sequence[str], axis: str = "x", taken: float = 0.0) -> None:
    """Write names along an axis at 0, 1, 2 ..., turned when they are long, thinned when they are many.

    Parameters
    ----------
    axes : Axes
    names : sequence of str
        One per position.
    axis : {"x", "y"}
    taken : float
        Inches that names and a legend will still take from the axis.
    """
    ticks = axes.xaxis if axis == "x" else axes.yaxis
    width, height = size_in_inches(axes)
    per_name = max((width if axis == "x" else height) - taken, 1.0) / max(len(names), 1)
    step = 1 if per_name >= 0.125 else int(-(-0.125 // per_name))  # a line of 8 pt takes an eighth of an inch
    ticks.set_ticks(list(range(0, len(names), step)), labels=list(names)[::step])
    longest = max((len(name) for name in names), default=0)
    if axis == "x" and longest * 0.075 > per_name * step:
        ticks.set_tick_params(rotation=90)
