"""Square patches of scenes, for the analysis of similarity between them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netalike.data.scenes import Scene, buildings_inside
from netalike.errors import ShapeError

PATCH_SIZE = 124  # pixels: the smallest input of the double U-Net, with an output of 4 x 4
PATCHES_PER_TILE = 10


@dataclass(frozen=True)
class Patch:
    """A square of a scene.

    Attributes
    ----------
    scene : int
        Index into the sequence of scenes.
    row, column : int
        Its upper left pixel.
    size : int
        Its side in pixels.
    buildings : int
        How many polygons lie entirely inside.
    """

    scene: int
    row: int
    column: int
    size: int
    buildings: int


def patch_positions(height: int, width: int, size: int = PATCH_SIZE, stride: int = PATCH_SIZE) -> NDArray[np.int64]:
    """Cover an image with patches.

    Parameters
    ----------
    height, width : int
        Of the image in pixels, rows first.
    size, stride : int
        Side of a patch, and pixels from one to the next.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        Upper left (row, column) of each patch, row by row. The last row and column are shifted inwards to fit, so that
        every pixel is covered where stride <= size.

    Raises
    ------
    ShapeError
        If the image is smaller than a patch, or size or stride is not positive.

    Notes
    -----
    The published code took Pillow's (width, height) for (rows, columns) (specs/1, b8).
    """
    if size < 1 or stride < 1 or height < size or width < size:
        raise ShapeError(
            f"patches of {size} pixels every {stride} do not fit into an image of {height} x {width} pixels"
        )
    rows, columns = (_starts(side, size, stride) for side in (height, width))
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _starts(side: int, size: int, stride: int) -> NDArray[np.int64]:
    starts = np.arange(0, side - size + 1, stride, dtype=np.int64)
    return starts if starts[-1] + size == side else np.append(starts, side - size)


def choose_patches(
    scenes: Sequence[Scene],
    per_scene: int | None = PATCHES_PER_TILE,
    size: int = PATCH_SIZE,
    stride: int | None = None,
    seed: int = 0,
    same_positions: bool = False,
) -> list[Patch]:
    """Choose patches at random among those with at least one building entirely inside.

    Parameters
    ----------
    scenes : sequence of Scene
    per_scene : int, optional
        At most so many from each; all if None, in the order of their positions.
    size, stride : int
        As for `patch_positions`; the stride is the size unless given.
    seed : int
    same_positions : bool
        Shuffle every scene with the same seed, as the published code does, which favours the same positions in each
        (specs/1, b12). By default a scene's shuffle depends on its name too.

    Returns
    -------
    list of Patch
        Scene by scene.

    Raises
    ------
    ShapeError
        If a scene is smaller than a patch.
    """
    chosen: list[Patch] = []
    for index, scene in enumerate(scenes):
        found = patches_with_buildings(scene, index, size, stride)
        if per_scene is not None:
            salt = [] if same_positions else [zlib.crc32(scene.name.encode())]
            order = _shuffle(scene, size, stride or size, [seed, *salt])
            found = sorted(found, key=lambda patch: order[patch.row, patch.column])[:per_scene]
        chosen += found
    return chosen


def _shuffle(scene: Scene, size: int, stride: int, seed: list[int]) -> dict[tuple[int, int], int]:
    """Give every position of a scene, also without buildings, its place in a random order."""
    positions = patch_positions(scene.image.shape[0], scene.image.shape[1], size, stride)
    order = np.random.default_rng(seed).permutation(len(positions))
    return {(int(row), int(column)): int(place) for (row, column), place in zip(positions, order, strict=True)}


def patches_with_buildings(
    scene: Scene, index: int = 0, size: int = PATCH_SIZE, stride: int | None = None
) -> list[Patch]:
    """List the patches of a scene that have at least one building entirely inside.

    Parameters
    ----------
    scene : Scene
    index : int
        Kept in the patches, to find the scene again.
    size, stride : int
        As for `patch_positions`; the stride is the size unless given.

    Returns
    -------
    list of Patch
        In the order of their positions.
    """
    height, width = scene.image.shape[:2]
    patches = [
        Patch(index, int(row), int(column), size, int(buildings_inside(scene, row, column, size).sum()))
        for row, column in patch_positions(height, width, size, stride or size)
    ]
    return [patch for patch in patches if patch.buildings]


def patch_image(scenes: Sequence[Scene], patch: Patch) -> NDArray[np.uint8]:
    """Cut the image of a patch.

    Parameters
    ----------
    scenes : sequence of Scene
        The same that the patch was chosen from.
    patch : Patch

    Returns
    -------
    ndarray of uint8, shape (size, size, 3)
    """
    rows, columns = slice(patch.row, patch.row + patch.size), slice(patch.column, patch.column + patch.size)
    return scenes[patch.scene].image[rows, columns]
