"""The claims table: one row per claim, for the page and the command line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from netalike.evidence.claims.judging import Judgement, judge
from netalike.evidence.claims.schema import Claim, Evidence

TEXTS = (
    "paper",
    "id",
    "kind",
    "statement",
    "source",
    "evidence",
    "reading",
    "paper_value",
    "statistic",
    "on",
    "verdict",
    "reason",
    "tolerance",
    "tolerance_reason",
    "needs",
    "figure",
    "rows",
    "command",
    "changes",
    "others",
)
CLAIM_COLUMNS: tuple[str, ...] = (
    *TEXTS[:10],
    "value",
    "low",
    "high",
    "percentile_low",
    "percentile_high",
    "n_units",
    "n_rows",
    *TEXTS[10:15],
    "testable",
    *TEXTS[15:17],
    "cpu_minutes",
    *TEXTS[17:],
)
"""Columns of the claims table; a text that is absent is empty, a number NaN."""


def judge_all(
    claims: Iterable[Claim], measurements: pd.DataFrame, preset: str, seed: int = 0, resamples: int = 2000
) -> pd.DataFrame:
    """Judge every claim.

    Parameters
    ----------
    claims : iterable of Claim
    measurements : DataFrame
    preset : str
        That made the measurements.
    seed, resamples : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        Columns `CLAIM_COLUMNS`, in the order of the claims. `cpu_minutes` and `command` are for the workflow to fill.

    Raises
    ------
    UnknownNameError
        If there is no such preset.
    """
    return table(judge(claim, measurements, preset, seed, resamples) for claim in claims)


def table(judgements: Iterable[Judgement]) -> pd.DataFrame:
    """Write judgements as the claims table; see `judge_all`."""
    frame = pd.DataFrame([_row(one) for one in judgements], columns=list(CLAIM_COLUMNS))
    numbers = {name: float for name in CLAIM_COLUMNS if name not in TEXTS and name != "testable"}
    return frame.astype(numbers | dict.fromkeys(TEXTS, str) | {"testable": bool})


def _row(judgement: Judgement) -> dict[str, Any]:
    claim, found = judgement.claim, judgement.estimate
    return {
        "paper": claim.paper,
        "id": claim.id,
        "kind": claim.kind,
        "statement": claim.statement,
        "source": claim.source,
        "evidence": claim.evidence.kind,
        "reading": reading(claim.evidence),
        "paper_value": as_text(claim.paper_value),
        "statistic": claim.statistic.in_words(),
        "on": judgement.on,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "percentile_low": found.percentile_low,
        "percentile_high": found.percentile_high,
        "n_units": found.n_units or math.nan,
        "n_rows": found.n_rows or math.nan,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "tolerance": claim.tolerance.in_words(claim.paper_value),
        "tolerance_reason": claim.tolerance.reason,
        "needs": claim.needs,
        "testable": judgement.testable,
        "figure": claim.figure_on(judgement.on),
        "rows": json.dumps(list(judgement.rows.values()), ensure_ascii=False),
        "cpu_minutes": math.nan,
        "command": "",
        "changes": changes(claim),
        "others": json.dumps([_other(one) for one in judgement.others], ensure_ascii=False),
    }


def _other(judgement: Judgement) -> dict[str, Any]:
    found = judgement.estimate
    numbers = {"value": found.value, "low": found.low, "high": found.high}
    return {
        "on": judgement.on,
        **{name: or_none(number) for name, number in numbers.items()},
        "verdict": judgement.verdict,
    }


def reading(evidence: Evidence) -> str:
    """Say how the paper's value was read, and how exactly."""
    error = "" if evidence.reading_error is None else f"reading error {evidence.reading_error:g}"
    return "; ".join(part for part in (evidence.note.removesuffix(".") if error else evidence.note, error) if part)


def changes(claim: Claim) -> str:
    """Say what was changed after the first run, and why."""
    return "; ".join(f"{change.date}: {change.field} was {change.was}: {change.reason}" for change in claim.changes)


def or_none(number: float) -> float | None:
    """Return a number, or None for one that is missing."""
    return float(number) if math.isfinite(number) else None


def as_text(value: float | str | None) -> str:
    """Write the paper's value; empty where it states none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:g}"
