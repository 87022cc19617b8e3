"""Errors that a user can act on: what was given, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NetalikeError(Exception):
    """A mistake in what netalike was given; the message is written for the person who gave it.

    The command line and the workflow print the message alone, without a traceback.
    """


class UnknownNameError(NetalikeError, ValueError):
    """A name that is in no registry: a data set, network, layer, measure or option value."""


class BadFileError(NetalikeError, ValueError):
    """A file that is missing, damaged, or not what its name promises."""


class ShapeError(NetalikeError, ValueError):
    """Arrays or networks whose shapes do not fit each other."""


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed name that looks most like the given one.

    Parameters
    ----------
    given : str
        What the user wrote.
    allowed : iterable of str
        The valid names.

    Returns
    -------
    str or None
        The nearest name by `difflib` similarity (at least 0.5, case ignored), or None if nothing is near.
    """
    by_folded = {name.casefold(): name for name in allowed}
    found = difflib.get_close_matches(given.casefold(), by_folded, n=1, cutoff=0.5)
    return by_folded[found[0]] if found else None


def unknown_name(kind: str, given: str, allowed: Iterable[str], advice: str = "") -> UnknownNameError:
    """Make the error for a name that does not exist.

    Parameters
    ----------
    kind : str
        What was looked up, as the user calls it: "data set", "layer of tiny10".
    given : str
        The name that was not found.
    allowed : iterable of str
        The names that exist, in the order in which they are listed.
    advice : str
        What to do, as a sentence; optional.

    Returns
    -------
    UnknownNameError
        To be raised by the caller.
    """
    names = list(allowed)
    guess = nearest(given, names)
    message = f"unknown {kind} {given!r}: expected one of {', '.join(names) or '(none exist)'}."
    if guess is not None:
        message += f" Did you mean {guess!r}?"
    return UnknownNameError(f"{message} {advice}".rstrip())
