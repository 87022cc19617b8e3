"""Keys of rows: columns of the measurement table, factors of its conditions, and base networks."""

from __future__ import annotations

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
        return _joined(rows)
    if name in _NETWORK_COLUMNS:
        return texts(rows[name]).map(base_network, na_action="ignore")
    return texts(rows[name]) if name in COLUMNS else factor(rows, name)


def factor(rows: pd.DataFrame, name: str) -> pd.Series:
    """Return the value of a factor of each row's condition; None where it has none."""
    values = {text: parse_condition(text).get(name) for text in rows["condition"].unique()}
    found = rows["condition"].map(values).astype(object)
    return found.where(found.notna(), None)


def levels(rows: pd.DataFrame, name: str) -> list[pd.Series]:
    """Return the levels of a factor that a row belongs to, one Series per place where a level can stand.

    Noise is no network: its rows weigh as the other network alone.
    """
    if name == NETWORKS:
        return [level for column in _NETWORK_COLUMNS for level in levels(rows, column)]
    found = keys(rows, name)
    return [found.where(found != _NOISE, None) if name in _NETWORK_COLUMNS else found]


def _joined(rows: pd.DataFrame) -> pd.Series:
    pairs = pd.concat(levels(rows, NETWORKS), axis=1)
    texts = {
        pair: " ".join(sorted({name for name in pair if name})) or None for pair in {*pairs.itertuples(False, None)}
    }
    return pd.Series([texts[pair] for pair in pairs.itertuples(False, None)], index=rows.index, dtype=object)


def texts(column: pd.Series) -> pd.Series:
    """Return a column as texts; None where it is empty."""
    found = column.astype(object).where(column.notna(), None)
    found = found.map(lambda value: value if isinstance(value, str) else str(value), na_action="ignore")
    return found.where(found != "", None)
