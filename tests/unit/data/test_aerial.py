"""The real aerial images of a mirror: fetched, recognised, and cut with every building in one place."""

import json

import numpy as np
import pytest
from PIL import Image

from netalike.data import RemoteFile, aerial, published
from netalike.data.aerial import fetch_aerial, in_pixels, mosaic_problem
from netalike.data.aerial_sources import TILES
from netalike.data.patches import choose_patches
from netalike.data.polygon_files import read_polygons
from netalike.data.polygons import rasterize
from netalike.data.tiles import read_image, read_tiles, split_tiles
from netalike.errors import BadFileError


def test_an_image_of_another_size_or_town_is_recognised():
    assert mosaic_problem(np.zeros((9, 5, 3), np.uint8)) == "has 9 x 5 pixels, expected 4096 x 3072"
    grey = np.full((4096, 3072, 3), 110, np.uint8)
    assert mosaic_problem(grey) == "tile (3, 5) has a mean brightness of 110.0, expected 87.1"


def test_without_a_mirror_the_message_says_what_to_do(tmp_path):
    with pytest.raises(BadFileError, match=r"could not get aerial/banepa/mosaic.png\. Tried") as caught:
        fetch_aerial(tmp_path, offline=True)
    assert "Set data.mirror to a folder or URL that holds aerial/banepa/mosaic.png" in str(caught.value)
    assert "osm_features_ac7e343eb1faacd2.geojson: not tried, offline" in str(caught.value)


def test_places_in_degrees_are_places_in_the_mosaic():
    def degrees(x: float, y: float) -> list[float]:
        """The inverse projection, of pixels of the mosaic."""
        side = 2**19 * 512
        latitude = np.arctan(np.sinh(np.pi * (1 - 2 * (220241 * 512 + y) / side)))
        return [(386690 * 512 + x) / side * 360 - 180, float(np.rad2deg(latitude))]

    corners = [(0.0, 0.0), (3072.0, 0.0), (3072.0, 4096.0), (0.0, 0.0)]
    feature = {
        "type": "Feature",
        "properties": {"osm_id": 7, "name": "x"},
        "geometry": {"type": "Polygon", "coordinates": [[degrees(*corner) for corner in corners]]},
    }
    (found,) = in_pixels({"features": [feature]})["features"]
    assert found["properties"] == {"osm_id": "7"}
    assert np.array(found["geometry"]["coordinates"][0]) == pytest.approx(np.array(corners), abs=0.02)
    assert np.mean(degrees(1536, 2048)) == pytest.approx((85.52 + 27.63) / 2, abs=0.02)  # Banepa, Nepal


def test_published_tiles_are_put_together(tmp_path, monkeypatch):
    """From a mirror with the published files alone; JPEG files named .tif."""
    tiles, image = {}, np.zeros((1024, 1024, 3), np.uint8)
    for (row, column), grey in {(0, 0): 10, (0, 1): 60, (1, 0): 120, (1, 1): 200}.items():
        path = f"aerial/banepa_published/OAM-{row}-{column}.tif"
        (tmp_path / "mirror" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((512, 512, 3), grey, np.uint8)).save(tmp_path / "mirror" / path, "JPEG")
        tiles[row, column] = RemoteFile(path)
        image[row * 512 : (row + 1) * 512, column * 512 : (column + 1) * 512] = grey
    outlines = json.dumps({"features": []}).encode()
    (tmp_path / "mirror" / "aerial" / "banepa_published" / "osm.geojson").write_bytes(outlines)
    expected = b'{"type": "FeatureCollection", "features": []}'
    files = (RemoteFile("aerial/banepa/mosaic.png"), RemoteFile("aerial/banepa/b.geojson", size=len(expected)))
    monkeypatch.setattr(aerial, "TILES", tiles)
    monkeypatch.setattr(aerial, "OUTLINES", RemoteFile("aerial/banepa_published/osm.geojson"))
    monkeypatch.setattr(aerial, "ROWS", 2)
    monkeypatch.setattr(aerial, "COLUMNS", 2)
    monkeypatch.setattr(aerial, "_MEANS", ((10, 60), (120, 200)))
    monkeypatch.setattr(published, "files", lambda collection: files)
    folder = fetch_aerial(tmp_path / "root", tmp_path / "mirror", offline=True)
    assert np.array_equal(read_image(folder / "mosaic.png"), image)
    assert (folder / "b.geojson").read_bytes() == expected
    assert not list(folder.glob("*.part"))
    assert fetch_aerial(tmp_path / "root", offline=True) == folder


def test_the_published_files_are_48_tiles_and_their_outlines():
    assert len(TILES) == 48
    assert TILES[0, 0].urls[0].endswith("/oam/OAM-386690-220241-19.tif")
    assert TILES[7, 5].path == "aerial/banepa_published/OAM-386695-220248-19.tif"
    assert len({file.sha256 for file in TILES.values()}) == 48


@pytest.mark.mirror
def test_the_mirrors_images_are_the_right_ones(mirror, tmp_path):
    folder = fetch_aerial(tmp_path / "root", mirror, offline=True)
    assert sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".geojson")) == [
        "buildings.geojson",
        "mosaic.png",
    ]
    assert len(read_polygons(folder / "buildings.geojson")) == 1466
    assert published.files("aerial")[0].path == "aerial/banepa/mosaic.png"


@pytest.fixture(scope="module")
def scenes(mirror):
    return read_tiles(mirror / "aerial" / "banepa")


@pytest.mark.mirror
def test_the_mosaic_is_cut_into_12_tiles_of_256_pixels(scenes):
    assert [scene.image.shape for scene in scenes] == [(256, 256, 3)] * 12
    train, test = split_tiles(scenes)
    counts = [sum(len(scene.polygons) for scene in side) for side in (train, test)]
    assert (len(train), len(test), *counts) == (9, 3, 1016, 398)
    sizes = [fact["size"] for scene in scenes for fact in scene.facts]
    assert np.percentile(sizes, [5, 50, 95]) == pytest.approx([9.84, 18.49, 38.79], abs=0.01)
    assert len(choose_patches(scenes)) == 108


@pytest.mark.mirror
def test_roofs_are_brighter_than_what_lies_between_them(scenes):
    """Were rows and columns mixed up, or y turned, there would be no difference."""
    gaps = []
    for scene in scenes:
        fill = rasterize(scene.polygons, 256, 256)[..., 0] > 0.99
        grey = scene.image.mean(axis=-1)
        gaps.append(grey[fill].mean() - grey[~fill].mean())
    assert np.mean(gaps) > 15


@pytest.mark.mirror
def test_another_image_in_its_place_is_refused(mirror):
    other = read_image(mirror / "aerial" / "banepa_unlabelled" / "mosaic.png")
    assert mosaic_problem(other) == "has 2048 x 2048 pixels, expected 4096 x 3072"
