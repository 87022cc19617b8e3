"""Which rows of the measurement table a figure draws; the page's script selects by the same rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from netalike.errors import unknown_name
from netalike.page.encoding import as_text


def rows_of_figure(measurements: pd.DataFrame, rows: Mapping[str, Any]) -> pd.DataFrame:
    """Select rows of the measurement table.

    Parameters
    ----------
    measurements : DataFrame
    rows : mapping
        Column to a value, or to a list of values of which one must match. For `condition`, all given ``key=value``
        pairs must be among those of the row.

    Returns
    -------
    DataFrame
        The rows for which every column matches.

    Raises
    ------
    UnknownNameError
        If a column does not exist.
    """
    chosen = pd.Series(True, index=measurements.index)
    for column, wanted in rows.items():
        if column not in measurements.columns:
            raise unknown_name("column of the measurement table", column, map(str, measurements.columns))
        texts = measurements[column].map(as_text)
        matches = [_matches(texts, column, text) for text in wanted_texts(wanted)]
        chosen &= pd.concat(matches, axis=1).any(axis=1) if matches else False
    return measurements[chosen]


def wanted_texts(wanted: Any) -> list[str]:
    """Return the wanted values of one column as the texts that the page compares."""
    return [as_text(value) for value in (wanted if isinstance(wanted, list | tuple | set) else [wanted])]


def link_to_rows(rows: Mapping[str, Any]) -> str:
    """Return the fragment that makes the page show these rows of its table."""
    return "#rows?" + urlencode([(column, text) for column, wanted in rows.items() for text in wanted_texts(wanted)])


def _matches(texts: pd.Series, column: str, wanted: str) -> pd.Series:
    if column != "condition" or not wanted:
        return texts == wanted
    pairs = set(wanted.split(";"))
    return texts.map(lambda text: pairs <= set(text.split(";")))
