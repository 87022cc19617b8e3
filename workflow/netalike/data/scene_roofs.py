"""Roofs of generated buildings: ridges, hips and flat roofs, lit by the sun."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netalike.data.footprints import Building, Wing
from netalike.data.scene_canvas import SUPERSAMPLE, Picture, Random, as_colour, stamp, sub_pixels
from netalike.data.scene_palettes import Palette

Grid = NDArray[np.float64]


def paint_roof(
    random: Random, picture: Picture, building: Building, palette: Palette, sun: NDArray[np.float64]
) -> None:
    """Paint the roof of a building: it covers exactly the building's polygon.

    Parameters
    ----------
    random : numpy Generator
    picture : ndarray of float32, shape (height, width, 3)
        Changed in place.
    building : Building
    palette : Palette
    sun : ndarray, shape (3,)
        Unit vector to the sun, as (rows, columns, up).
    """
    polygon = building.polygon()
    corner, grid = sub_pixels(polygon.min(axis=0), polygon.max(axis=0))
    local = (grid - building.centre) @ building.axes().T  # (h, w, 2): along, across
    covered = np.any([_within(local, wing) for wing in building.footprint.wings], axis=0)
    pitched = random.random() < palette.pitched
    choices = palette.roofs if pitched else palette.flat_roofs
    colour = as_colour(choices[random.integers(len(choices))]) * np.float32(random.uniform(0.88, 1.12))
    shade = _pitched(random, local, building, sun) if pitched else _flat(random, local, building, sun)
    colours = colour * (shade * _texture(random, local))[..., None]
    stamp(picture, corner, colours.astype(np.float32), covered.astype(np.float32))


def _within(local: Grid, wing: Wing, margin: float = 0.0) -> NDArray[np.bool_]:
    along, across = local[..., 0], local[..., 1]
    kept = (along >= wing[0] + margin) & (along <= wing[1] - margin)
    return np.asarray(kept & (across >= wing[2] + margin) & (across <= wing[3] - margin))


def _pitched(random: Random, local: Grid, building: Building, sun: NDArray[np.float64]) -> Grid:
    """Shade a roof with ridges: each sub-pixel belongs to the wing whose roof is highest there."""
    steepness, hipped = np.tan(np.deg2rad(random.uniform(25, 42))), random.random() < 0.4
    roofs = np.stack([_roof_height(local, wing, hipped) for wing in building.footprint.wings])
    height = roofs.max(axis=0)
    rise = np.stack(np.gradient(height * SUPERSAMPLE * steepness), axis=-1)  # (h, w, 2), along rows and columns
    normal = np.concatenate([-rise, np.ones((*height.shape, 1))], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    shade = 0.5 + 0.66 * np.clip(normal @ sun, 0, 1)
    ridge = np.abs(height - height.max()) < 0.35
    return np.asarray(np.where(ridge, 1.06 * shade, shade))


def _roof_height(local: Grid, wing: Wing, hipped: bool) -> Grid:
    """Height of one wing's roof above its eaves per unit of slope; far below 0 outside the wing."""
    to_ends = np.minimum(local[..., 0] - wing[0], wing[1] - local[..., 0])
    to_sides = np.minimum(local[..., 1] - wing[2], wing[3] - local[..., 1])
    lengthwise = wing[1] - wing[0] >= wing[3] - wing[2]
    across, along = (to_sides, to_ends) if lengthwise else (to_ends, to_sides)
    height = np.minimum(across, along) if hipped else across
    return np.where((to_ends >= 0) & (to_sides >= 0), height, np.minimum(height, np.minimum(to_ends, to_sides)))


def _flat(random: Random, local: Grid, building: Building, sun: NDArray[np.float64]) -> Grid:
    """Shade a flat roof: a parapet around it, and on it a few boxes, skylights or tanks."""
    shade = np.full(local.shape[:2], 0.5 + 0.66 * sun[2])
    middle = np.any([_within(local, wing, margin=0.8) for wing in building.footprint.wings], axis=0)
    shade[~middle] *= random.choice([0.82, 1.12])
    for _ in range(random.integers(0, 2 + int(building.footprint.length / 9))):
        wing = building.footprint.wings[random.integers(len(building.footprint.wings))]
        _add_box(random, shade, local, wing)
    return shade


def _add_box(random: Random, shade: Grid, local: Grid, wing: Wing) -> None:
    half = random.uniform(0.6, 1.8, 2)
    room = np.array([[wing[0], wing[1]], [wing[2], wing[3]]]) + np.array([[1.0, -1.0]]) * (half[:, None] + 0.8)
    if (room[:, 0] >= room[:, 1]).any():
        return
    place = random.uniform(room[:, 0], room[:, 1])
    box = (*(place[0] + half[0] * np.array([-1, 1])), *(place[1] + half[1] * np.array([-1, 1])))
    shadow = (box[0] + 0.6, box[1] + 0.6, box[2] + 0.6, box[3] + 0.6)
    shade[_within(local, shadow)] *= 0.65
    shade[_within(local, box)] = random.uniform(0.75, 1.3)


def _texture(random: Random, local: Grid) -> Grid:
    """Vary the brightness a little: rows of tiles, stains, grain."""
    rows = 0.02 * np.sin(2 * np.pi * local[..., 1] / random.uniform(1.3, 2.2))
    stains = 0.05 * np.sin(local @ random.normal(0, 0.25, 2) + random.uniform(0, 6))
    return np.asarray(1 + rows + stains + 0.05 * random.normal(size=local.shape[:2]))
