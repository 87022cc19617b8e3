"""The scenes of a study of map alignment: generated, cut from a mosaic, or read from a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netalike.data.label_noise import with_noise
from netalike.data.scenes import Scene, make_scene
from netalike.data.tiles import INRIA_METRES, read_inria, read_tiles, split_tiles
from netalike.errors import NetalikeError, unknown_name
from netalike.progress import progress

SOURCES = ("scenes", "tiles", "inria")
BANEPA = "aerial/banepa"
"""Below the data root."""
_TEST_SEEDS = 100_000  # added to the seeds of test scenes, so that none is trained on


def dataset_of(study: Mapping[str, Any]) -> str:
    """Return what the column `dataset` calls the scenes of a study: ``scenes``, ``banepa``, or the folder's name."""
    folder = study["tiles"]["folder"]
    if study["source"] == "scenes":
        return "scenes"
    return Path(folder).name if folder else Path(BANEPA).name


def load_scenes(
    study: Mapping[str, Any], noise: str, root: str | Path = "resources", seed: int = 0
) -> tuple[list[Scene], list[Scene]]:
    """Make or read the training and test scenes of a study, with noisy labels.

    Parameters
    ----------
    study : mapping
        A `MapAlignmentStudy` as a dictionary: ``source``, ``scenes``, ``tiles`` and ``noise_px`` are read.
    noise : {"independent", "smooth", "bias", "clean"}
        Added to the true polygons; with real images, to those of the map.
    root : path
        The data root, where the tiles of Banepa are.
    seed : int
        Of generated scenes and of the noise.

    Returns
    -------
    train, test : list of Scene

    Raises
    ------
    UnknownNameError
        If there is no such source or kind of noise.
    BadFileError
        If an image or its polygons cannot be read.
    NetalikeError
        If a folder has too few images to be split.
    """
    if study["source"] not in SOURCES:
        raise unknown_name("source of scenes", study["source"], SOURCES)
    read = {"scenes": _generated, "tiles": _tiles, "inria": _inria}[study["source"]]
    parts = read(study, Path(root), seed)
    train, test = ([with_noise(scene, noise, study["noise_px"], seed) for scene in part] for part in parts)
    return train, test


def _generated(study: Mapping[str, Any], root: Path, seed: int) -> tuple[list[Scene], list[Scene]]:
    sizes = study["scenes"]
    first = 1000 * seed
    train = range(first, first + sizes["n_train"])
    test = range(first + _TEST_SEEDS, first + _TEST_SEEDS + sizes["n_test"])
    scenes = [make_scene(number, sizes["size"]) for number in progress([*train, *test], "Making scenes", unit="scene")]
    return scenes[: len(train)], scenes[len(train) :]


def _tiles(study: Mapping[str, Any], root: Path, seed: int) -> tuple[list[Scene], list[Scene]]:
    tiles = study["tiles"]
    scenes = read_tiles(tiles["folder"] or root / BANEPA, tiles["tile"], tiles["metres_per_pixel"])
    return split_tiles(scenes, tiles["test_share"])


def _inria(study: Mapping[str, Any], root: Path, seed: int) -> tuple[list[Scene], list[Scene]]:
    tiles = study["tiles"]
    scenes = read_inria(tiles["folder"], tiles["metres_per_pixel"] / INRIA_METRES)
    return _split(scenes, tiles["test_share"], seed)


def _split(scenes: Sequence[Scene], share: float, seed: int) -> tuple[list[Scene], list[Scene]]:
    """Split whole images at random."""
    if len(scenes) < 2:
        raise NetalikeError(
            f"{len(scenes)} image cannot be split into training and test images: at least 2 are needed."
        )
    count = min(len(scenes) - 1, max(1, round(share * len(scenes))))
    chosen = set(np.random.default_rng(seed).permutation(len(scenes))[:count].tolist())
    train = [scene for i, scene in enumerate(scenes) if i not in chosen]
    return train, [scene for i, scene in enumerate(scenes) if i in chosen]
