"""Noisy labels with known noise: every polygon of a scene is shifted by an offset that is kept."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netalike.data.displacements import sample_field
from netalike.data.polygons import centroid, moved
from netalike.data.scenes import Scene
from netalike.errors import unknown_name

KINDS = ("independent", "smooth", "bias", "clean")
BIAS_ANGLE = 30.0  # degrees from the columns' direction; any fixed direction does, but no axis of the pixels
SMOOTH_LENGTH = 96  # pixels between the knots of the smooth field

Offsets = NDArray[np.float64]


def with_noise(scene: Scene, kind: str, sigma: float = 1.5, seed: int = 0) -> Scene:
    """Give a scene labels that are off by a known offset per building.

    Parameters
    ----------
    scene : Scene
        Its true polygons are the starting point, whatever its labels are.
    kind : {"independent", "smooth", "bias", "clean"}
        A to D of specs/1 section 8.3. "independent": N(0, sigma^2) per building and direction. "smooth": a smooth
        random field with mean 0 and root mean square sigma over the scene, read at each building's centre, plus
        independent noise as above. "bias": the same offset for every building of every scene, of length
        sigma * sqrt(2); it depends on sigma alone, so that it is one bias for a whole data set. "clean": none.
    sigma : float
        In pixels, per direction. The root mean square distance from the truth is sigma * sqrt(2) for "independent" and
        "bias", and 2 * sigma for "smooth".
    seed : int
        Together with the scene's name: scenes of different names get different noise from the same seed.

    Returns
    -------
    Scene
        With `labels` and `noise` replaced; ``labels[b] == polygons[b] + noise[b]`` exactly.

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    ValueError
        If sigma is negative or not a number.
    """
    if kind not in _MAKERS:
        raise unknown_name("kind of label noise", kind, KINDS)
    if not sigma >= 0:
        raise ValueError(f"label noise: expected sigma of at least 0 pixels, got {sigma}")
    random = np.random.default_rng([seed, zlib.crc32(scene.name.encode())])
    offsets = _MAKERS[kind](scene, sigma, random)
    return replace(scene, labels=moved(scene.polygons, offsets), noise=offsets)


def _independent(scene: Scene, sigma: float, random: np.random.Generator) -> Offsets:
    return random.normal(0, sigma, (len(scene.polygons), 2))


def _smooth(scene: Scene, sigma: float, random: np.random.Generator) -> Offsets:
    height, width = scene.image.shape[:2]
    field = sigma * smooth_field(random, height, width)
    centres = np.array([centroid(polygon) for polygon in scene.polygons]).reshape(-1, 2)
    return sample_field(field, centres) + _independent(scene, sigma, random)


def _bias(scene: Scene, sigma: float, random: np.random.Generator) -> Offsets:
    angle = np.deg2rad(BIAS_ANGLE)
    offset = sigma * np.sqrt(2) * np.array([np.sin(angle), np.cos(angle)])
    return np.tile(offset, (len(scene.polygons), 1))


def _clean(scene: Scene, sigma: float, random: np.random.Generator) -> Offsets:
    return np.zeros((len(scene.polygons), 2))


_MAKERS: dict[str, Callable[[Scene, float, np.random.Generator], Offsets]] = {
    "independent": _independent,
    "smooth": _smooth,
    "bias": _bias,
    "clean": _clean,
}


def smooth_field(random: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Make a smooth random field of offsets with mean 0 and root mean square 1 in each direction.

    Parameters
    ----------
    random : numpy Generator
    height, width : int
        In pixels.

    Returns
    -------
    ndarray of float32, shape (height, width, 2)
        Normal values on a grid with about 96 pixels between its knots, at least 3 a side, interpolated bicubically.
    """
    knots = [max(3, round(side / SMOOTH_LENGTH) + 1) for side in (height, width)]
    layers = []
    for _ in range(2):
        coarse = Image.fromarray(random.normal(size=knots).astype(np.float32))
        fine = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
        fine = fine - fine.mean()
        layers.append(fine / np.sqrt(np.mean(fine**2)))
    return np.stack(layers, axis=-1).astype(np.float32)
