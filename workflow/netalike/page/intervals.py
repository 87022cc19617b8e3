"""A claim's interval drawn small against its tolerance band, as coordinates for an inline SVG."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 168.0
"""Of the drawing, in CSS pixels."""

SMALL_WIDTH = 84.0
"""Of the drawing in a cell of a table of answers, in CSS pixels."""

_MARGIN = 0.15  # of the span of what is drawn, left free at each side, so that an open band has somewhere to go
_LEAST_SPAN = 1e-290
_LEAST = 2.0  # pixels: a band narrower than this could not be seen
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)"
_ONE_SIDED = re.compile(rf"(above|below) {_NUMBER}", re.IGNORECASE)
_TWO_SIDED = re.compile(rf"within {_NUMBER} of {_NUMBER}", re.IGNORECASE)


@dataclass(frozen=True)
class Drawing:
    """Where things stand in the drawing, in pixels from its left edge; None for what there is none of.

    Attributes
    ----------
    band : (float, float) or None
        Left edge and width of what the tolerance allows.
    line : (float, float) or None
        Ends of the interval, where it has a width.
    dot : float or None
        Our value.
    paper : float or None
        The paper's value.
    mark : float or None
        The number that the tolerance names: a bound, or the middle of the band.
    mark_text, anchor : str
        That number, and how its text stands about the place.
    """

    band: tuple[float, float] | None
    line: tuple[float, float] | None
    dot: float | None
    paper: float | None
    mark: float | None
    mark_text: str
    anchor: str


@dataclass(frozen=True)
class Share:
    """Where a number with a fixed range stands, in pixels: its interval or None, itself, and what chance has."""

    line: tuple[float, float] | None
    dot: float
    chance: float


def draw_share(value: float, low: float, high: float, start: float, end: float, chance: float) -> Share | None:
    """Lay out a number and its interval on the range that such numbers have.

    Parameters
    ----------
    value, low, high : float
        NaN where missing.
    start, end : float
        Of the range.
    chance : float
        What a measure has that tells nothing.

    Returns
    -------
    Share or None
        None without a value.
    """
    if not math.isfinite(value):
        return None

    def place(x: float) -> float:
        return round(min(max((x - start) / (end - start), 0.0), 1.0) * SMALL_WIDTH, 1)

    return Share((place(low), place(high)) if low < high else None, place(value), place(chance))


def tolerance_band(tolerance: str) -> tuple[float, float] | None:
    """Return the ends of a tolerance such as "above 0" or "within 0.005 of 1.11"; None if it is written otherwise."""
    if found := _ONE_SIDED.fullmatch(tolerance.strip()):
        bound = float(found[2])
        return (bound, math.inf) if found[1].lower() == "above" else (-math.inf, bound)
    if found := _TWO_SIDED.fullmatch(tolerance.strip()):
        margin, centre = float(found[1]), float(found[2])
        return centre - margin, centre + margin
    return None


def draw(
    value: float, low: float, high: float, band: tuple[float, float] | None, paper_value: float = math.nan
) -> Drawing | None:
    """Lay out an interval and its tolerance band on one scale.

    Parameters
    ----------
    value, low, high : float
        Ours; NaN where missing.
    band : (float, float) or None
        As `tolerance_band` returns it.
    paper_value : float

    Returns
    -------
    Drawing or None
        None without a value: there is nothing to draw.
    """
    if not math.isfinite(value):
        return None
    shown = [x for x in (value, low, high, paper_value, *(band or ())) if math.isfinite(x)]
    left, scale = _scale(shown)

    def place(x: float) -> float:
        return round(min(max((x - left) * scale, 0.0), WIDTH), 1)

    mark = _named(band)
    return Drawing(
        band=_visible(place(band[0]), place(band[1])) if band else None,
        line=(place(low), place(high)) if low < high else None,
        dot=place(value),
        paper=place(paper_value) if math.isfinite(paper_value) else None,
        mark=None if mark is None else place(mark),
        mark_text="" if mark is None else number_text(mark),
        anchor="middle" if mark is None else _anchor(place(mark)),
    )


def number_text(number: float) -> str:
    """Return a number at four digits, with the minus sign that prints well; empty if it is not finite."""
    return f"{number:.4g}".replace("-", "\N{MINUS SIGN}") if math.isfinite(number) else ""


def _scale(shown: Sequence[float]) -> tuple[float, float]:
    """Return the number at the left edge, and pixels for one unit."""
    # a span that is next to nothing has no finite scale
    spans = (max(shown) - min(shown), abs(shown[0]), 1.0)
    span = next(found for found in spans if found > _LEAST_SPAN)
    return (max(shown) + min(shown)) / 2 - span * (0.5 + _MARGIN), WIDTH / (span * (1 + 2 * _MARGIN))


def _visible(start: float, end: float) -> tuple[float, float]:
    if end - start >= _LEAST:
        return start, round(end - start, 1)
    return round(min(max((start + end - _LEAST) / 2, 0.0), WIDTH - _LEAST), 1), _LEAST


def _named(band: tuple[float, float] | None) -> float | None:
    if band is None:
        return None
    bounds = [bound for bound in band if math.isfinite(bound)]
    return sum(bounds) / len(bounds)


def _anchor(place: float) -> str:
    if place < WIDTH / 6:
        return "start"
    return "end" if place > WIDTH * 5 / 6 else "middle"
