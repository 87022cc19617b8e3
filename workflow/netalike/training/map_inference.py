"""Move the polygons of a whole scene to where a trained double U-Net says that they belong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from netalike.data.displacements import displace, sample_field
from netalike.data.polygons import centroid, moved, rasterize
from netalike.data.scenes import Scene
from netalike.networks.double_unet import BORDER, PIXELS_PER_UNIT, displacement_only, input_size_for
from netalike.training.map_patches import numbered, scaled_image, with_border

_TILE = 516  # pixels of output at a time; bounds the memory, about 1 GB at full width
_MARGIN = BORDER // 2

Polygons = tuple[NDArray[np.float64], ...]


class Aligner:
    """Predicts displacements with a trained network, in tiles as large as memory allows.

    Parameters
    ----------
    model : keras.Model
        Of `netalike.networks.double_unet.double_unet`.
    tile : int
        Largest side of the output that is computed at once, in pixels.
    moves : {"vertices", "buildings"}
        Whether each vertex moves by the displacement at its place, or each polygon by the mean over its edges.
    """

    def __init__(self, model: Any, tile: int = _TILE, moves: str = "vertices") -> None:
        self._moved = by_building if moves == "buildings" else _by_vertex
        self._run = tf.function(displacement_only(model), reduce_retracing=True)
        self._tile = tile

    def displacements(self, image: NDArray[np.uint8], polygons: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
        """Predict where each pixel of the polygons belongs.

        Parameters
        ----------
        image : array, shape (h, w, 3)
        polygons : sequence of array, shape (v, 2)
            (row, column) in pixels.

        Returns
        -------
        array, shape (h, w, 2)
            Pixels down and to the right; means something on the polygons alone. The image is continued beyond its
            border by its mirror image.
        """
        height, width = image.shape[:2]
        sizes = [input_size_for(min(side, self._tile)) for side in (height, width)]
        found = np.zeros((height, width, 2), np.float32)
        # tiles whose last one reaches beyond the image, so that all are of one size
        counts = [-(-side // (size - BORDER)) for side, size in zip((height, width), sizes, strict=True)]
        padded = [count * (size - BORDER) for count, size in zip(counts, sizes, strict=True)]
        whole = np.pad(
            with_border(image, _MARGIN),
            ((0, padded[0] - height), (0, padded[1] - width), (0, 0)),
            mode="symmetric",
        )
        drawn = rasterize([polygon + _MARGIN for polygon in polygons], *whole.shape[:2])
        for top in range(0, padded[0], sizes[0] - BORDER):
            for left in range(0, padded[1], sizes[1] - BORDER):
                part = (slice(top, top + sizes[0]), slice(left, left + sizes[1]))
                out = self._predict(whole[part], drawn[part])[: height - top, : width - left]
                found[top : top + out.shape[0], left : left + out.shape[1]] = out
        return found

    def _predict(self, image: NDArray[np.uint8], drawn: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs = {"image": tf.constant(scaled_image(image)[None]), "polygons": tf.constant(drawn[None])}
        found: NDArray[np.float32] = self._run(inputs)[0, 0].numpy()
        return found * np.float32(PIXELS_PER_UNIT)

    def align(
        self, image: NDArray[np.uint8], polygons: Sequence[NDArray[np.float64]], passes: int = 3
    ) -> list[Polygons]:
        """Move polygons onto their buildings, several times, each time from where the last pass left them.

        Parameters
        ----------
        image : array, shape (h, w, 3)
        polygons : sequence of array, shape (v, 2)
        passes : int

        Returns
        -------
        list of tuple of array
            The polygons after each pass.

        Notes
        -----
        A network trained on noisy labels answers a displacement with a share of it: it cannot know which part of what
        it sees is the label's own noise. What is left shrinks from pass to pass.
        """
        found: list[Polygons] = []
        current: Polygons = tuple(polygons)
        for _ in range(passes):
            field = self.displacements(image, current)
            current = self._moved(current, field)
            found.append(current)
        return found

    def align_scene(self, scene: Scene, passes: int = 3) -> list[Polygons]:
        """Align the labels of a scene; see `align`."""
        return self.align(scene.image, scene.labels, passes)


def _by_vertex(polygons: Polygons, field: NDArray[np.float32]) -> Polygons:
    return tuple(displace(polygon, field) for polygon in polygons)


def by_building(polygons: Polygons, field: NDArray[np.float32]) -> Polygons:
    """Move each polygon as a whole, by the mean of a field over its edges.

    Parameters
    ----------
    polygons : tuple of array, shape (v, 2)
        (row, column) in pixels.
    field : array, shape (h, w, 2)
        Pixels down and to the right.

    Returns
    -------
    tuple of array, shape (v, 2)
        A polygon without a pixel of its own moves by the field at its centre, or at the border nearest to it.
    """
    if not polygons:
        return ()
    numbers = numbered(polygons, *field.shape[:2]).ravel()
    pixels = np.bincount(numbers, minlength=len(polygons) + 1)[1:]
    sums = [np.bincount(numbers, layer.ravel(), minlength=len(polygons) + 1)[1:] for layer in np.moveaxis(field, 2, 0)]
    means = np.stack(sums, axis=1) / np.maximum(pixels, 1)[:, None]
    at_centres = sample_field(field, [centroid(polygon) for polygon in polygons])
    return moved(polygons, np.where(pixels[:, None] > 0, means, at_centres))
