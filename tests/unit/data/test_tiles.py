"""Real tiles: nothing moves when images are cut and resampled, and no building is lost, doubled or on both sides."""

import json

import numpy as np
import pytest
from PIL import Image

from netalike.data.polygons import centroid, rasterize
from netalike.data.scenes import clean_scene
from netalike.data.tiles import read_image, read_inria, read_tiles, resampled, split_tiles
from netalike.errors import BadFileError

ROOFS = [(10, 20, 30, 24), (60, 130, 22, 40), (130, 70, 40, 36), (150, 150, 30, 60)]  # row, column, height, width


def square(row: float, column: float, height: float, width: float) -> np.ndarray:
    return np.array([[row, column], [row, column + width], [row + height, column + width], [row + height, column]])


def picture(height: int = 200, width: int = 240) -> np.ndarray:
    """White roofs on black ground."""
    image = np.zeros((height, width, 3), np.uint8)
    for row, column, tall, wide in ROOFS:
        image[row : row + tall, column : column + wide] = 255
    return image


def overlap(image: np.ndarray, polygons) -> float:
    """Share of the drawn polygons that is white, and of the white that is drawn: the smaller one."""
    white, drawn = image[..., 0] > 127, rasterize(polygons, *image.shape[:2])[..., 0] > 0.5
    both = (white & drawn).sum()
    return float(min(both / max(1, white.sum()), both / max(1, drawn.sum())))


@pytest.fixture
def mosaic(tmp_path):
    folder = tmp_path / "town"
    folder.mkdir()
    Image.fromarray(picture()).save(folder / "mosaic.png")
    rings = [square(*roof) for roof in [*ROOFS, (-40, 10, 20, 20)]]  # the last one lies outside
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring[:, ::-1].tolist(), ring[0, ::-1].tolist()]]},
        }
        for ring in rings
    ]
    (folder / "buildings.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return folder


@pytest.fixture
def inria(tmp_path):
    """Two tiles, their polygons as .npy and as GeoJSON."""
    folder = tmp_path / "inria"
    (folder / "images").mkdir(parents=True)
    (folder / "gt_polygons").mkdir()
    for name in ("bloomington22", "tyrol-e7"):
        Image.fromarray(picture()).save(folder / "images" / f"{name}.tif")
    padded = np.full((len(ROOFS), 6, 2), np.nan)
    padded[:, :4] = [square(*roof) for roof in ROOFS]
    padded[0, 5] = (33, 33)  # behind the gap: a hole
    np.save(folder / "gt_polygons" / "bloomington22.npy", padded)
    polygons = [square(*roof).tolist() for roof in ROOFS[:2]]
    (folder / "gt_polygons" / "tyrol-e7.json").write_text(json.dumps(polygons))
    return folder


def test_a_mosaic_at_its_own_resolution_is_not_changed(mosaic):
    (scene,) = read_tiles(mosaic, tile=240, metres_per_pixel=0.13)
    assert scene.name == "town_r0_c0"
    assert np.array_equal(scene.image, picture())
    assert overlap(scene.image, scene.polygons) > 0.98


@pytest.mark.parametrize("metres", [0.26, 0.2, 0.1])
def test_polygons_stay_on_the_roofs_when_the_image_is_resampled(mosaic, metres):
    (scene,) = read_tiles(mosaic, tile=1000, metres_per_pixel=metres)
    assert scene.image.shape[:2] == (round(200 * 0.13 / metres), round(240 * 0.13 / metres))
    assert overlap(scene.image, scene.polygons) > 0.9


def test_each_building_is_in_the_tile_of_its_centre_and_only_there(mosaic):
    scenes = read_tiles(mosaic, tile=100, metres_per_pixel=0.13)
    assert [scene.name for scene in scenes] == ["town_r0_c0", "town_r0_c1", "town_r1_c0", "town_r1_c1"]
    assert {scene.image.shape for scene in scenes} == {(100, 120, 3)}
    assert [len(scene.polygons) for scene in scenes] == [1, 1, 1, 1]
    for scene, corner in zip(scenes, [(0, 0), (0, 120), (100, 0), (100, 120)], strict=True):
        assert centroid(scene.polygons[0]) + corner in np.array([centroid(square(*roof)) for roof in ROOFS])
        assert scene.labels == scene.polygons


def test_training_and_test_tiles_are_whole_rows():
    image = np.zeros((8, 8, 3), np.uint8)
    scenes = [clean_scene(f"town_r{row}_c{column}", image, [], []) for row in range(4) for column in range(3)]
    train, test = split_tiles(scenes)
    assert [scene.name for scene in test] == ["town_r0_c0", "town_r0_c1", "town_r0_c2"]
    assert len(train) == 9
    assert len(split_tiles(scenes, 0.01)[1]) == 3
    assert len(split_tiles(scenes, 0.99)[0]) == 3
    with pytest.raises(ValueError, match="share between 0 and 1, got 1"):
        split_tiles(scenes, 1)
    with pytest.raises(ValueError, match="at least 2 rows of tiles, got 1; use smaller tiles"):
        split_tiles(scenes[:3])
    with pytest.raises(ValueError, match="NAME_r<row>_c<column>, got 'x'"):
        split_tiles([clean_scene("x", image, [], [])])


def test_resampling_makes_the_exact_scale_known():
    image, scale = resampled(picture(), 1 / 3)
    assert image.shape == (67, 80, 3)
    assert scale.tolist() == [67 / 200, 80 / 240]


def test_inria_tiles_are_read_with_either_polygon_file(inria):
    scenes = read_inria(inria, downsampling=1)
    assert [scene.name for scene in scenes] == ["bloomington22", "tyrol-e7"]
    assert [len(scene.polygons) for scene in scenes] == [4, 2]
    assert scenes[0].polygons[0].tolist() == square(*ROOFS[0]).tolist()
    assert overlap(scenes[0].image, scenes[0].polygons) > 0.98
    assert {fact["palette"] for fact in scenes[1].facts} == {"tyrol-e"}


def test_inria_tiles_are_down_sampled_with_their_polygons(inria):
    (scene,) = read_inria(inria, downsampling=4, names=["bloomington22"])
    assert scene.image.shape == (50, 60, 3)
    assert scene.polygons[3] == pytest.approx(square(*ROOFS[3]) / 4)
    assert overlap(scene.image, scene.polygons) > 0.85


def test_what_is_missing_is_named(inria, mosaic, tmp_path):
    with pytest.raises(BadFileError, match=r"no image named 'tyrol-e8'; there are bloomington22, tyrol-e7"):
        read_inria(inria, names=["tyrol-e8"])
    (inria / "gt_polygons" / "tyrol-e7.json").unlink()
    with pytest.raises(BadFileError, match=r"tyrol-e7.npy: not there"):
        read_inria(inria)
    with pytest.raises(BadFileError, match=r"expected images .* found none"):
        read_inria(tmp_path)
    with pytest.raises(BadFileError, match=r"mosaic.png: not an image that can be read"):
        read_tiles(tmp_path)
    (mosaic / "mosaic.png").write_text("<html>")
    with pytest.raises(BadFileError, match="not an image that can be read"):
        read_image(mosaic / "mosaic.png")


def test_numbers_that_make_no_sense_are_refused(mosaic, inria):
    with pytest.raises(ValueError, match=r"positive tile and positive metres per pixel, got 0, 0.52 and 0.13"):
        read_tiles(mosaic, tile=0)
    with pytest.raises(ValueError, match="positive downsampling, got 0"):
        read_inria(inria, downsampling=0)
