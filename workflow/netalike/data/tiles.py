"""Real aerial images with building polygons as scenes: a mosaic cut into tiles, and folders of tiles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netalike.data.polygon_files import SUFFIXES, mapped_facts, read_polygons, simplified
from netalike.data.polygons import Polygon, centroid, moved
from netalike.data.scenes import Scene, clean_scene
from netalike.errors import BadFileError
from netalike.progress import progress

BANEPA_METRES = 0.13  # of a pixel of the published mosaic
INRIA_METRES = 0.3
DEFAULT_METRES = 0.52  # a quarter of Banepa's resolution: its buildings are 10 to 40 pixels long
_IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")


def read_tiles(
    folder: str | Path,
    tile: int = 256,
    metres_per_pixel: float = DEFAULT_METRES,
    published_metres: float = BANEPA_METRES,
    tolerance: float = 0.0,
) -> list[Scene]:
    """Read a mosaic with its building polygons, and cut it into tiles that do not overlap.

    Parameters
    ----------
    folder : path
        Holds ``mosaic.png`` and ``buildings.geojson`` with (x, y) in the mosaic's pixels, such as ``aerial/banepa``.
    tile : int
        Side of a tile in pixels of the result, about: the mosaic is cut evenly, so that all tiles have the same size.
    metres_per_pixel : float
        Of the result. The default makes Banepa 1024 x 768 pixels; 256 pixels then are 2 x 2 of its 48 published tiles.
    published_metres : float
        Of a pixel of the mosaic.
    tolerance : float
        Polygons are simplified by so many pixels; 0 keeps every vertex.

    Returns
    -------
    list of Scene
        Row by row, named ``<folder>_r0_c0``. Each polygon is in one tile, the one that holds its centre, whole: it may
        reach past the tile. Polygons with their centre outside the mosaic are left out. The labels are the polygons as
        mapped, which is what is known of the truth here.

    Raises
    ------
    BadFileError
        If a file is missing or is not what its name says.
    ValueError
        If a number is not positive.
    """
    folder = Path(folder)
    if tile < 1 or metres_per_pixel <= 0 or published_metres <= 0:
        raise ValueError(
            "read_tiles: expected a positive tile and positive metres per pixel, got "
            f"{tile}, {metres_per_pixel} and {published_metres}"
        )
    image, scale = resampled(read_image(folder / "mosaic.png"), published_metres / metres_per_pixel)
    polygons = [polygon * scale for polygon in read_polygons(folder / "buildings.geojson")]
    return _cut(folder.name, image, _simple(polygons, tolerance), tile)


def read_inria(
    folder: str | Path,
    downsampling: float = 4.0,
    names: Sequence[str] | None = None,
    tolerance: float = 1.0,
) -> list[Scene]:
    """Read tiles in the layout of the Inria aerial images with a polygon file for each.

    Parameters
    ----------
    folder : path
        Holds ``images/NAME.tif`` (or .png, .jpg) and ``gt_polygons/NAME.npy`` (or .json, .geojson), see
        `netalike.data.polygon_files.read_polygons`; polygons in pixels of the image.
    downsampling : float
        Each side is divided by it: 1, 2, 4 or 8 in the map alignment project, whose pixels are 0.3 m.
    names : sequence of str, optional
        Read these tiles only, without suffix: "bloomington22". All tiles take 5 MB each at factor 4.
    tolerance : float
        Polygons are simplified by so many pixels of the image before they are scaled; 1 in the project, 0 for none.

    Returns
    -------
    list of Scene
        In the order of the names; whole tiles. The labels are the polygons as mapped.

    Raises
    ------
    BadFileError
        If an image or its polygons are missing or can't be read.
    ValueError
        If the factor is not positive.
    """
    folder = Path(folder)
    if downsampling <= 0:
        raise ValueError(f"read_inria: expected a positive downsampling, got {downsampling}")
    images = _images(folder / "images")
    missing = [name for name in names or [] if name not in images]
    if missing:
        raise BadFileError(f"{folder / 'images'}: no image named {missing[0]!r}; there are {', '.join(images)}.")
    chosen = progress(list(names or images), "reading tiles", shown=None)
    return [_inria_tile(folder, images[name], downsampling, tolerance) for name in chosen]


def _images(folder: Path) -> dict[str, Path]:
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in _IMAGE_SUFFIXES)
    if not found:
        raise BadFileError(f"{folder}: expected images ({', '.join(_IMAGE_SUFFIXES)}), found none.")
    return {path.stem: path for path in found}


def _inria_tile(folder: Path, path: Path, downsampling: float, tolerance: float) -> Scene:
    candidates = [folder / "gt_polygons" / f"{path.stem}{suffix}" for suffix in SUFFIXES]
    file = next((candidate for candidate in candidates if candidate.is_file()), candidates[0])
    polygons = _simple(read_polygons(file), tolerance)
    image, scale = resampled(read_image(path), 1 / downsampling)
    scaled = [polygon * scale for polygon in polygons]
    place = path.stem.rstrip("0123456789")
    return clean_scene(path.stem, image, scaled, [mapped_facts(polygon, place) for polygon in scaled])


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image of any size as red, green and blue.

    Parameters
    ----------
    path : path

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)

    Raises
    ------
    BadFileError
        If it is missing or is not an image.
    """
    try:
        with Image.open(path) as opened:
            return np.array(opened.convert("RGB"))
    except (OSError, Image.DecompressionBombError) as error:
        raise BadFileError(f"{path}: not an image that can be read ({error}).") from error


