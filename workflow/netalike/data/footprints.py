"""Footprints of buildings: rectangles, L, T and U, as outlines and as the rectangular wings that carry roofs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netalike.data.polygons import Polygon

KINDS = ("rectangle", "L", "T", "U")
_SHARES = (0.58, 0.2, 0.12, 0.1)
SMALLEST, LARGEST = 8.0, 40.0  # sides of the bounding rectangle, in pixels
_SMALLEST_WITH_WINGS = 16.0
_GROUPS = ((0.62, 9.0, 17.0), (0.26, 14.0, 26.0), (0.12, 24.0, LARGEST))  # share, smallest and largest longer side

Wing = tuple[float, float, float, float]  # along from, along to, across from, across to


@dataclass(frozen=True)
class Footprint:
    """The ground plan of one building.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    length, width : float
        Sides of the bounding rectangle in pixels, the longer one first.
    outline : ndarray, shape (v, 2)
        Vertices as (along, across) the longer side, from the centre of the bounding rectangle.
    wings : tuple of Wing
        Rectangles whose union is the footprint.
    """

    kind: str
    length: float
    width: float
    outline: NDArray[np.float64]
    wings: tuple[Wing, ...]


@dataclass(frozen=True)
class Building:
    """A footprint at its place.

    Attributes
    ----------
    footprint : Footprint
    centre : ndarray, shape (2,)
        (row, column) in pixels.
    angle : float
        Radians from the columns' direction to the longer side, towards larger rows.
    """

    footprint: Footprint
    centre: NDArray[np.float64]
    angle: float

    def axes(self) -> NDArray[np.float64]:
        """Return the directions (row, column) along and across the longer side, as the rows of a (2, 2) array."""
        sine, cosine = np.sin(self.angle), np.cos(self.angle)
        return np.array([[sine, cosine], [cosine, -sine]])

    def polygon(self) -> Polygon:
        """Return the outline, shape (v, 2), as (row, column) in pixels."""
        return np.asarray(self.centre + self.footprint.outline @ self.axes())

    def facts(self) -> dict[str, object]:
        """Return kind, size (longer side, pixels) and angle (degrees, 0 to 180, as in the attributes)."""
        degrees = float(np.rad2deg(self.angle)) % 180
        return {"kind": self.footprint.kind, "size": float(self.footprint.length), "angle": degrees}


def random_footprint(random: np.random.Generator) -> Footprint:
    """Draw a footprint: mostly houses, some larger buildings.

    Parameters
    ----------
    random : numpy Generator

    Returns
    -------
    Footprint
        With both sides between 8 and 40 pixels.
    """
    group = random.choice(len(_GROUPS), p=[share for share, _, _ in _GROUPS])
    length = random.uniform(*_GROUPS[group][1:])
    kind = str(random.choice(KINDS, p=_SHARES)) if length >= _SMALLEST_WITH_WINGS else "rectangle"
    ratio = random.uniform(0.5, 0.95) if kind == "rectangle" else random.uniform(0.65, 1.0)
    width = max(SMALLEST, length * ratio)
    wings = _wings(kind, length, width, random)
    outline = _outline(kind, length, width, wings)
    mirror = random.choice([-1.0, 1.0], size=2)
    return Footprint(kind, length, width, outline * mirror, tuple(_mirrored(wing, mirror) for wing in wings))


def _wings(kind: str, length: float, width: float, random: np.random.Generator) -> list[Wing]:
    """Cover the footprint by the main wing, along the whole length, and those that reach across the whole width."""
    along, across = length / 2, width / 2
    if kind == "rectangle":
        return [(-along, along, -across, across)]
    main = (-along, along, -across, -across + width * random.uniform(0.4, 0.55))
    share = random.uniform(0.28, 0.36) if kind == "U" else random.uniform(0.35, 0.5)
    thick = length * share
    if kind == "T":
        start = random.uniform(-along + thick / 2, along - 1.5 * thick)
        return [main, (start, start + thick, -across, across)]
    left, right = (-along, -along + thick, -across, across), (along - thick, along, -across, across)
    return [main, left] if kind == "L" else [main, left, right]


def _outline(kind: str, length: float, width: float, wings: list[Wing]) -> NDArray[np.float64]:
    along, across = length / 2, width / 2
    base = [(-along, -across), (along, -across)]
    if kind == "rectangle":
        return np.array([*base, (along, across), (-along, across)])
    step = wings[0][3]  # where the main wing ends
    start, end = wings[1][:2]
    if kind == "L":
        return np.array([*base, (along, step), (end, step), (end, across), (-along, across)])
    if kind == "T":
        stem = [(end, step), (end, across), (start, across), (start, step)]
        return np.array([*base, (along, step), *stem, (-along, step)])
    inner = wings[2][0]
    court = [(inner, across), (inner, step), (end, step), (end, across)]
    return np.array([*base, (along, across), *court, (-along, across)])


def _mirrored(wing: Wing, mirror: NDArray[np.float64]) -> Wing:
    along = sorted((wing[0] * mirror[0], wing[1] * mirror[0]))
    across = sorted((wing[2] * mirror[1], wing[3] * mirror[1]))
    return along[0], along[1], across[0], across[1]
