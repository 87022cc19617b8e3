"""How a generated scene looks from above: ground, roads, cars, shadows, roofs, trees, and the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

from netalike.data.footprints import Building
from netalike.data.scene_canvas import (
    SUPERSAMPLE,
    Picture,
    Random,
    as_colour,
    blend,
    canvas,
    mask,
    points,
    ramp,
    stamp,
    sub_pixels,
    value_noise,
)
from netalike.data.scene_layout import Layout, Road
from netalike.data.scene_palettes import Colour, Palette
from netalike.data.scene_roofs import paint_roof

_CAR_COLOURS: tuple[Colour, ...] = (
    (228, 228, 228),
    (196, 198, 202),
    (70, 72, 78),
    (48, 50, 56),
    (150, 52, 46),
    (66, 84, 122),
)


@dataclass(frozen=True)
class Sun:
    """Where the light comes from.

    Attributes
    ----------
    direction : ndarray, shape (3,)
        Unit vector to the sun, as (rows, columns, up).
    """

    direction: NDArray[np.float64]

    def shadow(self, height: float) -> NDArray[np.float64]:
        """Return where the shadow of a point of this height falls, relative to its foot, in pixels."""
        return np.asarray(-height * self.direction[:2] / self.direction[2])


def random_sun(random: Random) -> Sun:
    """Draw the sun of one scene, 35 to 60 degrees high.

    Parameters
    ----------
    random : numpy Generator

    Returns
    -------
    Sun
    """
    azimuth, elevation = random.uniform(0, 2 * np.pi), np.deg2rad(random.uniform(35, 60))
    level = np.cos(elevation)
    return Sun(np.array([level * np.sin(azimuth), level * np.cos(azimuth), np.sin(elevation)]))


def paint(random: Random, layout: Layout, palette: Palette) -> NDArray[np.uint8]:
    """Paint a scene.

    Parameters
    ----------
    random : numpy Generator
    layout : Layout
    palette : Palette

    Returns
    -------
    ndarray of uint8, shape (size, size, 3)
        Everything with an edge is drawn with 4 x 4 sub-pixels; the roofs cover exactly the buildings' polygons. About
        0.5 s for 512 pixels.
    """
    sun = random_sun(random)
    heights = [_height(random, building) for building in layout.buildings]
    trees = _random_trees(random, layout, palette)
    picture = _ground(random, layout.size, palette)
    _paint_parcels(random, picture, layout, palette)
    _paint_roads(random, picture, layout.roads, palette)
    _paint_cars(random, picture, layout)
    _paint_shadows(picture, layout, heights, trees, sun)
    for building in layout.buildings:
        paint_roof(random, picture, building, palette, sun.direction)
    _paint_trees(random, picture, trees, sun)
    return _photograph(random, picture)


def _ground(random: Random, size: int, palette: Palette) -> Picture:
    picture = np.empty((size, size, 3), np.float32)
    picture[:] = as_colour(palette.lush)
    wet, worn = value_noise(random, size, 130, octaves=4), value_noise(random, size, 70, octaves=4)
    blend(picture, as_colour(palette.dry), ramp(wet, -0.5, 0.6))
    blend(picture, as_colour(palette.bare), 0.85 * ramp(worn, 0.25, 1.0))
    picture *= 1 + 0.06 * value_noise(random, size, 9, octaves=2)[..., None]
    picture *= 1 + 0.07 * value_noise(random, size, 2.2)[..., None]
    return picture


def _paint_parcels(random: Random, picture: Picture, layout: Layout, palette: Palette) -> None:
    """Give some buildings a garden or a paved yard of their own, in line with the house."""
    tones = (palette.lush, palette.dry, palette.verge)
    canvases = [canvas(layout.size) for _ in tones]
    for building in layout.buildings:
        if random.random() < 0.2:
            continue
        half = np.array([building.footprint.length, building.footprint.width]) / 2 + random.uniform(2, 9, 2)
        shift = random.uniform(-4, 4, 2)
        corners = shift + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        _, draw = canvases[random.choice(len(tones), p=(0.4, 0.25, 0.35))]
        draw.polygon(points(building.centre + corners @ building.axes()), fill=int(random.uniform(110, 220)))
    for tone, (image, _) in zip(tones, canvases, strict=True):
        shade = np.float32(random.uniform(0.92, 1.08))
        rough = 1 + 0.08 * value_noise(random, layout.size, 3)[..., None]
        blend(picture, as_colour(tone) * shade * rough, mask(image))


def _paint_roads(random: Random, picture: Picture, roads: tuple[Road, ...], palette: Palette) -> None:
    size = picture.shape[0]
    for extra, colour, strength in ((3.0, palette.verge, 0.7), (0.0, palette.asphalt, 0.95)):
        image, draw = canvas(size)
        for road in roads:
            line = points(road.points)
            draw.line(line, fill=255, width=round((road.width + extra) * SUPERSAMPLE), joint="curve")
        worn = 1 + 0.05 * value_noise(random, size, 25, octaves=3) + 0.03 * value_noise(random, size, 2)
        blend(picture, as_colour(colour) * worn[..., None], strength * mask(image))


def _paint_cars(random: Random, picture: Picture, layout: Layout) -> None:
    for road in layout.roads:
        for index in range(1, len(road.points) - 1):
            if random.random() < 0.09:
                before, here, after = road.points[index - 1 : index + 2]
                _paint_car(random, picture, here, after - before, road.width)


def _paint_car(
    random: Random, picture: Picture, place: NDArray[np.float64], heading: NDArray[np.float64], width: float
) -> None:
    along = heading / np.linalg.norm(heading)
    across = np.array([along[1], -along[0]])
    centre = place + across * random.choice([-1.0, 1.0]) * width * random.uniform(0.2, 0.3)
    corner, grid = sub_pixels(centre - 3, centre + 3)
    along_car, across_car = np.abs((grid - centre) @ along), np.abs((grid - centre) @ across)
    body = (along_car < 1.9) & (across_car < 0.85)
    glass = (along_car > 0.5) & (along_car < 1.0) & (across_car < 0.7)
    colours = np.empty((*body.shape, 3), np.float32)
    colours[:] = as_colour(_CAR_COLOURS[random.integers(len(_CAR_COLOURS))])
    colours[glass] *= 0.45
    stamp(picture, corner, colours, body.astype(np.float32))


@dataclass(frozen=True)
class _Trees:
    """All trees of a scene: centres (n, 2), radii (n,) and colours (n, 3)."""

    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    colours: NDArray[np.float32]


def _random_trees(random: Random, layout: Layout, palette: Palette) -> _Trees:
    """Scatter trees, half of them in groups; they stay off the roads and hide no more than the rim of a roof."""
    wanted = round(palette.greenery * len(layout.buildings) * random.uniform(0.7, 1.3))
    groups = random.uniform(0, layout.size, (max(1, wanted // 8), 2))
    alone = random.uniform(0, layout.size, (2 * wanted, 2))
    grouped = groups[random.integers(len(groups), size=2 * wanted)] + random.normal(0, 9, (2 * wanted, 2))
    centres = random.permutation(np.concatenate([alone, grouped]))
    radii = random.uniform(1.6, 3.2, len(centres)) * random.choice([1.0, 1.6], len(centres))
    kept = np.flatnonzero(_off_roads(centres, radii, layout) & _off_roofs(centres, radii, layout))[:wanted]
    colours = np.array(palette.trees, np.float32)[random.integers(len(palette.trees), size=len(kept))]
    colours *= random.uniform(0.85, 1.2, (len(kept), 1)).astype(np.float32)
    return _Trees(centres[kept], radii[kept], colours)


def _off_roads(centres: NDArray[np.float64], radii: NDArray[np.float64], layout: Layout) -> NDArray[np.bool_]:
    kept = np.ones(len(centres), bool)
    for road in layout.roads:
        distance = np.linalg.norm(centres[:, None] - road.points, axis=-1).min(axis=1, initial=np.inf)
        kept &= distance > road.width / 2 + 2 + 0.6 * radii
    return kept


def _off_roofs(centres: NDArray[np.float64], radii: NDArray[np.float64], layout: Layout) -> NDArray[np.bool_]:
    kept = np.ones(len(centres), bool)
    for building in layout.buildings:
        local = np.abs((centres - building.centre) @ building.axes().T)
        half = np.array([building.footprint.length, building.footprint.width]) / 2
        kept &= np.linalg.norm(np.maximum(local - half, 0), axis=1) > 0.6 * radii
    return kept


def _paint_trees(random: Random, picture: Picture, trees: _Trees, sun: Sun) -> None:
    """Draw each crown as a lumpy ball, bright towards the sun."""
    for centre, radius, colour in zip(trees.centres, trees.radii, trees.colours, strict=True):
        corner, grid = sub_pixels(centre - 1.3 * radius, centre + 1.3 * radius)
        away = grid - centre
        bearing = np.arctan2(away[..., 0], away[..., 1])
        lumps = (
            1 + 0.12 * np.sin(5 * bearing + random.uniform(0, 6)) + 0.08 * np.sin(9 * bearing + random.uniform(0, 6))
        )
        share = np.linalg.norm(away, axis=-1) / (radius * lumps)
        crown = share < 1
        up = np.sqrt(np.clip(1 - share**2, 0, 1))
        lit = (away / radius) @ sun.direction[:2] + up * sun.direction[2]
        shade = 0.62 + 0.66 * np.clip(lit, 0, 1) + 0.12 * random.normal(size=share.shape)
        stamp(picture, corner, (colour * shade[..., None]).astype(np.float32), 0.95 * crown.astype(np.float32))


def _paint_shadows(picture: Picture, layout: Layout, heights: list[float], trees: _Trees, sun: Sun) -> None:
    """Darken what buildings and trees keep the sun from, a little bluer than what lies in the light."""
    image, draw = canvas(layout.size)
    for building, height in zip(layout.buildings, heights, strict=True):
        _sweep(draw, building.polygon(), sun.shadow(height))
    for centre, radius in zip(trees.centres, trees.radii, strict=True):
        row, column = (centre + sun.shadow(0.75 * radius)) * SUPERSAMPLE
        reach = radius * SUPERSAMPLE
        draw.ellipse((column - reach, row - reach, column + reach, row + reach), fill=255)
    dark = np.array([0.42, 0.46, 0.55], np.float32)
    picture *= 1 - mask(image)[..., None] * (1 - dark)


def _sweep(draw: ImageDraw.ImageDraw, polygon: NDArray[np.float64], shift: NDArray[np.float64]) -> None:
    """Draw what a polygon covers while it moves along a straight line: itself, and what each side sweeps over."""
    draw.polygon(points(polygon + shift), fill=255)
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        draw.polygon(points(np.array([start, end, end + shift, start + shift])), fill=255)


def _height(random: Random, building: Building) -> float:
    """Draw a height in pixels: one to four storeys, more for large buildings."""
    return random.uniform(2.5, 6.0) + (random.uniform(0, 6) if building.footprint.length > 22 else 0.0)


def _photograph(random: Random, picture: Picture) -> NDArray[np.uint8]:
    """Add what a camera adds: haze, its own contrast and white balance, a mild blur and noise."""
    haze, contrast = random.uniform(0.0, 0.1), random.uniform(0.9, 1.12)
    balance = random.uniform(0.96, 1.04, 3).astype(np.float32)
    seen = (picture - 118) * np.float32(contrast) + 118 + np.float32(random.uniform(-8, 8))
    seen = (seen * (1 - haze) + 190 * haze) * balance
    seen = _blurred(seen.astype(np.float32), random.uniform(0.45, 0.7))
    seen += random.uniform(1.5, 3.5) * random.standard_normal(seen.shape, np.float32)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def _blurred(picture: Picture, sigma: float) -> Picture:
    """Blur by a Gaussian of sigma pixels, cut off at 2 pixels."""
    weights = np.exp(-(np.arange(-2, 3) ** 2) / (2 * sigma**2))
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        reach = [(2, 2) if each == axis else (0, 0) for each in range(3)]
        padded = np.pad(picture, reach, mode="edge")
        length = picture.shape[axis]
        picture = np.sum(
            [weight * padded.take(range(k, k + length), axis=axis) for k, weight in enumerate(weights)], axis=0
        )
    return picture
