"""The page's first section: what was compared, what came out and how many claims hold, in sentences from numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netalike.evidence.claims import verdicts
from netalike.page.claims import ShownClaim, Verdict, verdict_counts
from netalike.page.measures import ShownMeasure
from netalike.page.panels import CHANCE, PanelPage
from netalike.page.sections import Group, Picture
from netalike.page.words import counted, listed, seconds_text

_NAMED = 5  # measures that a sentence lists
_MAIN = ("measure_separation", "pair_heatmap", "measure_correlations", "cost_pareto", "network_maps", "claims_summary")
_BAR = 100.0  # percent: the width of the bar of verdicts


@dataclass(frozen=True)
class Answer:
    """A sentence of the summary under a question, and the fragment or page where its numbers are."""

    question: str
    text: str
    link: str
    where: str


@dataclass(frozen=True)
class Part:
    """A verdict's part of the bar: where it begins, and how wide it is, in percent."""

    verdict: Verdict
    count: int
    start: float
    width: float


@dataclass(frozen=True)
class Summary:
    """What a newcomer reads first."""

    answers: list[Answer]
    bar: list[Part]
    pictures: list[Picture]


def summarise(panels: Sequence[PanelPage], claims: Sequence[ShownClaim], groups: Sequence[Group]) -> Summary:
    """Say what a run found.

    Parameters
    ----------
    panels : sequence of PanelPage
        The one with most pairs first.
    claims : sequence of ShownClaim
    groups : sequence of Group
        The figures; the main ones are those of the first panel.

    Returns
    -------
    Summary
        A question without numbers has no answer.
    """
    given = [_compared(panels), _separation(panels), _cost(panels), _agreement(panels), _controls(panels)]
    return Summary(
        answers=[answer for answer in [*given, _claims(claims)] if answer],
        bar=_bar(claims),
        pictures=_main_pictures(panels, groups),
    )


def _compared(panels: Sequence[PanelPage]) -> Answer | None:
    if not panels:
        return None
    networks = {name for panel in panels for name in panel.trained}
    measures = {row.measure.key for panel in panels for row in panel.rows}
    families = list(dict.fromkeys(family for panel in panels for family in panel.families))
    pairs = sum(panel.n_pairs for panel in panels)
    where = listed([f"{panel.name} ({counted(len(panel.trained), 'network')} on {panel.dataset})" for panel in panels])
    text = (
        f"{counted(len(networks), 'trained network')} in {counted(len(panels), 'panel')}: {where}. With their controls "
        f"they make {counted(pairs, 'pair')}, each compared by {counted(len(measures), 'measure')} of "
        f"{counted(len(families), 'kind')}: {listed(families)}."
    )
    return Answer("What was compared?", text, "#comparison", "the panels")


def separating(panels: Sequence[PanelPage]) -> tuple[list[ShownMeasure], list[ShownMeasure]]:
    """Return the measures that tell trained networks from untrained ones on every panel that asks, and the others.

    A measure tells them apart where the whole interval of its AUC (without one, the AUC itself) lies above chance. The
    first are sorted by the least of their lower ends, surest first.
    """
    lowest: dict[str, float] = {}
    for panel in panels:
        for key, cell in panel.cells_of("controls").items():
            least = cell.low if math.isfinite(cell.low) else cell.value
            lowest[key] = min(lowest.get(key, math.inf), least)
    measures = {row.measure.key: row.measure for panel in panels for row in panel.rows}
    sure = [key for key, least in lowest.items() if least > CHANCE["auc"]]
    by_ends = sorted(sure, key=lambda key: -lowest[key])
    return [measures[key] for key in by_ends], [measures[key] for key in lowest if key not in sure]


def _separation(panels: Sequence[PanelPage]) -> Answer | None:
    yes, no = separating(panels)
    if not yes and not no:
        return None
    answer = f"{len(yes)} of {counted(len(yes) + len(no), 'measure')} do"
    surest = f", the surest first: {_labels(yes)}" if yes else ""
    others = f" {_labels(no)} {'does' if len(no) == 1 else 'do'} not." if no else ""
    rule = (
        " A measure does if its chance to rank a like pair above an unlike one lies above one half, with its whole "
        "95 % interval where there is one, on every panel."
    )
    question = "Which measures tell networks that were trained alike from untrained ones?"
    return Answer(question, f"{answer}{surest}.{others}{rule}", _questions_link(panels), "all questions")


def _questions_link(panels: Sequence[PanelPage]) -> str:
    return f"{panels[0].link}#separation"


def _labels(measures: Sequence[ShownMeasure]) -> str:
    return listed([measure.label for measure in measures], _NAMED)


