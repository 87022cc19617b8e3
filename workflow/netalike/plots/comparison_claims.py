"""The claims of all papers in one figure: ours beside what the paper says, on the scale of each claim's tolerance."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from netalike.evidence.claims import verdicts
from netalike.page.intervals import number_text, tolerance_band
from netalike.page.papers import heading, order
from netalike.plots.comparison_common import saying
from netalike.plots.studies import Look
from netalike.plots.theme import GREY, new_figure, palette, theme

_TITLE = "What the papers claim, and what we find"
_COLOURS = palette(10)
VERDICT_LOOKS: Mapping[str, Look] = {
    verdicts.REPRODUCED: Look(verdicts.REPRODUCED, _COLOURS[0], "o", ""),
    verdicts.CONTRADICTED: Look(verdicts.CONTRADICTED, _COLOURS[3], "X", ""),
    verdicts.INCONCLUSIVE: Look(verdicts.INCONCLUSIVE, _COLOURS[1], "s", ""),
    verdicts.NOT_TESTABLE: Look(verdicts.NOT_TESTABLE, _COLOURS[7], "^", ""),
    verdicts.NOT_RUN: Look(verdicts.NOT_RUN, GREY, "v", ""),
}
"""Verdict -> colour and marker."""

_DRAWN_ORDER = (verdicts.CONTRADICTED, verdicts.INCONCLUSIVE, verdicts.REPRODUCED, verdicts.NOT_TESTABLE)
_REACH = 1.6  # an axis runs from minus this to this
_FAR = 1.45  # what lies beyond stands here, with an arrow
_LINE, _HEAD = 0.165, 0.78  # inches
_BAND = "#dbeafe"
_LETTERS = 34  # of a claim's name
_TEXT = 7.0
_LEFT = -132  # points from the axes to where the claims' names begin
_VALUE_ENDS = 48  # points from the axes to the end of our value
_COUNTS_LETTERS = 74
_SCALE = " at this scale"  # the counts are shorter without it


_HOW_TO_READ = (
    "ours with its 95 % interval, each claim on its own scale. within r of c: c is in the middle, r is the edge of the "
    "band; above or below b: b is in the middle, what is drawn farthest from it is at a fixed distance. "
    "Arrows: beyond the scale."
)


class Placed(NamedTuple):
    """A claim on the scale of its tolerance.

    Attributes
    ----------
    band : (float, float)
        What the tolerance allows; infinite at an open side.
    value, low, high : float
        Ours; NaN where there is none.
    paper : float
        The paper's value; NaN where it is no number.
    """

    band: tuple[float, float]
    value: float
    low: float
    high: float
    paper: float


@theme()
def claims_summary(claims: pd.DataFrame) -> Figure:
    """Draw every claim that has a number, paper by paper, and count the verdicts of all.

    Parameters
    ----------
    claims : DataFrame
        The claims table (evidence.claims.CLAIM_COLUMNS): paper, id, verdict, value, low, high, paper_value and
        tolerance are read.

    Returns
    -------
    Figure
        In each paper's list, a mark for ours with its interval, the band that the tolerance allows, and a bar at the
        paper's value; 0 is the middle or the bound of the band, see `placed`. Beside them the numbers. Claims without a
        number are counted below, by verdict. A figure that says so if there are no claims.
    """
    if claims.empty:
        return saying(_TITLE, "There are no claims: the claims table is empty.")
    papers = {paper: _sorted(claims[claims["paper"] == paper]) for paper in sorted(set(claims["paper"]), key=order)}
    columns = _columns({paper: _height(rows) for paper, rows in papers.items()})
    height = max(sum(_height(papers[paper]) for paper in column) for column in columns)
    figure, _ = new_figure(5.4 * len(columns), height + 1.5, 0, 0)
    grid = figure.add_gridspec(1, len(columns))
    for place, column in enumerate(columns):
        _draw_column(figure, grid[0, place], {paper: papers[paper] for paper in column}, height)
    words = f"{_TITLE}\n{len(claims)} claims: {_counted(claims)}"
    figure.suptitle(words, x=0.01, ha="left", fontsize=11, fontweight="bold")
    _add_legend(figure, claims)
    return figure


def placed(claim: Mapping[str, object]) -> Placed:
    """Put a claim on the scale of its tolerance.

    Parameters
    ----------
    claim : mapping
        A row of the claims table.

    Returns
    -------
    Placed
        For a tolerance ``within r of c``, x becomes (x - c) / r: the band is -1 to 1. For ``above b`` and ``below b``,
        (x - b) / s, where s is the largest distance of our value, our interval or the paper's value from b: the band
        begins at 0, and what lies farthest is at 1. A tolerance of another form, or without a width, leaves x - c.
    """
    value, low, high = (_number(claim[name]) for name in ("value", "low", "high"))
    paper = _number(claim["paper_value"])
    band = tolerance_band(str(claim["tolerance"])) or (math.nan, math.nan)
    finite = [end for end in band if math.isfinite(end)]
    centre = sum(finite) / len(finite) if finite else value
    if len(finite) == 2:
        scale = (finite[1] - finite[0]) / 2
    else:
        scale = max(abs(x - centre) for x in (value, low, high, paper) if math.isfinite(x))
    scale = scale or 1.0
    low_end, high_end, *others = ((x - centre) / scale for x in (*band, value, low, high, paper))
    return Placed((low_end, high_end), *others)


def _number(given: object) -> float:
    try:
        return float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _sorted(rows: pd.DataFrame) -> pd.DataFrame:
    """Contradicted claims first: nobody should have to look for them."""
    places = {verdict: place for place, verdict in enumerate(_DRAWN_ORDER)}
    return rows.assign(place=rows["verdict"].map(places).fillna(len(places))).sort_values("place", kind="stable")


def _height(rows: pd.DataFrame) -> float:
    return _HEAD + _LINE * max(int(rows["value"].notna().sum()), 1)


def _columns(heights: Mapping[str, float]) -> list[list[str]]:
    """Divide the papers, in their order, into two columns of nearly equal height; one paper is one column."""
    names = list(heights)
    if len(names) < 2:
        return [names]
    cuts = range(1, len(names))
    highest = {cut: max(sum(heights[n] for n in names[:cut]), sum(heights[n] for n in names[cut:])) for cut in cuts}
    best = min(cuts, key=lambda cut: highest[cut])
    return [names[:best], names[best:]]


def _draw_column(figure: Figure, place: SubplotSpec, papers: Mapping[str, pd.DataFrame], height: float) -> None:
    heights = [_height(rows) for rows in papers.values()]
    rest = height - sum(heights)
    ratios = [*heights, rest] if rest > 0.05 else heights
    grid = place.subgridspec(len(ratios), 1, height_ratios=ratios)
    for i, (paper, rows) in enumerate(papers.items()):
        _draw_paper(figure.add_subplot(grid[i, 0]), paper, rows)


def _draw_paper(ax: Axes, paper: str, rows: pd.DataFrame) -> None:
    drawn = rows[rows["value"].notna()]
    _head(ax, heading(paper), _counted(rows))
    for line, claim in enumerate(drawn.to_dict("records")):
        _draw_claim(ax, {str(key): entry for key, entry in claim.items()}, line)
    if len(drawn):
        ax.axvline(0, color=GREY, linewidth=0.7, zorder=1.5)
    ax.set_yticks(range(len(drawn)), labels=[_short(name) for name in drawn["id"]], fontsize=_TEXT)
    ax.set_ylim(max(len(drawn), 1) - 0.4, -0.6)
    ax.set_xlim(-_REACH, _REACH)
    ax.set_xticks([])
    ax.tick_params(axis="y", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    without = rows[rows["value"].isna()]
    if len(without):
        ax.set_xlabel(f"without a number: {_counted(without)}", fontsize=7, color="#374151")


def _head(ax: Axes, name: str, counts: str) -> None:
    """Write the paper's name over its list, from the left of its claims' names, and its verdicts below it."""
    lines = textwrap.wrap(counts, _COUNTS_LETTERS)
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom", "ha": "left"}
    for line, words in enumerate(reversed(lines)):
        ax.annotate(words, (0, 1), (_LEFT, 4 + 9 * line), fontsize=7.5, color="#374151", **style)
    ax.annotate(name, (0, 1), (_LEFT, 5 + 9 * len(lines)), fontsize=9.5, fontweight="bold", **style)


def _draw_claim(ax: Axes, claim: Mapping[str, object], line: int) -> None:
    found = placed(claim)
    look = VERDICT_LOOKS.get(str(claim["verdict"]), VERDICT_LOOKS[verdicts.NOT_RUN])
    left, right = (min(max(end, -_REACH), _REACH) for end in found.band)
    if math.isfinite(left) and math.isfinite(right):
        ax.add_patch(Rectangle((left, line - 0.44), right - left, 0.88, facecolor=_BAND, linewidth=0, zorder=1))
    if math.isfinite(found.paper):
        ax.plot([_inside(found.paper)] * 2, [line - 0.44, line + 0.44], color="black", linewidth=1.6, zorder=2)
    if math.isfinite(found.low) and math.isfinite(found.high):
        ends = [_inside(found.low), _inside(found.high)]
        ax.plot(ends, [line] * 2, color=look.colour, linewidth=1.6, solid_capstyle="butt", zorder=3)
    shape = look.marker if abs(found.value) <= _FAR else ("<" if found.value < 0 else ">")
    ax.plot(_inside(found.value), line, shape, color=look.colour, markeredgecolor="white", ms=5.2, mew=0.5, zorder=4)
    style: dict[str, Any] = {
        "xycoords": ax.get_yaxis_transform(),
        "textcoords": "offset points",
        "va": "center",
        "fontsize": _TEXT,
    }
    ax.annotate(_rounded(_number(claim["value"])), (1, line), (_VALUE_ENDS, 0), ha="right", color="#374151", **style)
    tolerance = str(claim["tolerance"]).replace("-", "\N{MINUS SIGN}")
    ax.annotate(tolerance, (1, line), (_VALUE_ENDS + 5, 0), color="#374151", **style)


def _inside(x: float) -> float:
    return min(max(x, -_FAR), _FAR)


def _rounded(number: float) -> str:
    return number_text(float(f"{number:.3g}"))


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"


def _counted(rows: pd.DataFrame) -> str:
    """Verdicts with their numbers, in the order of the verdicts."""
    counts = rows["verdict"].value_counts()
    names = [name for name in verdicts.VERDICTS if name in counts] + sorted(set(counts.index) - set(verdicts.VERDICTS))
    return ", ".join(f"{counts[name]} {name.removesuffix(_SCALE)}" for name in names)


def _add_legend(figure: Figure, claims: pd.DataFrame) -> None:
    present = set(claims.loc[claims["value"].notna(), "verdict"])
    marks: list[Artist] = [
        Line2D([], [], color=look.colour, marker=look.marker, linewidth=1.6, markeredgecolor="white", label=verdict)
        for verdict, look in VERDICT_LOOKS.items()
        if verdict in present
    ]
    if marks:
        style: dict[str, Any] = {
            "color": "black",
            "marker": "|",
            "linestyle": "",
            "markersize": 9,
            "markeredgewidth": 1.6,
        }
        marks.append(Line2D([], [], label="the paper's value", **style))
        marks.append(Patch(facecolor=_BAND, label="what the tolerance allows"))
    wide = claims["paper"].nunique() > 1
    notes = textwrap.wrap(_HOW_TO_READ, 120 if wide else 66) if marks else ["no claim has a number in this run"]
    legend = figure.legend(handles=marks, loc="outside lower left", ncols=6 if wide else 3, title="\n".join(notes))
    legend.set_alignment("left")
