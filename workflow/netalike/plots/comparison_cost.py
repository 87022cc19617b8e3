"""What a measure costs against what it can tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from netalike.experiments.panel_questions import AUC
from netalike.plots.comparison_common import in_order, label_of, look_of, looks_of, saying
from netalike.plots.comparison_separation import with_questions, words_of
from netalike.plots.labels import label_points
from netalike.plots.theme import GREY, new_figure, theme

_TITLE = "What does it cost, and what does it tell apart?"
# the hardest first; a network with itself against another seed is left out, which nearly every measure tells apart
_ASKED = ("architectures", "training", "random_labels", "shortcut", "augmentation", "controls")
_MOST_QUESTIONS = 3
_COSTS = {"seconds": "seconds to compare two networks", "peak_mb": "memory in use beyond the data, MB (peak)"}
_LEAST = {"seconds": 1e-4, "peak_mb": 0.1}  # what costs less than can be measured stands here
_KEY_LINE = 0.17  # inches
_NAMED, _NUMBERED = 7.0, 6.0  # points


@theme()
def cost_pareto(rows: pd.DataFrame, timings: pd.DataFrame, questions: Sequence[str] = _ASKED) -> Figure:
    """Draw time and memory of each measure against how well it separates pairs of networks.

    Parameters
    ----------
    rows : DataFrame
        Summary rows of a panel; those of ``separation`` by AUC are drawn.
    timings : DataFrame
        As evidence.metering writes it: columns measure (keys, joined by + where computed together), networks, pairs,
        seconds_networks, seconds_pairs, peak_mb; several rows of a measure are added up.
    questions : sequence of str
        Those that are drawn, the first three that have an answer.

    Returns
    -------
    Figure
        A row of panels per question, seconds at the left and memory at the right, each measure a numbered mark with
        its 95 % interval. The line joins the measures that no other one beats in both, which are named. A figure that
        says so if no measure has both a cost and a separation.
    """
    costs = measure_costs(timings)
    answers = _answers(with_questions(rows))
    asked = [name for name in questions if name in answers and len(answers[name].index.intersection(costs.index))]
    if not asked:
        words = f"{len(costs)} measures have a cost and {len(_measures(answers))} a separation (AUC), none has both."
        return saying(_TITLE, words)
    asked = asked[:_MOST_QUESTIONS]
    keys = in_order(set(costs.index) & set(_measures({name: answers[name] for name in asked})))
    height = max(3.3 * len(asked) + 0.8, _KEY_LINE * (len(keys) + 12))
    figure, _ = new_figure(12.5, height, 0, 0)
    grid = figure.add_gridspec(len(asked), 3, width_ratios=[1, 1, 0.52])
    axes = [[figure.add_subplot(grid[i, j]) for j in range(2)] for i in range(len(asked))]
    for line, name in zip(axes, asked, strict=True):
        for ax, cost in zip(line, _COSTS, strict=True):
            _draw_panel(ax, answers[name].reindex(keys).dropna(subset=["value"]), costs[cost], cost)
        line[0].set_title(words_of(name))
        line[0].set_ylabel("AUC (0.5 = chance, 1 = always)")
    _add_key(figure, figure.add_subplot(grid[:, 2]), keys, _notes(costs, answers))
    for line, name in zip(axes, asked, strict=True):
        for ax, cost in zip(line, _COSTS, strict=True):
            _label_panel(ax, answers[name].reindex(keys).dropna(subset=["value"]), costs[cost], keys)
    return figure


def measure_costs(timings: pd.DataFrame) -> pd.DataFrame:
    """Compute what it costs to compare two networks under each measure.

    Parameters
    ----------
    timings : DataFrame
        See `cost_pareto`.

    Returns
    -------
    DataFrame
        Indexed by measure: `seconds` (twice the seconds per network, and those per pair) and `peak_mb` (the largest).
        Measures that are computed together cost what they cost together.
    """
    counted = ["networks", "pairs", "seconds_networks", "seconds_pairs"]
    parts = timings.groupby("measure", sort=False)
    sums = parts[counted].sum()
    per_network = (sums["seconds_networks"] / sums["networks"]).where(sums["networks"] > 0, 0.0)
    per_pair = (sums["seconds_pairs"] / sums["pairs"]).where(sums["pairs"] > 0, 0.0)
    found = pd.DataFrame({"seconds": 2 * per_network + per_pair, "peak_mb": parts["peak_mb"].max()})
    names = pd.Series([str(joined).split("+") for joined in found.index], index=found.index, dtype=object)
    single = found.assign(key=names).explode("key")
    return single.groupby("key").agg({"seconds": "sum", "peak_mb": "max"}).astype(float)


def pareto_front(cost: np.ndarray, gain: np.ndarray) -> list[int]:
    """Return the places of what nothing else beats: no other costs at most as much and gains at least as much.

    Parameters
    ----------
    cost, gain : array, shape (n,)

    Returns
    -------
    list of int
        From the cheapest to the dearest; of equals, the first.
    """
    front: list[int] = []
    best = -math.inf
    for i in np.lexsort((np.arange(len(cost)), -gain, cost)):
        if gain[i] > best:
            front.append(int(i))
            best = float(gain[i])
    return front


def _answers(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Question -> rows with a number, indexed by measure; areas under the curve alone, which share a scale."""
    areas = np.array([question.statistic == AUC for question in rows["question"]], dtype=bool)
    known = rows[rows["value"].notna() & areas]
    names = pd.Series([question.name for question in known["question"]], index=known.index, dtype=object)
    return {
        str(name): group.drop_duplicates("estimator").set_index("estimator") for name, group in known.groupby(names)
    }


