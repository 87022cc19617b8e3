"""Two networks layer by layer, as the published figures show them: corrected, and with the division bug."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netalike.plots.heatmaps import layer_heatmap, layer_matrix
from netalike.plots.studies import require, stacked_axes, with_factors
from netalike.plots.theme import direction_label, measure_label, new_figure, theme

_QUANTITIES = ("cka", "deconfounded_cka")
_CORRECTED, _BUG = "published", "division_bug"
_NOT_ZERO = 1e-6
_WIDTH, _HEIGHT, _HEIGHT_OF_CONTROLS = 10.5, 4.3, 2.7  # inches


class _Panel(NamedTuple):
    title: str
    matrix: pd.DataFrame
    label: str
    is_moved: bool


@theme()
def demonstration(rows: pd.DataFrame) -> Figure:
    """Draw CKA and deconfounded CKA of two networks layer by layer, corrected and with the division bug.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``demonstration_<study>``: CKA and deconfounded CKA of all pairs of layers, estimators
        ``published`` (divided by the number of batches) and ``division_bug`` (by the number of layers of the first
        network, as simtorch 0.2.1 does), with the factor `pair`.

    Returns
    -------
    Figure
        Corrected in the first row, with the bug in the second, each heatmap with its own colour bar; below them a
        network with itself, whose diagonal is 1 without the bug, and the control with permuted samples.

    Raises
    ------
    NetalikeError
        If no two networks were compared.
    """
    found = with_factors(rows[rows["quantity"].isin(_QUANTITIES)], "pair")
    pairs = found[found["pair"] == "two_networks"]
    require(pairs, "the demonstration", "rows of CKA with pair=two_networks")
    upper = [_panel(pairs, quantity, estimator) for estimator in (_CORRECTED, _BUG) for quantity in _QUANTITIES]
    lower = _controls(found, pairs)
    figure, _ = new_figure(_WIDTH, 2 * _HEIGHT + (_HEIGHT_OF_CONTROLS if lower else 0), 0, 0)
    small = [(_HEIGHT_OF_CONTROLS, [1] * len(lower))] if lower else []
    axes = [ax for row in stacked_axes(figure, [(_HEIGHT, [1, 1])] * 2 + small) for ax in row]
    for ax, panel in zip(axes[: len(upper)], upper, strict=True):
        _draw(ax, panel)
    for ax, panel in zip(axes[len(upper) :], lower, strict=True):
        _draw_small(ax, panel)
    return figure


def _panel(rows: pd.DataFrame, quantity: str, estimator: str, what: str = "") -> _Panel:
    """The heatmap of one measure, with what it says about its largest value or its diagonal."""
    of_measure = rows[rows["quantity"] == quantity]
    matrix = _matrix(of_measure, estimator)
    name = measure_label(quantity)
    bug = estimator == _BUG
    same = _same(of_measure) if bug else 1.0
    how = "with the division bug" if bug else "corrected"
    lines = [what, f"{name},", how] if what else [f"{name}, {how}"]
    title = "\n".join([*lines, _summary(of_measure, matrix)])
    return _Panel(title, matrix, f"{name} ({direction_label(same=round(same, 3))})", bug)


def _matrix(rows: pd.DataFrame, estimator: str) -> pd.DataFrame:
    chosen = rows[rows["estimator"] == estimator]
    require(chosen, "the demonstration", f"rows with the estimator {estimator}")
    network_a, network_b = chosen[["network_a", "network_b"]].iloc[0]
    return layer_matrix(chosen).rename_axis(index=network_a, columns=network_b)


def _same(rows: pd.DataFrame) -> float:
    """What the bug makes of 1: the number of batches by that of layers, read from the rows themselves."""
    corrected, bug = (_matrix(rows, estimator).to_numpy(float) for estimator in (_CORRECTED, _BUG))
    known = np.abs(corrected) > _NOT_ZERO
    return float(np.median(bug[known] / corrected[known])) if known.any() else float("nan")


def _summary(rows: pd.DataFrame, matrix: pd.DataFrame) -> str:
    values = matrix.to_numpy(float)
    if (rows["network_a"] == rows["network_b"]).all():
        diagonal = np.diagonal(values)
        low, high = np.nanmin(diagonal), np.nanmax(diagonal)
        return f"diagonal {low:.3f}" if high - low < 5e-4 else f"diagonal {low:.3f} to {high:.3f}"
    return f"largest {np.nanmax(values):.3f}" if np.isfinite(values).any() else "no value"


def _controls(rows: pd.DataFrame, pairs: pd.DataFrame) -> list[_Panel]:
    """A network with itself, corrected and with the bug, and the permuted samples of both measures."""
    found = []
    itself = _itself(rows[rows["pair"] == "self"], pairs)
    if len(itself):
        found += [_panel(itself, _QUANTITIES[1], each, "a network with itself:") for each in (_CORRECTED, _BUG)]
    permuted = rows[rows["pair"] == "permuted_samples"]
    if len(permuted):
        found += [_panel(permuted, quantity, _CORRECTED, "permuted samples:") for quantity in _QUANTITIES]
    return found


def _itself(rows: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """The network of the published figure where there is one beside the pair, else the first of the pair."""
    others = rows[~rows["network_a"].isin([*pairs["network_a"], *pairs["network_b"]])]
    chosen = others if len(others) else rows
    return chosen[chosen["network_a"] == chosen["network_a"].iloc[0]] if len(chosen) else chosen


def _draw(ax: Axes, panel: _Panel) -> None:
    values = panel.matrix.to_numpy(float)
    low, high = np.nanmin(values, initial=0.0), np.nanmax(values, initial=0.0)
    layer_heatmap(ax, panel.matrix, panel.title, panel.label, float(low), float(high) if panel.is_moved else 1.0, False)


def _draw_small(ax: Axes, panel: _Panel) -> None:
    """A heatmap without the names of its layers; those of its networks tell what it is."""
    _draw(ax, panel)
    ax.set(xticks=[], yticks=[])
    ax.set_title(panel.title, fontsize=8)
    for axis in (ax.xaxis, ax.yaxis, ax.collections[0].colorbar.ax.yaxis):  # type: ignore[union-attr]
        axis.label.set_fontsize(7)
