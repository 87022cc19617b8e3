"""ImageNet as its publisher lays it out: a folder per class, below ``train`` and ``val``; decoded as for evaluation."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netalike.data.folder import SUFFIXES, _class_folders, _keep
from netalike.data.images import ImageSet
from netalike.data.registry import DATASETS, DatasetSpec
from netalike.errors import BadFileError, NetalikeError, unknown_name
from netalike.progress import progress

FOLDER = "imagenet"
"""Below the data root: ``imagenet/val/n01440764/….JPEG``."""
SPLITS = {"train": "train", "test": "val"}
"""Our name of a split, and the publisher's folder."""

# Images in memory, in bytes: the validation set at 224 pixels has 7.5e9, the training set 193e9.
_MOST = 2e10
_ALL = 2**31


@dataclass(frozen=True)
class _Entry:
    path: Path
    relative: str
    label: int
    place: int  # in the whole split
    row: int  # in its class


def read_imagenet(
    path: str | Path,
    split: str = "test",
    per_class: int | None = None,
    *,
    resize: int = 256,
    crop: int = 224,
    limit: int | None = None,
    root: str | Path | None = None,
) -> ImageSet:
    """Read images of ImageNet, or of any folder laid out like it.

    Parameters
    ----------
    path : path
        Holds ``train`` and ``val`` with a folder per class each, as ``val/n01440764/….JPEG``.
    split : {"test", "train"}
        ``test`` is the publisher's validation set.
    per_class : int, optional
        The first so many images of each class, by name; all by default. 10 of each of 1,000 classes are 1.5 GB.
    resize, crop : int
        Length of the shorter side after scaling (bilinear); side of the square that is cut out of the middle.
    limit : int, optional
        The first so many images when the first of each class comes first, then the second of each, and so on: by
        default the images are in the order of their classes.
    root : path, optional
        The data root; decoded images are kept below ``root/folders/imagenet/`` and read again from there.

    Returns
    -------
    ImageSet
        uint8 (n, 3, crop, crop), by class and name, or as `limit` says; the labels are the positions of the sorted
        class folders, as torchvision's networks count them; ids are positions in the whole split. Mean and standard
        deviation are those that torchvision and robustness use.

    Raises
    ------
    UnknownNameError, NetalikeError
        If there is no such split, sizes, `per_class` or `limit` are out of range, or the images are more than 20 GB.
    BadFileError
        If a folder is missing or has no class folders, a class has too few images, or an image cannot be read.

    Notes
    -----
    Equal, bit for bit, to ``Resize(resize)`` and ``CenterCrop(crop)`` of torchvision on the images that Pillow reads:
    the transforms of microsoft/robust-models-transfer and of robustness.
    """
    if split not in SPLITS:
        raise unknown_name("split of imagenet", split, SPLITS)
    if not 0 < crop <= resize or any(count is not None and count < 1 for count in (per_class, limit)):
        raise NetalikeError(
            f"resize {resize}, crop {crop}, {per_class} images per class, limit {limit}: expected a crop of 1 to "
            f"{resize} pixels, and at least 1 image per class and in all."
        )
    folder = Path(path) / SPLITS[split]
    classes = _classes(folder)
    entries = _entries(folder, classes, per_class)
    if limit is not None:
        entries = sorted(entries, key=lambda entry: (entry.row, entry.label))[:limit]
    _refuse_too_many(entries, split, crop)
    cache = None if root is None else Path(root) / "folders" / "imagenet"
    images = _decoded(entries, resize, crop, cache)
    labels = torch.tensor([entry.label for entry in entries], dtype=torch.int64)
    ids = np.array([entry.place for entry in entries], dtype=np.int64)
    spec = _specification(classes, crop)
    return ImageSet("imagenet", split, torch.from_numpy(images), labels, classes, ids, spec)


def read_split(split: str, root: str | Path, limit: int | None = None) -> ImageSet:
    """Read ImageNet below the data root for `netalike.data.load`: the first of each class, then the second of each.

    Parameters
    ----------
    split : {"test", "train"}
        ``test`` is the publisher's validation set.
    root : path
        The data root.
    limit : int, optional
        So many images: 10,000 are ten of each class, and 1.5 GB. All by default, which are 7.5 GB of ``test``.

    Returns
    -------
    ImageSet

    Raises
    ------
    BadFileError, NetalikeError
        As `read_imagenet`; the message says how to get the images.
    """
    return read_imagenet(Path(root) / FOLDER, split, limit=limit or _ALL, root=root)


