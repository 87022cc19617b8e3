"""Layer by layer, as a heatmap: the first network's layers are the rows, its first layer at the top."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from netalike.errors import NetalikeError
from netalike.plots.theme import GREY, UNDEFINED_GREY, figure_of, name_ticks, size_in_inches, theme

Annotate = bool | Literal["auto"]

_CLEARLY_NEGATIVE = -0.05  # unbiased estimates of independent representations scatter about 0 by less than this
_ROOM_FOR_A_NUMBER = 0.36  # inches: the width of "-0.12" at 7 pt
_HATCHED: dict[str, Any] = {"facecolor": UNDEFINED_GREY, "edgecolor": GREY, "hatch": "////", "linewidth": 0}
_LETTERS_PER_INCH = 11
_MANY_CELLS = 400  # above this the cells go into the SVG as one picture, which keeps the file small


class _Scale(NamedTuple):
    low: float
    high: float
    map: str


def layer_matrix(rows: pd.DataFrame) -> pd.DataFrame:
    """Arrange rows of the measurement table as a matrix of layers.

    Parameters
    ----------
    rows : DataFrame
        Rows of one measure, of one pair of networks or of several pairs with the same layers.

    Returns
    -------
    DataFrame, shape (layers_a, layers_b)
        Layers in the order of the rows. The mean over pairs where there are several, of those that have a value; NaN
        where none has.

    Raises
    ------
    NetalikeError
        If there are no rows, or rows of more than one measure, whose values must not be averaged.
    """
    if rows.empty:
        raise NetalikeError(
            "no rows for a layer matrix: the selection is empty; check quantity, estimator and networks."
        )
    measures = rows[["quantity", "estimator"]].drop_duplicates().agg("/".join, axis=1).tolist()
    if len(measures) > 1:
        raise NetalikeError(f"a layer matrix shows one measure, got rows of {', '.join(measures)}: select one of them.")
    means = rows.groupby(["layer_a", "layer_b"], sort=False, observed=True)["value"].mean().unstack()
    return means.reindex(index=rows["layer_a"].unique(), columns=rows["layer_b"].unique())


def heatmap_size(matrix: pd.DataFrame) -> tuple[float, float]:
    """Return a fitting figure size in inches for one heatmap with its names, title and colour bar."""
    rows, columns = matrix.shape
    cell = min(0.46, 5.5 / max(rows, columns, 1))
    names_left = 0.075 * max((len(str(name)) for name in matrix.index), default=0)
    names_below = 0.075 * max((len(str(name)) for name in matrix.columns), default=0)
    return max(3.6, columns * cell + names_left + 1.6), max(2.8, rows * cell + names_below + 1.1)


@theme()
def layer_heatmap(
    ax: Axes,
    matrix: pd.DataFrame,
    title: str = "",
    label: str = "",
    vmin: float | None = 0.0,
    vmax: float = 1.0,
    annotate: Annotate = "auto",
    undefined: str = "undefined: no number, the reason is in the table",
    colour_bar: bool = True,
) -> Axes:
    """Draw one value per pair of layers.

    Parameters
    ----------
    ax : Axes
    matrix : DataFrame, shape (layers_a, layers_b)
        Row 0 is drawn at the top. NaN cells are hatched in grey and named in the legend, never drawn as 0.
    title : str
    label : str
        Of the colour bar: the measure and its direction, see `direction_label`.
    vmin : float or None
        Lower end of the scale. None suits measures in [-1, 1]: a diverging scale about 0 if there are clearly negative
        values, from 0 otherwise.
    vmax : float
        Upper end of the scale.
    annotate : bool or "auto"
        Write the numbers into the cells; "auto" where they have the room.
    undefined : str
        What the legend calls the hatched cells.
    colour_bar : bool
        False where several heatmaps share one.

    Returns
    -------
    Axes

    Raises
    ------
    NetalikeError
        If the matrix has no cells.
    """
    mesh = _draw_cells(ax, matrix, _scale([matrix], vmin, vmax), annotate)
    ax.set_title(title)
    if colour_bar:
        _add_colour_bar(mesh, [ax], [matrix], label)
    if matrix.isna().to_numpy().any():
        _name_undefined(figure_of(ax), undefined)
    return ax


@theme()
def layer_heatmap_grid(
    figure: Figure,
    matrices: Mapping[str, pd.DataFrame],
    label: str = "",
    vmin: float | None = 0.0,
    vmax: float = 1.0,
    annotate: Annotate = "auto",
    undefined: str = "undefined: no number, the reason is in the table",
    columns: int | None = None,
) -> list[Axes]:
    """Draw several heatmaps on one scale, with one colour bar.

    Parameters
    ----------
    figure : Figure
        An empty figure with constrained layout, as `newfigure_of(width, height, 0, 0)` makes it.
    matrices : mapping of title to DataFrame
        In reading order.
    label, vmin, vmax, annotate, undefined
        As in `layer_heatmap`.
    columns : int, optional
        Panels side by side; as square a grid as possible, at most four wide, when left out.

    Returns
    -------
    list of Axes
        One per matrix, in order.

    Raises
    ------
    NetalikeError
        If there is no matrix, or one without cells.
    """
    if not matrices:
        raise NetalikeError("no matrices for a grid of heatmaps: expected at least one.")
    wide = columns or min(4, math.ceil(math.sqrt(len(matrices))))
    high = math.ceil(len(matrices) / wide)
    scale = _scale(list(matrices.values()), vmin, vmax)
    axes, mesh = [], None
    for i, (title, matrix) in enumerate(matrices.items()):
        ax = figure.add_subplot(high, wide, i + 1)
        mesh = _draw_cells(ax, matrix, scale, annotate)
        ax.set_title(title)
        axes.append(ax)
    _add_colour_bar(mesh, axes, list(matrices.values()), label)
    if any(matrix.isna().to_numpy().any() for matrix in matrices.values()):
        _name_undefined(figure, undefined)
    return axes


def _scale(matrices: list[pd.DataFrame], vmin: float | None, vmax: float) -> _Scale:
    if vmin is not None:
        return _Scale(vmin, vmax, "magma")
    lowest = min(float(np.nanmin(matrix.to_numpy(float), initial=0.0)) for matrix in matrices)
    return _Scale(-vmax, vmax, "vlag") if lowest < _CLEARLY_NEGATIVE else _Scale(0.0, vmax, "magma")


def _draw_cells(ax: Axes, matrix: pd.DataFrame, scale: _Scale, annotate: Annotate) -> QuadMesh:
    if not matrix.size:
        raise NetalikeError(f"a heatmap needs at least one row and one column, got a matrix of shape {matrix.shape}.")
    numbers = _has_room(ax, matrix) if annotate == "auto" else annotate
    ax.set_facecolor(UNDEFINED_GREY)
    sns.heatmap(
        matrix.astype(float),
        ax=ax,
        vmin=scale.low,
        vmax=scale.high,
        cmap=scale.map,
        annot=numbers,
        fmt=".2f",
        annot_kws={"fontsize": 7},
        cbar=False,
        xticklabels=False,
        yticklabels=False,
        rasterized=matrix.size > _MANY_CELLS,
    )
    _hatch_undefined(ax, matrix)
    _name_layers(ax, matrix)
    mesh = ax.collections[0]
    assert isinstance(mesh, QuadMesh)
    return mesh


def _has_room(ax: Axes, matrix: pd.DataFrame) -> bool:
    width, height = size_in_inches(ax)
    names = 0.07 * max(len(str(name)) for name in matrix.index)  # the names take their room from the axes
    return bool((width - names) / matrix.shape[1] >= _ROOM_FOR_A_NUMBER and height / matrix.shape[0] >= 0.16)


def _hatch_undefined(ax: Axes, matrix: pd.DataFrame) -> None:
    for row, column in np.argwhere(matrix.isna().to_numpy()):
        ax.add_patch(Rectangle((column, row), 1, 1, **_HATCHED))


def _name_layers(ax: Axes, matrix: pd.DataFrame) -> None:
    beside = 0.07 * max(len(str(name)) for name in matrix.index) + 0.3
    name_ticks(ax, [str(name) for name in matrix.columns], "x", taken=beside)
    name_ticks(ax, [str(name) for name in matrix.index], "y")
    middle = 0.5  # cell i spans i to i + 1
    ax.set_xticks([tick + middle for tick in ax.get_xticks()], labels=[t.get_text() for t in ax.get_xticklabels()])
    ax.set_yticks([tick + middle for tick in ax.get_yticks()], labels=[t.get_text() for t in ax.get_yticklabels()])
    ax.tick_params(length=0)
    ax.set_xlabel(str(matrix.columns.name or ""))
    ax.set_ylabel(str(matrix.index.name or ""))


def _add_colour_bar(mesh: QuadMesh | None, axes: list[Axes], matrices: list[pd.DataFrame], label: str) -> None:
    assert mesh is not None
    low, high = mesh.get_clim()
    below = any((matrix < low).to_numpy().any() for matrix in matrices)
    above = any((matrix > high + 1e-6).to_numpy().any() for matrix in matrices)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]
    bar = figure_of(axes[0]).colorbar(mesh, ax=axes, extend=extend, shrink=0.9, aspect=25, pad=0.02)
    bar.set_label(textwrap.fill(label, max(20, int(_LETTERS_PER_INCH * size_in_inches(bar.ax)[1]))))
    bar.outline.set_visible(False)


def _name_undefined(figure: Figure, undefined: str) -> None:
    if not figure.legends:
        figure.legend(handles=[Patch(label=undefined, **_HATCHED)], loc="outside lower right")
