"""What each measure can tell apart: the questions of a panel, answered by every measure, with intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from netalike.evidence.measurements import parse_condition
from netalike.experiments.panel_questions import AUC, CONFORMITY, QUESTIONS, SPEARMAN
from netalike.plots.comparison_common import family_starts, in_order, label_of, look_of, looks_of, reasons, saying
from netalike.plots.studies import level
from netalike.plots.theme import GREY, new_figure, theme

_TITLE = "What can each measure tell apart?"


class _Scale(NamedTuple):
    low: float
    chance: float
    high: float
    words: str


# what answers a question -> its axis
_SCALES = {
    AUC: _Scale(0.0, 0.5, 1.0, "AUC"),
    SPEARMAN: _Scale(-1.0, 0.0, 1.0, "Spearman"),
    CONFORMITY: _Scale(0.0, 0.5, 1.0, "share in order"),
}
_COUNTS = ("n_positive", "n_negative")
_ROW, _COLUMN = 0.2, 1.25  # inches
_TITLE_LETTERS = 17
_FEWEST_COLUMNS = 4


_ON_WHITE = {"facecolor": "white", "linewidth": 0, "pad": 0.6}


class Question(NamedTuple):
    """A question and how it is answered: one column of the figure."""

    name: str
    statistic: str
    rest: str


@theme()
def measure_separation(rows: pd.DataFrame) -> Figure:
    """Draw how well each measure answers each question that the panel can ask.

    Parameters
    ----------
    rows : DataFrame
        Summary rows of a panel; those of ``separation`` are drawn (estimator the measure, factors `question`,
        `statistic`, `n_positive`, `n_negative`).

    Returns
    -------
    Figure
        One line per measure, one column per question: area under the ROC curve (chance 0.5), Spearman's correlation
        (chance 0), or the share of triples of layers in order (chance 0.5), with 95 % intervals. A filled mark has an
        interval that excludes chance. Questions that no measure could answer stand in the legend with the reason. A
        figure that says so if that is all of them.
    """
    found = with_questions(rows)
    answered = [question for question in _ordered(found) if _rows_of(found, question)["value"].notna().any()]
    if not answered:
        why = "; ".join(reasons(found)[:3])
        wanted = "A panel needs at least two families of networks, or untrained twins."
        return saying(_TITLE, f"No question can be answered here. {f'Undefined: {why}.' if why else wanted}")
    keys = in_order(found["estimator"])
    width = 2.4 + _COLUMN * max(len(answered), _FEWEST_COLUMNS)
    figure, axes = new_figure(width, 2.4 + _ROW * len(keys) + 0.14 * len(_unanswered(found)), 1, len(answered))
    for i, (ax, question) in enumerate(zip(axes, answered, strict=True)):
        own = _rows_of(found, question)
        _draw_question(ax, own, question, keys)
        ax.set_title(_title(question, own), fontsize=8)
        _name_measures(ax, keys, named=i == 0)
    figure.suptitle(_TITLE, x=0.01, ha="left", fontsize=10, fontweight="bold")
    _add_legend(figure, keys, found)
    return figure


def with_questions(rows: pd.DataFrame) -> pd.DataFrame:
    """Take the rows of ``separation`` and add the column `question`: what they answer, apart from the counts.

    Parameters
    ----------
    rows : DataFrame

    Returns
    -------
    DataFrame
        With the columns `question` (of `Question`), `n_positive` and `n_negative` ("" where absent).
    """
    found = rows[rows["quantity"] == "separation"]
    parsed = [parse_condition(text) for text in found["condition"]]
    columns = {name: [factors.get(name, "") for factors in parsed] for name in _COUNTS}
    questions = pd.Series([_question(factors) for factors in parsed], index=found.index, dtype=object)
    return found.assign(question=questions, **columns)


def _question(factors: Mapping[str, str]) -> Question:
    rest = [f"{name}: {value}" for name, value in factors.items() if name not in ("question", "statistic", *_COUNTS)]
    return Question(factors.get("question", ""), factors.get("statistic", AUC), ", ".join(rest).replace("_", " "))


def words_of(question: str) -> str:
    """Return a question as figures name it, with its number in the ReSi benchmark where it has one."""
    if question not in QUESTIONS:
        return question.replace("_", " ")
    known = QUESTIONS[question]
    return known.words + (f" (ReSi\N{NO-BREAK SPACE}{known.resi})" if known.resi else "")


def _ordered(rows: pd.DataFrame) -> list[Question]:
    known = list(QUESTIONS)
    return sorted(set(rows["question"]), key=lambda q: (known.index(q.name) if q.name in known else len(known), *q))


def _rows_of(rows: pd.DataFrame, question: Question) -> pd.DataFrame:
    return rows[[other == question for other in rows["question"]]]


def _title(question: Question, rows: pd.DataFrame) -> str:
    """The question, and how many pairs of networks, or triples of layers, it was asked of."""
    lines = textwrap.wrap(words_of(question.name), _TITLE_LETTERS) + textwrap.wrap(question.rest, _TITLE_LETTERS)
    counted = rows[rows["value"].notna()]
    positive, negative = (_range(counted[name]) for name in _COUNTS)
    if question.statistic == AUC and positive and negative:
        lines.append(f"{positive} vs {negative} pairs")
    elif positive:
        lines.append(f"{positive} {'triples' if question.statistic == CONFORMITY else 'pairs'}")
    return "\n".join(lines)


def _range(counts: pd.Series) -> str:
    numbers = sorted({int(text) for text in counts if text})
    return "" if not numbers else "\N{EN DASH}".join(f"{n}" for n in dict.fromkeys((numbers[0], numbers[-1])))


def _draw_question(ax: Axes, rows: pd.DataFrame, question: Question, keys: list[str]) -> None:
    low, chance, high, words = _SCALES.get(question.statistic, _SCALES[SPEARMAN])
    level(ax, chance, "x")
    answers = rows.drop_duplicates("estimator").set_index("estimator").reindex(keys)
    for line, (key, answer) in enumerate(answers.iterrows()):
        _draw_answer(ax, answer, line, chance, str(key), (low + high) / 2)
    margin = 0.06 * (high - low)
    ax.set_xlim(low - margin, high + margin)
    ticks = (low, chance, high)
    ax.set_xticks(ticks, labels=[f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    ax.set_xlabel(words)


def _draw_answer(ax: Axes, answer: pd.Series, line: int, chance: float, key: str, middle: float) -> None:
    look = look_of(key)
    if not np.isfinite(answer["value"]):
        ax.text(middle, line, "undefined", color=GREY, fontsize=6.5, ha="center", va="center", bbox=_ON_WHITE)
        return
    certain = answer["low"] > chance or answer["high"] < chance
    ax.plot([answer["low"], answer["high"]], [line, line], color=look.colour, linewidth=1.8, zorder=3)
    face = look.colour if certain else "white"
    ax.plot(answer["value"], line, look.marker, color=face, markeredgecolor=look.colour, markersize=5, zorder=4)


def _name_measures(ax: Axes, keys: list[str], named: bool) -> None:
    ax.set_yticks(range(len(keys)), labels=[label_of(key) for key in keys] if named else [""] * len(keys))
    ax.set_ylim(len(keys) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    for place in range(0, len(keys), 2):
        ax.axhspan(place - 0.5, place + 0.5, color="#f3f4f6", linewidth=0, zorder=0)
    for place in family_starts(keys):
        ax.axhline(place - 0.5, color=GREY, linewidth=0.8, zorder=1)


def _unanswered(rows: pd.DataFrame) -> list[str]:
    """The questions without any number, and the reason."""
    lines = []
    for question in _ordered(rows):
        own = _rows_of(rows, question)
        if not own["value"].notna().any():
            lines.append(f"not answered: {words_of(question.name)}: {reasons(own)[0]}")
    return lines


def _add_legend(figure: Figure, keys: list[str], rows: pd.DataFrame) -> None:
    shapes = [
        Line2D([], [], color=look.colour, marker=look.marker, linewidth=1.8, label=look.label)
        for look in looks_of(keys)
    ]
    hollow = Line2D(
        [], [], color=GREY, marker="o", markerfacecolor="white", label="hollow: interval covers chance, or none"
    )
    notes = [
        "intervals: 95 %, bootstrap over networks; dashed: chance; AUC 1 = tells all pairs apart",
        *_unanswered(rows),
    ]
    legend = figure.legend(handles=[*shapes, hollow], loc="outside lower left", ncols=4, title="\n".join(notes))
    legend.set_alignment("left")
