"""A user's own images: a folder with one folder per class."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netalike.data.registry import DATASETS, SPLITS, DatasetSpec, Layout
from netalike.errors import BadFileError
from netalike.progress import progress

PREFIX = "folder:"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

Statistics = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std, per channel


@dataclass(frozen=True)
class FolderSource:
    """Where the images are, and how they are to be seen.

    Parameters
    ----------
    path : Path
    size, channels : int
    mean, std : tuple of float, optional
        Computed from the training images if not given.
    test_share : float
        Of the images, where there are no folders ``train`` and ``test``.
    """

    path: Path
    size: int = 32
    channels: int = 3
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    test_share: float = 0.2


@dataclass(frozen=True)
class _Entry:
    path: Path
    relative: str  # to the source's folder, with forward slashes
    label: int


_REGISTERED: dict[str, FolderSource] = {}


def register_folder(
    name: str,
    path: str | Path,
    size: int = 32,
    channels: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    test_share: float = 0.2,
) -> DatasetSpec:
    """Give a folder of images a name, under which `load` finds it in this process.

    Parameters
    ----------
    name : str
        Letters, digits, ``_``, ``-`` and ``.``; none of the names of the public data sets.
    path : path
        Holds one folder per class, or ``train`` and ``test`` with one folder per class each. Images may lie deeper.
    size : int
        Height and width, in pixels, to which every image is resized (bilinear, aspect ignored).
    channels : {1, 3}
        Grey or red, green, blue.
    mean, std : sequence of float, optional
        Per channel, of pixels in [0, 1]. By default those of the training images.
    test_share : float
        Between 0 and 1. Which images are held out depends on their paths below `path` alone, so that adding images
        never moves another from one split to the other.

    Returns
    -------
    DatasetSpec

    Raises
    ------
    ValueError
        If the name is taken or an option is out of range.
    BadFileError
        If there is no such folder, or it has no class folders.
    """
    if name in DATASETS or not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or name.startswith("."):
        raise ValueError(
            f"image folder {name!r}: expected a name of letters, digits, _, - and . "
            f"that is not one of {', '.join(DATASETS)}"
        )
    source = FolderSource(Path(path), size, channels, _values(mean), _values(std), test_share)
    _refuse_bad_options(name, source)
    spec = _specification(name, source)
    _REGISTERED[name] = source
    return spec


def _values(given: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if given is None else tuple(float(value) for value in given)


def _refuse_bad_options(name: str, source: FolderSource) -> None:
    where = f"image folder {name!r}"
    if source.channels not in (1, 3):
        raise ValueError(f"{where}: channels is {source.channels}, expected 1 (grey) or 3 (colour)")
    if source.size < 1:
        raise ValueError(f"{where}: size is {source.size}, expected at least 1 pixel")
    if not 0 < source.test_share < 1:
        raise ValueError(f"{where}: test_share is {source.test_share}, expected a share between 0 and 1")
    for option, values in (("mean", source.mean), ("std", source.std)):
        if values is not None and len(values) != source.channels:
            raise ValueError(f"{where}: {option} has {len(values)} values, expected {source.channels}, one per channel")
    if source.std is not None and min(source.std) <= 0:
        raise ValueError(f"{where}: std is {source.std}, expected positive values")


def registered() -> list[str]:
    """Return the names given by `register_folder`, in the order of registration."""
    return list(_REGISTERED)


def folder_specification(name: str) -> DatasetSpec | None:
    """Return the specification of a registered folder or of ``folder:PATH``, or None for any other name.

    Parameters
    ----------
    name : str

    Returns
    -------
    DatasetSpec or None
        The images are not read: mean and std are None unless they were given.

    Raises
    ------
    BadFileError
        If the folder is missing or has no class folders.
    """
    if name in _REGISTERED:
        return _specification(name, _REGISTERED[name])
    if name.startswith(PREFIX):
        return _specification(name, FolderSource(Path(name.removeprefix(PREFIX))))
    return None


def _specification(name: str, source: FolderSource) -> DatasetSpec:
    return DatasetSpec(
        name=name,
        channels=source.channels,
        classes=_classes(source.path),
        mean=source.mean,
        std=source.std,
        augmentation="crop_flip",
        layouts=(Layout("folder"),),
        citation=f"the images in {source.path}",
        licence="as the user has it",
        size=source.size,
        folder=source,
    )


def read_folder(spec: DatasetSpec, split: str, root: Path) -> tuple[DatasetSpec, NDArray[np.uint8], NDArray[np.int64]]:
    """Read one split of an image folder, decoding only what was not decoded before.

    Parameters
    ----------
    spec : DatasetSpec
        Of an image folder.
    split : {"train", "test"}
    root : Path
        The data root; decoded images are kept below ``root/folders/<name>/``, under a fingerprint of the paths, sizes
        and times of change, one ``.npy`` file per split and state of the folder.

    Returns
    -------
    spec : DatasetSpec
        With mean and std.
    images : ndarray, uint8, shape (n, channels, size, size)
        In the order of their paths.
    labels : ndarray, int64, shape (n,)

    Raises
    ------
    BadFileError
        If an image cannot be read, a class folder is empty, or the split has no images.
    """
    source = _source(spec)
    entries = _entries(source, spec.classes)[split]
    if not entries:
        raise BadFileError(
            f"data set {spec.name}: no image of {source.path} is in the split {split!r}. Add images, {_SPLIT}"
        )
    cache = root / "folders" / _safe_name(spec)
    images = _decoded(entries, source, cache)
    if spec.mean is None or spec.std is None:
        mean, std = _training_statistics(spec, split, images, cache)
        spec = replace(spec, mean=spec.mean or mean, std=spec.std or std)
    return spec, images, np.array([entry.label for entry in entries], dtype=np.int64)


_SPLIT = "change test_share, or sort them into folders train and test yourself."


def _source(spec: DatasetSpec) -> FolderSource:
    if spec.folder is None:
        raise ValueError(f"data set {spec.name} is not an image folder")
    return spec.folder


def _safe_name(spec: DatasetSpec) -> str:
    if not spec.name.startswith(PREFIX):
        return spec.name
    path = _source(spec).path.resolve()
    return f"{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def _tops(path: Path) -> dict[str, Path]:
    """The folders that hold the class folders: of each split, or one for both."""
    if all((path / split).is_dir() for split in SPLITS):
        return {split: path / split for split in SPLITS}
    return {"both": path}


def _classes(path: Path) -> tuple[str, ...]:
    if not path.is_dir():
        raise BadFileError(f"image folder {path}: there is no such folder")
    found = {name: _class_folders(top) for name, top in _tops(path).items()}
    first = found.get("train") or found.get("both") or ()
    if not first:
        raise BadFileError(f"image folder {path}: expected one folder per class in it, found none")
    new = sorted(set(found.get("test", ())) - set(first))
    if new:
        raise BadFileError(f"image folder {path}: class {new[0]!r} is in test but not in train")
    return first


def _class_folders(top: Path) -> tuple[str, ...]:
    return tuple(sorted(child.name for child in top.iterdir() if child.is_dir() and not child.name.startswith(".")))


def _entries(source: FolderSource, classes: tuple[str, ...]) -> dict[str, list[_Entry]]:
    """The images of each split, in the order of their paths."""
    chosen: dict[str, list[_Entry]] = {split: [] for split in SPLITS}
    for name, top in _tops(source.path).items():
        for label, kind in enumerate(classes):
            for entry in _class_entries(top / kind, source.path, label):
                chosen[name if name in SPLITS else split_of(entry.relative, source.test_share)].append(entry)
    return chosen


def _class_entries(folder: Path, base: Path, label: int) -> list[_Entry]:
    if not folder.is_dir():  # a class of train that test does not have
        return []
    files = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not files:
        raise BadFileError(
            f"class folder {folder} holds no image ({', '.join(SUFFIXES)}). Add images to it, or remove it."
        )
    return sorted((_Entry(path, path.relative_to(base).as_posix(), label) for path in files), key=lambda e: e.relative)


def split_of(relative: str, test_share: float) -> str:
    """Decide by its path alone whether an image is for training or for testing.

    Parameters
    ----------
    relative : str
        Path below the image folder, with forward slashes.
    test_share : float

    Returns
    -------
    str
        "train" or "test". The first 64 bits of the path's SHA-256, as a share of their range, are below `test_share`
        for test images.
    """
    place = int.from_bytes(hashlib.sha256(relative.encode()).digest()[:8], "big") / 2**64
    return "test" if place < test_share else "train"


def _decoded(entries: list[_Entry], source: FolderSource, cache: Path) -> NDArray[np.uint8]:
    stored = cache / f"{_fingerprint(entries, source)}.npy"
    shape = (len(entries), source.channels, source.size, source.size)
    with contextlib.suppress(OSError, ValueError, EOFError):
        kept: NDArray[np.uint8] = np.load(stored, allow_pickle=False)
        if kept.shape == shape and kept.dtype == np.uint8:
            return kept
    images = np.empty(shape, dtype=np.uint8)
    for row, entry in enumerate(progress(entries, f"decoding {source.path.name}")):
        images[row] = _decode(entry.path, source)
    _keep(images, stored)
    return images


def _fingerprint(entries: list[_Entry], source: FolderSource) -> str:
    state = [(e.relative, (status := e.path.stat()).st_size, status.st_mtime_ns) for e in entries]
    return hashlib.sha256(json.dumps([source.size, source.channels, state]).encode()).hexdigest()[:32]


def _decode(path: Path, source: FolderSource) -> NDArray[np.uint8]:
    """One image as uint8 (channels, size, size)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"its pixels are of mode {image.mode}, expected 8 bits per channel")
            seen = image.convert("L" if source.channels == 1 else "RGB")
        pixels = np.asarray(seen.resize((source.size, source.size), Image.Resampling.BILINEAR))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadFileError(f"image {path} cannot be read ({error}). Replace it, or remove it.") from error
    return pixels.reshape(source.size, source.size, source.channels).transpose(2, 0, 1)


