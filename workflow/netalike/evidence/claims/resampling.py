"""Bootstrap intervals: how often each level of a factor was drawn, and what the replicates say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from netalike.evidence.claims.statistics import Floats

MIN_UNITS = 5
"""Fewest levels of a resampled factor for which an interval is given."""

_NORMAL = NormalDist()
_TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Interval:
    """A 95 % bootstrap interval; NaN with a reason where there is none."""

    low: float
    high: float
    percentile_low: float
    percentile_high: float
    reason: str = ""


def no_interval(reason: str) -> Interval:
    """Make the interval that is none."""
    nan = float("nan")
    return Interval(nan, nan, nan, nan, reason)


def draw(levels: Sequence[int], resamples: int, seed: int) -> list[Floats]:
    """Draw the levels of each factor with replacement, each factor independently.

    Parameters
    ----------
    levels : sequence of int
        Number of levels of each factor.
    resamples : int
    seed : int

    Returns
    -------
    list of array, shape (resamples, levels)
        How often each level was drawn.
    """
    generator = np.random.default_rng(seed)
    return [generator.multinomial(n, np.full(n, 1 / n), size=resamples).astype(float) for n in levels]


def leave_one_out(levels: Sequence[int]) -> list[list[Floats]]:
    """Leave out one level of one factor at a time.

    Returns
    -------
    list of list of array
        For each factor, the multiplicities of all factors, each of shape (levels of the factor left out, levels).
    """
    return [
        [1 - np.eye(n) if factor == left else np.ones((n, other)) for factor, other in enumerate(levels)]
        for left, n in enumerate(levels)
    ]


def interval(value: float, replicates: Floats, left_out: Sequence[Floats]) -> Interval:
    """Turn replicates into a BCa interval, and the percentile interval beside it.

    Parameters
    ----------
    value : float
        The statistic of the sample itself.
    replicates : array, shape (resamples,)
        NaN where a resample has no value; those are left out.
    left_out : sequence of array
        For each factor, the statistic without each of its levels.

    Returns
    -------
    Interval
        `low` and `high` are BCa, or those of the percentile interval where the bias correction or the acceleration is
        undefined. NaN where more than half of the resamples have no value.

    Notes
    -----
    Efron and Tibshirani (1993), section 14.3; the acceleration of several factors is that of several samples, each
    level weighing by its own factor's size.
    """
    known = replicates[np.isfinite(replicates)]
    if 2 * len(known) < len(replicates) or not len(known):
        missing = len(replicates) - len(known)
        return no_interval(f"no interval: {missing:,} of {len(replicates):,} resamples have no value")
    percentile = np.quantile(known, _TAILS)
    bca = np.quantile(known, _bca_tails(value, known, left_out))
    return Interval(float(bca[0]), float(bca[1]), float(percentile[0]), float(percentile[1]))


def _bca_tails(value: float, replicates: Floats, left_out: Sequence[Floats]) -> tuple[float, float]:
    below = float(np.mean(replicates < value) + np.mean(replicates == value) / 2)
    acceleration = _acceleration(left_out)
    if not 0 < below < 1 or acceleration is None:
        return _TAILS
    bias = _NORMAL.inv_cdf(below)
    shifted = [bias + _NORMAL.inv_cdf(tail) for tail in _TAILS]
    scales = [1 - acceleration * shift for shift in shifted]
    if min(scales) <= 0:
        return _TAILS
    low, high = (_NORMAL.cdf(bias + shift / scale) for shift, scale in zip(shifted, scales, strict=True))
    return low, high


def _acceleration(left_out: Sequence[Floats]) -> float | None:
    influences = [(len(values) - 1) / len(values) * (values.mean() - values) for values in left_out]
    pooled = np.concatenate(influences)
    squares = float((pooled**2).sum())
    if not np.isfinite(squares) or squares == 0:
        return None
    return float((pooled**3).sum() / (6 * squares**1.5))
