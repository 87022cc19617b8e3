"""Building polygons in files of others: GeoJSON, JSON and .npy, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from netalike.data.polygons import Polygon, as_polygon
from netalike.errors import BadFileError, ShapeError

SUFFIXES = (".npy", ".json", ".geojson")

_CONVERT = (
    "Convert it once, where it was made: polygons = numpy.load('NAME.npy', allow_pickle=True); json.dump([[[None if v "
    "!= v else float(v) for v in point] for point in polygon] for polygon in polygons], open('NAME.json', 'w'))."
)


def read_polygons(path: str | Path) -> list[Polygon]:
    """Read the polygons of one image.

    Parameters
    ----------
    path : path
        ``.geojson``: a FeatureCollection of Polygon or MultiPolygon with coordinates (x, y) in pixels; holes are cut.
        ``.json``: a list of polygons, each a list of [row, column]. ``.npy``: floats of shape (polygons, vertices, 2)
        of (row, column), shorter polygons filled up with NaN. In the last two a polygon ends at its first NaN (null in
        JSON), which is where the map alignment project puts holes.

    Returns
    -------
    list of ndarray, each of shape (v, 2)
        (row, column) in pixels, not closed. Polygons with fewer than three vertices are left out.

    Raises
    ------
    BadFileError
        If the file is missing, has another suffix, or does not hold polygons. An .npy file of Python objects is
        refused: reading one can run any program.
    """
    path = Path(path)
    if not path.is_file():
        raise BadFileError(f"{path}: not there. Expected the polygons of an image, as {', '.join(SUFFIXES)}.")
    try:
        if path.suffix == ".npy":
            return _drawable(_from_npy(path))
        if path.suffix == ".json":
            return _drawable(json.loads(path.read_text()))
        if path.suffix == ".geojson":
            return _drawable(_from_geojson(json.loads(path.read_text())))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadFileError):
            raise
        raise BadFileError(f"{path}: does not hold polygons ({error!r}).") from error
    raise BadFileError(f"{path}: expected one of {', '.join(SUFFIXES)}, got {path.suffix or 'no suffix'}.")


def _from_npy(path: Path) -> Iterable[ArrayLike]:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        kind = reader(file)[2]
    if kind.hasobject:
        raise BadFileError(f"{path}: holds Python objects, which are not read. {_CONVERT}")
    array = np.load(path, allow_pickle=False)
    if array.ndim != 3 or array.shape[2] != 2:
        raise BadFileError(f"{path}: expected floats of shape (polygons, vertices, 2), got {array.shape}.")
    return list(array)


def _from_geojson(content: dict[str, Any]) -> list[ArrayLike]:
    """Take the outer rings, turned from (x, y) to (row, column)."""
    rings: list[ArrayLike] = []
    for feature in content["features"]:
        geometry = feature["geometry"]
        kind, coordinates = geometry["type"], geometry["coordinates"]
        if kind not in ("Polygon", "MultiPolygon"):
            raise ValueError(f"expected Polygon or MultiPolygon, got {kind}")
        parts = [coordinates] if kind == "Polygon" else coordinates
        rings += [np.asarray(part[0], np.float64)[:, 1::-1] for part in parts]
    return rings


def _drawable(found: Iterable[ArrayLike]) -> list[Polygon]:
    polygons = []
    for points in found:
        array = np.array(points, np.float64)  # None becomes NaN
        if array.ndim != 2 or array.shape[1] != 2:
            raise ValueError(f"expected polygons of shape (vertices, 2), got {array.shape}")
        try:
            polygons.append(as_polygon(array))
        except ShapeError:
            continue  # a point or a line, as OpenStreetMap has some: nothing to draw
    return polygons


def simplified(polygon: Polygon, tolerance: float = 1.0) -> Polygon | None:
    """Leave out vertices that hardly matter, without the outline crossing itself.

    Parameters
    ----------
    polygon : ndarray, shape (v, 2)
    tolerance : float
        In pixels: how far the outline may move.

    Returns
    -------
    ndarray, shape (w, 2), or None
        None if fewer than three vertices or no area are left.

    Notes
    -----
    Douglas and Peucker's algorithm as in GEOS. The map alignment project used 1 pixel at its full resolution.
    """
    import shapely  # here, since reading polygons does not need it

    shape = shapely.Polygon(polygon).simplify(tolerance, preserve_topology=True)
    if shape.is_empty or shape.area == 0 or shape.geom_type != "Polygon":
        return None
    return np.asarray(shapely.get_coordinates(shape.exterior)[:-1], np.float64)


def mapped_facts(polygon: Polygon, place: str) -> dict[str, object]:
    """Measure a mapped building as generated ones are described.

    Parameters
    ----------
    polygon : ndarray, shape (v, 2)
    place : str
        Stands for the palette.

    Returns
    -------
    dict
        kind "mapped"; size, the longer side of the smallest rectangle around the polygon, in pixels; angle, degrees
        from the columns' direction to that side, 0 to 180; palette.
    """
    import shapely

    rectangle = shapely.Polygon(polygon).minimum_rotated_rectangle
    corners = shapely.get_coordinates(rectangle)
    sides = np.diff(corners[:3], axis=0)
    longer = sides[np.linalg.norm(sides, axis=1).argmax()]
    angle = float(np.rad2deg(np.arctan2(longer[0], longer[1]))) % 180
    return {"kind": "mapped", "size": float(np.linalg.norm(longer)), "angle": angle, "palette": place}
