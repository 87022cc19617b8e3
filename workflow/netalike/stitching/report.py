"""The report page of a stitch: HTML for the screen, PDF for paper, the same tables and figures in both."""

from __future__ import annotations

import base64
import io
import itertools
import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

import netalike
from netalike.networks.checkpoint import write_atomically
from netalike.plots.theme import GREY, UNDEFINED_GREY, figure_of, marker, new_figure, palette, theme

if TYPE_CHECKING:
    from netalike.stitching.evaluation import Report
    from netalike.stitching.results import StitchResult

STAGES = {"before": "before training", "after": "after training", "least_squares": "least squares"}
"""What a stage is called in a table."""
_NETWORKS = {
    "front": "front network",
    "end": "end network",
    "before": "stitched, before training",
    "after": "stitched, after training",
    "least_squares": "stitched, least squares",
}
# The same where a row says already that a network is stitched.
_SHORT = {"front": "front network", "end": "end network", **STAGES}
_ESTIMATORS = {"cka": "CKA, biased", "cka_unbiased": "CKA, unbiased"}
_LARGEST = 512  # rows or columns of a matrix that are drawn one by one
_LARGEST_SVD = 1024
_PAGE = (8.27, 11.69)  # inches: A4
_DPI = 220
_LINE = 0.14  # inches, of 8 pt
_LETTER = 0.0645  # inches: the mean width of a letter of 8 pt
_ACCENT = "#0b62a8"


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes
    ----------
    title : str
    note : str
        How to read it.
    header : list of str
    rows : list of list of str
    texts : int
        How many columns, from the left, hold text; the others hold numbers.
    """

    title: str
    note: str
    header: list[str]
    rows: list[list[str]]
    texts: int = 1


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes
    ----------
    name, title, caption : str
    figure : Figure
    """

    name: str
    title: str
    caption: str
    figure: Figure