def find_imagenet(root: str | Path) -> dict[str, Any]:
    """Say which images of ImageNet are below the data root, without decoding them.

    Parameters
    ----------
    root : path
        The data root.

    Returns
    -------
    dict
        ``name``, ``n`` and ``sha256`` by split (of the names and sizes of the files), ``classes``, ``shape``,
        ``citation``, ``licence``. The training set is there only if its folder is.

    Raises
    ------
    BadFileError
        If the validation set is missing, or not in a folder per class. Its publisher asks for a registration, so that
        it is never downloaded by itself.
    """
    folders = {split: Path(root) / FOLDER / name for split, name in SPLITS.items()}
    classes = _classes(folders["test"])
    found = {
        split: _entries(folder, classes, None)
        for split, folder in folders.items()
        if split == "test" or folder.is_dir()
    }
    spec = _specification(classes, DATASETS["imagenet"].size)
    return {
        "name": spec.name,
        "n": {split: len(entries) for split, entries in found.items()},
        "sha256": {split: _hash_of_names(entries) for split, entries in found.items()},
        "classes": list(classes),
        "shape": [spec.channels, spec.size, spec.size],
        "citation": spec.citation,
        "licence": spec.licence,
    }


def _specification(classes: tuple[str, ...], crop: int) -> DatasetSpec:
    return dataclasses.replace(DATASETS["imagenet"], classes=classes, size=crop)


def _refuse_too_many(entries: list[_Entry], split: str, crop: int) -> None:
    size = len(entries) * 3 * crop**2
    if size > _MOST:
        raise NetalikeError(
            f"imagenet: the {len(entries)} images of the split {split} are {size / 1e9:.0f} GB in memory; ask for "
            f"fewer by a limit, at most {int(_MOST / 3 / crop**2)}."
        )


def _classes(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise BadFileError(
            f"imagenet: there is no folder {folder}. Get ILSVRC2012 from https://image-net.org (which asks for a "
            f"registration), and unpack it so that {folder.parent} has the folders train and val with one folder per "
            "class each; a link to where you have it will do."
        )
    classes = _class_folders(folder)
    if not classes:
        raise BadFileError(
            f"imagenet: {folder} has no class folders. The validation images come in one folder: sort them into one "
            "per class (n01440764, …), as torchvision and robustness want them too."
        )
    return classes


def _entries(folder: Path, classes: tuple[str, ...], per_class: int | None) -> list[_Entry]:
    chosen, place = [], 0
    for label, kind in enumerate(classes):
        files = sorted(file.name for file in (folder / kind).iterdir() if file.suffix.lower() in SUFFIXES)
        if len(files) < (per_class or 1):
            raise BadFileError(f"imagenet: {folder / kind} has {len(files)} images, expected {per_class or 1} or more.")
        chosen += [
            _Entry(folder / kind / name, f"{kind}/{name}", label, place + row, row)
            for row, name in enumerate(files[:per_class])
        ]
        place += len(files)
    return chosen


def _decoded(entries: list[_Entry], resize: int, crop: int, cache: Path | None) -> NDArray[np.uint8]:
    stored = None if cache is None else cache / f"{_fingerprint(entries, resize, crop)}.npy"
    shape = (len(entries), 3, crop, crop)
    if stored is not None:
        with contextlib.suppress(OSError, ValueError, EOFError):
            kept: NDArray[np.uint8] = np.load(stored, allow_pickle=False)
            if kept.shape == shape and kept.dtype == np.uint8:
                return kept
    images = np.empty(shape, dtype=np.uint8)
    for row, entry in enumerate(progress(entries, "decoding imagenet")):
        images[row] = _decode(entry.path, resize, crop)
    if stored is not None:
        _keep(images, stored)
    return images


def _hash_of_names(entries: list[_Entry]) -> str:
    told = [(entry.relative, entry.path.stat().st_size) for entry in entries]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _fingerprint(entries: list[_Entry], resize: int, crop: int) -> str:
    state = [(entry.relative, (status := entry.path.stat()).st_size, status.st_mtime_ns) for entry in entries]
    return hashlib.sha256(json.dumps([resize, crop, state]).encode()).hexdigest()[:32]


def _decode(path: Path, resize: int, crop: int) -> NDArray[np.uint8]:
    """One image as uint8 (3, crop, crop)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            seen = image.convert("RGB")
        width, height = seen.size
        # The longer side is cut off to a whole number, the corner of the square is rounded: as in torchvision.
        long = int(resize * max(seen.size) / min(seen.size))
        new = (resize, long) if width <= height else (long, resize)
        scaled = seen.resize(new, Image.Resampling.BILINEAR)
        left, top = (round((length - crop) / 2.0) for length in new)
        pixels = np.asarray(scaled.crop((left, top, left + crop, top + crop)))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadFileError(f"image {path} cannot be read ({error}). Replace it, or remove it.") from error
    return pixels.transpose(2, 0, 1)
