"""Images in memory, as the publisher stored them, and the batches that networks see."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netalike.data import folder, readers
from netalike.data.augment import augment as augmented
from netalike.data.digits import read_digits
from netalike.data.registry import SPLITS, DatasetSpec, Layout, RemoteFile, specification
from netalike.data.resize import resize
from netalike.errors import BadFileError, ShapeError, unknown_name


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Some images of one split of a data set, with their labels.

    Parameters
    ----------
    name : str
        Of the data set.
    split : {"train", "test"}
    images : Tensor, uint8, shape (n, channels, height, width)
        As the publisher stores them; the digits and image folders at their final size already.
    labels : Tensor, int64, shape (n,)
    classes : tuple of str
    ids : ndarray, int64, shape (n,)
        Position in the publisher's split. Images of two sets of the same split are paired by it.
    spec : DatasetSpec
        With mean and std filled in.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    ids: NDArray[np.int64]
    spec: DatasetSpec

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Sequence[int] | NDArray[np.integer] | Tensor | slice) -> ImageSet:
        """Choose images by their positions in this set.

        Parameters
        ----------
        indices : sequence of int, or slice
            In the order wanted; repeats are allowed.

        Returns
        -------
        ImageSet
            With the ids of the chosen images.
        """
        rows = torch.arange(len(self))[indices] if isinstance(indices, slice) else torch.as_tensor(indices).long()
        ids = self.ids[rows.numpy()]
        return ImageSet(self.name, self.split, self.images[rows], self.labels[rows], self.classes, ids, self.spec)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the shape, the stored images and the labels, in hexadecimal."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()

    @cached_property
    def resized(self) -> Tensor:
        """The images at the size that networks see: uint8, (n, channels, size, size), computed once.

        Costs as much memory again where the publisher's size differs (61 MB for the 60,000 images of MNIST), none
        otherwise.
        """
        return resize(self.images, self.spec.size)

    def inputs(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Return the images start..stop under the test transform.

        Parameters
        ----------
        start, stop : int
            As in a slice.

        Returns
        -------
        Tensor, float32, shape (n, channels, size, size)
            Resized (bilinear, as Pillow), scaled to [0, 1], and normalised by mean and std per channel.
        """
        return normalise(self.resized[start:stop], self.spec)


def normalise(images: Tensor, spec: DatasetSpec) -> Tensor:
    """Scale pixels to [0, 1], subtract the mean and divide by the standard deviation of each channel.

    Parameters
    ----------
    images : Tensor, uint8, shape (n, channels, height, width)
    spec : DatasetSpec

    Returns
    -------
    Tensor, float32, same shape

    Raises
    ------
    ValueError
        If the specification has no mean and std yet (an image folder that was not loaded).
    """
    if spec.mean is None or spec.std is None:
        raise ValueError(f"data set {spec.name}: mean and std are known only after loading it; use load(...).spec")
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (spec.mean, spec.std))
    return images.float().div_(255).sub_(mean).div_(std)


def load(name: str, split: str = "test", root: str | Path = "resources", limit: int | None = None) -> ImageSet:
    """Load a split of a data set into memory.

    Parameters
    ----------
    name : str
        One of `names`, or ``folder:PATH``.
    split : {"train", "test"}
    root : path
        The folder that `fetch` fills. Not needed for the digits.
    limit : int, optional
        The first so many images of the split, or all if there are fewer; their ids are those of the full split.

    Returns
    -------
    ImageSet
        In the publisher's order; of ImageNet the first of each class, then the second of each, and so on.

    Raises
    ------
    UnknownNameError
        If there is no such data set or split.
    BadFileError
        If a file is missing or damaged.
    ValueError
        If `limit` is less than 1.
    """
    spec = specification(name)
    if split not in SPLITS:
        raise unknown_name(f"split of {name}", split, SPLITS)
    if limit is not None and limit < 1:
        raise ValueError(f"limit: expected at least 1 image, got {limit}")
    if spec.folder is not None:
        spec, images, labels = folder.read_folder(spec, split, Path(root))
        return _image_set(spec, split, images[:limit], labels[:limit])
    if spec.layouts[0].reader == "digits":
        images, labels, ids = read_digits(split)
        return _image_set(spec, split, images[:limit], labels[:limit], ids[:limit])
    if spec.layouts[0].reader == "imagenet":
        from netalike.data.imagenet import read_split

        return read_split(split, root, limit)
    layout, paths = _files_on_disk(spec, split, Path(root))
    return _image_set(spec, split, *_READERS[layout.reader](paths, limit))


