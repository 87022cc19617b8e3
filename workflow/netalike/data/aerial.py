"""The real aerial images: Banepa in Nepal, 48 tiles with the outlines of 1,466 buildings."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netalike.data import published
from netalike.data.aerial_sources import COLUMNS, FIRST_X, FIRST_Y, OUTLINES, ROWS, TILES, ZOOM
from netalike.data.fetching import fetch_file
from netalike.data.tiles import read_image
from netalike.errors import BadFileError
from netalike.progress import progress

COLLECTION = "aerial"
CITATION = "hotosm/fAIr-models: imagery of OpenAerialMap, building outlines of OpenStreetMap contributors"
LICENCE = "imagery CC BY 4.0, outlines ODbL"
TILE = 512  # pixels of a published tile
# Mean brightness of the 48 tiles. They are published as JPEG: the bytes of the mosaic depend on who packed it, and a
# pixel may differ by a grey level between decoders, but not the mean of 262,144.
_MEANS = (
    (113.8, 109.3, 112.3, 114.1, 102.6, 106.9),
    (112.7, 109.2, 118.2, 107.0, 103.9, 93.6),
    (112.1, 108.3, 110.1, 107.5, 98.8, 88.2),
    (108.4, 115.1, 105.6, 106.4, 91.4, 87.1),
    (107.5, 104.5, 102.1, 111.2, 87.2, 89.6),
    (111.0, 118.9, 119.1, 109.6, 98.2, 87.5),
    (107.3, 95.3, 113.6, 113.5, 113.2, 116.2),
    (128.1, 110.6, 116.1, 108.1, 97.7, 92.0),
)
_TOLERANCE = 0.5  # grey levels; neighbouring tiles differ by several


def fetch_aerial(root: str | Path = "resources", mirror: str | Path | None = None, offline: bool = False) -> Path:
    """Bring the aerial images into the data root, and check them.

    Parameters
    ----------
    root, mirror, offline
        As for `netalike.data.fetch`. A mirror may hold the mosaic or the published files; without a mirror the 48
        published tiles and their outlines are fetched and put together: the same pixels, and the same polygons to the
        last digit.

    Returns
    -------
    Path
        The folder with ``mosaic.png`` and ``buildings.geojson``, for `netalike.data.tiles.read_tiles`.

    Raises
    ------
    BadFileError
        If a file could not be had or is not the right one.
    """
    try:
        mosaic, _ = (fetch_file(file, root, mirror, offline) for file in published.files(COLLECTION))
    except BadFileError as no_mosaic:
        try:
            mosaic = _from_publisher(Path(root), mirror, offline)
        except BadFileError as no_tiles:
            raise BadFileError(f"{no_mosaic}\n{no_tiles}") from no_tiles
    wrong = mosaic_problem(read_image(mosaic))
    if wrong is not None:
        raise BadFileError(f"{mosaic}: {wrong}. Delete it, and set data.mirror to a folder that holds the right one.")
    return mosaic.parent


def _from_publisher(root: Path, mirror: str | Path | None, offline: bool) -> Path:
    """Fetch tiles and outlines, and put them together in the layout of the mosaic; return its path."""
    outlines = fetch_file(OUTLINES, root, mirror, offline)
    places = progress(TILES.items(), "fetching aerial tiles", shown=None)
    tiles = {place: read_image(fetch_file(file, root, mirror, offline)) for place, file in places}
    mosaic = np.zeros((ROWS * TILE, COLUMNS * TILE, 3), np.uint8)
    for (row, column), tile in tiles.items():
        mosaic[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = tile
    picture, buildings = (root / file.path for file in published.files(COLLECTION))
    buildings.parent.mkdir(parents=True, exist_ok=True)
    _put(buildings, json.dumps(in_pixels(json.loads(outlines.read_text()))).encode())
    packed = io.BytesIO()
    Image.fromarray(mosaic).save(packed, "PNG")
    _put(picture, packed.getvalue())
    return picture


def _put(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)


def in_pixels(outlines: dict[str, Any]) -> dict[str, Any]:
    """Turn the published outlines from longitude and latitude to the mosaic's pixels.

    Parameters
    ----------
    outlines : dict
        A GeoJSON FeatureCollection of polygons with the property ``osm_id``.

    Returns
    -------
    dict
        The same polygons' outer rings as (x, y) in pixels, to 0.01 pixels, with no other property than the id.
    """
    features = []
    for feature in outlines["features"]:
        ring = _to_pixels(np.array(feature["geometry"]["coordinates"][0], np.float64)).astype(np.float32)
        geometry = {"type": "Polygon", "coordinates": [ring.astype(np.float64).round(2).tolist()]}
        identity = {"osm_id": str(feature["properties"]["osm_id"])}
        features.append({"type": "Feature", "properties": identity, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}


def _to_pixels(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project (longitude, latitude) as web maps do (spherical Mercator), relative to the first tile."""
    side = 2**ZOOM * TILE  # of the whole world, in pixels
    x = (degrees[:, 0] + 180) / 360 * side - FIRST_X * TILE
    y = (1 - np.arcsinh(np.tan(np.deg2rad(degrees[:, 1]))) / np.pi) / 2 * side - FIRST_Y * TILE
    return np.stack([x, y], axis=1)


def mosaic_problem(image: NDArray[np.uint8]) -> str | None:
    """Say what is wrong with the mosaic of Banepa.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)

    Returns
    -------
    str or None
        What was found and expected, or None if it is the right image: 4096 x 3072 pixels, with the brightness of each
        of the 48 tiles as published.
    """
    expected = (ROWS * TILE, COLUMNS * TILE, 3)
    if image.shape != expected:
        return f"has {image.shape[0]} x {image.shape[1]} pixels, expected {expected[0]} x {expected[1]}"
    means = image.reshape(ROWS, TILE, COLUMNS, TILE * 3).mean(axis=(1, 3))
    away = np.abs(means - np.array(_MEANS))
    if away.max() > _TOLERANCE:
        row, column = np.unravel_index(away.argmax(), away.shape)
        return (
            f"tile ({row}, {column}) has a mean brightness of {means[row, column]:.1f}, expected {_MEANS[row][column]}"
        )
    return None
