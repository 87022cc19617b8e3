"""Common corruptions of small images, at five severities, written from their published definitions.

The definitions are those of D. Hendrycks and T. Dietterich, Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations, ICLR 2019 (arXiv:1903.12261). The constants are those of their CIFAR-10-C, as its
published code states them (make_cifar_c.py in the repository hendrycks/robustness), also for MNIST and the digits.

Where we differ from CIFAR-10-C:

- Grey images are corrupted in their one channel. Brightness is added to the value of HSV, which for a grey image is the
  image itself; the other corruptions treat each channel on its own, or all in the same way, in any case.
- Pixels are rounded to the nearest of the 256 levels, not cut down to the level below.
- Random numbers are ours. They are drawn from a seed, and are the same at each severity of a corruption, so that a
  higher severity is the same accident, only worse.
- MNIST and the digits are enlarged to 32 x 32 first. Pixelate, which shrinks 32 pixels to 30, 28, 27, 24 or 20, is
  there not quite ordered: its severity 2 or 3 may change an image a little less than the one before.
- An image that is not 32 x 32 keeps its size; the constants are not scaled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from netalike.data.images import ImageSet
from netalike.data.shift_names import CORRUPTIONS, SEVERITIES
from netalike.data.shifting import map_pixels, random_stream
from netalike.errors import NetalikeError, unknown_name


def corrupt(images: ImageSet, corruption: str, severity: int, seed: int) -> ImageSet:
    """Corrupt every image of a set.

    Parameters
    ----------
    images : ImageSet
        Grey or coloured; not changed.
    corruption : str
        One of `CORRUPTIONS`.
    severity : {1, 2, 3, 4, 5}
    seed : int
        Of the noise. The first images of a set are corrupted the same way whether or not others follow.

    Returns
    -------
    ImageSet
        uint8 at the size that networks see, with the same labels, ids and name.

    Raises
    ------
    UnknownNameError
        If there is no such corruption.
    NetalikeError
        If there is no such severity.

    Notes
    -----
    From 0.1 s (contrast) to 1.6 s (shot noise) for 10,000 CIFAR images on one core.
    """
    if corruption not in _CORRUPTIONS:
        raise unknown_name("corruption", corruption, CORRUPTIONS)
    if severity not in SEVERITIES:
        raise NetalikeError(f"severity {severity!r} of {corruption}: expected 1, 2, 3, 4 or 5.")
    chosen = _CORRUPTIONS[corruption]
    constant, random = chosen.constants[severity - 1], random_stream(seed, corruption, images.split)
    return map_pixels(images, lambda pixels: chosen.apply(pixels, constant, random))


@dataclass(frozen=True)
class _Corruption:
    apply: Callable[[Tensor, Any, np.random.Generator], Tensor]
    constants: Sequence[Any]  # one per severity


def _gaussian_noise(pixels: Tensor, deviation: float, random: np.random.Generator) -> Tensor:
    noise = random.standard_normal(tuple(pixels.shape), dtype=np.float32)
    return pixels + deviation * torch.from_numpy(noise)


def _shot_noise(pixels: Tensor, photons: float, random: np.random.Generator) -> Tensor:
    """Count photons, of which a white pixel receives so many on average."""
    counts = random.poisson(pixels.numpy() * photons)
    return torch.from_numpy(counts).float() / photons


def _impulse_noise(pixels: Tensor, share: float, random: np.random.Generator) -> Tensor:
    """Set a share of the values to 1 or to 0, either with equal probability."""
    draws = torch.from_numpy(random.random(tuple(pixels.shape), dtype=np.float32))
    return pixels.masked_fill(draws < share / 2, 1.0).masked_fill(draws > 1 - share / 2, 0.0)


def _defocus_blur(pixels: Tensor, disk: tuple[float, float], random: np.random.Generator) -> Tensor:
    kernel, size = defocus_kernel(*disk), pixels.shape[-1]
    padded = functional.pad(pixels, (len(kernel) // 2,) * 4, mode="reflect")
    blurred = torch.zeros_like(pixels)
    for down, right in kernel.nonzero().tolist():  # conv2d takes eight times as long for one channel
        blurred.add_(padded[..., down : down + size, right : right + size], alpha=float(kernel[down, right]))
    return blurred


def _brightness(pixels: Tensor, added: float, random: np.random.Generator) -> Tensor:
    """Add to the value of HSV, with hue and saturation as they are: all channels by the same factor."""
    value = pixels.amax(1, keepdim=True)
    raised = (value + added).clamp(max=1)
    return torch.where(value > 0, pixels * (raised / value), raised)  # black has no hue: it becomes grey


def _contrast(pixels: Tensor, factor: float, random: np.random.Generator) -> Tensor:
    """Shrink the distance from the mean of each channel of each image."""
    means = pixels.mean((2, 3), keepdim=True)
    return (pixels - means) * factor + means


def _fog(pixels: Tensor, fog: tuple[float, float], random: np.random.Generator) -> Tensor:
    """Add a cloud, the same in all channels, and scale so that the brightest pixel cannot get brighter."""
    thickness, decay = fog
    size = pixels.shape[-1]
    clouds = plasma(len(pixels), size, decay, random)[:, None]
    brightest = pixels.amax((1, 2, 3), keepdim=True)
    return (pixels + thickness * clouds) * (brightest / (brightest + thickness))


def _pixelate(pixels: Tensor, factor: float, random: np.random.Generator) -> Tensor:
    """Shrink and enlarge again, both by the box filter."""
    size = pixels.shape[-1]
    small = int(size * factor)
    there_and_back = _box_weights(small, size) @ _box_weights(size, small)
    return there_and_back @ pixels @ there_and_back.T


def defocus_kernel(radius: float, softness: float) -> Tensor:
    """Make the point spread function of a lens out of focus: a disk with softened edges.

    Parameters
    ----------
    radius : float
        Of the disk, in pixels; pixels with their centre within it are lit equally.
    softness : float
        Standard deviation in pixels of the 3 x 3 Gaussian filter over the disk.

    Returns
    -------
    Tensor, float32, shape (width, width)
        With the sum 1; width = 2 floor(radius) + 3.
    """
    along = torch.arange(-math.floor(radius) - 1, math.floor(radius) + 2, dtype=torch.float64)
    disk = (along[:, None] ** 2 + along[None] ** 2 <= radius**2).double()
    gauss = torch.exp(-torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64) / (2 * softness**2))
    gauss = torch.outer(gauss, gauss) / gauss.sum() ** 2
    soft = functional.conv2d(disk[None, None] / disk.sum(), gauss[None, None], padding=1)[0, 0]
    return soft.float()


def plasma(n: int, size: int, decay: float, random: np.random.Generator) -> Tensor:
    """Draw fractal clouds by the diamond-square algorithm.

    Parameters
    ----------
    n : int
        Number of clouds.
    size : int
        Height and width.
    decay : float
        Above 1; the larger, the smoother.
    random : numpy.random.Generator
        Gives each point of each cloud one number, cloud by cloud.

    Returns
    -------
    Tensor, float32, shape (n, size, size)
        From 0 to 1 in each map of 2^k x 2^k points, of which the corner is cut out where `size` is no power of 2.

    Notes
    -----
    The map is a torus. Each round halves the grid: first the centres of its squares, then the middles of its edges
    become the mean of their four neighbours plus a uniform number. As in the code of CIFAR-10-C, the range of that
    number shrinks by the square of `decay` with each round.
    """
    width = 2 ** math.ceil(math.log2(size))
    draws = torch.from_numpy(random.random((n, width, width), dtype=np.float32)) * 2 - 1
    heights = torch.zeros(n, width, width)
    step, spread = width, 1.0
    while step >= 2:
        _fill(heights, draws * spread, step)
        step, spread = step // 2, spread / decay**2
    lowest, highest = heights.amin((1, 2), keepdim=True), heights.amax((1, 2), keepdim=True)
    return ((heights - lowest) / (highest - lowest))[:, :size, :size]


def _fill(heights: Tensor, displacements: Tensor, step: int) -> None:
    """Fill in the points halfway between those of a grid: squares first, then diamonds."""
    on, between = slice(None, None, step), slice(step // 2, None, step)
    corners = heights[:, on, on]
    right = corners + corners.roll(-1, 2)
    heights[:, between, between] = (right + right.roll(-1, 1)) / 4 + displacements[:, between, between]
    centres = heights[:, between, between]
    across = right + centres + centres.roll(1, 1)  # left, right, below, above
    down = corners + corners.roll(-1, 1) + centres + centres.roll(1, 2)
    heights[:, on, between] = across / 4 + displacements[:, on, between]
    heights[:, between, on] = down / 4 + displacements[:, between, on]


def _box_weights(n_in: int, n_out: int) -> Tensor:
    """Weight of each input pixel in each output pixel, as Pillow's box filter: float32 of shape (n_out, n_in).

    An input pixel counts wholly where its centre lies within the output pixel, and else not at all; where images grow,
    the nearest pixel counts.
    """
    ratio = n_in / n_out
    centres = (torch.arange(n_out, dtype=torch.float64)[:, None] + 0.5) * ratio
    distance = (torch.arange(n_in, dtype=torch.float64)[None] + 0.5 - centres) / max(ratio, 1.0)
    inside = ((distance > -0.5) & (distance <= 0.5)).float()
    return inside / inside.sum(1, keepdim=True)


_CORRUPTIONS = {
    "gaussian_noise": _Corruption(_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": _Corruption(_shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": _Corruption(_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": _Corruption(_defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "brightness": _Corruption(_brightness, (0.05, 0.10, 0.15, 0.20, 0.30)),
    "contrast": _Corruption(_contrast, (0.75, 0.50, 0.40, 0.30, 0.15)),
    "fog": _Corruption(_fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "pixelate": _Corruption(_pixelate, (0.95, 0.90, 0.85, 0.75, 0.65)),
}
