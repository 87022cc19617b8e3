"""Which measures rank pairs of networks alike: rank correlations of all measures, with intervals, clustered."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from netalike.plots.comparison_clusters import Merge, average_linkage, branches, leaf_order
from netalike.plots.comparison_common import (
    empty_patch,
    family_patches,
    hatch_empty,
    in_order,
    label_of,
    look_of,
    reasons,
    saying,
)
from netalike.plots.studies import with_factors
from netalike.plots.theme import GREY, new_figure, theme

_TITLE = "Which measures rank pairs of networks alike?"
_LEAST_WIDTH = 6.8  # inches: the notes have the room
_CELL = 0.36  # inches: the width of "-0.87" at 7 pt


class Correlations(NamedTuple):
    """Square matrices over the measures, NaN where undefined or without an interval; symmetric."""

    value: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame


@theme()
def measure_correlations(rows: pd.DataFrame) -> Figure:
    """Draw how alike two measures rank the pairs of a panel, for all measures, those that agree side by side.

    Parameters
    ----------
    rows : DataFrame
        Summary rows of a panel; those of ``rank_correlation`` are drawn (factors `measure_a` and `measure_b`).

    Returns
    -------
    Figure
        A square of measures by measures, in the order of an average-linkage tree of 1 - correlation (drawn at the
        right; an undefined correlation counts as 0 there): above the diagonal the correlation as a colour and a number,
        below it its interval, on it the family of the measure. A figure that says so if there are no two
        measures.
    """
    found = rows[rows["quantity"] == "rank_correlation"]
    matrices = correlation_matrices(found)
    if not matrices.value.notna().to_numpy()[~np.eye(len(matrices.value), dtype=bool)].any():
        return saying(_TITLE, f"No two measures have a rank correlation here. {_why(found)}")
    merges = average_linkage(1 - matrices.value.fillna(0).to_numpy())
    order = leaf_order(merges, len(matrices.value))
    ordered = Correlations(*(matrix.iloc[order, order] for matrix in matrices))
    size = _CELL * len(order)
    figure, _ = new_figure(max(size + 3.9, _LEAST_WIDTH), size + 3.1, 0, 0)
    square, tree = _axes(figure, size)
    _draw_square(square, ordered)
    _draw_tree(tree, merges, len(order))
    _finish(figure, ordered)
    return figure


def correlation_matrices(rows: pd.DataFrame) -> Correlations:
    """Arrange rank correlations as symmetric matrices of measures.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``rank_correlation``, each pair of measures once or both ways.

    Returns
    -------
    Correlations
        Measures in the order of their registry; 1 on the diagonal.
    """
    there = with_factors(rows, "measure_a", "measure_b")
    back = there.rename(columns={"measure_a": "measure_b", "measure_b": "measure_a"})
    names = in_order([*there["measure_a"], *there["measure_b"]])
    both = pd.concat([there, back]).drop_duplicates(["measure_a", "measure_b"]).set_index(["measure_a", "measure_b"])
    return Correlations(*(_square(both[column], names) for column in ("value", "low", "high")))


def _square(values: pd.Series, names: list[str]) -> pd.DataFrame:
    matrix = values.unstack().reindex(index=names, columns=names).astype(float)
    filled = matrix.to_numpy(copy=True)
    np.fill_diagonal(filled, 1.0)
    return pd.DataFrame(filled, index=names, columns=names)


def _why(rows: pd.DataFrame) -> str:
    found = reasons(rows)
    return f"Undefined: {found[0]}." if found else "It takes at least two measures of the same panel."


def _axes(figure: Figure, size: float) -> tuple[Axes, Axes]:
    grid = figure.add_gridspec(1, 2, width_ratios=[size, min(1.3, 0.2 * size + 0.3)])
    return figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])


def _draw_square(ax: Axes, matrices: Correlations) -> None:
    value = matrices.value
    above = np.triu(np.ones(value.shape, dtype=bool), 1)
    names = [label_of(str(key)) for key in value.index]
    hatch_empty(ax)
    # a heatmap of seaborn leaves masked and undefined cells open: the hatching shows through the latter
    sns.heatmap(value, mask=~above, ax=ax, vmin=-1, vmax=1, cmap="vlag", cbar=False, linewidths=0.6, **_numbers(value))
    for i, key in enumerate(value.index):
        ax.add_patch(Rectangle((i, i), 1, 1, facecolor=look_of(str(key)).colour, edgecolor="white", linewidth=0.6))
    _write_intervals(ax, matrices, above.T)
    middles = np.arange(len(names)) + 0.5
    ax.set_xticks(middles, labels=names, rotation=90)
    ax.set_yticks(middles, labels=names, rotation=0)
    ax.tick_params(length=0)
    ax.set_aspect("equal", anchor="E")
    ax.set(xlabel="", ylabel="")


def _numbers(value: pd.DataFrame) -> dict[str, object]:
    return {"annot": value.map(_written).to_numpy(), "fmt": "", "annot_kws": {"fontsize": 7}}


def _written(number: float) -> str:
    """Two digits without the zero before the point: a thousand of them must stay readable, and the file small."""
    text = f"{number:z.2f}".replace("-", "\N{MINUS SIGN}")
    return text.removesuffix(".00") if text.endswith(".00") else text.replace("0.", ".")


def _write_intervals(ax: Axes, matrices: Correlations, below: np.ndarray) -> None:
    """Write the ends of each interval into its cell, one below the other."""
    value, low, high = (matrix.to_numpy() for matrix in matrices)
    for r, c in np.argwhere(np.isfinite(value) & below):
        ax.add_patch(Rectangle((c, r), 1, 1, facecolor="white", edgecolor="#e5e7eb", linewidth=0.6))
        known = bool(np.isfinite(low[r, c]) and np.isfinite(high[r, c]))
        words = f"{_written(low[r, c])}\n{_written(high[r, c])}" if known else "none"
        certain = low[r, c] > 0 or high[r, c] < 0
        style: dict[str, Any] = {"color": "black"} if certain else {"color": GREY, "style": "italic"}
        ax.text(c + 0.5, r + 0.5, words, ha="center", va="center", fontsize=6.5, linespacing=1.15, **style)


def _draw_tree(ax: Axes, merges: list[Merge], n: int) -> None:
    lines = branches(merges, n)
    ax.add_collection(LineCollection(lines, colors=GREY, linewidths=1.0))
    furthest = max([0.05, *(merge.height for merge in merges)])
    ax.set(xlim=(0, 1.05 * furthest), ylim=(n, 0), yticks=[], xlabel="1 \N{MINUS SIGN} correlation")
    ax.set_box_aspect(n * _CELL / min(1.3, 0.2 * n * _CELL + 0.3))
    ax.set_anchor("W")
    ax.spines["left"].set_visible(False)


def _finish(figure: Figure, matrices: Correlations) -> None:
    figure.suptitle(_TITLE, x=0.01, ha="left", fontsize=10, fontweight="bold")
    without = np.isfinite(matrices.value.to_numpy()) & ~np.isfinite(matrices.low.to_numpy())
    keys = [str(key) for key in matrices.value.index]
    undefined = [empty_patch()] if matrices.value.isna().to_numpy().any() else []
    lines = [
        "above the diagonal: Spearman's correlation of the two measures over the pairs of networks",
        "(larger = more alike in both); blue negative, red positive, colours from \N{MINUS SIGN}1 to 1",
        "below: the ends of its 95 % interval (bootstrap over networks); in grey italics where it covers 0",
    ]
    off = np.triu(without, 1).sum()
    lines += [f"{off} correlations without an interval: too few networks to resample"] if off else []
    legend = figure.legend(
        handles=[*family_patches(keys), *undefined],
        loc="outside lower left",
        ncols=2 if len(keys) < 15 else 4,
        title="\n".join(lines),
    )
    legend.set_alignment("left")