def _keep(images: NDArray[np.uint8], stored: Path) -> None:
    unfinished = stored.with_name(f"{stored.name}.{os.getpid()}.tmp")
    try:
        stored.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            np.save(file, images, allow_pickle=False)
        os.replace(unfinished, stored)
    except OSError:  # a full or read-only data root: decode again next time
        unfinished.unlink(missing_ok=True)


def _training_statistics(spec: DatasetSpec, split: str, images: NDArray[np.uint8], cache: Path) -> Statistics:
    if split != "train":
        entries = _entries(_source(spec), spec.classes)["train"]
        if not entries:
            raise BadFileError(f"data set {spec.name}: no training images to compute mean and std from. {_SPLIT}")
        images = _decoded(entries, _source(spec), cache)
    return mean_and_std(images)


def mean_and_std(images: NDArray[np.uint8]) -> Statistics:
    """Compute the mean and standard deviation of each channel, exactly, from a histogram.

    Parameters
    ----------
    images : ndarray, uint8, shape (n, channels, height, width)

    Returns
    -------
    mean, std : tuple of float
        Of pixels scaled to [0, 1]; over all images and positions. The std of a constant channel is given as 1, since
        there is nothing to scale.
    """
    levels = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        share = np.bincount(images[:, channel].ravel(), minlength=256) / images[:, channel].size
        mean = float(share @ levels)
        means.append(mean)
        stds.append(float(np.sqrt(share @ (levels - mean) ** 2)) or 1.0)
    return tuple(means), tuple(stds)
