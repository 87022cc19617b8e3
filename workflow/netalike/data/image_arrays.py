"""Images in numpy arrays, channels last, for networks that are not PyTorch's; needs numpy alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.errors import NetalikeError, ShapeError


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """Some images of one split of a data set, with their labels.

    Attributes
    ----------
    name, split : str
        Of the data set.
    images : ndarray, uint8, shape (n, height, width, channels)
    labels : ndarray, int64, shape (n,)
    ids : ndarray, int64, shape (n,)
        Positions in the publisher's split.
    classes : tuple of str
    """

    name: str
    split: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64] | slice) -> ImageArrays:
        """Choose images by their positions in this set."""
        return replace(self, images=self.images[rows], labels=self.labels[rows], ids=self.ids[rows])

    def fingerprint(self) -> str:
        """Return the SHA-256 of the shape, the images and the labels, in hexadecimal."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


def as_arrays(images: Any, size: int | None = None) -> ImageArrays:
    """Take the images of a set as their publisher stores them, or smaller.

    Parameters
    ----------
    images : ImageSet or ImageArrays
        An `ImageSet` of `netalike.data`; PyTorch itself is not imported here.
    size : int, optional
        Height and width wanted, in pixels: squares of pixels are averaged.

    Returns
    -------
    ImageArrays

    Raises
    ------
    ShapeError
        If the images cannot be divided into so many squares.
    """
    if isinstance(images, ImageArrays):
        given = images
    else:
        pixels = np.ascontiguousarray(np.moveaxis(np.asarray(images.images), 1, -1))
        labels, ids = np.asarray(images.labels, dtype=np.int64), np.asarray(images.ids, dtype=np.int64)
        given = ImageArrays(images.name, images.split, pixels, labels, ids, tuple(images.classes))
    return given if size is None else replace(given, images=_shrunk(given.images, size))


def _shrunk(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    n, height, width, channels = images.shape
    if height % size or width % size:
        fitting = ", ".join(
            str(side) for side in range(4, min(height, width) + 1) if not (height % side or width % side)
        )
        raise ShapeError(
            f"images of {height} x {width} pixels cannot be averaged to {size} x {size}: expected one of {fitting}."
        )
    squares = images.reshape(n, size, height // size, size, width // size, channels)
    averages: NDArray[np.uint8] = np.rint(squares.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
    return averages


def stratified(labels: Sequence[int] | NDArray[np.int64], n: int, seed: int | Sequence[int]) -> NDArray[np.int64]:
    """Draw positions so that each class has the same share among them as among all.

    Parameters
    ----------
    labels : sequence of int
    n : int
        How many to draw.
    seed : int or sequence of int

    Returns
    -------
    ndarray, int64, shape (n,)
        Increasing. What is left after rounding down goes to the classes with the largest remainders.

    Raises
    ------
    NetalikeError
        If there are not so many, or n is below 1.
    """
    given = np.asarray(labels)
    if not 1 <= n <= len(given):
        raise NetalikeError(f"{n} images cannot be drawn from {len(given)}: expected 1 to {len(given)}.")
    classes, counts = np.unique(given, return_counts=True)
    shares = counts * (n / len(given))
    wanted = np.floor(shares + 1e-9).astype(int)
    # a stable order: of equal remainders, the lower label first
    wanted[np.argsort(wanted - shares, kind="stable")[: n - wanted.sum()]] += 1
    generator = np.random.default_rng(seed)
    drawn = [
        generator.permutation(np.flatnonzero(given == label))[:count]
        for label, count in zip(classes, wanted, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)
