"""A statistic of groups of rows, with its bootstrap interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from netalike.errors import unknown_name
from netalike.evidence.claims.arranging import Arrangement, Cell, Rows, arrange
from netalike.evidence.claims.resampling import MIN_UNITS, Interval, draw, interval, leave_one_out, no_interval
from netalike.evidence.claims.schema import Statistic
from netalike.evidence.claims.statistics import STATISTICS, Floats, Indices

_ENTRIES = 1_000_000  # of one array of weights, 8 MB; a statistic holds a few
_NETWORK_FACTORS = ("networks", "network_a", "network_b")


@dataclass(frozen=True)
class Estimate:
    """A statistic with its 95 % intervals.

    Attributes
    ----------
    value : float
        NaN where it is undefined.
    low, high : float
        BCa interval (percentile where that is undefined); NaN where there is none, and equal to `value` for a statistic
        without resampling.
    percentile_low, percentile_high : float
    n_units : int
        Levels of the resampled factor; of the one with the fewest, if there are several. 0 without resampling.
    n_rows : int
        Rows, or matched pairs of rows, of the groups in `of`.
    reason : str
        What is missing, and what was left out; empty if nothing.
    """

    value: float
    low: float
    high: float
    percentile_low: float
    percentile_high: float
    n_units: int
    n_rows: int
    reason: str


def estimate(
    groups: Mapping[str, pd.DataFrame], statistic: Statistic, seed: int = 0, resamples: int = 2000
) -> Estimate:
    """Compute a statistic of groups of rows, with its bootstrap interval.

    Parameters
    ----------
    groups : mapping of str to DataFrame
        Rows of the measurement table by the name of their group. Rows whose status is not ``ok`` are left out, and
        counted in the reason.
    statistic : Statistic
    seed, resamples : int
        Of the bootstrap.

    Returns
    -------
    Estimate
        The same for the same rows in any order.

    Raises
    ------
    UnknownNameError
        If the statistic names a group that is not given.

    Notes
    -----
    The levels of each factor of `over` are drawn with replacement, independently of the other factors, and a row weighs
    the product of its levels' multiplicities (pigeonhole bootstrap, Owen 2007). A cell of `by` weighs as often as the
    levels were drawn to which all its rows belong; a cell that is undefined in a resample is left out of its average.
    """
    for name in (*statistic.of, *statistic.minus):
        if name not in groups:
            raise unknown_name("group of rows", name, groups)
    arrangement = arrange(groups, statistic)
    ones: list[Floats] = [np.ones((1, n)) for n in arrangement.n_levels]
    cells = _cell_values(arrangement.cells, statistic, _with_none(ones))[0]
    value = float(cells[np.isfinite(cells)].mean()) if np.isfinite(cells).any() else float("nan")
    found = _interval(value, arrangement, statistic, seed, resamples)
    reasons = [found.reason, *arrangement.notes, *_undefined(cells, arrangement.cells, statistic)]
    return Estimate(
        value=value,
        low=found.low,
        high=found.high,
        percentile_low=found.percentile_low,
        percentile_high=found.percentile_high,
        n_units=min(arrangement.n_levels, default=0) if statistic.has_interval else 0,
        n_rows=arrangement.n_rows,
        reason="; ".join(reason for reason in reasons if reason),
    )


def _interval(value: float, arrangement: Arrangement, statistic: Statistic, seed: int, resamples: int) -> Interval:
    if not np.isfinite(value):
        return no_interval("")
    if not statistic.has_interval:
        return Interval(value, value, value, value)
    for factor, n in zip(statistic.over, arrangement.n_levels, strict=True):
        if n < MIN_UNITS:
            units = "networks" if factor in _NETWORK_FACTORS else f"levels of {factor}"
            return no_interval(f"{n} {units}, an interval needs {MIN_UNITS}")
    sizes = arrangement.n_levels
    replicates = _evaluate(arrangement.cells, statistic, draw(sizes, resamples, seed))
    left_out = [_evaluate(arrangement.cells, statistic, counts) for counts in leave_one_out(sizes)]
    return interval(value, replicates, left_out)


def _evaluate(cells: Sequence[Cell], statistic: Statistic, counts: Sequence[Floats]) -> Floats:
    """Compute the statistic for each draw, in chunks that bound the memory, shape (draws,)."""
    largest = max(len(rows.values[0]) for cell in cells for term in cell.terms for rows in term)
    chunk = max(1, _ENTRIES // largest)
    draws = len(counts[0])
    parts = []
    for start in range(0, draws, chunk):
        drawn = _with_none([count[start : start + chunk] for count in counts])
        values, weights = _cell_values(cells, statistic, drawn), _cell_weights(cells, drawn)
        weights = np.where(np.isfinite(values), weights, 0)
        totals = weights.sum(axis=1)
        sums = (weights * np.where(weights > 0, values, 0)).sum(axis=1)
        parts.append(np.divide(sums, totals, out=np.full(len(totals), np.nan), where=totals > 0))
    return np.concatenate(parts)


def _cell_values(cells: Sequence[Cell], statistic: Statistic, counts: Sequence[Floats]) -> Floats:
    """Compute the statistic of each cell, shape (draws, cells)."""
    draws = len(counts[0]) if counts else 1
    values = np.empty((draws, len(cells)))
    for column, cell in enumerate(cells):
        terms = [_term_value(term, statistic, counts, draws) for term in cell.terms]
        values[:, column] = terms[0] - terms[1] if len(terms) == 2 else terms[0]
    return values


def _term_value(term: Sequence[Rows], statistic: Statistic, counts: Sequence[Floats], draws: int) -> Floats:
    weights = [_weights(rows.levels, counts, (draws, len(rows.values[0]))) for rows in term]
    arguments = [part for weight, rows in zip(weights, term, strict=True) for part in (weight, *rows.values)]
    return STATISTICS[statistic.name].compute(*arguments)


def _cell_weights(cells: Sequence[Cell], counts: Sequence[Floats]) -> Floats:
    one = (len(counts[0]), 1)
    return np.column_stack([_weights([levels[None] for levels in cell.constant], counts, one) for cell in cells])


def _weights(levels: Sequence[Indices], counts: Sequence[Floats], shape: tuple[int, int]) -> Floats:
    """Multiply how often each level of a row was drawn, shape (draws, rows)."""
    weights: Floats = np.ones(shape)
    for codes, count in zip(levels, counts, strict=True):
        for place in codes.T:
            weights *= count[:, place]
    return weights


def _with_none(counts: Sequence[Floats]) -> list[Floats]:
    """Append the level that stands for none, which weighs 1."""
    return [np.pad(count, ((0, 0), (0, 1)), constant_values=1.0) for count in counts]


def _undefined(cells: Floats, named: Sequence[Cell], statistic: Statistic) -> list[str]:
    lost = [cell.name for cell, value in zip(named, cells, strict=True) if not np.isfinite(value)]
    if not lost:
        return []
    if lost == [""]:
        return [f"{statistic.name} is undefined: too few rows, or all values are equal"]
    return [f"{statistic.name} is undefined in {len(lost)} of {len(cells)} cells, such as {lost[0]}"]
