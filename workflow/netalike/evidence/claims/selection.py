"""The rows of a group, and how the page's table is filtered to show them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netalike.evidence.claims.filters import CONDITION, Bounds, Filter, Group
from netalike.evidence.claims.keys import factor, texts
from netalike.evidence.claims.statistics import Floats, Indices

_UNLISTED = ("value", "low", "high")  # too many different values to be named one by one


def rows_of(measurements: pd.DataFrame, group: Group) -> pd.DataFrame:
    """Return the rows that belong to a group, whatever their status.

    Parameters
    ----------
    measurements : DataFrame
    group : Group
        Texts match as they are; numbers match by their value, so that ``depth: 0`` finds ``depth=0.000``.

    Returns
    -------
    DataFrame
        In the order of the table.
    """
    kept = np.arange(len(measurements))
    for column, wanted in group.columns().items():
        kept = kept[_matches(_taken(measurements[[column]], kept)[column], wanted)]
    for name, wanted in group.condition.items():
        kept = kept[_matches(factor(_taken(measurements[[CONDITION]], kept), name), wanted)]
    return measurements.iloc[kept]


def listed(group: Group, rows: pd.DataFrame) -> dict[str, list[str]]:
    """Write a group as texts to compare with, as the page filters its table.

    Parameters
    ----------
    group : Group
    rows : DataFrame
        Those of the group. A number or a bound is replaced by the texts that stand in them.

    Returns
    -------
    dict of str to list of str
        One of the texts of each column must match; those of `condition` are ``key=value;key=value``.
    """
    columns = {
        column: _listed(wanted, texts(rows[column]))
        for column, wanted in group.columns().items()
        if column not in _UNLISTED
    }
    factors = [
        [f"{name}={text}" for text in _listed(wanted, factor(rows, name))]
        for name, wanted in sorted(group.condition.items())
    ]
    if factors:
        columns[CONDITION] = [";".join(pairs) for pairs in itertools.product(*(found for found in factors if found))]
    return columns


def _taken(columns: pd.DataFrame, kept: Indices) -> pd.DataFrame:
    """Take rows; all of them cost nothing, and of a large table only the columns at hand are taken."""
    return columns if len(kept) == len(columns) else columns.iloc[kept]


def _matches(column: pd.Series, wanted: Filter) -> NDArray[np.bool_]:
    if isinstance(wanted, Bounds):
        numbers = _numbers(column)
        return np.asarray((numbers > wanted.above) & (numbers < wanted.below))
    matches = column.isin([one for one in wanted if isinstance(one, str)]).to_numpy(bool)
    numbers_wanted = [one for one in wanted if not isinstance(one, str)]
    return np.asarray(matches | np.isin(_numbers(column), numbers_wanted) if numbers_wanted else matches)


def _numbers(column: pd.Series) -> Floats:
    """Read a column as numbers; NaN where it holds none."""
    return np.asarray(pd.to_numeric(column, errors="coerce").astype(float))


def _listed(wanted: Filter, found: pd.Series) -> list[str]:
    if not isinstance(wanted, Bounds) and all(isinstance(one, str) for one in wanted):
        return [str(one) for one in wanted]
    in_rows = sorted(found.dropna().unique())
    if in_rows or isinstance(wanted, Bounds):
        return in_rows
    return [f"{one:g}" if isinstance(one, float) else str(one) for one in wanted]
