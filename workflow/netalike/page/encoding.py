"""The measurement table as a small piece of JSON that is safe inside a page."""

from __future__ import annotations

import json
import math
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

_NUMBERS = ("value", "low", "high")
_COUNTS = ("n_samples", "seed", "step")  # numbers that name things: chosen from, as well as sorted by size
_DIGITS = 6

# Order of the page's columns: what was found first, then on what; others follow.
_ORDER = (
    "quantity",
    "estimator",
    "network_a",
    "layer_a",
    "network_b",
    "layer_b",
    "value",
    "low",
    "high",
    "status",
    "dataset",
    "split",
    "n_samples",
    "condition",
    "seed",
    "step",
    "paper",
    "experiment",
)

# Inside <script>, these could end the element, open a comment, or end a line of older JavaScript.
_UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def as_text(value: Any) -> str:
    """Return a cell as the text that is shown and compared: whole numbers without a point, a missing cell empty."""
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and math.isnan(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def json_for_page(content: Any) -> str:
    """Serialise for a script element of type application/json: no character that HTML could act on is left as it is."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_UNSAFE)


def encode_table(measurements: pd.DataFrame) -> dict[str, Any]:
    """Pack the measurement table by column.

    Parameters
    ----------
    measurements : DataFrame
        Columns of the measurement table.

    Returns
    -------
    dict
        ``n``, the number of rows, and ``columns``. A text column holds its different ``texts`` in order of first
        appearance and, packed, the position of each row's text; a column of numbers holds, packed, the numbers at six
        digits, null where there is none. Packed is either ``list`` or, where shorter, ``runs``: value, count, value,
        count, and so on.
    """
    names = [name for name in _ORDER if name in measurements] + [c for c in measurements.columns if c not in _ORDER]
    table = measurements.assign(status=reasons(measurements))
    columns = [_number_column(table[c], c) if c in _NUMBERS else _text_column(table[c], c) for c in names]
    return {"n": len(table), "columns": columns}


def reasons(measurements: pd.DataFrame) -> pd.Series:
    """Return each row's status, with words where a row has neither a number nor a reason."""
    status, value = measurements["status"].map(as_text), pd.to_numeric(measurements["value"])
    silent = ~np.isfinite(value.to_numpy(float)) & status.isin(["ok", ""])
    return status.mask(silent, "undefined: no number, and no reason was given")


def _text_column(column: pd.Series, name: str) -> dict[str, Any]:
    codes, texts = pd.factorize(column.map(as_text))
    return {"name": name, "numeric": name in _COUNTS, "texts": list(texts), **_pack(codes.tolist())}


def _number_column(column: pd.Series, name: str) -> dict[str, Any]:
    numbers = [rounded(float(number)) for number in pd.to_numeric(column)]
    return {"name": name, **_pack(numbers)}


def rounded(number: float, digits: int = _DIGITS) -> float | None:
    """Return a number at so many digits for JSON, None if it is not finite."""
    return float(f"{number:.{digits}g}") if math.isfinite(number) else None


def _pack(items: list[Any]) -> dict[str, list[Any]]:
    runs = [entry for item, run in groupby(items) for entry in (item, len(list(run)))]
    return {"runs": runs} if len(runs) < len(items) else {"list": items}