def _measures(answers: dict[str, pd.DataFrame]) -> list[str]:
    return in_order(key for group in answers.values() for key in group.index)


def _places(answers: pd.DataFrame, costs: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    least = _LEAST[str(costs.name)]
    return costs.reindex(answers.index).clip(lower=least).to_numpy(float), answers["value"].to_numpy(float)


def _draw_panel(ax: Axes, answers: pd.DataFrame, costs: pd.Series, cost: str) -> None:
    x, y = _places(answers, costs)
    front = pareto_front(x, y)
    ax.plot(x[front], y[front], color="black", linewidth=1.0, drawstyle="steps-post", zorder=2)
    for i, (key, answer) in enumerate(answers.iterrows()):
        look = look_of(str(key))
        ax.plot([x[i]] * 2, [answer["low"], answer["high"]], color=look.colour, linewidth=1.2, alpha=0.45, zorder=2)
        edge = "black" if i in front else "white"
        ax.plot(x[i], y[i], look.marker, color=look.colour, markeredgecolor=edge, markersize=6.5, zorder=4)
    ax.axhline(0.5, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    ax.set_xscale("log")
    ax.grid(axis="both")
    ax.margins(x=0.08, y=0.16)
    ax.set_xlabel(_COSTS[cost])


def _label_panel(ax: Axes, answers: pd.DataFrame, costs: pd.Series, keys: list[str]) -> None:
    """Name the measures of the front; number the others. Last: the places hold for the final layout only."""
    x, y = _places(answers, costs)
    front = pareto_front(x, y)
    names = [
        f"{keys.index(key) + 1}" + (f" {label_of(key)}" if i in front else "") for i, key in enumerate(answers.index)
    ]
    label_points(ax, list(x), list(y), names, size=_NUMBERED)
    for text in ax.texts:  # the line of the front and the intervals would run through the letters
        text.set_path_effects([])  # whose outlines are many bytes
        text.set_bbox({"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 0.4})


def _add_key(figure: Figure, ax: Axes, keys: list[str], notes: list[str]) -> None:
    ax.set_axis_off()
    marks = [
        Line2D(
            [],
            [],
            color=look_of(key).colour,
            marker=look_of(key).marker,
            linestyle="",
            label=f"{i + 1} {label_of(key)}",
        )
        for i, key in enumerate(keys)
    ]
    ax.legend(handles=marks, loc="upper left", borderaxespad=0, handletextpad=0.3, fontsize=_NAMED + 0.5)
    families = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle="", label=look.label) for look in looks_of(keys)
    ]
    front = Line2D([], [], color="black", linewidth=1.0, label="no measure is cheaper and better")
    legend = figure.legend(handles=[*families, front], loc="outside lower left", ncols=7, title="\n".join(notes))
    legend.set_alignment("left")
    figure.suptitle(_TITLE, x=0.01, ha="left", fontsize=10, fontweight="bold")


def _notes(costs: pd.DataFrame, answers: dict[str, pd.DataFrame]) -> list[str]:
    measured = set(_measures(answers))
    without_cost = in_order(measured - set(costs.index))
    without_answer = in_order(set(costs.index) - measured)
    lines = ["upwards and to the left is better; intervals: 95 %, bootstrap over networks"]
    lines += [f"no cost measured: {_listed(without_cost)}"] if without_cost else []
    return lines + ([f"no separation: {_listed(without_answer)}"] if without_answer else [])


def _listed(keys: list[str]) -> str:
    more = len(keys) - 6
    return ", ".join(label_of(key) for key in keys[:6]) + (f" and {more} more" if more > 0 else "")
