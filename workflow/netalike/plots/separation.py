"""How well a measure tells networks of the same task from other pairs: distributions, ROC curves, AUC and gap."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netalike.evidence.claims import Estimate, Statistic, estimate
from netalike.plots.intervals import mean_interval
from netalike.plots.studies import (
    KINDS,
    Look,
    at_common_depths,
    by_measure,
    draw_estimates,
    draw_estimates_by_depth,
    handle_of,
    interval_notes,
    level,
    mean_over_depths,
    name_lines,
    require,
    shared_legend,
    similarities,
    span,
    stacked_axes,
    undefined_note,
    with_factors,
)
from netalike.plots.theme import direction_label, new_figure, theme

_SAME = "same_task"
_ALL = "all other networks"
_NETWORKS = ("other_task", "trained_untrained", "untrained")  # the controls have panels of their own
_STATISTICS = {"auc": "AUC\n(0.5 = chance)", "standardised_gap": "standardised gap\n(standard deviations)"}
_CHANCE = {"auc": 0.5, "standardised_gap": 0.0}
_LINEAR_UP_TO = 2.0  # standard deviations; permuted samples and noise can be a hundred of them away
_POWERS_NAMED = 2  # of ten; the names of more would touch
_MANY_DOTS = 400

# measure -> other kind of pair -> rows of (same task, other kind)
_Contrasts = dict[str, tuple[pd.DataFrame, pd.DataFrame]]


@theme()
def separation(rows: pd.DataFrame) -> Figure:
    """Draw how each measure separates pairs of networks of the same task from all other pairs.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``tasks_<study>``; those of CKA and deconfounded CKA with the factors `depth` and `pair`
        are drawn.

    Returns
    -------
    Figure
        (a) the similarities of all pairs (mean over depths) by kind of pair, (b) ROC curves of the same task against
        each other kind, (c) area under the curve and standardised gap with 95 % intervals, computed at each depth:
        their mean, and by depth.

    Raises
    ------
    NetalikeError
        If there are no pairs of networks of the same task, or nothing to tell them from.
    """
    found = with_factors(similarities(rows), "depth", "pair")
    found = found[found["pair"].isin(list(KINDS))]
    expected = "rows of CKA with the factors depth and pair, of pair=same_task and of another kind"
    require(found[found["pair"] == _SAME], "the separation of tasks", expected)
    require(found[found["pair"] != _SAME], "the separation of tasks", expected)
    pairs = with_factors(mean_over_depths(found), "pair")
    figure, _ = new_figure(10.5, 10.2, 0, 0)
    looks = [look for look, _ in by_measure(pairs)]
    upper, middle, lower = stacked_axes(
        figure, [(1.1, [1] * len(looks)), (0.75, [1] * len(_contrasts(pairs))), (1.1, [1] * 2 * len(_STATISTICS))]
    )
    _draw_distributions(upper, pairs)
    _draw_curves(middle, pairs)
    estimates = _draw_statistics(lower, pairs, found)
    notes = [*interval_notes(estimates), *undefined_note(pairs)]
    shared_legend(figure, [handle_of(look) for look in looks], notes)
    return figure


def _contrasts(rows: pd.DataFrame) -> _Contrasts:
    """What the pairs of the same task are told from: all other networks, and each other kind of pair by itself."""
    same = rows[rows["pair"] == _SAME]
    found = {_ALL: rows[rows["pair"].isin(_NETWORKS)]}
    found |= {KINDS[kind].label: rows[rows["pair"] == kind] for kind in KINDS if kind != _SAME}
    return {name: (same, other) for name, other in found.items() if len(other)}


# ---- (a) ------------------------------------------------------------------------------------------------------------


def _draw_distributions(axes: list[Axes], pairs: pd.DataFrame) -> None:
    kinds = [kind for kind in KINDS if (pairs["pair"] == kind).any()]
    for i, (ax, (look, group)) in enumerate(zip(axes, by_measure(pairs), strict=True)):
        for line, kind in enumerate(kinds):
            _draw_distribution(ax, group[group["pair"] == kind], look, line)
        name_lines(ax, [KINDS[kind].label for kind in kinds] if i == 0 else [""] * len(kinds))
        level(ax, 0, "x")
        ax.set_title(f"{'(a) ' * (i == 0)}{look.label}")
        ax.set_xlabel(f"similarity, mean over depths\n({direction_label()})")
    span(axes, 0, 1, "x")


def _draw_distribution(ax: Axes, rows: pd.DataFrame, look: Look, line: int) -> None:
    """Dots for single pairs, a box from quartile to quartile, and the mean with its interval."""
    values = rows["value"].dropna()
    if values.empty:
        return
    scatter = line + 0.5 * (np.random.default_rng(line).random(len(values)) - 0.5)
    size = 4 if len(values) <= _MANY_DOTS else 2.5
    ax.plot(values, scatter, ".", color=look.colour, alpha=0.35, markersize=size, markeredgewidth=0, zorder=2)
    ax.plot(values.quantile([0.25, 0.75]), [line, line], color=look.colour, alpha=0.4, linewidth=7, zorder=2.5)
    mean, low, high, _ = mean_interval(rows)
    ax.plot([low, high], [line, line], color="black", linewidth=1.5, zorder=3)
    ax.plot(mean, line, look.marker, color=look.colour, markeredgecolor="black", markersize=5, zorder=4)


# ---- (b) ------------------------------------------------------------------------------------------------------------


def roc_curve(same: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the curve of a similarity that is to tell pairs of the same kind from others.

    Parameters
    ----------
    same, other : ndarray, shape (n,)
        Similarities of the pairs that should be found, and of those that should not.

    Returns
    -------
    false, true : ndarray
        Shares of the others and of the same at or above each threshold, from (0, 0) to (1, 1).
    """
    thresholds = np.unique(np.concatenate([same, other]))[::-1]
    shares = [np.searchsorted(np.sort(values), thresholds, side="left") for values in (other, same)]
    false, true = (1 - below / len(values) for below, values in zip(shares, (other, same), strict=True))
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])