def _cost(panels: Sequence[PanelPage]) -> Answer | None:
    """Say which of the measures that separate cost least, on the first panel that has their costs."""
    yes = {measure.key for measure in separating(panels)[0]}
    for panel in panels:
        rows = [row for row in panel.rows if row.cost and math.isfinite(row.cost.seconds)]
        wanted = [row for row in rows if row.measure.key in yes] or rows
        costs = sorted((row.cost.seconds, row.measure.label) for row in wanted if row.cost)
        if costs:
            return Answer(
                "Which are cheapest?", _cost_words(costs, bool(yes), panel), f"{panel.link}#cost", "all costs"
            )
    return None


def _cost_words(costs: Sequence[tuple[float, str]], separate: bool, panel: PanelPage) -> str:
    cheap = listed([f"{label} ({seconds_text(seconds)})" for seconds, label in costs[:3]])
    (most, costliest), least = costs[-1], costs[0][0]
    ratio = f", {most / least:,.0f} times as much" if least > 0 and most / least >= 2 else ""
    among = "Of those, " if separate else ""
    dear = f" {costliest} costs most, {seconds_text(most)}{ratio}." if len(costs) > 3 else ""
    return f"{among}{cheap} take least time to compare two networks of {panel.name}.{dear}"


def _agreement(panels: Sequence[PanelPage]) -> Answer | None:
    """Say how far the measures agree, on the first panel."""
    if not panels or not panels[0].correlations:
        return None
    panel = panels[0]
    labels = [row.measure.label for row in panel.rows]
    known = [entry for entry in panel.data["correlations"] if entry[0] != entry[1] and entry[2] is not None]
    most, least = (choose(known, key=lambda entry: entry[2]) for choose in (max, min))
    text = (
        f"On {panel.name}, two measures rank the pairs with a median correlation of {panel.typical_correlation:.2f}: "
        f"most alike are {labels[most[0]]} and {labels[most[1]]} ({most[2]:.2f}), least {labels[least[0]]} and "
        f"{labels[least[1]]} ({least[2]:.2f})."
    )
    return Answer(
        "Do the measures agree?",
        text.replace("(-", "(\N{MINUS SIGN}").replace("of -", "of \N{MINUS SIGN}"),
        f"{panel.link}#agreement",
        "all pairs of measures",
    )


_EXPECTED = {
    "self": "a network is like itself",
    "permuted_units": "a network is like itself with its units in another order",
    "noise": "noise is like nothing to a measure that corrects for chance",
}


def _controls(panels: Sequence[PanelPage]) -> Answer | None:
    checks = [panel.checks for panel in panels]
    held, total = (sum(check[i] for check in checks) for i in (0, 1))
    if not total:
        return None
    names = {name for panel in panels for name in panel.checked_controls}
    expected = listed([words for name, words in _EXPECTED.items() if name in names])
    what = f" What must hold: {expected}." if expected else ""
    text = f"{held} of {counted(total, 'check')} on controls with a known answer hold.{what}"
    return Answer("Do the controls sit where they must?", text, f"{panels[0].link}#controls", "all controls")


def _claims(claims: Sequence[ShownClaim]) -> Answer | None:
    if not claims:
        return None
    counts = {verdict.word: count for verdict, count in verdict_counts(claims)}
    waiting = [verdicts.NOT_TESTABLE, verdicts.NOT_RUN]
    testable = len(claims) - sum(counts.get(word, 0) for word in waiting)
    told = [f"{counts[word]} {word}" for word in (verdicts.CONTRADICTED, verdicts.INCONCLUSIVE) if word in counts]
    rest = [f"{counts[word]} {word}" for word in waiting if word in counts]
    also = f"; {listed(told)}" if told else ""
    reproduced = counts.get(verdicts.REPRODUCED, 0)
    text = f"{reproduced} of the {counted(testable, 'claim')} that this run could test are reproduced{also}."
    left = f" Of {len(claims)} in all, {listed(rest)}." if rest else ""
    return Answer("Do the five papers' claims hold?", text + left, "#claims", "all claims")


def _bar(claims: Sequence[ShownClaim]) -> list[Part]:
    parts, start = [], 0.0
    for verdict, count in verdict_counts(claims):
        width = _BAR * count / len(claims)
        parts.append(Part(verdict, count, round(start, 3), round(width, 3)))
        start += width
    return parts


def _main_pictures(panels: Sequence[PanelPage], groups: Sequence[Group]) -> list[Picture]:
    """Return the main figures: of the first panel, or of no panel, each kind once."""
    pictures = [picture for group in groups for picture in group.pictures]
    wanted = [f"comparison/{panel.name}/" for panel in panels[:1]] + ["comparison/"]
    names = {picture.name: picture for picture in pictures}
    found = [next((names[folder + kind] for folder in wanted if folder + kind in names), None) for kind in _MAIN]
    return [picture for picture in found if picture]
