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
    chosen = measurements
    # conditions last, which cost most: on the rows that everything else has left
    for column in sorted(rows, key=lambda name: name == "condition"):
        if column not in measurements.columns:
            raise unknown_name("column of the measurement table", column, map(str, measurements.columns))
        texts = chosen[column].map(as_text)
        wanted = wanted_texts(rows[column])
        fitting = {text for text in texts.unique() if any(_matches(text, column, one) for one in wanted)}
        chosen = chosen[texts.isin(fitting)]
    return chosen


def wanted_texts(wanted: Any) -> list[str]:
    """Return the wanted values of one column as the texts that the page compares."""
    return [as_text(value) for value in (wanted if isinstance(wanted, list | tuple | set) else [wanted])]


def link_to_rows(rows: Mapping[str, Any]) -> str:
    """Return the fragment that makes the page show these rows of its table."""
    return "#rows?" + urlencode([(column, text) for column, wanted in rows.items() for text in wanted_texts(wanted)])


def _matches(text: str, column: str, wanted: str) -> bool:
    if text == wanted or column != "condition" or not wanted:
        return text == wanted
    return set(wanted.split(";")) <= set(text.split(";"))