def _draw_curves(axes: list[Axes], pairs: pd.DataFrame) -> None:
    for look, group in by_measure(pairs):
        for ax, (name, (same, other)) in zip(axes, _contrasts(group).items(), strict=True):
            values = [rows["value"].dropna().to_numpy(float) for rows in (same, other)]
            ax.set_title(f"against\n{name}", fontsize=8, fontweight="normal")
            if all(len(each) for each in values):
                ax.plot(*roc_curve(*values), color=look.colour, linestyle=look.line, linewidth=1.8)
    for i, ax in enumerate(axes):
        ax.plot([0, 1], [0, 1], color="#9ca3af", linewidth=0.8, linestyle=":")
        ax.set_aspect("equal")
        ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        ax.set_xlabel("share of others")
        if i:
            ax.set_yticklabels([])
    axes[0].set_ylabel("share of same task")
    axes[0].set_title(f"(b) ROC, {axes[0].get_title(loc='left')}", fontsize=8)


# ---- (c) ------------------------------------------------------------------------------------------------------------


def _draw_statistics(axes: list[Axes], pairs: pd.DataFrame, by_depth: pd.DataFrame) -> list[Estimate]:
    """Two lists of dots, one line per other kind of pair, and two panels along the depths, for all other networks."""
    deep = at_common_depths(by_depth)
    names = list(_contrasts(pairs))
    found: list[Estimate] = []
    for position, (name, label) in enumerate(_STATISTICS.items()):
        listed, along = axes[position], axes[2 + position]
        found += _list_statistic(listed, by_depth, name)
        name_lines(listed, names if position == 0 else [""] * len(names))
        listed.set_title("(c) mean over depths" if position == 0 else "")
        listed.set_xlabel(label)
        found += _draw_along(along, deep, name)
        along.set_title(f"by depth, against {names[0]}" if position == 0 else "")
        along.set_xlabel("relative depth\n(0 = first layer, 1 = last)")
        along.grid(axis="y")
        along.set_ylabel(label)
        level(listed, _CHANCE[name], "x")
        level(along, _CHANCE[name])
    for ax in (axes[0], axes[2]):
        span([ax], 0, 1, "x" if ax is axes[0] else "y")
    _compress_the_far(axes[1])
    return found


def _list_statistic(ax: Axes, rows: pd.DataFrame, name: str) -> list[Estimate]:
    measures = list(by_measure(rows))
    found: list[Estimate] = []
    for position, (look, group) in enumerate(measures):
        estimates = [_estimate(name, same, other) for same, other in _contrasts(group).values()]
        draw_estimates(ax, estimates, look, position, len(measures))
        found += estimates
    return found


def _draw_along(ax: Axes, rows: pd.DataFrame, name: str) -> list[Estimate]:
    found: list[Estimate] = []
    for look, group in by_measure(rows):
        depths = sorted(group["depth"].unique())
        estimates = [_estimate(name, *_first_contrast(group[group["depth"] == depth])) for depth in depths]
        draw_estimates_by_depth(ax, depths, estimates, look)
        found += estimates
    return found


def _first_contrast(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return next(iter(_contrasts(rows).values()))


def _compress_the_far(ax: Axes) -> None:
    """Show hundreds of standard deviations beside one or two, where there are such."""
    far = float(np.abs(ax.dataLim.intervalx).max())
    if far <= 5 * _LINEAR_UP_TO:
        return
    ax.set_xscale("symlog", linthresh=_LINEAR_UP_TO, linscale=1.5)
    low, high = ax.dataLim.intervalx
    powers = [10**power for power in range(1, 7) if 10**power <= far]
    powers = powers[:: 1 if len(powers) <= _POWERS_NAMED else 2]
    ticks = [tick for tick in [-10, 0, 1, *powers] if min(low, 0) <= tick <= high]
    ax.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    ax.minorticks_off()


def _estimate(name: str, same: pd.DataFrame, other: pd.DataFrame) -> Estimate:
    return estimate({"same": same, "other": other}, Statistic(name=name, of=("same", "other"), by=("depth",)))
