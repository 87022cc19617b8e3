"""What corruptions, domains and tasks share: seeded random numbers, and functions of pixels over a whole set."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from netalike.data.images import ImageSet

_CHUNK = 500  # images whose pixels are floats at a time: 6 MB for CIFAR, which stays in the cache


def random_stream(seed: int, *names: str) -> np.random.Generator:
    """Make a generator that belongs to a seed and to what it is used for.

    Parameters
    ----------
    seed : int
        At least 0.
    *names : str
        For example the corruption and the split, so that no two of them share random numbers.

    Returns
    -------
    numpy.random.Generator
        The same for the same arguments.
    """
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def map_pixels(images: ImageSet, change: Callable[[Tensor], Tensor]) -> ImageSet:
    """Change the pixels of every image, at the size that networks see.

    Parameters
    ----------
    images : ImageSet
        Not changed.
    change : callable
        Maps pixels from 0 to 1, float32 of shape (b, channels, size, size), to pixels of the same shape. Called on the
        images in order, some at a time; what leaves the range from 0 to 1 is cut off.

    Returns
    -------
    ImageSet
        With the same labels, ids and name; pixels rounded to the nearest of the 256 levels.
    """
    pixels = images.resized
    changed = torch.empty_like(pixels)
    for start in range(0, len(pixels), _CHUNK):
        part = pixels[start : start + _CHUNK].float().div_(255)
        changed[start : start + _CHUNK] = change(part).clamp(0, 1).mul_(255).round_().to(torch.uint8)
    return dataclasses.replace(images, images=changed)


def without_mirroring(images: ImageSet) -> ImageSet:
    """Replace an augmentation that mirrors images by one that does not.

    Parameters
    ----------
    images : ImageSet

    Returns
    -------
    ImageSet
        With ``affine`` where the augmentation was ``crop_flip``. The mirror image of an image turned by 30 degrees is
        one turned by -30: it would belong to another domain, and in a task on rotations to another class.
    """
    if images.spec.augmentation != "crop_flip":
        return images
    return dataclasses.replace(images, spec=dataclasses.replace(images.spec, augmentation="affine"))
