"""What the figures of map alignment need beside rows: scenes with their polygons, and patches with their similarity.

Needs numpy alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from netalike.errors import BadFileError

Polygons = tuple[NDArray[np.float64], ...]
_FORMAT = "netalike map pictures 1"


@dataclass(frozen=True)
class Overlay:
    """A test scene with its polygons.

    Attributes
    ----------
    name : str
    image : array of uint8, shape (h, w, 3)
    truth, labels : tuple of array, shape (v, 2)
        (row, column) in pixels.
    aligned : tuple of tuple of array
        By round.
    """

    name: str
    image: NDArray[np.uint8]
    truth: Polygons
    labels: Polygons
    aligned: tuple[Polygons, ...]


@dataclass(frozen=True)
class PatchPictures:
    """The patches whose similarity was measured, for the last round.

    Attributes
    ----------
    images : array of uint8, shape (n, 124, 124, 3)
    polygons : tuple of tuple of array, shape (v, 2)
        Labels that touch each patch.
    similarity : array, shape (n, n)
        In [-1, 1].
    """

    images: NDArray[np.uint8]
    polygons: tuple[Polygons, ...]
    similarity: NDArray[np.float64]


@dataclass(frozen=True)
class MapPictures:
    """Pictures of one kind of label noise.

    Attributes
    ----------
    noise : str
    overlays : tuple of Overlay
    patches : PatchPictures or None
        None where similarity was not measured.
    """

    noise: str
    overlays: tuple[Overlay, ...]
    patches: PatchPictures | None = None


def write_pictures(pictures: MapPictures, path: str | Path) -> None:
    """Write pictures as one .npz file, without pickles, all of it or nothing.

    Parameters
    ----------
    pictures : MapPictures
    path : path
    """
    arrays: dict[str, NDArray[Any]] = {"format": np.array(_FORMAT), "noise": np.array(pictures.noise)}
    arrays["overlays"] = np.array([overlay.name for overlay in pictures.overlays], dtype=np.str_)
    for i, overlay in enumerate(pictures.overlays):
        arrays[f"overlay{i}/image"] = overlay.image
        arrays |= _packed(f"overlay{i}/truth", overlay.truth) | _packed(f"overlay{i}/labels", overlay.labels)
        for number, polygons in enumerate(overlay.aligned):
            arrays |= _packed(f"overlay{i}/aligned{number}", polygons)
    if pictures.patches is not None:
        arrays |= {"patches/images": pictures.patches.images, "patches/similarity": pictures.patches.similarity}
        flat = tuple(polygon for polygons in pictures.patches.polygons for polygon in polygons)
        arrays |= _packed("patches/polygons", flat)
        arrays["patches/counts"] = np.array([len(polygons) for polygons in pictures.patches.polygons])
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    os.replace(partial, path)


def _packed(name: str, polygons: Sequence[NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
    """Lay polygons of different lengths one after the other, with their lengths."""
    points = np.concatenate(list(polygons)) if polygons else np.zeros((0, 2))
    return {
        f"{name}/points": points,
        f"{name}/lengths": np.array([len(polygon) for polygon in polygons], dtype=np.int64),
    }


def _unpacked(arrays: Mapping[str, NDArray[Any]], name: str) -> Polygons:
    lengths = arrays[f"{name}/lengths"]
    return tuple(np.split(arrays[f"{name}/points"], np.cumsum(lengths)[:-1])) if len(lengths) else ()


def read_pictures(path: str | Path) -> MapPictures:
    """Read what `write_pictures` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    MapPictures

    Raises
    ------
    BadFileError
        If the file is missing, damaged or of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        if str(arrays["format"]) != _FORMAT:
            raise ValueError(f"its format is {arrays['format']}")
        overlays = tuple(_overlay(arrays, i) for i in range(len(arrays["overlays"])))
        return MapPictures(str(arrays["noise"]), overlays, _patches(arrays))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise BadFileError(f"{path} holds no pictures of map alignment ({error}): make it again.") from error


def _overlay(arrays: Mapping[str, NDArray[Any]], i: int) -> Overlay:
    return Overlay(
        str(arrays["overlays"][i]),
        arrays[f"overlay{i}/image"],
        _unpacked(arrays, f"overlay{i}/truth"),
        _unpacked(arrays, f"overlay{i}/labels"),
        tuple(_rounds(arrays, i)),
    )


def _rounds(arrays: Mapping[str, NDArray[Any]], i: int) -> Iterator[Polygons]:
    number = 0
    while f"overlay{i}/aligned{number}/lengths" in arrays:
        yield _unpacked(arrays, f"overlay{i}/aligned{number}")
        number += 1


def _patches(arrays: Mapping[str, NDArray[Any]]) -> PatchPictures | None:
    if "patches/images" not in arrays:
        return None
    flat, ends = _unpacked(arrays, "patches/polygons"), np.cumsum(arrays["patches/counts"]).tolist()
    groups = [flat[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    return PatchPictures(arrays["patches/images"], tuple(groups), arrays["patches/similarity"])
