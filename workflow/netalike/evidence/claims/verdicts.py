"""The verdict: an interval against the band that the tolerance allows."""

from __future__ import annotations

import math

from netalike.evidence.claims.filters import is_number
from netalike.evidence.claims.schema import Tolerance

REPRODUCED = "reproduced"
CONTRADICTED = "contradicted"
INCONCLUSIVE = "inconclusive"
NOT_TESTABLE = "not testable at this scale"
NOT_RUN = "not run"
VERDICTS = (REPRODUCED, CONTRADICTED, INCONCLUSIVE, NOT_TESTABLE, NOT_RUN)


def verdict(value: float, low: float, high: float, tolerance: Tolerance, paper_value: float | str | None) -> str:
    """Compare our interval with the band of a claim.

    Parameters
    ----------
    value : float
        Ours.
    low, high : float
        Its interval; NaN where there is none.
    tolerance : Tolerance
    paper_value : float, str or None
        The centre of a band `within`.

    Returns
    -------
    str
        ``reproduced`` if the whole interval lies in the band, ``contradicted`` if all of it lies outside, else
        ``inconclusive``: also without an interval, and where it touches the bound of `above` or `below`. The band
        `within` includes its ends.

    Notes
    -----
    Equivalence by inclusion of the interval: that a test finds no difference is no evidence of agreement.
    """
    if not all(map(math.isfinite, (value, low, high))):
        return INCONCLUSIVE
    if tolerance.form == "within":
        return _closed(low, high, float(paper_value) if is_number(paper_value) else math.nan, tolerance.bound)
    if tolerance.form == "below":
        return _beyond(-high, -low, -tolerance.bound)
    return _beyond(low, high, tolerance.bound)


def _closed(low: float, high: float, centre: float, radius: float) -> str:
    if abs(low - centre) <= radius and abs(high - centre) <= radius:
        return REPRODUCED
    return CONTRADICTED if low - centre > radius or centre - high > radius else INCONCLUSIVE


def _beyond(low: float, high: float, bound: float) -> str:
    if low > bound:
        return REPRODUCED
    return CONTRADICTED if high < bound else INCONCLUSIVE
