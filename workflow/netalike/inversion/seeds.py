"""What an inversion starts from, and what it aims at: pairs of images, and noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from netalike.errors import NetalikeError, ShapeError, unknown_name

KINDS = ("other_class", "same_class")
NOISE_SPREAD = 1 / 20


def inversion_pairs(
    labels: ArrayLike | Tensor, n: int, seed: int, kind: str = "other_class"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw pairs of a seed image and a target image.

    Parameters
    ----------
    labels : array, shape (images,)
    n : int
        Number of pairs.
    seed : int
        The same seed, labels and n give the same pairs.
    kind : {"other_class", "same_class"}
        ``other_class``, as published: seed and target are of different classes. ``same_class``, the control: two
        different images of one class.

    Returns
    -------
    seeds, targets : arrays, shape (n,)
        Positions of the images. No image is the target of two pairs, so that the targets are n independent images;
        a seed image may serve several pairs.

    Raises
    ------
    NetalikeError
        If there are fewer images than pairs, or no partner for an image.
    UnknownNameError
        If there is no such kind.
    """
    values = np.asarray(labels)
    if kind not in KINDS:
        raise unknown_name("kind of pairs", kind, KINDS)
    if values.ndim != 1:
        raise ShapeError(f"labels are one number per image, got an array of shape {values.shape}.")
    if not 1 <= n <= len(values):
        raise NetalikeError(
            f"{n} pairs need as many target images; expected 1 to {len(values)} pairs for these labels."
        )
    generator = np.random.default_rng(seed)
    targets = generator.permutation(len(values))[:n]
    seeds = np.array([_partner(values, target, kind, generator) for target in targets], dtype=np.int64)
    return seeds, targets.astype(np.int64)


def noise_seeds(shape: Sequence[int], seed: int) -> Tensor:
    """Draw grey noise to invert from, as robustness's recipe and STIR do.

    Parameters
    ----------
    shape : sequence of int
        ``(n, channels, height, width)``.
    seed : int

    Returns
    -------
    Tensor, float32
        ``0.5 + N(0, 1) / 20`` per pixel, in [0, 1].

    Raises
    ------
    ShapeError
        If the shape is not that of images.
    """
    if len(shape) != 4 or min(shape) < 1:
        raise ShapeError(f"images have the shape (n, channels, height, width), got {tuple(shape)}.")
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + NOISE_SPREAD * torch.randn(*shape, generator=generator)).clamp(0, 1)


def _partner(labels: NDArray[np.generic], target: np.int64, kind: str, generator: np.random.Generator) -> np.int64:
    same = labels == labels[target]
    if kind == "same_class":
        same[target] = False
    candidates = np.flatnonzero(same if kind == "same_class" else ~same)
    if not len(candidates):
        which = "another image of" if kind == "same_class" else "an image of another class than"
        raise NetalikeError(f"pairs of kind {kind!r}: there is not {which} class {labels[target]}; give more images.")
    chosen: np.int64 = generator.choice(candidates)
    return chosen
