"""From a claim and the measurement table to a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from netalike.configuration.reading import PRESETS
from netalike.errors import unknown_name
from netalike.evidence.claims.estimation import Estimate, estimate
from netalike.evidence.claims.schema import Claim
from netalike.evidence.claims.selection import listed, rows_of
from netalike.evidence.claims.verdicts import NOT_RUN, NOT_TESTABLE, verdict

_NAN = float("nan")
_NOTHING = Estimate(_NAN, _NAN, _NAN, _NAN, _NAN, 0, 0, "")


@dataclass(frozen=True)
class Judgement:
    """A claim, what the rows say, and the verdict.

    Attributes
    ----------
    claim : Claim
    on : str
        The data set or study it was judged on; empty for a claim without `on`.
    estimate : Estimate
    verdict : str
    reason : str
        Why there is no verdict, and what was left out.
    testable : bool
        Whether the preset is large enough.
    rows : dict of str to dict
        For each group, the texts of the columns by which the page finds its rows.
    others : tuple of Judgement
        The same claim on the other data sets that have rows.
    """

    claim: Claim
    on: str
    estimate: Estimate
    verdict: str
    reason: str
    testable: bool
    rows: dict[str, dict[str, list[str]]]
    others: tuple[Judgement, ...] = field(default=())


def testable(needs: str, preset: str) -> bool:
    """Say whether a preset is at least as large as the one that a claim needs.

    Raises
    ------
    UnknownNameError
        If there is no such preset.
    """
    for name in (needs, preset):
        if name not in PRESETS:
            raise unknown_name("preset", name, PRESETS)
    return PRESETS.index(needs) <= PRESETS.index(preset)


def judge(claim: Claim, measurements: pd.DataFrame, preset: str, seed: int = 0, resamples: int = 2000) -> Judgement:
    """Judge a claim by the rows of the measurement table.

    Parameters
    ----------
    claim : Claim
    measurements : DataFrame
    preset : str
        That made the measurements.
    seed, resamples : int
        Of the bootstrap.

    Returns
    -------
    Judgement
        On the first name of `on` for which every group has rows, with the later ones beside it; where there is none, on
        the one that lacks the fewest groups.

    Raises
    ------
    UnknownNameError
        If there is no such preset.

    Notes
    -----
    In this order: a claim that needs a larger preset is not testable at this scale; one with a group without rows was
    not run; the rest is `verdict`.
    """
    selected = {on: _selected(claim, measurements, on) for on in claim.on or ("",)}
    first = min(selected, key=lambda on: len(_empty(selected[on])))
    others = [on for on, groups in selected.items() if on != first and not _empty(groups)]
    found = [_judged(claim, selected[on], on, preset, seed, resamples) for on in (first, *others)]
    main = found[0]
    return Judgement(
        claim, main.on, main.estimate, main.verdict, main.reason, main.testable, main.rows, tuple(found[1:])
    )


def _selected(claim: Claim, measurements: pd.DataFrame, on: str) -> dict[str, pd.DataFrame]:
    return {name: rows_of(measurements, group) for name, group in claim.groups(on).items()}


def _empty(groups: Mapping[str, pd.DataFrame]) -> list[str]:
    return [name for name, rows in groups.items() if rows.empty]


def _judged(
    claim: Claim, groups: Mapping[str, pd.DataFrame], on: str, preset: str, seed: int, resamples: int
) -> Judgement:
    missing = _empty(groups)
    found = _NOTHING if missing else estimate(groups, claim.statistic, seed, resamples)
    enough = testable(claim.needs, preset)
    if not enough:
        word, reason = NOT_TESTABLE, f"needs the preset {claim.needs}; this run is {preset}"
    elif missing:
        word, reason = NOT_RUN, f"no rows of {', '.join(missing)}"
    else:
        word = verdict(found.value, found.low, found.high, claim.tolerance, claim.paper_value)
        reason = found.reason
    rows = {name: listed(group, groups[name]) for name, group in claim.groups(on).items()}
    return Judgement(claim, on, found, word, reason, enough, rows)
