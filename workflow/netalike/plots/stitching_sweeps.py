"""Restricted stitching layers: rank, masks, targets, sparsity, and CKA along training and under a penalty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netalike.evidence.claims import Estimate, Statistic, estimate
from netalike.plots.intervals import interval_note, mean_interval
from netalike.plots.stitching import METHODS, RELATIVE, draw_line
from netalike.plots.studies import (
    Look,
    draw_estimates,
    handle_of,
    interval_notes,
    level,
    name_lines,
    require,
    shared_legend,
    span,
    undefined_note,
    with_factors,
)
from netalike.plots.theme import direction_label, new_figure, palette, theme

_COLOURS = palette(10)
_PRUNED = Look("task loss, small entries set to 0", _COLOURS[9], "P", "--")
_ACCURACY = Look("relative accuracy", _COLOURS[2], "^", "-")
_CKA = Look("CKA, published", _COLOURS[0], "o", "--")
_UNBIASED = Look("CKA, unbiased", _COLOURS[9], "s", "-.")
_AGREEMENT = Look("agreement with the end network", _COLOURS[1], "s", "-")
_MASKS = {
    "none": "none (all channels)",
    "semi_match": "semi-match",
    "abs_semi_match": "absolute semi-match",
    "random_permutation": "random permutation",
}
_TARGETS = {
    "hard": "labels",
    "soft_1": "front network",
    "soft_2": "end network",
    "soft_12": "both losses",
    "soft_1_plus_2": "mean of both logits",
}


@theme()
def stitching_ranks(rows: pd.DataFrame) -> Figure:
    """Draw the relative accuracy of stitching layers of low rank, direct against task loss.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``ranks_<study>``: ``relative_accuracy`` with the factor `rank`, and
        ``rank_for_95_percent``.

    Returns
    -------
    Figure
        Left by rank, one panel per layer; right the smallest rank that keeps 95 % of the accuracy of the full rank.

    Raises
    ------
    NetalikeError
        If no row has a rank.
    """
    found = with_factors(rows[_of(rows, "ranks") & (rows["quantity"] == "relative_accuracy")], "rank", "steps")
    found = found[found["rank"] != ""].assign(rank=lambda frame: frame["rank"].astype(int))
    require(found, "ranks of stitching layers", "rows of relative_accuracy with the factor rank")
    layers = list(dict.fromkeys(found["layer_b"]))
    figure, axes = new_figure(3.6 * len(layers) + 3.2, 4.0, columns=len(layers) + 1)
    methods = [method for method in ("least_squares", "task_loss") if (found["estimator"] == method).any()]
    for ax, layer in zip(axes, layers, strict=False):
        _draw_ranks(ax, found[found["layer_b"] == layer], methods)
        ax.set_title(f"Rank of the stitching layer at {layer}")
    axes[0].set_ylabel(RELATIVE)
    span(axes[:-1], 0, 1)
    needed = rows[_of(rows, "ranks") & (rows["quantity"] == "rank_for_95_percent")]
    _draw_needed(axes[-1], needed, methods)
    notes = [f"means over pairs; {interval_note(found)}".replace("\n", " "), *undefined_note(found)]
    shared_legend(figure, [handle_of(METHODS[method], _label(found, method)) for method in methods], notes)
    return figure


@theme()
def stitching_training(rows: pd.DataFrame) -> Figure:
    """Draw CKA against relative accuracy along the training of a stitching layer, and under a penalty on CKA.

    Parameters
    ----------
    rows : DataFrame
        Rows of the experiments ``trajectory_<study>`` (by `step`) and ``cka_reg_<study>``.

    Returns
    -------
    Figure
        (a) both by step, (b) one against the other, a line per pair and layer from least squares on, (c) both by the
        weight of the penalty.

    Raises
    ------
    NetalikeError
        If no row is of a training.
    """
    along = rows[_of(rows, "trajectory")]
    require(along, "CKA along training", "rows of an experiment trajectory_<study>")
    figure, axes = new_figure(10.5, 4.2, columns=3)
    _draw_steps(axes[0], along)
    _draw_paths(axes[1], along)
    _draw_penalties(axes[2], with_factors(rows[_of(rows, "cka_reg")], "cka_reg"))
    handles = [handle_of(look) for look in (_ACCURACY, _CKA, _UNBIASED)]
    notes = [f"means over pairs; {interval_note(along)}".replace("\n", " "), *undefined_note(along)]
    notes.append("(b) white: least squares, black: the end of the training; a line per pair and layer")
    shared_legend(figure, handles, notes)
    return figure


@theme()
def stitching_masks(rows: pd.DataFrame) -> Figure:
    """Draw stitching layers under a mask, with other targets, and with sparse entries.

    Parameters
    ----------
    rows : DataFrame
        Rows of the experiments ``masks_<study>``, ``targets_<study>`` and ``l1_<study>``.

    Returns
    -------
    Figure
        (a) relative accuracy by mask, least squares and task loss, (b) relative accuracy and agreement by target, (c)
        relative accuracy and the share of small entries by l1 penalty.

    Raises
    ------
    NetalikeError
        If there are no rows of masks.
    """
    masks = with_factors(rows[_of(rows, "masks")], "mask")
    require(masks, "masks of stitching layers", "rows of an experiment masks_<study>")
    figure, axes = new_figure(10.5, 4.6, columns=3)
    found = _draw_list(axes[0], masks, "mask", _MASKS, [("relative_accuracy", m, METHODS[m]) for m in _DIRECT])
    targets = with_factors(rows[_of(rows, "targets")], "target")
    series = [("relative_accuracy", "task_loss", METHODS["task_loss"]), ("agreement", "task_loss", _AGREEMENT)]
    found += _draw_list(axes[1], targets, "target", _TARGETS, series)
    _draw_sparsity(axes[2], with_factors(rows[_of(rows, "l1")], "l1"))
    axes[0].set(title="(a) One input channel each: mask", xlabel=RELATIVE)
    axes[1].set(title="(b) Target of the training", xlabel="relative accuracy, or share of images")
    axes[2].set(title="(c) Penalty on the entries", xlabel="weight of the l1 penalty", ylabel="share")
    looks = [*(METHODS[method] for method in _DIRECT), _AGREEMENT, _PRUNED]
    handles = [*map(handle_of, looks), handle_of(_SMALL)]
    shared_legend(figure, handles, [*interval_notes(found), *undefined_note(masks)])
    return figure


_DIRECT = ("least_squares", "task_loss")
_SMALL = Look("share of entries below 1 % of the largest", "black", "X", ":")


def _of(rows: pd.DataFrame, experiment: str) -> pd.Series:
    return rows["experiment"].str.startswith(f"{experiment}_")


def _label(rows: pd.DataFrame, method: str) -> str:
    counts = sorted({int(count) for count in rows.loc[rows["estimator"] == method, "steps"] if count})
    told = f" ({', '.join(f'{count:,}' for count in counts)} steps)" if counts else ""
    return METHODS[method].label + told


def _points(rows: pd.DataFrame, column: str) -> tuple[list[float], list[pd.DataFrame]]:
    numbers = pd.to_numeric(rows[column])
    values = sorted(numbers.unique())
    return values, [rows[numbers == value] for value in values]


# ---- ranks -----------------------------------------------------------------------------------------------------------


def _draw_ranks(ax: Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    for method in methods:
        ranks, groups = _points(rows[rows["estimator"] == method], "rank")
        draw_line(ax, ranks, [mean_interval(group) for group in groups], METHODS[method])
    ax.set_xscale("log", base=2)
    ranks = sorted(rows["rank"].unique())
    ax.set_xticks(ranks, labels=[f"{rank}" for rank in ranks])
    ax.minorticks_off()
    ax.set_xlabel(f"rank (the last is the full rank, {ranks[-1]})")
    ax.grid(axis="y")
    level(ax, 1)


def _draw_needed(ax: Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    layers = list(dict.fromkeys(rows["layer_b"]))
    for position, method in enumerate(methods):
        own = rows[rows["estimator"] == method]
        estimates = [_mean(own[own["layer_b"] == layer]) for layer in layers]
        draw_estimates(ax, estimates, METHODS[method], position, len(methods))
    name_lines(ax, layers)
    ax.set_xlabel("smallest rank with 95 % of the\naccuracy of the full rank (mean)")
    ax.set_title("Rank that is needed")
    ax.set_xlim(left=0)


def _mean(rows: pd.DataFrame) -> Estimate:
    return estimate({"rows": rows}, Statistic(name="mean", of=("rows",)))


# ---- CKA and accuracy ------------------------------------------------------------------------------------------------


def _draw_steps(ax: Axes, rows: pd.DataFrame) -> None:
    for quantity, look in (("relative_accuracy", _ACCURACY), ("cka", _CKA), ("cka_unbiased", _UNBIASED)):
        steps, groups = _points(rows[rows["quantity"] == quantity], "step")
        draw_line(ax, steps, [mean_interval(group) for group in groups], look)
    ax.set(title="(a) Along training", xlabel="step (0 = least squares)", ylabel="value (1 = the end network's)")
    ax.grid(axis="y")


def _draw_paths(ax: Axes, rows: pd.DataFrame) -> None:
    keys = ["network_a", "network_b", "layer_b", "step"]
    accuracy, similarity = (
        rows[rows["quantity"] == quantity].set_index(keys)["value"] for quantity in ("relative_accuracy", "cka")
    )
    both = pd.DataFrame({"accuracy": accuracy, "cka": similarity}).reset_index()
    for _, path in both.groupby(keys[:3], sort=True):
        along = path.sort_values("step")
        ax.plot(along["cka"], along["accuracy"], color=_ACCURACY.colour, alpha=0.6, linewidth=1)
        ax.plot(along["cka"].iloc[0], along["accuracy"].iloc[0], "o", color="white", markeredgecolor="black", zorder=4)
        ax.plot(along["cka"].iloc[-1], along["accuracy"].iloc[-1], "o", color="black", zorder=4)
    ax.set(
        title="(b) One against the other",
        xlabel=f"CKA, published ({direction_label()})",
        ylabel=RELATIVE,
    )
    ax.grid()


def _draw_penalties(ax: Axes, rows: pd.DataFrame) -> None:
    weights: list[float] = []
    for quantity, look in (("relative_accuracy", _ACCURACY), ("cka", _CKA), ("cka_unbiased", _UNBIASED)):
        weights, groups = _points(rows[rows["quantity"] == quantity], "cka_reg")
        draw_line(ax, list(range(len(weights))), [mean_interval(group) for group in groups], look)
    ax.set_xticks(range(len(weights)), labels=[f"{weight:g}" for weight in weights])
    ax.set(
        title="(c) Penalty on CKA", xlabel="weight of the penalty (0 = none)", ylabel="value (1 = the end network's)"
    )
    ax.grid(axis="y")
    span([ax], 0, 1)


# ---- masks, targets, sparsity ----------------------------------------------------------------------------------------


def _draw_list(
    ax: Axes, rows: pd.DataFrame, factor: str, words: dict[str, str], series: Sequence[tuple[str, str, Look]]
) -> list[Estimate]:
    """Dots with intervals, a line per value of a factor."""
    values = [value for value in words if (rows[factor] == value).any()]
    found: list[Estimate] = []
    for position, (quantity, estimator, look) in enumerate(series):
        own = rows[(rows["quantity"] == quantity) & (rows["estimator"] == estimator)]
        estimates = [_mean(own[own[factor] == value]) for value in values]
        draw_estimates(ax, estimates, look, position, len(series))
        found += estimates
    name_lines(ax, [words[value] for value in values])
    level(ax, 1, "x")
    return found


def _draw_sparsity(ax: Axes, rows: pd.DataFrame) -> None:
    weights: list[float] = []
    series: list[tuple[Callable[[pd.DataFrame], pd.Series], Look]] = [
        (lambda r: (r["quantity"] == "relative_accuracy") & (r["estimator"] == "task_loss"), METHODS["task_loss"]),
        (lambda r: (r["quantity"] == "relative_accuracy") & (r["estimator"] == "task_loss_pruned"), _PRUNED),
        (lambda r: r["quantity"] == "small_weights", _SMALL),
    ]
    for chosen, look in series:
        weights, groups = _points(rows[chosen(rows)], "l1")
        draw_line(ax, list(np.arange(len(weights))), [mean_interval(group) for group in groups], look)
    ax.set_xticks(range(len(weights)), labels=[f"{weight:g}" for weight in weights])
    ax.grid(axis="y")
    span([ax], 0, 1)
