"""Augmentation of whole batches as tensor operations; every random number comes from a generator that is passed in.

Each operation has a deterministic function of explicit per-image parameters, and a random one that draws them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from netalike.errors import unknown_name

PADDING = 4  # pixels, for the crop and for the affine map
ANGLE, SHEAR = 5.0, 5.0  # degrees, either way
SCALES = (0.9, 1.1)


def augment(images: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """Augment each image of a batch on its own.

    Parameters
    ----------
    images : Tensor, any dtype, shape (n, channels, size, size)
        Before normalisation, so that the padding is black.
    kind : {"crop_flip", "affine", "none"}
        As `DatasetSpec.augmentation` names it.
    generator : torch.Generator
        On the CPU; advanced by the same amount for every batch of the same length.

    Returns
    -------
    Tensor
        Like `images`.

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    """
    if kind not in _KINDS:
        raise unknown_name("augmentation", kind, _KINDS)
    return _KINDS[kind](images, generator)


def random_crop_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip half of the images, then crop each at a random place of its zero-padded self (CIFAR's augmentation)."""
    n = len(images)
    mirrored = torch.rand(n, generator=generator) < 0.5
    shifts = torch.randint(-PADDING, PADDING + 1, (n, 2), generator=generator)
    return shift(flip(images, mirrored), shifts)


def random_affine(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate, scale and shear each image at random about its centre (MNIST's augmentation).

    Rotation within 5 degrees, scale from 0.9 to 1.1, horizontal shear within 5 degrees, each uniform.
    """
    draws = torch.rand(len(images), 3, generator=generator)
    angles = (2 * draws[:, 0] - 1) * ANGLE
    scales = SCALES[0] + draws[:, 1] * (SCALES[1] - SCALES[0])
    shears = (2 * draws[:, 2] - 1) * SHEAR
    return affine(images, angles, scales, shears)


def flip(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror the chosen images left to right.

    Parameters
    ----------
    images : Tensor, shape (n, channels, height, width)
    mirrored : Tensor, bool, shape (n,)

    Returns
    -------
    Tensor
        Like `images`.
    """
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(-1), images)


def shift(images: Tensor, shifts: Tensor, padding: int = PADDING) -> Tensor:
    """Move the window over each image, with black beyond the border: a crop of the zero-padded image.

    Parameters
    ----------
    images : Tensor, shape (n, channels, height, width)
    shifts : Tensor, int64, shape (n, 2)
        Rows and columns by which the window moves down and right, in [-padding, padding]; 0 is the image itself.
    padding : int
        Pixels of black on each side.

    Returns
    -------
    Tensor
        Like `images`.
    """
    n, _, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (n, c, 2p+1, 2p+1, height, width)
    down, right = (shifts + padding).to(images.device).unbind(1)
    return windows[torch.arange(n, device=images.device), :, down, right]


def affine(images: Tensor, angles: Tensor, scales: Tensor, shears: Tensor) -> Tensor:
    """Pad each image by 4 pixels of its edge, map it, and crop the centre, in one sampling.

    Parameters
    ----------
    images : Tensor, shape (n, channels, size, size)
    angles : Tensor, shape (n,)
        Clockwise, in degrees.
    scales : Tensor, shape (n,)
        Above 1 enlarges.
    shears : Tensor, shape (n,)
        Along the rows, in degrees.

    Returns
    -------
    Tensor
        Like `images`. Every value is one of the padded image's, or 0 beyond it: the nearest pixel is taken, as
        torchvision's ``RandomAffine`` does unless told otherwise.
    """
    size = images.shape[-1]
    padded = functional.pad(images.float(), (PADDING,) * 4, mode="replicate")
    grid = _source_points(angles, scales, shears, size).to(images.device)
    sampled = functional.grid_sample(padded, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return sampled.to(images.dtype)


def _source_points(angles: Tensor, scales: Tensor, shears: Tensor, size: int) -> Tensor:
    """Where each output pixel comes from, in `grid_sample`'s coordinates of the padded image: (n, size, size, 2)."""
    turn, slant = torch.deg2rad(angles), torch.tan(torch.deg2rad(shears))
    cos, sin = torch.cos(turn), torch.sin(turn)
    forward = torch.stack([cos, -cos * slant - sin, sin, -sin * slant + cos], dim=1).view(-1, 2, 2)  # rotate(shear(.))
    backward = torch.linalg.inv(forward * scales[:, None, None])
    along = torch.arange(size) - (size - 1) / 2  # pixel centres, from the middle of the image
    y, x = torch.meshgrid(along, along, indexing="ij")
    points = torch.einsum("nij,hwj->nhwi", backward, torch.stack([x, y], dim=-1))
    return points * (2 / (size + 2 * PADDING))


_KINDS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "crop_flip": random_crop_flip,
    "affine": random_affine,
    "none": lambda images, generator: images,
}
