"""Pairs of images of one class, drawn with replacement, as the MNIST experiment of Charpiat et al. (2019) has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from netalike.data.images import normalise
from netalike.data.resize import resize
from netalike.errors import NetalikeError

if TYPE_CHECKING:
    from netalike.data import ImageSet
    from netalike.data.registry import DatasetSpec

SIZE = 28  # pixels: height and width of MNIST as it was published, and of all that the network of the paper sees
# Independent streams of random numbers of one run.
INITIAL, PAIRS, OTHERS, MASKS = 0, 1, 2, 3
_HELD_OUT = 4


@dataclass(frozen=True, eq=False)
class PairPool:
    """Training images to draw pairs from, and images of the same split that are held out.

    Attributes
    ----------
    images : Tensor, uint8, shape (n, channels, 28, 28)
    labels : Tensor, int64, shape (n,)
    held_out : Tensor, float32, shape (m, channels, 28, 28)
        Normalised.
    held_out_labels : Tensor, int64, shape (m,)
    classes : int
    spec : DatasetSpec
        How images are normalised.
    fingerprint : str
        Of the images and labels of the whole split.
    """

    images: Tensor
    labels: Tensor
    held_out: Tensor
    held_out_labels: Tensor
    classes: int
    spec: DatasetSpec
    fingerprint: str

    @property
    def channels(self) -> int:
        """Of the images."""
        return self.images.shape[1]

    def inputs(self, indices: Tensor) -> Tensor:
        """Return images (k, channels, 28, 28) as the network sees them."""
        return normalise(self.images[indices], self.spec)


def hold_out(images: ImageSet, n_held_out: int, seed: int = 0) -> PairPool:
    """Divide a training split into images to draw pairs from and images to validate on.

    Parameters
    ----------
    images : ImageSet
        A training split. Resized to 28 x 28 from what the publisher stores, which is nothing to do for MNIST.
    n_held_out : int
        Images that are never trained on: a fixed random subset, the same for every run of a study.
    seed : int
        Of the subset.

    Returns
    -------
    PairPool

    Raises
    ------
    NetalikeError
        If a class is left without an image.

    Notes
    -----
    The published code validates on a random batch of the test set, a new one after each step; a fixed subset of the
    training split leaves the test set alone and takes the noise of that draw out of the comparison.
    """
    chosen = np.random.default_rng([seed, _HELD_OUT]).permutation(len(images))
    held, kept = (np.sort(part) for part in (chosen[:n_held_out], chosen[n_held_out:]))
    pixels, labels, classes = resize(images.images, SIZE), images.labels, len(images.classes)
    counts = np.bincount(labels[kept].numpy(), minlength=classes)
    if not counts.all() or len(held) < n_held_out:
        raise NetalikeError(
            f"{images.name} ({images.split}) has {len(images):,} images: holding out {n_held_out:,} leaves classes "
            f"without any. Hold out fewer, or use more images."
        )
    return PairPool(
        pixels[kept],
        labels[kept],
        normalise(pixels[held], images.spec),
        labels[held],
        classes,
        images.spec,
        images.fingerprint(),
    )


def draw_pairs(labels: Tensor, classes: int, steps: int, batch_size: int, seed: int) -> Tensor:
    """Draw the pairs of all steps: a class, then two independent batches of images of that class, with replacement.

    Parameters
    ----------
    labels : Tensor, int64, shape (n,)
        Each class at least once.
    classes, steps, batch_size, seed : int

    Returns
    -------
    Tensor, int64, shape (steps, 2, batch_size)
        Indices into `labels`. More steps begin with the same pairs.
    """
    random = np.random.default_rng([seed, PAIRS])
    drawn = random.random((steps, 1 + 2 * batch_size))
    chosen = torch.from_numpy((drawn[:, :1] * classes).astype(np.int64))
    return _images_of(labels, classes, chosen, drawn[:, 1:]).view(steps, 2, batch_size)


def draw_others(labels: Tensor, pairs: Tensor, classes: int, seed: int) -> Tensor:
    """Draw for each step images of another class than that of its pair: the control.

    Parameters
    ----------
    labels : Tensor, int64, shape (n,)
    pairs : Tensor, int64, shape (steps, 2, batch_size)
        Of `draw_pairs`.
    classes, seed : int

    Returns
    -------
    Tensor, int64, shape (steps, batch_size)
        Indices into `labels`; each image of a class of its own, uniform among the others.
    """
    random = np.random.default_rng([seed, OTHERS])
    drawn = random.random((len(pairs), 2, pairs.shape[2]))
    away = torch.from_numpy(1 + (drawn[:, 0] * (classes - 1)).astype(np.int64))
    return _images_of(labels, classes, (labels[pairs[:, 0]] + away) % classes, drawn[:, 1])


def draw_masks(classes: int, steps: int, seed: int) -> Tensor:
    """Draw a standard normal weight for each class and step, float32 of shape (steps, classes)."""
    random = np.random.default_rng([seed, MASKS])
    return torch.from_numpy(random.standard_normal((steps, classes)).astype(np.float32))


def _images_of(labels: Tensor, classes: int, wanted: Tensor, drawn: np.ndarray) -> Tensor:
    """Choose an image of each wanted class by a number in [0, 1)."""
    counts = torch.bincount(labels, minlength=classes)
    places = (torch.from_numpy(drawn) * counts[wanted]).long()
    by_class = torch.argsort(labels, stable=True)
    return by_class[(counts.cumsum(0) - counts)[wanted] + places]
