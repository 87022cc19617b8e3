"""Keys of rows: columns of the measurement table, factors of its conditions, and base networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from netalike.evidence.measurements import COLUMNS, parse_condition

NETWORKS = "networks"
PAIR = "pair"
PAIR_COLUMNS = ("network_a", "layer_a", "network_b", "layer_b")
_NETWORK_COLUMNS = ("network_a", "network_b")
_NOISE = "noise"


def base_network(name: str) -> str:
    """Return the network that a control or a fine-tuned network was made from: the part of its name before @."""
    return name.partition("@")[0]


def keys(rows: pd.DataFrame, name: str) -> pd.Series:
    """Return the key of each row.

    Parameters
    ----------
    rows : DataFrame
        Of the measurement table.
    name : str
        A column; a factor of `condition`; or ``networks``, the base networks of both sides. `network_a` and
        `network_b` stand for base networks, so that a network's controls have its key.

    Returns
    -------
    Series of str
        None where the row has no such key.
    """
    if name == NETWORKS:
        both = [level.fillna("") for level in levels(rows, NETWORKS)]
        return _mapped(both[0] + " " + both[1], lambda pair: " ".join(sorted(set(pair.split()))) or None)
    if name in _NETWORK_COLUMNS:
        return _mapped(rows[name], lambda network: base_network(network) or None)
    return texts(rows[name]) if name in COLUMNS else factor(rows, name)


def texts(column: pd.Series) -> pd.Series:
    """Return a column as texts; None where it is empty."""
    return _mapped(column, lambda value: str(value) or None)


def factor(rows: pd.DataFrame, name: str) -> pd.Series:
    """Return the value of a factor of each row's condition; None where it has none."""
    return _mapped(rows["condition"], lambda text: parse_condition(text).get(name))


def levels(rows: pd.DataFrame, name: str) -> list[pd.Series]:
    """Return the levels of a factor that a row belongs to, one Series per place where a level can stand.

    Noise is no network: its rows weigh as the other network alone.
    """
    if name == NETWORKS:
        return [level for column in _NETWORK_COLUMNS for level in levels(rows, column)]
    found = keys(rows, name)
    return [found.where(found != _NOISE, None) if name in _NETWORK_COLUMNS else found]


def _mapped(column: pd.Series, function: Callable[[Any], str | None]) -> pd.Series:
    """Apply a function to each different value once; a missing one stays missing."""
    codes, uniques = pd.factorize(column)
    values = np.array([*map(function, uniques), None], dtype=object)
    return pd.Series(values[codes], index=column.index, dtype=object)
