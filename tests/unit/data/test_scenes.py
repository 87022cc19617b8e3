"""Generated scenes: the polygons are where the roofs are, and the same seed gives the same bits."""

import json

import numpy as np
import pytest
import shapely

from netalike.data import scene_layout
from netalike.data.footprints import KINDS, Building, random_footprint
from netalike.data.polygons import centroid, rasterize
from netalike.data.scene_palettes import PALETTES
from netalike.data.scene_roofs import paint_roof
from netalike.data.scenes import Scene, clean_scene, crop_scene, make_scene, read_scenes, write_scenes
from netalike.errors import BadFileError, ShapeError, UnknownNameError


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene(5, size=256)


@pytest.mark.parametrize("seed", range(4))
def test_a_scene_of_512_pixels_has_at_least_25_buildings(seed):
    layout = scene_layout.random_layout(np.random.default_rng(seed), 512)
    assert len(layout.buildings) >= 25
    shapes = [shapely.Polygon(building.polygon()) for building in layout.buildings]
    roads = [shapely.LineString(road.points).buffer(road.width / 2) for road in layout.roads]
    nearest = [
        shapely.distance(shape, shapes[:index] + shapes[index + 1 :]).min() for index, shape in enumerate(shapes)
    ]
    assert min(nearest) >= 4
    assert not any(shapely.intersects(road, shapes).any() for road in roads)
    assert all(shapely.box(0, 0, 512, 512).contains(shape) for shape in shapes)


def test_footprints_are_8_to_40_pixels_and_their_wings_cover_them():
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        footprint = random_footprint(random)
        seen.add(footprint.kind)
        outline = shapely.Polygon(footprint.outline)
        wings = shapely.union_all([shapely.box(a, c, b, d) for a, b, c, d in footprint.wings])
        assert outline.is_valid
        assert outline.symmetric_difference(wings).area < 1e-9
        assert np.ptp(footprint.outline, axis=0) == pytest.approx([footprint.length, footprint.width])
        assert 8 <= footprint.width <= footprint.length <= 40
    assert seen == set(KINDS)


def test_facts_tell_kind_size_angle_and_palette(scene):
    for polygon, fact in zip(scene.polygons, scene.facts, strict=True):
        assert set(fact) == {"kind", "size", "angle", "palette"}
        rectangle = shapely.Polygon(polygon).minimum_rotated_rectangle
        sides = np.linalg.norm(np.diff(shapely.get_coordinates(rectangle), axis=0), axis=1)
        assert fact["size"] == pytest.approx(sides.max(), rel=0.02)
        assert {"rectangle": 4, "L": 6, "T": 8, "U": 8}[fact["kind"]] >= len(polygon)
        along = polygon[1] - polygon[0]  # outlines begin with a longer side
        off = (np.rad2deg(np.arctan2(along[0], along[1])) - fact["angle"]) % 180
        assert min(off, 180 - off) < 1e-6
        assert fact["palette"] in PALETTES


def test_the_angle_turns_from_columns_towards_rows():
    footprint = random_footprint(np.random.default_rng(0))
    building = Building(footprint, np.array([50.0, 50.0]), np.deg2rad(90))
    assert np.ptp(building.polygon(), axis=0) == pytest.approx([footprint.length, footprint.width])


def covered(building: Building, seed: int) -> np.ndarray:
    """The share of each pixel that a roof covers: the same roof over black and over white."""
    sun = np.array([0.5, 0.5, np.sqrt(0.5)])
    pictures = [np.full((80, 80, 3), grey, np.float32) for grey in (0, 255)]
    for picture in pictures:
        paint_roof(np.random.default_rng(seed), picture, building, PALETTES["arid"], sun)
    return 1 - (pictures[1] - pictures[0])[..., 0] / 255


def test_roofs_are_painted_where_the_polygons_are():
    """Area and centre of what is painted are the polygon's, to a few hundredths of a pixel."""
    random = np.random.default_rng(0)
    for seed in range(12):
        building = Building(random_footprint(random), random.uniform(30, 50, 2), random.uniform(0, 3))
        share = covered(building, seed)
        rows, columns = np.meshgrid(np.arange(80) + 0.5, np.arange(80) + 0.5, indexing="ij")
        centre = [(share * rows).sum() / share.sum(), (share * columns).sum() / share.sum()]
        assert share.sum() == pytest.approx(shapely.Polygon(building.polygon()).area, rel=0.02)
        assert centre == pytest.approx(centroid(building.polygon()), abs=0.05)


