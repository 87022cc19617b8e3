"""The one progress bar: on a terminal it moves, in a log file it writes a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")
_LOG_SECONDS = 10.0


def progress(
    items: Iterable[_Item],
    title: str,
    total: int | None = None,
    shown: bool | None = True,
    begun: int = 0,
    unit: str = "it",
) -> tqdm[_Item]:
    """Show how far a loop is and how long it will still take.

    Parameters
    ----------
    items : iterable
        An empty one, with a total, makes a bar that the caller moves with ``update``.
    title : str
        What is being done, in two or three words.
    total : int, optional
        Number of items, where the iterable does not know it.
    shown : bool or None
        None shows the bar on a terminal only.
    begun : int
        How many are done already.
    unit : str
        Of an item; ``"B"`` counts bytes in powers of 1000.

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
        initial=begun,
        unit=unit,
        unit_scale=unit == "B",
        disable=not (terminal if shown is None else shown),
        mininterval=0.1 if terminal else _LOG_SECONDS,
        leave=not terminal,
        file=sys.stderr,
    )
