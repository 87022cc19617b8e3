"""Training patches for map alignment, made from scenes while the training runs: displaced, cut out, turned.

Needs numpy and Pillow alone. Coordinates are (row, column) in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from netalike.data.displacements import displacement_field, invert_displacement
from netalike.data.polygons import overlapping, rasterize
from netalike.data.scenes import Scene
from netalike.errors import NetalikeError, ShapeError
from netalike.training.map_settings import MapTraining

BORDER = 60
"""Pixels that an input has on each side of its output; see `netalike.networks.double_unet`."""
PIXELS_PER_UNIT = 8.0
"""A stored displacement of 1 is so many pixels."""
_BRIGHTNESS = 0.25  # on the scale from -1 to 1
_CONTRAST = (0.8, 1.2)
_EDGE = 5  # pixels, of the edges over which a building's displacement is averaged
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

_Floats = NDArray[np.float32]
_Polygons = Sequence[NDArray[np.float64]]


class Batch(NamedTuple):
    """Patches and what the network should say of them; b patches of s pixels, o = s - 120.

    Attributes
    ----------
    image : array, shape (b, s, s, 3)
        In [-1, 1].
    polygons : array, shape (b, s, s, 3)
        Fill, edges and vertices of the displaced polygons, in [0, 1].
    displacement : array, shape (b, o, o, 2)
        What brings the polygons back to their labels, down and to the right, in units of 8 pixels.
    segmentation : array, shape (b, o, o, 3)
        Fill, edges and vertices of all labels where they are, also of those whose polygon is not in the input; 0
        everywhere if the settings give the segmentation no weight.
    buildings : array of int32, shape (b, o, o)
        The number of the polygon that a pixel is an edge of, from 1 in each patch, and 0 elsewhere; 0 everywhere if
        the settings give buildings no weight.
    """

    image: _Floats
    polygons: _Floats
    displacement: _Floats
    segmentation: _Floats
    buildings: NDArray[np.int32]


@dataclass(frozen=True)
class _Displaced:
    """A scene whose polygons were moved away from their labels."""

    field: _Floats | None  # (h, w, 2) pixels, read at the displaced polygons
    polygons: tuple[NDArray[np.float64], ...]
    offsets: _Floats | None = None  # (n, 2), where each polygon has its own instead of a field


def scaled_image(image: NDArray[np.uint8]) -> _Floats:
    """Return an image as the network takes it: in [-1, 1]."""
    return image.astype(np.float32) / np.float32(127.5) - np.float32(1)


def with_border(image: NDArray[np.uint8], border: int = BORDER) -> NDArray[np.uint8]:
    """Continue an image beyond its border by its mirror image."""
    return np.pad(image, ((border, border), (border, border), (0, 0)), mode="symmetric")


def numbered(polygons: _Polygons, height: int, width: int, filled: bool = False) -> NDArray[np.int32]:
    """Draw polygons as their numbers.

    Parameters
    ----------
    polygons : sequence of array, shape (v, 2)
        A later one covers an earlier one.
    height, width : int
        Pixels.
    filled : bool
        Whether the inside is drawn too; else the edges alone, 5 pixels wide.

    Returns
    -------
    array of int32, shape (height, width)
        1 for the first polygon, and 0 where there is none.
    """
    canvas = Image.new("I", (width, height))
    pen = ImageDraw.Draw(canvas)
    for number, polygon in enumerate(polygons, start=1):
        # Pillow takes (x, y) and cuts decimals off: the pixel that holds the point is its whole part
        points = [(column, row) for row, column in np.floor(polygon).astype(int).tolist()]
        if filled:
            pen.polygon(points, fill=number)
        pen.line([*points, points[0]], fill=number, width=_EDGE)
    return np.asarray(canvas, np.int32)


def turned(maps: _Floats, quarters: int, mirrored: bool) -> _Floats:
    """Turn a map counter-clockwise by quarters, after mirroring it up to down.

    Parameters
    ----------
    maps : array, shape (s, s, c)
    quarters : int
    mirrored : bool

    Returns
    -------
    array, shape (s, s, c)
    """
    return np.rot90(maps[::-1] if mirrored else maps, quarters)


def turned_vectors(field: _Floats, quarters: int, mirrored: bool) -> _Floats:
    """Turn a map of vectors as `turned` does, and the vectors with it.

    Parameters
    ----------
    field : array, shape (s, s, 2)
        Down and to the right.
    quarters : int
    mirrored : bool

    Returns
    -------
    array, shape (s, s, 2)
    """
    field = turned(field, quarters, mirrored)
    down, right = field[..., 0], field[..., 1]
    if mirrored:
        down = -down
    for _ in range(quarters % 4):
        down, right = -right, down
    return np.stack([down, right], axis=-1)


class PatchMaker:
    """Makes the patches of a training from scenes and their labels.

    Parameters
    ----------
    scenes : sequence of Scene
        Their `labels` are what the network learns from; the true `polygons` are not read.
    settings : MapTraining
    seed : int

    Raises
    ------
    NetalikeError
        If no scene has a label.
    ShapeError
        If a scene is smaller than the output of a patch.

    Notes
    -----
    A field D is drawn for each scene (every `fields_every` steps another), and each label q moves to the r with
    r + D(r) = q, so that D(r) is exactly what brings it back. With `displacements` buildings, each polygon has an
    offset of its own instead, uniform in a square, which is the target on its fill and edges. A patch is laid around
    one label, which stays in the input; each other one stays with the probability `keep_polygons`. What step t gets
    depends on the seed and t alone:
    a training that goes on needs no state of a random generator.
    """

    def __init__(self, scenes: Sequence[Scene], settings: MapTraining, seed: int) -> None:
        self._scenes = [scene for scene in scenes if scene.labels]
        if not self._scenes:
            raise NetalikeError(f"none of the {len(scenes)} training scenes has a polygon: choose others.")
        self._output = settings.input_size - 2 * BORDER
        for scene in self._scenes:
            _refuse_small(scene, self._output)
        self._images = [with_border(scene.image) for scene in self._scenes]
        self._settings, self._seed = settings, seed
        self._displaced: dict[int, _Displaced] = {}
        self._epoch = -1

    def batch(self, step: int) -> Batch:
        """Return the patches of a step, counted from 0."""
        self._renew(step // self._settings.fields_every)
        generator = np.random.default_rng([self._seed, 1, step])
        patches = [self._patch(generator) for _ in range(self._settings.batch_size)]
        return Batch(*(np.ascontiguousarray(np.stack(parts)) for parts in zip(*patches, strict=True)))

    def _renew(self, epoch: int) -> None:
        if epoch != self._epoch:
            self._epoch = epoch
            self._displaced.clear()

    def _displace(self, number: int) -> _Displaced:
        if number not in self._displaced:
            scene = self._scenes[number]
            height, width = scene.image.shape[:2]
            seed = int(np.random.SeedSequence([self._seed, 2, self._epoch, number]).generate_state(1)[0])
            amplitude = self._settings.amplitude
            if self._settings.displacements == "buildings":
                self._displaced[number] = _each_displaced(scene.labels, amplitude, seed)
            else:
                field = displacement_field(seed, height, width, amplitude=amplitude)
                self._displaced[number] = _Displaced(field, displaced(scene.labels, field))
        return self._displaced[number]

    def _patch(self, generator: np.random.Generator) -> Batch:
        number = int(generator.integers(len(self._scenes)))
        scene, moved = self._scenes[number], self._displace(number)
        chosen = int(generator.integers(len(scene.labels)))
        corner = self._corner(generator, moved.polygons[chosen].mean(0), scene)
        near = _touching(moved.polygons, corner - BORDER, self._settings.input_size)
        kept = [i for i in near if i == chosen or generator.random() < self._settings.keep_polygons]
        patch = self._cut(number, corner, moved, kept)
        return self._augmented(patch, generator)

    def _corner(self, generator: np.random.Generator, inside: NDArray[np.float64], scene: Scene) -> NDArray[np.int64]:
        """Place the output of a patch so that a point lies in it."""
        middle = np.round(inside).astype(np.int64)
        free = np.array(scene.image.shape[:2]) - self._output
        shift = generator.integers(0, self._output, size=2)
        corner: NDArray[np.int64] = np.clip(middle - shift, 0, free)
        return corner

    def _cut(self, number: int, corner: NDArray[np.int64], moved: _Displaced, kept: list[int]) -> Batch:
        size, output = self._settings.input_size, self._output
        top, left = corner
        polygons = [moved.polygons[i] - corner for i in kept]
        covered = numbered(polygons, output, output, filled=True)
        return Batch(
            image=scaled_image(self._images[number][top : top + size, left : left + size]),
            polygons=rasterize([polygon + BORDER for polygon in polygons], size, size),
            displacement=_target(moved, kept, corner, covered) / np.float32(PIXELS_PER_UNIT),
            segmentation=self._labels(number, corner),
            buildings=_edges(polygons, covered, self._settings.building_weight),
        )

    def _labels(self, number: int, corner: NDArray[np.int64]) -> _Floats:
        """Draw the labels of a scene where a patch's output is; nothing where they would not be used."""
        output = self._output
        if not self._settings.segmentation_weight:
            return np.zeros((output, output, 3), np.float32)
        labels = self._scenes[number].labels
        return rasterize([labels[i] - corner for i in _touching(labels, corner, output)], output, output)

    def _augmented(self, patch: Batch, generator: np.random.Generator) -> Batch:
        quarters, mirrored = int(generator.integers(4)), bool(generator.integers(2))
        image = _relit(patch.image, generator) if self._settings.photometric else patch.image
        if not self._settings.turns:
            return patch._replace(image=image)
        return Batch(
            turned(image, quarters, mirrored),
            turned(patch.polygons, quarters, mirrored),
            turned_vectors(patch.displacement, quarters, mirrored),
            turned(patch.segmentation, quarters, mirrored),
            np.rot90(patch.buildings[::-1] if mirrored else patch.buildings, quarters),
        )