def test_brightness_tells_roofs_from_what_is_around_them(scene):
    """A shifted polygon fits the picture worse: colours vary less inside the true ones."""

    def spread(polygons) -> float:
        inside = [rasterize([polygon], 256, 256)[..., 0] > 0.99 for polygon in polygons]
        return float(np.mean([scene.image[mask].std(axis=0).mean() for mask in inside if mask.sum() > 20]))

    shifts = [spread([polygon + shift for polygon in scene.polygons]) for shift in ((5, 0), (-5, 0), (0, 5), (0, -5))]
    assert spread(scene.polygons) < min(shifts)


def test_the_same_seed_gives_the_same_bits(scene):
    again = make_scene(5, size=256)
    assert np.array_equal(scene.image, again.image)
    assert all(np.array_equal(one, other) for one, other in zip(scene.polygons, again.polygons, strict=True))
    assert scene.facts == again.facts
    assert not np.array_equal(scene.image, make_scene(6, size=256).image)


def test_without_noise_the_labels_are_the_polygons(scene):
    assert scene.labels == scene.polygons
    assert scene.noise.shape == (len(scene.polygons), 2)
    assert not scene.noise.any()


def test_a_palette_can_be_chosen():
    assert 3 <= len(PALETTES) <= 6
    brightness = {name: make_scene(0, 64, name).image.mean(axis=(0, 1)) for name in PALETTES}
    assert brightness["arid"][0] > brightness["alpine"][0] + 15


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: make_scene(0, palette="temparate"), UnknownNameError, r"Did you mean 'temperate'\?"),
        (lambda: make_scene(0, size=32), ShapeError, "at least 64 pixels, got 32"),
        (
            lambda: clean_scene("x", np.zeros((4, 4, 3)), [], []),
            ShapeError,
            r"scene x: expected an image of uint8 .* got float64 and \(4, 4, 3\)",
        ),
        (
            lambda: clean_scene("x", np.zeros((4, 4, 3), np.uint8), [np.zeros((3, 2))], []),
            ShapeError,
            r"1 polygons need as many labels, offsets \(n, 2\) and facts, got 1, \(1, 2\) and 0",
        ),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_crop_keeps_what_touches_it_in_its_own_coordinates(scene):
    part = crop_scene(scene, 40, 60, 100, 120)
    assert part.image.shape == (100, 120, 3)
    assert np.array_equal(part.image, scene.image[40:140, 60:180])
    assert 0 < len(part.polygons) < len(scene.polygons)
    whole = rasterize(scene.polygons, 256, 256)
    assert np.array_equal(rasterize(part.polygons, 100, 120), whole[40:140, 60:180])
    with pytest.raises(ShapeError, match=r"a box of 100 x 120 pixels at \(200, 0\) does not lie inside 256 x 256"):
        crop_scene(scene, 200, 0, 100, 120)


def test_what_is_written_is_read_bit_for_bit(scene, tmp_path):
    from netalike.data.label_noise import with_noise

    scenes = [with_noise(scene, "independent"), make_scene(7, 64)]
    files = write_scenes(scenes, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "scene_000005.json",
        "scene_000005.png",
        "scene_000007.json",
        "scene_000007.png",
    ]
    assert files[0] == tmp_path / "scene_000005.json"
    for given, found in zip(scenes, read_scenes(tmp_path), strict=True):
        assert found.name == given.name
        assert np.array_equal(found.image, given.image)
        assert found.facts == given.facts
        assert np.array_equal(found.noise, given.noise)
        for ours, theirs in ((given.polygons, found.polygons), (given.labels, found.labels)):
            assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_scenes_without_buildings_are_kept_too(tmp_path):
    write_scenes([clean_scene("empty", np.zeros((8, 8, 3), np.uint8), [], [])], tmp_path)
    assert read_scenes(tmp_path)[0].noise.shape == (0, 2)


def test_two_scenes_of_one_name_are_refused(scene, tmp_path):
    with pytest.raises(ValueError, match="each once, got 'scene_000005'"):
        write_scenes([scene, scene], tmp_path)


def test_a_folder_without_scenes_and_a_damaged_one_are_named(scene, tmp_path):
    with pytest.raises(BadFileError, match=r"expected scenes .* found none"):
        read_scenes(tmp_path)
    (file,) = write_scenes([scene], tmp_path)
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "noise": content["noise"][1:]}))
    with pytest.raises(BadFileError, match=r"scene_000005.json: not a scene .*Write the scenes of this folder again"):
        read_scenes(tmp_path)
    file.with_suffix(".png").unlink()
    with pytest.raises(BadFileError, match="not a scene"):
        read_scenes(tmp_path)
