"""Polygon files of others: three formats mean the same, and no Python object is ever read."""

import json

import numpy as np
import pytest

from netalike.data.polygon_files import mapped_facts, read_polygons, simplified
from netalike.errors import BadFileError

SQUARE = [[1.0, 2.0], [1.0, 12.0], [11.0, 12.0], [11.0, 2.0]]  # row, column
TRIANGLE = [[20.0, 3.0], [28.0, 3.0], [28.0, 9.5]]


def feature(kind: str, coordinates: list) -> dict:
    return {"type": "Feature", "properties": {}, "geometry": {"type": kind, "coordinates": coordinates}}


def ring(points: list) -> list:
    """A closed ring of (x, y)."""
    return [[column, row] for row, column in [*points, points[0]]]


def test_three_formats_mean_the_same(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([SQUARE, TRIANGLE]))
    padded = np.full((2, 5, 2), np.nan, np.float32)
    padded[0, :4], padded[1, :3] = SQUARE, TRIANGLE
    np.save(tmp_path / "a.npy", padded)
    hole = [[3.0, 4.0], [3.0, 6.0], [5.0, 6.0]]
    features = [feature("Polygon", [ring(SQUARE), ring(hole)]), feature("MultiPolygon", [[ring(TRIANGLE)]])]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    for suffix in ("json", "npy", "geojson"):
        found = read_polygons(tmp_path / f"a.{suffix}")
        assert [polygon.tolist() for polygon in found] == [SQUARE, TRIANGLE]


def test_holes_are_cut_at_the_first_gap_and_lines_left_out(tmp_path):
    with_hole = [*SQUARE, [None, None], [3.0, 4.0], [3.0, 6.0], [5.0, 6.0]]
    (tmp_path / "a.json").write_text(json.dumps([with_hole, SQUARE[:2], TRIANGLE]))
    assert [polygon.tolist() for polygon in read_polygons(tmp_path / "a.json")] == [SQUARE, TRIANGLE]


def test_b5_python_objects_are_refused_with_the_way_out(tmp_path):
    ragged = np.empty(2, object)
    ragged[0], ragged[1] = np.array(SQUARE), np.array(TRIANGLE)
    np.save(tmp_path / "a.npy", ragged, allow_pickle=True)
    with pytest.raises(BadFileError, match=r"a.npy: holds Python objects, which are not read. Convert it once"):
        read_polygons(tmp_path / "a.npy")


def test_the_conversion_that_the_message_tells_works(tmp_path, monkeypatch):
    from netalike.data import polygon_files

    monkeypatch.chdir(tmp_path)
    ragged = np.empty(2, object)
    ragged[0], ragged[1] = np.array([*SQUARE, [np.nan, np.nan], *TRIANGLE]), np.array(TRIANGLE)
    np.save("NAME.npy", ragged, allow_pickle=True)
    command = polygon_files._CONVERT.partition(": ")[2].removesuffix(".")
    exec(f"import json, numpy\n{command}", {})
    (tmp_path / "NAME.json").stat()
    assert [polygon.tolist() for polygon in read_polygons("NAME.json")] == [SQUARE, TRIANGLE]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "does not hold polygons"),
        ("a.json", "[[[1, 2, 3]]]", r"expected polygons of shape \(vertices, 2\), got \(1, 3\)"),
        ("a.json", '{"x": 1}', "does not hold polygons"),
        ("a.geojson", '{"features": [{"geometry": {"type": "Point", "coordinates": [1, 2]}}]}', "got Point"),
        ("a.geojson", "[]", "does not hold polygons"),
        ("a.npy", "not numpy", "does not hold polygons"),
        ("a.txt", "", r"expected one of .npy, .json, .geojson, got .txt"),
    ],
)
def test_what_holds_no_polygons_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(BadFileError, match=message):
        read_polygons(tmp_path / name)


def test_a_flat_array_and_a_missing_file_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 2)))
    with pytest.raises(BadFileError, match=r"expected floats of shape \(polygons, vertices, 2\), got \(4, 2\)"):
        read_polygons(tmp_path / "a.npy")
    with pytest.raises(BadFileError, match=r"b\.json: not there"):
        read_polygons(tmp_path / "b.json")


def test_simplifying_leaves_out_what_hardly_matters():
    fine = np.array([[0, 0], [0.4, 10], [0, 20], [20, 20], [20, 0]], float)
    assert simplified(fine, 1.0).tolist() == [[0, 0], [0, 20], [20, 20], [20, 0]]
    assert len(simplified(fine, 0.1)) == 5
    assert simplified(np.array([[0.0, 0], [0, 9], [0, 4]])) is None


def test_facts_of_a_mapped_building():
    steep = np.array([[0, 0], [30, 0], [30, 10], [0, 10]], float)  # its longer side along the rows
    facts = mapped_facts(steep, "banepa")
    assert facts["kind"] == "mapped"
    assert facts["size"] == pytest.approx(30)
    assert facts["angle"] == pytest.approx(90)
    assert facts["palette"] == "banepa"