def write(result: StitchResult, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``report.html`` and ``report.pdf``.

    Parameters
    ----------
    result : StitchResult
    folder : path

    Returns
    -------
    list of Path
        The two files. Equal results give equal bytes. The page is one file and asks nothing of the network.
    """
    html, pdf = Path(folder) / "report.html", Path(folder) / "report.pdf"
    drawn = pictures_of(result)
    write_atomically(html, as_html(result, drawn).encode())
    write_atomically(pdf, as_pdf(result, drawn))
    return [html, pdf]


def as_html(result: StitchResult, drawn: Sequence[Picture] | None = None) -> str:
    """Return the page as text; everything that comes from a run is escaped.

    Parameters
    ----------
    result : StitchResult
    drawn : sequence of Picture, optional
        What `pictures_of` made, where it is there already.

    Returns
    -------
    str
    """
    drawn = pictures_of(result) if drawn is None else drawn
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("netalike.stitching", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("stitch.html.j2").render(
        title=title_of(result),
        lead=lead_of(result),
        facts=facts_of(result),
        note=_unevaluated(result),
        tables=tables_of(result),
        pictures=[(picture, _svg(picture.figure)) for picture in drawn],
        parameters=[*parameters_of(result), provenance_of(result)],
        style=Markup(files("netalike.page").joinpath("templates", "style.css").read_text(encoding="utf-8")),
        version=netalike.__version__,
    )


def as_pdf(result: StitchResult, drawn: Sequence[Picture] | None = None) -> bytes:
    """Return the report as a PDF: a page of numbers, then the figures, then parameters and provenance.

    Parameters
    ----------
    result : StitchResult
    drawn : sequence of Picture, optional
        As in `as_html`.

    Returns
    -------
    bytes
    """
    content = io.BytesIO()
    # No dates inside the file: they would differ from run to run.
    about = {"Title": title_of(result), "Creator": None, "Producer": None, "CreationDate": None}
    with theme(), PdfPages(content, metadata=about) as pdf:
        for page in pages_of(result, pictures_of(result) if drawn is None else drawn):
            pdf.savefig(page, dpi=200)
    return content.getvalue()


# --- what the report says -------------------------------------------------------------------------------------------


def title_of(result: StitchResult) -> str:
    """Return the title: which layer of which network goes into which."""
    front, end = result.front, result.end
    return f"{front.architecture} {front.layer} into {end.architecture} {end.layer}"


def lead_of(result: StitchResult) -> str:
    """Return the sentence that says what was stitched."""
    front, end = result.front, result.end
    return (
        f"The front of {Path(front.weights).name} up to {front.layer}, one affine {_kind_of(result)}, and the rest of "
        f"{Path(end.weights).name} after {end.layer}."
    )


def _kind_of(result: StitchResult) -> str:
    layer = result.layers["after"]
    kind = "map over all units" if layer.kind == "flatten" else "map over channels"
    if layer.rank is not None:
        kind += f" of rank {layer.rank}"
    return kind + (" with a mask" if layer.mask is not None else "")


def _unevaluated(result: StitchResult) -> str:
    return "" if result.evaluation else "This stitch was stored before it was evaluated: there are no test numbers."


def facts_of(result: StitchResult) -> list[tuple[str, str]]:
    """Return the few numbers that a reader looks for first, as name and text."""
    facts = [("data set", str(result.data.get("dataset", "")))]
    found = result.evaluation
    if found is None:
        return facts
    return [
        *facts,
        ("relative accuracy", _number(found.relative_accuracy)),
        ("accuracy", _number(found.accuracy)),
        ("accuracy of the end network", _number(found.networks["end"].accuracy)),
        ("agreement", _number(found.agreement)),
        ("test images", f"{found.n:,}"),
    ]


def tables_of(result: StitchResult) -> list[Table]:
    """Return the tables of results; none where the stitch was not evaluated."""
    found = result.evaluation
    return [] if found is None else [_accuracy_table(found), _similarity_table(result, found), _hit_table(found)]


def _accuracy_table(found: Report) -> Table:
    columns = ("accuracy", "relative_accuracy", "agreement", "loss", "cross_entropy")
    rows = [
        [label, *(_number(getattr(found.networks[name], column)) for column in columns)]
        for name, label in _NETWORKS.items()
        if name in found.networks
    ]
    return Table(
        "Accuracy",
        f"On {found.n:,} test images. Relative accuracy is accuracy over that of the end network; agreement is the "
        "share of images that get the same class as from the end network. Losses are mean cross-entropies in nats: "
        "with the labels, and with the end network's class probabilities.",
        ["network", "accuracy", "relative accuracy", "agreement", "loss", "loss, end network's classes"],
        rows,
    )


def _similarity_table(result: StitchResult, found: Report) -> Table:
    names = {**_NETWORKS, "direct": "front activation itself"}
    rows = [
        [names[name], *(_number(getattr(found.similarity[name], column)) for column in (*_ESTIMATORS, "l2"))]
        for name in ("direct", *STAGES)
        if name in found.similarity
    ]
    return Table(
        "Similarity to the end network's own activation",
        f"At {result.end.layer}, on {found.cka_images:,} test images. CKA: 1 = same, higher is more alike; the biased "
        f"estimate is the mean over batches of {found.cka_batch}. L2 is the mean squared difference: 0 = same, lower "
        "is more alike.",
        ["activation", *_ESTIMATORS.values(), "L2"],
        rows,
    )


def _hit_table(found: Report) -> Table:
    rows = []
    for first in ("end", "after"):
        for second in ("front", *STAGES):
            if hits := found.hits.get(f"{first}_{second}"):
                counts = [f"{hits[key]:,} ({hits[key] / max(found.n, 1):.1%})" for key in ("rr", "rw", "wr", "ww")]
                rows.append([_SHORT[first], _SHORT[second], *counts])
    return Table(
        "Hit overlaps",
        "Test images that each of two networks has right or wrong; a stitched network is named by its matrix.",
        ["first", "second", "both right", "only the first", "only the second", "both wrong"],
        rows,
        texts=2,
    )


def parameters_of(result: StitchResult) -> list[Table]:
    """Return what was asked for, and on what data."""
    asked = [[name.replace("_", " "), _text(value)] for name, value in result.parameters.items()]
    data = [[name.replace("_", " "), _text(value)] for name, value in result.data.items()]
    sides = [("front", result.front), ("end", result.end)]
    networks = [
        [f"{name} {key}", _text(value)]
        for name, side in sides
        for key, value in {
            "network": f"{side.architecture}, {side.channels} channels, {side.classes} classes",
            "weights": Path(side.weights).name,
            "SHA-256": side.sha256[:16],
            "layer": side.layer,
            "activation": " x ".join(map(str, side.shape)),
        }.items()
    ]
    return [
        Table("Parameters", "", ["parameter", "value"], asked, texts=2),
        Table("Networks and data", "", ["what", "value"], networks + data, texts=2),
    ]


def provenance_of(result: StitchResult) -> Table:
    """Return with what the stitch was made."""
    rows = [[name, _text(value)] for name, value in result.provenance.items()]
    return Table("Provenance", "", ["what", "value"], rows, texts=2)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(entry)}" for key, entry in value.items())
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def _number(value: float | None, digits: int = 4) -> str:
    if value is None or not math.isfinite(value):
        return "undefined"
    small = value != 0 and abs(value) < 0.5 * 10**-digits
    return f"{value:.2e}" if small else f"{value:.{digits}f}"


# --- figures --------------------------------------------------------------------------------------------------------


def pictures_of(result: StitchResult) -> list[Picture]:
    """Draw the figures of the report."""
    found = [
        Picture(
            "matrices",
            "The matrix",
            "Rows are channels of the end network, columns channels of the front network. The difference, after minus "
            "before, has a scale of its own." + _reduced_note(result) + _masked_note(result),
            matrices(result),
        )
    ]
    if result.curve:
        caption = (
            "Means over the training images of each pass, and over the test images after it; the lines are the whole "
            "networks, and the network stitched by least squares, on the test images."
        )
        found.append(Picture("curves", "Learning curves", caption, learning_curves(result)))
    if result.evaluation:
        caption = "Between the end network's own activation and what comes out of the stitching layer, on test images."
        found.append(Picture("similarity", "Similarity before and after", caption, similarity(result)))
    return found


def _reduced_note(result: StitchResult) -> str:
    rows, columns = result.layers["after"].weight.shape
    largest = max(rows, columns)
    return f" Of {rows:,} x {columns:,} entries, means over blocks are shown." if largest > _LARGEST else ""


def _masked_note(result: StitchResult) -> str:
    return " Grey entries are masked: they are 0 and stay so." if result.layers["after"].mask is not None else ""


@theme()
def matrices(result: StitchResult) -> Figure:
    """Draw the matrix before and after training, their difference and least squares, and the singular values.

    Parameters
    ----------
    result : StitchResult

    Returns
    -------
    Figure
    """
    stages = [stage for stage in STAGES if stage in result.layers]
    weights = {stage: _weight(result, stage) for stage in stages}
    difference = weights["after"] - weights["before"]
    hidden = _hidden(result)
    figure, _ = new_figure(7.4, 4.9, 0, 0)
    grid = figure.add_gridspec(2, 4, height_ratios=(1.45, 1))
    limit = _limit(list(weights.values()))
    axes = {stage: figure.add_subplot(grid[0, column]) for column, stage in enumerate(stages)}
    for stage, ax in axes.items():
        # Least squares is of the whole matrix, whatever the mask.
        _draw_matrix(ax, weights[stage], limit, STAGES[stage], None if stage == "least_squares" else hidden)
    _add_bar(list(axes.values()), limit, "weight", 0.5)
    ax = figure.add_subplot(grid[0, len(stages)])
    own = _limit([difference])
    _draw_matrix(ax, difference, own, "difference", hidden)
    _add_bar([ax], own, "after minus before", 0.9)
    axes["before"].set_ylabel("end channel")
    _draw_spectra(figure.add_subplot(grid[1, :]), weights)
    return figure


def _weight(result: StitchResult, stage: str) -> NDArray[np.float64]:
    return np.asarray(result.layers[stage].weight.detach().double().cpu().numpy())


def _hidden(result: StitchResult) -> NDArray[np.bool_] | None:
    mask = result.layers["after"].mask
    return None if mask is None else np.asarray(mask.cpu().numpy() == 0)


def _limit(matrices: Sequence[NDArray[np.float64]]) -> float:
    """The ends of a colour scale about 0: a few outliers do not make the rest pale."""
    largest = max(float(np.abs(matrix).max()) for matrix in matrices)
    common = max(float(np.quantile(np.abs(matrix), 0.999)) for matrix in matrices)
    limit = common if common > 0.2 * largest else largest
    return limit if limit > 0 else 1.0


def _draw_matrix(
    ax: Axes, matrix: NDArray[np.float64], limit: float, title: str, hidden: NDArray[np.bool_] | None
) -> None:
    shown = np.ma.masked_array(matrix, False if hidden is None else hidden)
    rows, columns = matrix.shape
    ax.set_facecolor(UNDEFINED_GREY)
    picture = _block_means(shown, _LARGEST)
    norm = Normalize(-limit, limit)
    extent = (0.0, float(columns), float(rows), 0.0)
    ax.imshow(picture, cmap="vlag", norm=norm, extent=extent, aspect="equal", interpolation="nearest")
    ax.set_title(title)
    ax.set_xlabel("front channel")
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0)


def _block_means(matrix: np.ma.MaskedArray, largest: int) -> np.ma.MaskedArray:
    """Shrink a matrix to at most so many rows and columns, each a mean over a block of neighbours."""
    for axis in (0, 1):
        size = matrix.shape[axis]
        if size > largest:
            edges = np.linspace(0, size, largest + 1).astype(int)
            parts = [matrix.take(range(a, b), axis).mean(axis) for a, b in itertools.pairwise(edges)]
            matrix = np.ma.stack(parts, axis)
    return matrix


def _add_bar(axes: list[Axes], limit: float, label: str, shrink: float) -> None:
    mesh = axes[0].images[0]
    bar = figure_of(axes[0]).colorbar(mesh, ax=axes, location="bottom", shrink=shrink, aspect=22 * shrink * len(axes))
    bar.set_ticks([-limit, 0.0, limit], labels=[f"{-limit:.2g}", "0", f"{limit:.2g}"])
    bar.set_label(label)
    bar.outline.set_visible(False)


def _draw_spectra(ax: Axes, weights: Mapping[str, NDArray[np.float64]]) -> None:
    ax.set_title("singular values")
    colours = palette(len(STAGES))
    for position, stage in enumerate(STAGES):
        if stage in weights and min(weights[stage].shape) <= _LARGEST_SVD:
            values = np.linalg.svd(weights[stage], compute_uv=False)
            number = np.arange(1, len(values) + 1)
            every = max(1, len(values) // 16)
            ax.plot(
                number, values, color=colours[position], marker=marker(position), markevery=every, label=STAGES[stage]
            )
    ax.set_xlabel("number")
    ax.set_ylabel("singular value")
    ax.set_ylim(bottom=0)
    ax.grid(axis="y")
    ax.legend()


@theme()
def learning_curves(result: StitchResult) -> Figure:
    """Draw loss and accuracy by epoch, with the accuracies of the two networks and of least squares as lines.

    Parameters
    ----------
    result : StitchResult

    Returns
    -------
    Figure
    """
    figure, (loss, accuracy) = new_figure(7.4, 3.0, 1, 2)
    epochs = [int(row["epoch"]) for row in result.curve]
    colours = palette(2)
    for ax, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        for position, (split, label) in enumerate((("train", "training"), ("test", "test"))):
            values = [row[f"{split}_{quantity}"] for row in result.curve]
            every = max(1, len(epochs) // 16)
            ax.plot(epochs, values, color=colours[position], marker=marker(position), markevery=every, label=label)
        ax.set_title(quantity)
        ax.set_xlabel("epoch")
        ax.grid(axis="y")
        ax.set_xlim(0.5, epochs[-1] + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True) if len(epochs) > 1 else FixedLocator(epochs))
    loss.set_ylabel("loss (nats)")
    accuracy.set_ylabel("share of images")
    _draw_levels(accuracy, result.evaluation)
    _legend_above(loss)
    return figure


def _draw_levels(ax: Axes, found: Report | None) -> None:
    """Horizontal lines with their names at the right, moved apart where they would lie on one another."""
    names = {"end": "end network", "front": "front network", "least_squares": "least squares"}
    networks = found.networks if found else {}
    levels = sorted((networks[key].accuracy, name) for key, name in names.items() if key in networks)
    for value, _ in levels:
        ax.axhline(value, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    low, high = ax.get_ylim()
    room, place = 0.075 * (high - low), -math.inf
    for value, name in levels:
        place = max(value, place + room)
        ax.annotate(
            f"{name} {value:.3f}",
            xy=(1.0, value),
            xycoords=("axes fraction", "data"),
            xytext=(1.06, place),
            textcoords=("axes fraction", "data"),
            fontsize=7.5,
            color="#374151",
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": GREY,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


@theme()
def similarity(result: StitchResult) -> Figure:
    """Draw CKA and L2 between the end network's own activation and the stitched one, before and after training.

    Parameters
    ----------
    result : StitchResult

    Returns
    -------
    Figure
    """
    assert result.evaluation is not None, "not evaluated"
    figure, (cka, l2) = new_figure(7.4, 2.6, 1, 2)
    stages = {"direct": "front\nitself", "before": "before", "least_squares": "least\nsquares", "after": "after"}
    found = result.evaluation.similarity
    shown = {stage: name for stage, name in stages.items() if stage in found}
    panels = [(cka, "cka", "biased", -0.1), (cka, "cka_unbiased", "unbiased", 0.1), (l2, "l2", "", 0.0)]
    for position, (colour, (ax, quantity, label, offset)) in enumerate(zip(palette(3), panels, strict=True)):
        values = [getattr(found[stage], quantity) for stage in shown]
        heights = [math.nan if value is None else value for value in values]
        places = np.arange(len(shown)) + offset
        ax.vlines(places, 0, heights, color=colour, linewidth=1.2)
        ax.plot(places, heights, color=colour, marker=marker(position), linestyle="none", label=label)
    for ax, title in ((cka, "CKA (1 = same)"), (l2, "L2 (0 = same)")):
        ax.set_title(title)
        ax.set_xticks(range(len(shown)), labels=list(shown.values()))
        ax.set_xlim(-0.5, len(shown) - 0.5)
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        ax.grid(axis="y")
    cka.set_ylim(top=1.0)
    cka.set_ylabel("CKA")
    l2.set_ylabel("mean squared difference")
    _legend_above(cka)
    return figure


def _legend_above(ax: Axes) -> None:
    """Beside the title, where no data can lie."""
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=2, borderpad=0, handletextpad=0.3, columnspacing=1.0)


def _svg(figure: Figure) -> str:
    """Return a figure as the address of an image within the page."""
    content = io.BytesIO()
    with theme():
        figure.savefig(content, format="svg", dpi=200, metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode()


# --- the pages of the PDF -------------------------------------------------------------------------------------------


@theme()
def pages_of(result: StitchResult, drawn: Sequence[Picture]) -> list[Figure]:
    """Lay the report out on A4 pages: the numbers, the figures, then parameters and provenance."""
    pages = [_Sheet(title_of(result))]
    pages[0].text(lead_of(result), 10)
    if note := _unevaluated(result):
        pages[0].text(note, 10)
    pages[0].facts(facts_of(result))
    parts: list[Table | Picture] = [*tables_of(result), *drawn, *parameters_of(result), provenance_of(result)]
    for part in parts:
        if not pages[-1].has_room(part):
            pages.append(_Sheet(title_of(result)))
        pages[-1].add(part)
    return [page.figure for page in pages]


class _Sheet:
    """An A4 page that is filled from top to bottom, in inches."""

    margin = 0.75
    width = _PAGE[0] - 2 * margin

    def __init__(self, title: str) -> None:
        self.figure = Figure(figsize=_PAGE)
        self._y = _PAGE[1] - self.margin
        self.figure.text(*self._at(0), "netalike", fontsize=9, color=_ACCENT, weight="bold", va="top")
        self._y -= 0.25
        for line in textwrap.wrap(title, 52):
            self.figure.text(*self._at(0), line, fontsize=15, weight="bold", va="top")
            self._y -= 0.3
        self._y -= 0.08

    def _at(self, x: float) -> tuple[float, float]:
        return (self.margin + x) / _PAGE[0], self._y / _PAGE[1]

    def has_room(self, part: Table | Picture) -> bool:
        if isinstance(part, Picture):
            return self._y - self._height(part) - 0.75 >= self.margin
        lines = sum(max(cell.count("\n") + 1 for cell in row) for row in self._cells(part))
        return self._y - _LINE * lines - 0.1 * len(part.rows) - (0.9 if part.note else 0.5) >= self.margin

    def add(self, part: Table | Picture) -> None:
        self.figure.text(*self._at(0), part.title, fontsize=11, weight="bold", va="top")
        self._y -= 0.25
        if isinstance(part, Picture):
            self._picture(part)
        else:
            self._table(part)

    def text(self, text: str, size: float, colour: str = "#374151") -> None:
        for line in textwrap.wrap(text, int(self.width * 132 / size)):
            self.figure.text(*self._at(0), line, fontsize=size, color=colour, va="top")
            self._y -= size * 1.45 / 72
        self._y -= 0.08

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        step = self.width / max(len(facts), 1)
        self._y -= 0.25
        for number, (name, value) in enumerate(facts):
            wrapped = "\n".join(textwrap.wrap(name, int(step * 14)))
            self.figure.text(*self._at(number * step), wrapped, fontsize=7.5, color=GREY, va="bottom")
            below = self._at(number * step)[1] - 0.05 / _PAGE[1]
            self.figure.text(self._at(number * step)[0], below, value, fontsize=11.5, weight="bold", va="top")
        self._y -= 0.55

    def _table(self, table: Table) -> None:
        if table.note:
            self.text(table.note, 8, GREY)
        edges = self._edges(table)
        for number, row in enumerate(self._cells(table)):
            self._row(table, row, edges, "normal" if number else "bold")
            self._rule(0.3 if number else 0.8)
        self._y -= 0.3

    def _cells(self, table: Table) -> list[list[str]]:
        """The header and the rows, each cell wrapped to its column; bold letters are wider."""
        edges = self._edges(table)
        widths = [right - left for left, right in itertools.pairwise(edges)]
        header = [_wrapped(cell, 0.85 * width) for cell, width in zip(table.header, widths, strict=True)]
        return [
            header,
            *([_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)] for row in table.rows),
        ]

    def _edges(self, table: Table) -> list[float]:
        """Left edges of the columns, and the right edge: text takes what it needs, numbers share the rest."""
        columns = len(table.header)
        needed = [_LETTER * max(len(row[i]) for row in [table.header, *table.rows]) + 0.15 for i in range(table.texts)]
        if table.texts == columns:
            needed[-1] = self.width - sum(needed[:-1])
        left = [sum(needed[:i]) for i in range(table.texts + 1)]
        step = (self.width - left[-1]) / max(columns - table.texts, 1)
        return left + [left[-1] + step * (i + 1) for i in range(columns - table.texts)]

    def _row(self, table: Table, cells: Sequence[str], edges: Sequence[float], weight: str) -> None:
        for i, cell in enumerate(cells):
            is_text = i < table.texts
            x = edges[i] if is_text else edges[i + 1]
            side = "left" if is_text else "right"
            left, top = self._at(x)
            for number, line in enumerate(cell.split("\n")):  # on common lines, whatever letters a cell has
                height = top - (0.1 + _LINE * number) / _PAGE[1]
                self.figure.text(left, height, line, fontsize=8, weight=weight, ha=side, va="baseline")
        self._y -= _LINE * max(cell.count("\n") + 1 for cell in cells) + 0.045

    def _rule(self, width: float) -> None:
        x, y = self._at(0)
        right = self._at(self.width)[0]
        self.figure.add_artist(Line2D([x, right], [y, y], color="#d9dde3" if width < 0.5 else GREY, linewidth=width))
        self._y -= 0.055

    def _height(self, picture: Picture) -> float:
        width, height = picture.figure.get_size_inches()
        return float(self.width * height / width)

    def _picture(self, picture: Picture) -> None:
        self.text(picture.caption, 8, GREY)
        height = self._height(picture)
        x, y = self._at(0)
        ax = self.figure.add_axes((x, y - height / _PAGE[1], self.width / _PAGE[0], height / _PAGE[1]))
        ax.imshow(_pixels(picture.figure), aspect="auto", interpolation="antialiased")
        ax.set_axis_off()
        self._y -= height + 0.25


def _wrapped(text: str, width: float) -> str:
    return "\n".join(textwrap.wrap(text, max(8, int(width / _LETTER)), break_on_hyphens=False)) or ""


def _pixels(figure: Figure) -> NDArray[np.uint8]:
    content = io.BytesIO()
    figure.savefig(content, format="rgba", dpi=_DPI)
    width = round(figure.get_size_inches()[0] * _DPI)
    return np.frombuffer(content.getvalue(), np.uint8).reshape(-1, width, 4)
