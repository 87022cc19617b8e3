"""The rows of a group, and how the page's table is filtered to show them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pandas as pd

from netalike.evidence.claims.filters import CONDITION, Bounds, Filter, Group, Scalar
from netalike.evidence.claims.keys import factor, texts

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
    rows = measurements
    for column, wanted in group.columns().items():
        rows = rows[_matches(rows[column], wanted)]
    for name, wanted in group.condition.items():
        rows = rows[_matches(factor(rows, name), wanted)]
    return rows


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


def _matches(column: pd.Series, wanted: Filter) -> pd.Series:
    if not isinstance(wanted, Bounds):
        return _is_one_of(column, wanted)
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    return (numbers > wanted.above) & (numbers < wanted.below)


def _is_one_of(column: pd.Series, wanted: Iterable[Scalar]) -> pd.Series:
    wanted_texts = [one for one in wanted if isinstance(one, str)]
    wanted_numbers = [float(one) for one in wanted if not isinstance(one, str)]
    matches = column.isin(wanted_texts)
    if wanted_numbers:
        matches |= pd.to_numeric(column, errors="coerce").astype(float).isin(wanted_numbers)
    return matches.astype(bool)


def _listed(wanted: Filter, found: pd.Series) -> list[str]:
    if not isinstance(wanted, Bounds) and all(isinstance(one, str) for one in wanted):
        return [str(one) for one in wanted]
    in_rows = sorted(found.dropna().unique())
    if in_rows or isinstance(wanted, Bounds):
        return in_rows
    return [f"{one:g}" if isinstance(one, float) else str(one) for one in wanted]