def _image_set(
    spec: DatasetSpec,
    split: str,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    ids: NDArray[np.int64] | None = None,
) -> ImageSet:
    ids = np.arange(len(labels), dtype=np.int64) if ids is None else ids
    return ImageSet(spec.name, split, torch.from_numpy(images), torch.from_numpy(labels), spec.classes, ids, spec)


_Reader = Callable[[Sequence[Path], int | None], tuple[NDArray[np.uint8], NDArray[np.int64]]]

_READERS: dict[str, _Reader] = {
    "idx": readers.read_idx_pair,
    "cifar10_binary": readers.read_cifar_binary,
    "cifar100_binary": partial(readers.read_cifar_binary, label_bytes=2),
    "cifar10_python": readers.read_cifar_python,
}


def _files_on_disk(spec: DatasetSpec, split: str, root: Path) -> tuple[Layout, list[Path]]:
    for layout in spec.layouts:
        paths = [root / file.path for file in layout.files[split]]
        if all(path.is_file() for path in paths):
            for path, file in zip(paths, layout.files[split], strict=True):
                _refuse_wrong_size(path, file, spec.name)
            return layout, paths
    missing = next(root / file.path for file in spec.layouts[0].files[split] if not (root / file.path).is_file())
    raise BadFileError(
        f"data set {spec.name}: {missing} is missing. Run `netalike fetch {spec.name} --data {root}`, "
        "or put the file there."
    )


def _refuse_wrong_size(path: Path, file: RemoteFile, name: str) -> None:
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise BadFileError(
            f"data set {name}: {path} has {size} bytes, expected {file.size}. "
            f"Delete it and run `netalike fetch {name}`."
        )


def batches(images: ImageSet, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over a set in order, under the test transform.

    Parameters
    ----------
    images : ImageSet
    batch_size : int

    Yields
    ------
    inputs : Tensor, float32, shape (b, channels, size, size)
        b is `batch_size`, or what is left for the last batch.
    labels : Tensor, int64, shape (b,)

    Raises
    ------
    ValueError
        If `batch_size` is less than 1.
    """
    _refuse_bad_batch_size(batch_size)
    return (
        (images.inputs(start, start + batch_size), images.labels[start : start + batch_size])
        for start in range(0, len(images), batch_size)
    )


def training_batches(
    images: ImageSet, batch_size: int, generator: torch.Generator, augment: bool = True, drop_last: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over a set once, shuffled and augmented.

    Parameters
    ----------
    images : ImageSet
    batch_size : int
    generator : torch.Generator
        On the CPU. It alone decides the order and the augmentation; it is advanced, so that the next epoch differs.
    augment : bool
        Augment as `images.spec.augmentation` says; the order does not depend on it.
    drop_last : bool
        Leave out the last batch if it is short.

    Yields
    ------
    inputs : Tensor, float32, shape (b, channels, size, size)
    labels : Tensor, int64, shape (b,)

    Raises
    ------
    ValueError
        If `batch_size` is less than 1.
    ShapeError
        If there would be no batch at all.
    """
    _refuse_bad_batch_size(batch_size)
    if drop_last and len(images) < batch_size:
        raise ShapeError(
            f"{len(images)} images of {images.name} give no batch of {batch_size}: "
            "use more images, a smaller batch size, or drop_last=False"
        )
    return _shuffled(images, batch_size, generator, augment, drop_last)


def _shuffled(
    images: ImageSet, batch_size: int, generator: torch.Generator, augment: bool, drop_last: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(len(images), generator=generator)
    stop = len(images) - len(images) % batch_size if drop_last else len(images)
    for start in range(0, stop, batch_size):
        rows = order[start : start + batch_size]
        pixels = images.resized[rows]
        if augment:
            pixels = augmented(pixels, images.spec.augmentation, generator)
        yield normalise(pixels, images.spec), images.labels[rows]


def _refuse_bad_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
