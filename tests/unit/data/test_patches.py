"""Patches: they cover the image in rows and columns, hold a building, and differ from scene to scene."""

import numpy as np
import pytest

from netalike.data.patches import Patch, choose_patches, patch_image, patch_positions, patches_with_buildings
from netalike.data.scenes import Scene, clean_scene
from netalike.errors import ShapeError


def scene_of(name: str, height: int, width: int, step: int = 16) -> Scene:
    """A building of 8 pixels in every box of `step` pixels."""
    square = np.array([[4.0, 4], [4, 12], [12, 12], [12, 4]])
    polygons = [square + np.array([row, column]) for row in range(0, height, step) for column in range(0, width, step)]
    return clean_scene(name, np.zeros((height, width, 3), np.uint8), polygons, [{}] * len(polygons))


def test_a_tile_of_1250_pixels_has_11_by_11_patches_of_124():
    positions = patch_positions(1250, 1250)
    assert len(positions) == 121
    assert positions[:2].tolist() == [[0, 0], [0, 124]]
    assert positions[-1].tolist() == [1126, 1126]


def test_b8_rows_come_before_columns():
    """The published code took (width, height) for (rows, columns): patches of a wide image reached below it."""
    positions = patch_positions(40, 100, size=20, stride=20)
    assert positions[:, 0].max() == 20
    assert positions[:, 1].max() == 80
    assert len(positions) == 2 * 5


@pytest.mark.parametrize(("height", "width", "stride"), [(41, 67, 20), (20, 20, 20), (59, 33, 7)])
def test_every_pixel_is_covered(height, width, stride):
    covered = np.zeros((height, width), bool)
    for row, column in patch_positions(height, width, 20, stride):
        assert covered[row : row + 20, column : column + 20].shape == (20, 20)
        covered[row : row + 20, column : column + 20] = True
    assert covered.all()


def test_a_building_must_lie_entirely_inside():
    square = np.array([[15.0, 15], [15, 25], [25, 25], [25, 15]])
    scene = clean_scene("one", np.zeros((40, 40, 3), np.uint8), [square], [{}])
    assert patches_with_buildings(scene, size=20, stride=20) == []
    assert patches_with_buildings(scene, 7, size=20, stride=10) == [Patch(7, 10, 10, 20, 1)]


def test_b12_positions_differ_from_scene_to_scene():
    scenes = [scene_of(f"scene_{index}", 320, 320) for index in range(8)]
    chosen = choose_patches(scenes, 5, size=32)
    places = [frozenset((p.row, p.column) for p in chosen if p.scene == index) for index in range(8)]
    assert len(set(places)) == 8
    same = choose_patches(scenes, 5, size=32, same_positions=True)
    assert len({frozenset((p.row, p.column) for p in same if p.scene == index) for index in range(8)}) == 1


def test_the_same_seed_chooses_the_same_patches():
    scenes = [scene_of("a", 200, 160), scene_of("b", 160, 200)]
    chosen = choose_patches(scenes, 4, size=40, seed=3)
    assert chosen == choose_patches(scenes, 4, size=40, seed=3)
    assert chosen != choose_patches(scenes, 4, size=40, seed=4)
    assert [patch.scene for patch in chosen] == [0] * 4 + [1] * 4
    assert choose_patches(scenes[:1], 4, size=40, seed=3) == chosen[:4]  # what else is there does not matter
    assert all(
        patch.buildings == 4
        for patch in choose_patches(scenes, None, size=32, stride=32)
        if patch.row % 32 == 0 and patch.column % 32 == 0
    )


def test_all_patches_come_in_the_order_of_their_positions():
    patches = choose_patches([scene_of("a", 96, 128)], None, size=32)
    assert [(patch.row, patch.column) for patch in patches] == [(r, c) for r in (0, 32, 64) for c in (0, 32, 64, 96)]


def test_the_image_of_a_patch_is_that_of_its_place():
    scene = scene_of("a", 60, 80)
    scene.image[20:40, 50:70] = 7
    image = patch_image([scene], Patch(0, 20, 50, 20, 1))
    assert image.shape == (20, 20, 3)
    assert (image == 7).all()


def test_an_image_smaller_than_a_patch_is_refused():
    with pytest.raises(
        ShapeError, match="patches of 124 pixels every 124 do not fit into an image of 100 x 500 pixels"
    ):
        patch_positions(100, 500)
