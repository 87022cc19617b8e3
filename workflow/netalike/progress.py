"""The one progress bar: on a terminal it moves, in a log file it writes a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")
_LOG_SECONDS = 10.0


def progress(items: Iterable[_Item], title: str, total: int | None = None, shown: bool = True) -> tqdm[_Item]:
    """Show how far a loop is and how long it will still take.

    Parameters
    ----------
    items : iterable
    title : str
        What is being done, in two or three words.
    total : int, optional
        Number of items, where the iterable does not know it.
    shown : bool

    Returns
    -------
    tqdm
        Iterates over the items; writes to standard error.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        desc=title,
        total=total,
        disable=not shown,
        mininterval=0.1 if terminal else _LOG_SECONDS,
        leave=not terminal,
        file=sys.stderr,
    )