def resampled(image: NDArray[np.uint8], factor: float) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Resample an image, bicubic with a low pass filter where it gets smaller.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)
    factor : float
        New pixels per old pixel.

    Returns
    -------
    image : ndarray of uint8, shape (about factor * height, about factor * width, 3)
    scale : ndarray, shape (2,)
        By which (row, column) are multiplied: exact for the rounded size.
    """
    height, width = image.shape[:2]
    rows, columns = max(1, round(height * factor)), max(1, round(width * factor))
    small = Image.fromarray(image).resize((columns, rows), Image.Resampling.BICUBIC)  # Pillow's (width, height)
    return np.asarray(small), np.array([rows / height, columns / width])


def _simple(polygons: Sequence[Polygon], tolerance: float) -> list[Polygon]:
    if tolerance <= 0:
        return list(polygons)
    reduced = [simplified(polygon, tolerance) for polygon in polygons]
    return [polygon for polygon in reduced if polygon is not None]


def _cut(name: str, image: NDArray[np.uint8], polygons: Sequence[Polygon], tile: int) -> list[Scene]:
    counts = [max(1, round(side / tile)) for side in image.shape[:2]]
    sides = np.array([side // count for side, count in zip(image.shape[:2], counts, strict=True)])
    centres = np.array([centroid(polygon) for polygon in polygons]).reshape(-1, 2)
    places = np.floor(centres / sides).astype(int)
    scenes = []
    for row in range(counts[0]):
        for column in range(counts[1]):
            corner = np.array([row, column]) * sides
            kept = [polygons[int(index)] for index in np.flatnonzero((places == (row, column)).all(axis=1))]
            pixels = image[corner[0] : corner[0] + sides[0], corner[1] : corner[1] + sides[1]]
            facts = [mapped_facts(polygon, name) for polygon in kept]
            scenes.append(clean_scene(f"{name}_r{row}_c{column}", pixels.copy(), moved(kept, -corner), facts))
    return scenes


def split_tiles(scenes: Sequence[Scene], test_share: float = 0.25) -> tuple[list[Scene], list[Scene]]:
    """Split the tiles of a mosaic into training and test tiles: whole rows, the upper (northern) ones for testing.

    Parameters
    ----------
    scenes : sequence of Scene
        As `read_tiles` returns them: the name ends in ``_r<row>_c<column>``.
    test_share : float
        Of the rows, between 0 and 1; at least one row is for each side.

    Returns
    -------
    train, test : list of Scene
        Neighbouring tiles are alike, so only one line of tiles on each side touches the other side; no polygon is on
        both. Of Banepa's 4 x 3 tiles, 9 with 1,016 buildings and 3 with 398.

    Raises
    ------
    ValueError
        If the share is not between 0 and 1, or there is one row only.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"split_tiles: expected a share between 0 and 1, got {test_share}")
    rows = sorted({_row(scene) for scene in scenes})
    if len(rows) < 2:
        raise ValueError(f"split_tiles: expected at least 2 rows of tiles, got {len(rows)}; use smaller tiles")
    border = rows[min(len(rows) - 1, max(1, round(test_share * len(rows))))]
    train = [scene for scene in scenes if _row(scene) >= border]
    return train, [scene for scene in scenes if _row(scene) < border]


def _row(scene: Scene) -> int:
    found = re.search(r"_r(\d+)_c\d+$", scene.name)
    if found is None:
        raise ValueError(f"split_tiles: expected a scene named NAME_r<row>_c<column>, got {scene.name!r}")
    return int(found[1])
