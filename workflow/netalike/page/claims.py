"""The claims as the page shows them: texts, links and drawings, made once for the index and the papers' pages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pandas as pd

from netalike.configuration.reading import PRESETS
from netalike.evidence.claims import verdicts
from netalike.page.encoding import as_text
from netalike.page.intervals import Drawing, draw, number_text, tolerance_band
from netalike.page.papers import heading, order
from netalike.page.sections import Picture
from netalike.page.selection import link_to_rows, wanted_texts

SYMBOLS = {
    verdicts.REPRODUCED: "\N{CHECK MARK}",
    verdicts.CONTRADICTED: "\N{BALLOT X}",
    verdicts.INCONCLUSIVE: "?",
    verdicts.NOT_TESTABLE: "\N{WHITE UP-POINTING SMALL TRIANGLE}",
    verdicts.NOT_RUN: "\N{WHITE CIRCLE}",
}
"""Each verdict with its symbol, in the order in which verdicts are counted and sorted."""

EVIDENCE = {
    "printed": "printed in the paper",
    "digitised": "read off a figure",
    "code": "from the authors' code or its recorded output",
    "abstract": "stated in the abstract",
    "hypothesis": "our own hypothesis, not the paper's words",
}
_TEXTS = (
    *("id", "kind", "statement", "source", "reading", "statistic", "on", "reason", "tolerance", "tolerance_reason"),
    *("needs", "figure", "command", "changes"),
)
_NAMED = 3  # values of a filter that a link's words list
_FIRST = ("quantity", "estimator", "condition")  # what tells the groups of a claim apart


@dataclass(frozen=True)
class Verdict:
    """A verdict as a symbol and a word; `kind` is its place in `SYMBOLS`, for its colour."""

    word: str
    symbol: str
    kind: int


@dataclass(frozen=True)
class Outcome:
    """Our value and its intervals as texts, empty where there are none."""

    on: str
    value: str
    interval: str
    percentile: str
    verdict: Verdict


@dataclass(frozen=True)
class RowsLink:
    """A group of rows that a claim was judged on."""

    words: str
    link: str


@dataclass(frozen=True)
class ShownClaim:
    """A claim as the page shows it.

    Attributes
    ----------
    anchor : str
        Of the claim on the index; `link` is the fragment that leads there.
    paper, heading : str
        Key of the paper, and what the page calls it.
    text : dict
        The columns of the claims table that are shown as they are.
    keys : dict
        What each column of the page's table is sorted by, where that is not its text.
    """

    anchor: str
    link: str
    paper: str
    heading: str
    text: dict[str, str]
    evidence: str
    paper_value: str
    ours: Outcome
    n_units: str
    n_rows: str
    minutes: str
    picture: Picture | None
    drawing: Drawing | None
    rows: list[RowsLink]
    others: list[Outcome]
    keys: dict[str, str]


def shown_claims(claims: pd.DataFrame | None, pictures: Mapping[str, Picture]) -> list[ShownClaim]:
    """Return the claims in the order of the papers.

    Parameters
    ----------
    claims : DataFrame, optional
        The claims table; columns that it lacks are shown as missing.
    pictures : mapping
        The run's figures by their names, such as ``deconfounded_cka/ood_digits/ood``.
    """
    if claims is None:
        return []
    shown = [_shown({str(key): value for key, value in row.items()}, pictures) for row in claims.to_dict("records")]
    return sorted(shown, key=lambda claim: order(claim.paper))


def verdict_counts(claims: Iterable[ShownClaim]) -> list[tuple[Verdict, int]]:
    """Count claims by verdict, in the order of the verdicts."""
    found = [claim.ours.verdict for claim in claims]
    return [(verdict, found.count(verdict)) for verdict in sorted(set(found), key=lambda v: (v.kind, v.word))]


def options(claims: Sequence[ShownClaim]) -> dict[str, list[tuple[str, str]]]:
    """Return the choices of each filter, as value and words, in their order; only those that some claim has."""
    found = [(verdict.word, verdict.word) for verdict, _ in verdict_counts(claims)]
    needs = {claim.text["needs"]: claim.keys["needs"] for claim in claims if claim.text["needs"]}
    return {
        "paper": list(dict.fromkeys((claim.paper, claim.heading) for claim in claims)),
        "verdict": found,
        "needs": [(preset, preset) for preset in sorted(needs, key=lambda preset: (needs[preset], preset))],
    }


def _shown(claim: Mapping[str, Any], pictures: Mapping[str, Picture]) -> ShownClaim:
    text = {column: as_text(claim.get(column)) for column in _TEXTS}
    paper, evidence = as_text(claim.get("paper")), as_text(claim.get("evidence"))
    ours = _outcome(claim)
    return ShownClaim(
        anchor=f"claim-{text['id']}",
        link=quote(f"claim-{text['id']}"),
        paper=paper,
        heading=heading(paper),
        text=text,
        evidence=EVIDENCE.get(evidence, evidence),
        paper_value=_paper_value(claim),
        ours=ours,
        n_units=_count(claim.get("n_units")),
        n_rows=_count(claim.get("n_rows")),
        minutes=_minutes(_float(claim.get("cpu_minutes"))),
        picture=pictures.get(text["figure"]),
        drawing=_drawing(claim, text["tolerance"]),
        rows=[_rows_link(group) for group in _listed(claim.get("rows"))],
        others=[_outcome(other) for other in _listed(claim.get("others"))],
        keys=_keys(claim, paper, ours.verdict, text["needs"]),
    )


def _outcome(given: Mapping[str, Any]) -> Outcome:
    return Outcome(
        on=as_text(given.get("on")),
        value=number_text(_float(given.get("value"))),
        interval=_range(given, "low", "high"),
        percentile=_range(given, "percentile_low", "percentile_high"),
        verdict=_verdict(as_text(given.get("verdict"))),
    )


def _verdict(word: str) -> Verdict:
    words = list(SYMBOLS)
    return Verdict(word, SYMBOLS.get(word, ""), words.index(word) if word in words else len(words))


def _paper_value(claim: Mapping[str, Any]) -> str:
    given = as_text(claim.get("paper_value"))
    return given.replace("-", "\N{MINUS SIGN}") if math.isfinite(_float(given)) else given


def _drawing(claim: Mapping[str, Any], tolerance: str) -> Drawing | None:
    value, low, high, paper_value = (_float(claim.get(column)) for column in ("value", "low", "high", "paper_value"))
    return draw(value, low, high, tolerance_band(tolerance), paper_value)


def _keys(claim: Mapping[str, Any], paper: str, verdict: Verdict, needs: str) -> dict[str, str]:
    place, _ = order(paper)
    return {
        "paper": str(place),
        "paper_value": _key(_float(claim.get("paper_value"))),
        "value": _key(_float(claim.get("value"))),
        "verdict": str(verdict.kind),
        "needs": str(PRESETS.index(needs)) if needs in PRESETS else "",
    }


def _rows_link(group: Mapping[str, Any]) -> RowsLink:
    named = [*_FIRST, *(column for column in group if column not in (*_FIRST, "paper"))]
    words = [_either(wanted_texts(group[column])) for column in named if column in group]
    return RowsLink(", ".join(word for word in words if word), link_to_rows(group))


def _either(texts: Sequence[str]) -> str:
    return " or ".join(texts) if len(texts) <= _NAMED else f"{texts[0]} or {len(texts) - 1} others"


def _listed(given: Any) -> Sequence[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads(as_text(given) or "[]")
    return found


def _float(given: Any) -> float:
    try:
        return float(given)
    except (TypeError, ValueError):
        return math.nan


def _key(number: float) -> str:
    return repr(number) if math.isfinite(number) else ""


def _range(given: Mapping[str, Any], low: str, high: str) -> str:
    ends = [_float(given.get(column)) for column in (low, high)]
    if ends[0] == ends[1]:  # where nothing is resampled, the ends are the value itself
        return ""
    return " to ".join(map(number_text, ends)) if all(map(math.isfinite, ends)) else ""


def _count(given: Any) -> str:
    number = _float(given)
    return f"{int(number):,}" if number > 0 else ""


def _minutes(minutes: float) -> str:
    if not math.isfinite(minutes):
        return "not measured"
    return "less than 0.1 CPU minutes" if minutes < 0.1 else f"{minutes:,.1f} CPU minutes"
