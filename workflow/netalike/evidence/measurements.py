"""Read, write and merge the measurement table: one row per number, one Parquet file per rule."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from netalike.errors import BadFileError, NetalikeError, unknown_name

OK = "ok"
_TEXT = pa.string()
_SCHEMA = pa.schema(
    [
        ("paper", _TEXT),
        ("experiment", _TEXT),
        ("dataset", _TEXT),
        ("split", _TEXT),
        ("n_samples", pa.int64()),
        ("network_a", _TEXT),
        ("layer_a", _TEXT),
        ("network_b", _TEXT),
        ("layer_b", _TEXT),
        ("quantity", _TEXT),
        ("estimator", _TEXT),
        ("condition", _TEXT),
        ("seed", pa.int64()),
        ("step", pa.int64()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("status", _TEXT),
    ]
)
COLUMNS: tuple[str, ...] = tuple(_SCHEMA.names)
_NUMBERS = ("value", "low", "high")
_COUNTS = ("n_samples", "seed", "step")
_TEXTS = tuple(name for name in COLUMNS if name not in (*_NUMBERS, *_COUNTS))


def condition(**factors: object) -> str:
    """Write varied factors the way the `condition` column holds them.

    Parameters
    ----------
    **factors
        Name and value of each factor.

    Returns
    -------
    str
        ``"eps=0.5;rank=8"``: sorted by name, joined by semicolons.

    Raises
    ------
    NetalikeError
        If a name or value holds a semicolon or an equals sign.
    """
    for name, value in factors.items():
        if any(mark in f"{name}{value}" for mark in ";="):
            raise NetalikeError(f"the factor {name}={value} of a condition may not hold ';' or '='.")
    return ";".join(f"{name}={factors[name]}" for name in sorted(factors))


def parse_condition(text: str) -> dict[str, str]:
    """Read a `condition` entry back.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict of str to str
    """
    return dict(part.split("=", 1) for part in text.split(";")) if text else {}


def table(rows: Iterable[Mapping[str, Any]] | pd.DataFrame, **constants: Any) -> pd.DataFrame:
    """Make a measurement table, checked, with every column in its place.

    Parameters
    ----------
    rows : iterable of mappings, or DataFrame
        Keys are names of columns; what is absent is empty.  ``status`` is ``ok`` unless said otherwise.
    **constants
        Values of columns that are the same in each row.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, in the order of the rows.

    Raises
    ------
    UnknownNameError
        For a key that is no column.
    NetalikeError
        For a row without a number that is said to be ``ok``, or with a number and another status, or whose interval
        does not hold in order.
    """
    frame = rows.copy() if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    for name in (*frame.columns, *constants):
        if name not in COLUMNS:
            raise unknown_name("column of the measurement table", str(name), COLUMNS)
    frame = frame.assign(**constants)
    status = frame["status"] if "status" in frame else pd.Series(OK, index=frame.index)
    frame["status"] = status.astype(object).fillna(OK)
    typed = _typed(frame.reindex(columns=list(COLUMNS)))
    _check(typed)
    return typed


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    for name in _TEXTS:
        frame[name] = frame[name].astype(object).fillna("").astype(str)
    for name in _COUNTS:
        frame[name] = frame[name].astype("Int64")
    for name in _NUMBERS:
        frame[name] = frame[name].astype(float)
    return frame


def _check(frame: pd.DataFrame) -> None:
    missing = frame["value"].map(lambda value: not math.isfinite(value))
    contradictory = missing == (frame["status"] == OK)
    if contradictory.any():
        row = frame[contradictory].iloc[0]
        raise NetalikeError(
            f"{row['quantity']}/{row['estimator']} of {row['network_a']} {row['layer_a']} and {row['network_b']} "
            f"{row['layer_b']}: value {row['value']} with status {row['status']!r}; a finite number is 'ok', "
            "and a missing one says why."
        )
    reversed_interval = frame["low"] > frame["high"]
    if reversed_interval.any():
        row = frame[reversed_interval].iloc[0]
        raise NetalikeError(f"{row['quantity']}: the interval [{row['low']}, {row['high']}] is the wrong way round.")


def write(rows: Iterable[Mapping[str, Any]] | pd.DataFrame, path: str | Path, **constants: Any) -> pd.DataFrame:
    """Write rows as a Parquet file, all of it or nothing.

    Parameters
    ----------
    rows : iterable of mappings, or DataFrame
        See `table`.
    path : str or Path
        The same rows give the same bytes.
    **constants
        For example ``paper`` and ``experiment``.

    Returns
    -------
    DataFrame
        What was written.
    """
    frame = table(rows, **constants)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(pa.Table.from_pandas(frame, schema=_SCHEMA, preserve_index=False), partial, compression="zstd")
    os.replace(partial, path)
    return frame


def read(paths: str | Path | Sequence[str | Path]) -> pd.DataFrame:
    """Read one or more measurement files into one table.

    Parameters
    ----------
    paths : path or sequence of paths

    Returns
    -------
    DataFrame
        In the order of the files.

    Raises
    ------
    BadFileError
        If a file is missing or is no measurement table; it is named.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    frames = [_read_one(Path(file)) for file in files]
    if not frames:
        return table([])
    return pd.concat(frames, ignore_index=True)


def _read_one(path: Path) -> pd.DataFrame:
    try:
        stored = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadFileError(f"{path} is no measurement table: {error}") from error
    if stored.schema.names != list(COLUMNS):
        raise BadFileError(f"{path} is no measurement table: columns {stored.schema.names}, expected {list(COLUMNS)}.")
    return _typed(stored.to_pandas())


def select(frame: pd.DataFrame, **filters: object) -> pd.DataFrame:
    """Take the rows whose columns have the given values.

    Parameters
    ----------
    frame : DataFrame
        A measurement table.
    **filters
        A value, or a list of values, by column.

    Returns
    -------
    DataFrame

    Raises
    ------
    UnknownNameError
        For a name that is no column.
    """
    kept = pd.Series(True, index=frame.index)
    for name, wanted in filters.items():
        if name not in COLUMNS:
            raise unknown_name("column of the measurement table", name, COLUMNS)
        kept &= frame[name].isin(wanted) if isinstance(wanted, list | tuple | set) else frame[name] == wanted
    return frame[kept]


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV; a missing number is an empty field, and numbers keep all their digits.

    Parameters
    ----------
    frame : DataFrame
    path : str or Path
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    frame.to_csv(partial, index=False, float_format="%.17g", lineterminator="\n")
    os.replace(partial, path)
