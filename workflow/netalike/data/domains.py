"""A ladder of shifted domains: the same images, turned, inverted, blurred or under noise, by as much as one asks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from netalike.data.images import ImageSet
from netalike.data.shift_names import NO_SHIFT, parse_domain
from netalike.data.shifting import map_pixels, random_stream, without_mirroring

_TAIL = 4  # standard deviations after which a Gaussian filter ends


def shift_domain(images: ImageSet, domain: str, seed: int) -> ImageSet:
    """Show the images of a set in another domain.

    Parameters
    ----------
    images : ImageSet
        Not changed.
    domain : str
        ``rotation:30`` (degrees counterclockwise about the centre, bilinear, black outside), ``inversion:0.5`` (share a
        of the inverted image: (1 - a) x + a (1 - x) for pixels x from 0 to 1), ``blur:1.5`` (Gaussian, standard
        deviation in pixels of the network's input, edges repeated), ``noise:0.1`` (Gaussian, standard deviation on the
        scale from 0 to 1, each channel on its own, cut off at 0 and 1), or ``none``.
    seed : int
        Of the noise; the training and the test images of one seed get noise of their own.

    Returns
    -------
    ImageSet
        uint8 at the size that networks see, with the same labels, ids and name. In all domains, ``none`` included,
        training images are not mirrored (`netalike.data.shifting.without_mirroring`), so that a turned image stays in
        its domain and no domain is augmented in another way than the others.

    Raises
    ------
    UnknownNameError
        If there is no such kind of domain.
    NetalikeError
        If the strength is missing, not a number, or out of range.
    """
    kind, strength = parse_domain(domain)
    random = random_stream(seed, kind, images.split)
    return without_mirroring(map_pixels(images, lambda pixels: _KINDS[kind](pixels, strength, random)))


def _rotate(pixels: Tensor, degrees: float, random: np.random.Generator) -> Tensor:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    backward = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]]).expand(len(pixels), 2, 3)
    grid = functional.affine_grid(backward, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _invert(pixels: Tensor, share: float, random: np.random.Generator) -> Tensor:
    return (1 - share) * pixels + share * (1 - pixels)


def _blur(pixels: Tensor, deviation: float, random: np.random.Generator) -> Tensor:
    weights = _gaussian_weights(pixels.shape[-1], deviation)
    return weights @ pixels @ weights.T


def _add_noise(pixels: Tensor, deviation: float, random: np.random.Generator) -> Tensor:
    noise = random.standard_normal(tuple(pixels.shape), dtype=np.float32)
    return pixels + deviation * torch.from_numpy(noise)


def _gaussian_weights(size: int, deviation: float) -> Tensor:
    """Weight of each input pixel in each output pixel along one axis, float32 of shape (size, size)."""
    reach = math.ceil(_TAIL * deviation)
    offsets = torch.arange(-reach, reach + 1)
    bell = torch.exp(-0.5 * (offsets.double() / max(deviation, 1e-9)) ** 2)
    sources = (torch.arange(size)[:, None] + offsets).clamp(0, size - 1)  # beyond the edge lies the edge again
    weights = torch.zeros(size, size, dtype=torch.float64)
    return weights.scatter_add_(1, sources, (bell / bell.sum()).expand(size, -1)).float()


_KINDS: dict[str, Callable[[Tensor, float, np.random.Generator], Tensor]] = {
    "rotation": _rotate,
    "inversion": _invert,
    "blur": _blur,
    "noise": _add_noise,
    NO_SHIFT: lambda pixels, strength, random: pixels,
}
