"""Drawing with 4 x 4 sub-pixels: masks, stamps and noise for generated scenes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from netalike.data.scene_palettes import Colour

Picture = NDArray[np.float32]  # (height, width, 3), 0 to 255
Mask = NDArray[np.float32]  # (height, width), 0 to 1
Random = np.random.Generator

SUPERSAMPLE = 4


def value_noise(random: Random, size: int, cell: float, octaves: int = 1) -> Mask:
    """Make smooth noise: random values on a grid, interpolated; each octave half as strong and twice as fine.

    Parameters
    ----------
    random : numpy Generator
    size : int
        Side in pixels.
    cell : float
        Pixels between the knots of the coarsest grid.
    octaves : int

    Returns
    -------
    ndarray of float32, shape (size, size)
        Around 0, mostly between -1 and 1.
    """
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        knots = max(2, round(size / cell * 2**octave) + 1)
        coarse = Image.fromarray(random.uniform(-1, 1, (knots, knots)).astype(np.float32))
        total += np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)) * np.float32(0.5**octave)
    return total


def blend(picture: Picture, colour: Picture | NDArray[np.float32], mask: Mask) -> None:
    """Lay a colour over a picture, in place."""
    picture += mask[..., None] * (colour - picture)


def as_colour(colour: Colour) -> NDArray[np.float32]:
    """Return a colour as an array of shape (3,)."""
    return np.asarray(colour, np.float32)


def ramp(values: Mask, low: float, high: float) -> Mask:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    unit = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(unit * unit * (3 - 2 * unit), np.float32)


def canvas(size: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty picture of sub-pixels for a scene of `size` pixels, and what draws on it."""
    image = Image.new("L", (size * SUPERSAMPLE, size * SUPERSAMPLE))
    return image, ImageDraw.Draw(image)


def mask(image: Image.Image) -> Mask:
    """Return the share of each pixel that is drawn, from a picture of sub-pixels."""
    return np.asarray(image.reduce(SUPERSAMPLE), np.float32) / np.float32(255)


def points(polygon: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Bring (row, column) in pixels to Pillow's (x, y) in sub-pixels."""
    return [(float(column), float(row)) for row, column in polygon * SUPERSAMPLE]


def stamp(picture: Picture, corner: tuple[int, int], colours: Picture, mask: Mask) -> None:
    """Lay a small picture with 4 x 4 sub-pixels over a picture, box filtered; what reaches out is cut off.

    `corner` is the upper left pixel; the small picture's sides are whole pixels.
    """
    rows, columns = mask.shape[0] // SUPERSAMPLE, mask.shape[1] // SUPERSAMPLE
    boxes = (rows, SUPERSAMPLE, columns, SUPERSAMPLE)
    share = mask.reshape(boxes).mean(axis=(1, 3))
    painted = (colours * mask[..., None]).reshape(*boxes, 3).mean(axis=(1, 3))
    top, left = max(0, corner[0]), max(0, corner[1])
    bottom, right = min(picture.shape[0], corner[0] + rows), min(picture.shape[1], corner[1] + columns)
    if top >= bottom or left >= right:
        return
    cut = slice(top - corner[0], bottom - corner[0]), slice(left - corner[1], right - corner[1])
    target = picture[top:bottom, left:right]
    target *= 1 - share[cut][..., None]
    target += painted[cut]


def sub_pixels(low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[tuple[int, int], NDArray[np.float64]]:
    """Return the corner pixel of the box around two points, and the centres of its sub-pixels, shape (h, w, 2)."""
    first, last = np.floor(low).astype(int), np.ceil(high).astype(int)
    rows, columns = (
        (np.arange((last[axis] - first[axis]) * SUPERSAMPLE) + 0.5) / SUPERSAMPLE + first[axis] for axis in (0, 1)
    )
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    return (int(first[0]), int(first[1])), grid
