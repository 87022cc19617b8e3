"""Where things are in a generated scene: roads, and buildings along them that keep their distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString
from shapely.geometry import Polygon as ShapelyPolygon

from netalike.data.footprints import Building, Footprint, random_footprint

GAP = 4.0  # pixels between any two buildings, at least
BORDER = 3.0  # pixels between a building and the border of the scene
SETBACK = (3.0, 12.0)  # pixels between a building and its road
_STEP = 8.0  # pixels between the points of a road
_TRIES_PER_BUILDING = 60


@dataclass(frozen=True)
class Road:
    """A road.

    Attributes
    ----------
    points : ndarray, shape (n, 2)
        Its axis as (row, column), about 8 pixels from point to point; reaches past the scene.
    width : float
        In pixels.
    """

    points: NDArray[np.float64]
    width: float


@dataclass(frozen=True)
class Layout:
    """What stands where.

    Attributes
    ----------
    size : int
        Side of the scene in pixels.
    roads : tuple of Road
    buildings : tuple of Building
        Entirely inside the scene, at least 4 pixels from each other, and off the roads.
    """

    size: int
    roads: tuple[Road, ...]
    buildings: tuple[Building, ...]


def random_layout(random: np.random.Generator, size: int) -> Layout:
    """Draw roads and buildings.

    Parameters
    ----------
    random : numpy Generator
    size : int
        Side of the scene in pixels.

    Returns
    -------
    Layout
        A scene of 512 pixels has about 60 to 110 buildings.
    """
    roads = _random_roads(random, size)
    wanted = max(1, round(random.uniform(62, 110) * (size / 512) ** 2))
    return Layout(size, roads, _random_buildings(random, size, roads, wanted))


def _random_roads(random: np.random.Generator, size: int) -> tuple[Road, ...]:
    """Lay two families of gently winding roads across each other, at a random angle."""
    angle = random.uniform(0, np.pi / 2)
    main = _family(random, size, angle, spacing=random.uniform(80, 115), widths=(5.0, 8.0), missing=0.1)
    cross = _family(random, size, angle + np.pi / 2, spacing=random.uniform(120, 190), widths=(4.0, 6.5), missing=0.25)
    return (*main, *cross)


def _family(
    random: np.random.Generator,
    size: int,
    angle: float,
    spacing: float,
    widths: tuple[float, float],
    missing: float,
) -> list[Road]:
    reach = size * 0.75  # from the centre past the corners
    direction = np.array([np.sin(angle), np.cos(angle)])
    normal = np.array([np.cos(angle), -np.sin(angle)])
    along = np.arange(-reach, reach + _STEP, _STEP)
    swing, wavelength = random.uniform(0, 7), random.uniform(250, 600)
    roads = []
    for place in np.arange(-reach + random.uniform(0, spacing), reach, spacing):
        if random.random() < missing:
            continue
        bend = swing * np.sin(2 * np.pi * along / wavelength + random.uniform(0, 2 * np.pi))
        across = place + random.uniform(-0.12, 0.12) * spacing + bend
        points = size / 2 + along[:, None] * direction + across[:, None] * normal
        roads.append(Road(points, random.uniform(*widths)))
    return roads


def _random_buildings(
    random: np.random.Generator, size: int, roads: tuple[Road, ...], wanted: int
) -> tuple[Building, ...]:
    taken = shapely.union_all([LineString(road.points).buffer(road.width / 2 + 1.5) for road in roads])
    shapely.prepare(taken)
    frame = shapely.box(BORDER, BORDER, size - BORDER, size - BORDER)
    buildings: list[Building] = []
    shapes: list[ShapelyPolygon] = []
    for _ in range(wanted * _TRIES_PER_BUILDING):
        building = _candidate(random, size, roads)
        shape = ShapelyPolygon(building.polygon())
        if frame.contains(shape) and not taken.intersects(shape) and not _crowds(shape, shapes):
            buildings.append(building)
            shapes.append(shape)
        if len(buildings) == wanted:
            break
    return tuple(buildings)


def _candidate(random: np.random.Generator, size: int, roads: tuple[Road, ...]) -> Building:
    """Draw a building beside a road, its longer side along it or across; without roads, anywhere."""
    footprint = random_footprint(random)
    if not roads:
        return Building(footprint, random.uniform(0, size, 2), random.uniform(0, np.pi))
    road = roads[random.integers(len(roads))]
    index = random.integers(1, len(road.points) - 1)
    before, here, after = road.points[index - 1 : index + 2]
    tangent = (after - before) / np.linalg.norm(after - before)
    side = random.choice([-1.0, 1.0])
    sideways = random.random() < 0.25
    angle = float(np.arctan2(tangent[0], tangent[1])) + sideways * np.pi / 2 + random.normal(0, 0.02)
    away = road.width / 2 + _setback(random) + _depth(footprint, sideways) / 2
    centre = here + random.uniform(-0.5, 0.5) * _STEP * tangent + side * away * np.array([tangent[1], -tangent[0]])
    return Building(footprint, centre, angle)


def _setback(random: np.random.Generator) -> float:
    """Most buildings line the road; some stand in a second row."""
    return random.uniform(*SETBACK) + (random.uniform(14, 30) if random.random() < 0.25 else 0.0)


def _depth(footprint: Footprint, sideways: bool) -> float:
    return footprint.length if sideways else footprint.width


def _crowds(shape: ShapelyPolygon, others: list[ShapelyPolygon]) -> bool:
    return bool(others) and bool((shapely.distance(others, shape) < GAP).any())
