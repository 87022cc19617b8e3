"""Aerial scenes with building polygons: generated ones with exactly known truth, and how scenes are kept in files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netalike.data.polygons import Polygon, as_polygon, inside, moved, overlapping
from netalike.data.scene_palettes import PALETTES
from netalike.errors import BadFileError, ShapeError, unknown_name

SMALLEST_SCENE = 64
METRES_PER_PIXEL = 1.2  # as the map alignment project at its down-sampling factor 4


@dataclass(frozen=True, eq=False)
class Scene:
    """An aerial image with its building polygons.

    Attributes
    ----------
    name : str
    image : ndarray of uint8, shape (height, width, 3)
    polygons : tuple of ndarray, each of shape (v, 2)
        The truth P, or what is taken for it, as (row, column) in pixels; see `netalike.data.polygons`.
    labels : tuple of ndarray
        The labels Q that a network is given, in the same order and with the same vertices.
    noise : ndarray, shape (n_polygons, 2)
        The known offset of each label from its polygon, Q = P + noise.
    facts : tuple of mapping
        Per polygon: kind ("rectangle", "L", "T", "U" or "mapped"), size (longer side, pixels), angle (degrees from the
        columns' direction to the longer side, towards larger rows, 0 to 180) and palette.
    """

    name: str
    image: NDArray[np.uint8]
    polygons: tuple[Polygon, ...]
    labels: tuple[Polygon, ...]
    noise: NDArray[np.float64]
    facts: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ShapeError(
                f"scene {self.name}: expected an image of uint8 and shape (height, width, 3), "
                f"got {self.image.dtype} and {self.image.shape}"
            )
        counts = {len(self.polygons), len(self.labels), len(self.noise), len(self.facts)}
        if len(counts) != 1 or self.noise.shape != (len(self.polygons), 2):
            raise ShapeError(
                f"scene {self.name}: {len(self.polygons)} polygons need as many labels, offsets (n, 2) and facts, got "
                f"{len(self.labels)}, {self.noise.shape} and {len(self.facts)}"
            )


def clean_scene(
    name: str, image: NDArray[np.uint8], polygons: Sequence[Polygon], facts: Sequence[Mapping[str, Any]]
) -> Scene:
    """Make a scene whose labels are its polygons.

    Parameters
    ----------
    name : str
    image : ndarray of uint8, shape (height, width, 3)
    polygons : sequence of ndarray, each of shape (v, 2)
    facts : sequence of mapping
        One per polygon.

    Returns
    -------
    Scene
    """
    return Scene(name, image, tuple(polygons), tuple(polygons), np.zeros((len(polygons), 2)), tuple(facts))


def make_scene(seed: int, size: int = 512, palette: str | None = None) -> Scene:
    """Generate an aerial scene of which every polygon is known exactly.

    Parameters
    ----------
    seed : int
        Everything follows from it: the same call gives the same bits.
    size : int
        Side in pixels, at least 64. A pixel stands for 1.2 m.
    palette : str, optional
        A name from `netalike.data.scene_palettes.PALETTES`; drawn if not given.

    Returns
    -------
    Scene
        Named ``scene_<seed>``; its labels are the truth, see `netalike.data.label_noise.with_noise`. With 512 pixels at
        least 25 buildings, each entirely inside and at least 4 pixels from the next. About 1 s on one core.

    Raises
    ------
    UnknownNameError
        If there is no such palette.
    ShapeError
        If the size is below 64.
    """
    from netalike.data.scene_layout import random_layout
    from netalike.data.scene_painting import paint

    if palette is not None and palette not in PALETTES:
        raise unknown_name("palette", palette, PALETTES)
    if size < SMALLEST_SCENE:
        raise ShapeError(f"make_scene: expected a size of at least {SMALLEST_SCENE} pixels, got {size}")
    random = np.random.default_rng(seed)
    drawn = list(PALETTES)[random.integers(len(PALETTES))]
    colours = PALETTES[palette or drawn]
    layout = random_layout(random, size)
    image = paint(random, layout, colours)
    facts = [{**building.facts(), "palette": colours.name} for building in layout.buildings]
    polygons = [building.polygon() for building in layout.buildings]
    return clean_scene(f"scene_{seed:06d}", image, polygons, facts)


def crop_scene(scene: Scene, row: int, column: int, height: int, width: int) -> Scene:
    """Cut a box out of a scene.

    Parameters
    ----------
    scene : Scene
    row, column : int
        Upper left pixel of the box.
    height, width : int
        In pixels; the box must lie inside the image.

    Returns
    -------
    Scene
        With the polygons that lie entirely or partly in the box, whole, in its own coordinates.

    Raises
    ------
    ShapeError
        If the box reaches out of the image.
    """
    rows, columns = scene.image.shape[:2]
    if row < 0 or column < 0 or height < 1 or width < 1 or row + height > rows or column + width > columns:
        raise ShapeError(
            f"scene {scene.name}: a box of {height} x {width} pixels at ({row}, {column}) "
            f"does not lie inside {rows} x {columns}"
        )
    box = (row, column, height, width)
    kept = np.flatnonzero(overlapping(scene.polygons, *box) | overlapping(scene.labels, *box))
    return Scene(
        f"{scene.name}_{row}_{column}",
        scene.image[row : row + height, column : column + width],
        moved([scene.polygons[index] for index in kept], (-row, -column)),
        moved([scene.labels[index] for index in kept], (-row, -column)),
        scene.noise[kept],
        tuple(scene.facts[index] for index in kept),
    )


def write_scenes(scenes: Iterable[Scene], folder: str | Path) -> list[Path]:
    """Keep scenes in a folder: a PNG and a JSON file for each.

    Parameters
    ----------
    scenes : iterable of Scene
        Of different names.
    folder : path
        Made if it is not there. Files of other scenes in it stay.

    Returns
    -------
    list of Path
        The JSON files. Each is put in place after its image, in one step, so that a scene is there or not.

    Raises
    ------
    ValueError
        If two scenes have the same name, or a name is not a file's name.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for scene in scenes:
        target = folder / f"{scene.name}.json"
        if target in written or Path(scene.name).name != scene.name:
            raise ValueError(f"write_scenes: expected names of files, each once, got {scene.name!r}")
        Image.fromarray(scene.image).save(target.with_suffix(".png"))
        part = target.with_suffix(".part")
        part.write_text(json.dumps(_as_json(scene)))
        os.replace(part, target)
        written.append(target)
    return written


def _as_json(scene: Scene) -> dict[str, object]:
    return {
        "name": scene.name,
        "coordinates": "row, column in pixels from the upper left corner of the image",
        "polygons": [polygon.tolist() for polygon in scene.polygons],
        "labels": [label.tolist() for label in scene.labels],
        "noise": scene.noise.tolist(),
        "facts": [dict(fact) for fact in scene.facts],
    }


def read_scenes(folder: str | Path) -> list[Scene]:
    """Read the scenes of a folder that `write_scenes` wrote.

    Parameters
    ----------
    folder : path

    Returns
    -------
    list of Scene
        In the order of their names; equal bit for bit to what was written.

    Raises
    ------
    BadFileError
        If there are none, or a file is missing or damaged.
    """
    files = sorted(Path(folder).glob("*.json"))
    if not files:
        raise BadFileError(f"{folder}: expected scenes (NAME.json with NAME.png), found none. Write them again.")
    return [_read_scene(file) for file in files]


def _read_scene(file: Path) -> Scene:
    try:
        content = json.loads(file.read_text())
        with Image.open(file.with_suffix(".png")) as opened:
            image = np.array(opened.convert("RGB"))
        return Scene(
            content["name"],
            image,
            tuple(as_polygon(polygon) for polygon in content["polygons"]),
            tuple(as_polygon(polygon) for polygon in content["labels"]),
            np.array(content["noise"], np.float64).reshape(-1, 2),
            tuple(content["facts"]),
        )
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise BadFileError(f"{file}: not a scene ({error}). Write the scenes of this folder again.") from error


def buildings_inside(scene: Scene, row: int, column: int, size: int) -> NDArray[np.bool_]:
    """Tell which polygons lie entirely inside a square patch.

    Parameters
    ----------
    scene : Scene
    row, column : int
        Upper left pixel of the patch.
    size : int
        Its side in pixels.

    Returns
    -------
    ndarray of bool, shape (n_polygons,)
    """
    return inside(scene.polygons, row, column, size, size)