def _each_displaced(labels: _Polygons, amplitude: float, seed: int) -> _Displaced:
    """Move each polygon by an offset of its own."""
    offsets = np.random.default_rng(seed).uniform(-amplitude, amplitude, (len(labels), 2)).astype(np.float32)
    polygons = tuple(label - offset for label, offset in zip(labels, offsets, strict=True))
    return _Displaced(None, polygons, offsets)


def _target(moved: _Displaced, kept: list[int], corner: NDArray[np.int64], covered: NDArray[np.int32]) -> _Floats:
    """Return what brings polygons back, in pixels, where a patch's output is; (o, o, 2)."""
    (top, left), output = corner, len(covered)
    if moved.field is not None:
        return moved.field[top : top + output, left : left + output]
    nothing = np.zeros((1, 2), np.float32)
    table: _Floats = np.concatenate([nothing] if moved.offsets is None else [nothing, moved.offsets[kept]])
    return table[covered]


def _edges(polygons: _Polygons, covered: NDArray[np.int32], weight: float) -> NDArray[np.int32]:
    """Number the edges of polygons, but for what another polygon covers; nothing where it would not be used."""
    if not weight:
        return np.zeros_like(covered)
    edges = numbered(polygons, *covered.shape)
    return np.where(edges == covered, edges, 0)


