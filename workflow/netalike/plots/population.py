"""A population of networks under corruptions: does similarity to the best network go with a smaller accuracy gap?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netalike.evidence.claims import Estimate, Statistic, estimate
from netalike.evidence.claims.keys import base_network
from netalike.plots.studies import (
    Look,
    by_measure,
    draw_estimates,
    handle_of,
    interval_notes,
    level,
    name_lines,
    require,
    side_legend,
    similarities,
    span,
    stacked_axes,
    undefined_note,
    with_factors,
)
from netalike.plots.theme import direction_label, marker, new_figure, palette, theme

_PAIRS = {"with_best": "networks compared", "permuted_samples": "control: permuted samples"}
_MEAN = "mean over corruptions"
_LINE = 0.42  # inches
_TAU = Statistic(
    name="kendall",
    of=("similarity", "gap"),
    join=("network_b", "corruption", "severity"),
    by=("corruption", "severity"),
    over=("network_b",),
)
_KEY = ["network_b", "corruption", "severity"]


@theme()
def ood(rows: pd.DataFrame) -> Figure:
    """Draw how similarity to the most accurate network goes with the gap in accuracy under corruptions.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``ood_<study>``: CKA and deconfounded CKA with the factors `corruption`, `severity` and
        `pair` (``with_best``, and ``permuted_samples`` for the control), and ``accuracy_gap``.

    Returns
    -------
    Figure
        (a) similarity against the gap, a panel per measure, a point per network, corruption and severity, (b) Kendall's
        tau by corruption, mean over severities, with 95 % intervals over networks, and the same for the control.

    Raises
    ------
    NetalikeError
        If similarities to the best network or gaps are missing.
    """
    factors = with_factors(rows, "corruption", "severity", "pair").assign(network_b=rows["network_b"].map(base_network))
    gaps = factors[(factors["quantity"] == "accuracy_gap") & (factors["pair"] == "with_best")]
    found = similarities(factors)
    found = found[found["pair"].isin(list(_PAIRS)) & (found["corruption"] != "")]
    require(gaps, "accuracy under corruptions", "rows of accuracy_gap with pair=with_best")
    require(found, "accuracy under corruptions", "rows of CKA with pair=with_best and the factor corruption")
    corruptions = list(dict.fromkeys(gaps["corruption"]))
    measures = list(by_measure(found))
    height_of_list = _LINE * (len(corruptions) + 1)
    figure, _ = new_figure(10.5, 4.6 + height_of_list, 0, 0)
    upper, lower = stacked_axes(figure, [(3.0, [1] * len(measures)), (height_of_list + 0.6, [1] * len(_PAIRS))])
    _draw_clouds(upper, found[found["pair"] == "with_best"], gaps, corruptions)
    estimates = _draw_taus(lower, found, gaps, corruptions)
    side_legend(
        lower[-1], [handle_of(look) for look, _ in measures], [*interval_notes(estimates), *undefined_note(found)]
    )
    return figure


# ---- (a) ------------------------------------------------------------------------------------------------------------


def _corruption_looks(corruptions: Sequence[str]) -> dict[str, Look]:
    colours = palette(len(corruptions))
    return {name: Look(name.replace("_", " "), colours[i], marker(i), "") for i, name in enumerate(corruptions)}


def _draw_clouds(axes: list[Axes], rows: pd.DataFrame, gaps: pd.DataFrame, corruptions: Sequence[str]) -> None:
    looks = _corruption_looks(corruptions)
    for i, (ax, (measure, group)) in enumerate(zip(axes, by_measure(rows), strict=True)):
        points = group.merge(gaps[[*_KEY, "value"]], on=_KEY, suffixes=("", "_gap"))
        for name, look in looks.items():
            cloud = points[points["corruption"] == name]
            ax.plot(
                cloud["value_gap"], cloud["value"], look.marker, color=look.colour, alpha=0.6, markersize=4.5, mew=0
            )
        ax.set_title(f"{'(a) ' * (i == 0)}{measure.label}")
        ax.set_xlabel("accuracy gap to the best network")
    axes[0].set_ylabel(f"similarity to the best network\n({direction_label()})")
    span(axes, 0, 1)
    side_legend(
        axes[-1], [handle_of(look) for look in looks.values()], ["one point per network, corruption and severity"]
    )


# ---- (b) ------------------------------------------------------------------------------------------------------------


def _draw_taus(axes: list[Axes], rows: pd.DataFrame, gaps: pd.DataFrame, corruptions: Sequence[str]) -> list[Estimate]:
    names = [*(name.replace("_", " ") for name in corruptions), _MEAN]
    measures = list(by_measure(rows))
    found: list[Estimate] = []
    for column, (ax, (pair, title)) in enumerate(zip(axes, _PAIRS.items(), strict=True)):
        for position, (look, group) in enumerate(measures):
            estimates = _taus(group[group["pair"] == pair], gaps, corruptions)
            draw_estimates(ax, estimates, look, position, len(measures))
            found += estimates
        name_lines(ax, names if column == 0 else [""] * len(names))
        ax.axhspan(len(names) - 1.5, len(names) - 0.5, color="#f3f4f6", zorder=-1)
        ax.set_title(f"{'(b) ' * (column == 0)}{title}")
        ax.set_xlabel(
            "Kendall's tau of similarity to the best and accuracy gap\n(negative = the more alike, the smaller the gap)"
        )
        level(ax, 0, "x")
    span(axes, -1, 1, "x")
    return found


def _taus(rows: pd.DataFrame, gaps: pd.DataFrame, corruptions: Sequence[str]) -> list[Estimate]:
    """Tau for each corruption, and last for all of them."""
    chosen = [(rows[rows["corruption"] == name], gaps[gaps["corruption"] == name]) for name in corruptions]
    return [estimate({"similarity": some, "gap": their_gaps}, _TAU) for some, their_gaps in [*chosen, (rows, gaps)]]