def displaced(labels: _Polygons, field: _Floats) -> tuple[NDArray[np.float64], ...]:
    """Move polygons to where a field brings them back from.

    Parameters
    ----------
    labels : sequence of array, shape (v, 2)
    field : array, shape (h, w, 2)
        Pixels.

    Returns
    -------
    tuple of array, shape (v, 2)
        r with r + D(r) = q for every vertex q.
    """
    if not len(labels):
        return ()
    moved = invert_displacement(np.concatenate(list(labels)), field)
    return tuple(np.split(moved, np.cumsum([len(polygon) for polygon in labels])[:-1]))


def _relit(image: _Floats, generator: np.random.Generator) -> _Floats:
    """Change brightness by up to a quarter, contrast and saturation by up to a fifth."""
    brightness = generator.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    contrast, saturation = generator.uniform(*_CONTRAST, size=2)
    grey = image @ _LUMA
    image = (grey[..., None] + np.float32(saturation) * (image - grey[..., None])).astype(np.float32)
    middle = image.mean(dtype=np.float32)
    relit: _Floats = np.clip((image - middle) * np.float32(contrast) + middle + np.float32(brightness), -1, 1)
    return relit


def _touching(polygons: _Polygons, corner: NDArray[np.int64], size: int) -> list[int]:
    return [int(i) for i in np.flatnonzero(overlapping(polygons, float(corner[0]), float(corner[1]), size, size))]


def _refuse_small(scene: Scene, output: int) -> None:
    if min(scene.image.shape[:2]) < output:
        height, width = scene.image.shape[:2]
        raise ShapeError(
            f"{scene.name} has {height} x {width} pixels, and a patch of {output + 2 * BORDER} pixels needs at least "
            f"{output} x {output}: choose a smaller input_size."
        )
