"""Patches for map alignment: the target brings the drawn polygons back, also after flips and turns."""

import sys
from pathlib import Path

import numpy as np
import pytest

from netalike.data.displacements import sample_field
from netalike.data.polygons import rasterize
from netalike.errors import NetalikeError, ShapeError
from netalike.training.map_patches import PatchMaker, displaced, numbered, turned, turned_vectors
from netalike.training.map_settings import MapTraining, learning_rate, level_coefficients

sys.path.insert(0, str(Path(__file__).parent))
from map_scenes import square_scene

SETTINGS = MapTraining(input_size=188, batch_size=4, steps=20, keep_polygons=1.0, photometric=False)


def test_b14_the_target_is_the_exact_inverse_of_the_displacement():
    scene = square_scene()
    field = np.zeros((128, 128, 2), np.float32)
    field[...] = 3 * np.sin(np.arange(128) / 20)[:, None, None]
    moved = displaced(scene.labels, field)
    back = [polygon + sample_field(field, polygon) for polygon in moved]
    assert max(np.abs(a - b).max() for a, b in zip(back, scene.labels, strict=True)) < 1e-5
    rounded = [label - field[tuple(np.clip(np.round(label).astype(int), 0, 127).T)] for label in scene.labels]
    forth = [p + field[tuple(np.clip(np.round(p).astype(int), 0, 127).T)] for p in rounded]
    assert max(np.abs(a - b).max() for a, b in zip(forth, scene.labels, strict=True)) > 0.05  # the published way


def test_a_known_shift_is_taken_back_without_error():
    """The sign: an oracle that reads the target at the displaced vertices puts them on their labels."""
    scene = square_scene()
    field = np.broadcast_to(np.float32([1.5, -2.0]), (128, 128, 2)).copy()
    moved = displaced(scene.labels, field)
    assert np.allclose(moved[0] - scene.labels[0], [-1.5, 2.0])
    assert np.allclose(moved[0] + sample_field(field, moved[0]), scene.labels[0])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_flips_and_turns_turn_the_vectors_too(quarters, mirrored):
    """Turning picture and vectors, then moving, is the same as moving, then turning."""
    size = 40
    polygon = np.array([(8, 10), (8, 24), (20, 24), (20, 10)], float)
    shift = np.array([4.0, -3.0])
    field = np.broadcast_to(shift.astype(np.float32), (size, size, 2))
    before, after = (rasterize([p], size, size) for p in (polygon, polygon + shift))
    moved_by = turned_vectors(field, quarters, mirrored)[0, 0].astype(int)
    rolled = np.roll(turned(before, quarters, mirrored), moved_by, axis=(0, 1))
    assert np.abs(rolled - turned(after, quarters, mirrored))[..., 0].mean() < 1e-6


def test_patches_bring_polygons_to_their_labels():
    maker = PatchMaker([square_scene(seed=seed, name=f"s{seed}") for seed in range(2)], SETTINGS, seed=0)
    batch = maker.batch(0)
    assert [part.shape for part in batch] == [(4, 188, 188, 3)] * 2 + [(4, 68, 68, 2), (4, 68, 68, 3), (4, 68, 68)]
    assert all(part.dtype == np.float32 for part in batch[:4])
    assert not batch.buildings.any()  # they have no weight
    inner = batch.polygons[:, 60:-60, 60:-60, 0]
    assert np.abs(batch.displacement).max() <= 0.5  # +-4 pixels
    # the bright squares are where the labels say, and the drawn polygons are not, but for the target
    bright = batch.image[:, 60:-60, 60:-60].mean(-1) > 0
    overlap = (bright * batch.segmentation[..., 0]).sum() / bright.sum()
    assert overlap > 0.99
    rows, columns = np.nonzero(inner[0] > 0.99)
    target = np.round(batch.displacement[0, rows, columns] * 8).astype(int)
    places = np.clip(np.stack([rows, columns], 1) + target, 0, 67)
    assert batch.segmentation[0, places[:, 0], places[:, 1], 0].mean() > 0.9
    assert batch.segmentation[0, rows, columns, 0].mean() < batch.segmentation[0, places[:, 0], places[:, 1], 0].mean()


def test_each_building_may_have_a_displacement_of_its_own():
    """An oracle that moves each drawn polygon by the target on its edges puts it on its label, and no two alike."""
    settings = SETTINGS.model_copy(
        update={"displacements": "buildings", "building_weight": 1.0, "amplitude": 6.0, "turns": False}
    )
    scene = square_scene(count=9)
    maker = PatchMaker([scene], settings, seed=0)
    batch = maker.batch(0)
    offsets = maker._displaced[0].offsets
    assert len(np.unique(offsets, axis=0)) == 9
    assert np.abs(offsets).max() <= 6
    assert np.abs(offsets).max() > 4
    back = [drawn + own for drawn, own in zip(maker._displaced[0].polygons, offsets, strict=True)]
    assert np.allclose(back, scene.labels)
    for target, numbers in zip(batch.displacement * 8, batch.buildings, strict=True):
        for number in np.unique(numbers)[1:]:
            own = np.unique(target[numbers == number], axis=0)
            assert len(own) == 1
            assert np.abs(offsets - own).max(1).min() < 1e-6


def test_numbers_of_edges_turn_with_the_patch():
    settings = SETTINGS.model_copy(update={"displacements": "buildings", "building_weight": 1.0, "batch_size": 16})
    batch = PatchMaker([square_scene(count=9)], settings, seed=1).batch(0)
    on_edge = batch.polygons[:, 60:-60, 60:-60, 1] > 0.99
    assert (batch.buildings[on_edge] > 0).mean() > 0.95  # where two overlap, the covered edge has no number


def test_a_later_polygon_covers_the_edge_of_an_earlier_one():
    squares = [np.array([(5, 5), (5, 20), (20, 20), (20, 5)], float) + shift for shift in (0, 8)]
    edges, filled = numbered(squares, 40, 40), numbered(squares, 40, 40, filled=True)
    assert edges.dtype == np.int32
    assert (edges[5, 10], edges[12, 12], edges[28, 20], edges[35, 35]) == (1, 0, 2, 0)
    assert (filled[12, 8], filled[18, 18]) == (1, 2)


def test_the_same_step_gives_the_same_patches_in_any_order():
    scenes = [square_scene()]
    first, other = PatchMaker(scenes, SETTINGS, 5), PatchMaker(scenes, SETTINGS, 5)
    other.batch(0)
    assert all(np.array_equal(a, b) for a, b in zip(first.batch(7), other.batch(7), strict=True))
    assert not np.array_equal(first.batch(8).image, first.batch(7).image)


def test_dropped_polygons_stay_in_the_segmentation():
    few = SETTINGS.model_copy(update={"keep_polygons": 1e-9})
    scenes = [square_scene(count=9)]
    kept = PatchMaker(scenes, few, 0).batch(0)
    everything = PatchMaker(scenes, SETTINGS, 0).batch(0)
    assert kept.polygons[..., 0].sum() < 0.6 * everything.polygons[..., 0].sum()
    assert kept.segmentation[..., 0].sum() == pytest.approx(everything.segmentation[..., 0].sum(), rel=0.6)
    assert (kept.segmentation[..., 0].sum((1, 2)) > 1.5 * 16 * 16).any()


def test_patches_are_left_as_they_are_without_turns():
    """The sides of a square look alike: only turning makes a patch's own shift point elsewhere."""
    field = np.broadcast_to(np.float32([2.0, -1.0]), (128, 128, 2)).copy()
    for turns, directions in ((False, 1), (True, 8)):
        settings = SETTINGS.model_copy(update={"turns": turns, "batch_size": 64})
        maker = PatchMaker([square_scene()], settings, 0)
        maker._renew(0)
        maker._displaced[0] = type(maker._displace(0))(field, displaced(square_scene().labels, field))
        found = maker.batch(0).displacement[:, 0, 0] * 8
        assert len(np.unique(found, axis=0)) == directions


def test_scenes_without_polygons_or_smaller_than_a_patch_are_refused():
    with pytest.raises(NetalikeError, match="none of the 1 training scenes has a polygon"):
        PatchMaker([square_scene(count=0)], SETTINGS, 0)
    with pytest.raises(ShapeError, match=r"squares has 128 x 128 pixels.*at least 132 x 132: choose a smaller"):
        PatchMaker([square_scene()], SETTINGS.model_copy(update={"input_size": 252}), 0)


def test_schedules_are_the_published_ones_at_full_length():
    published = MapTraining()
    steps = (0, 2499, 2500, 5000, 7500, 99_999)
    coefficients = [level_coefficients(published, step) for step in steps]
    first, second, third, last = (0.5, 0.35, 0.15), (0.75, 0.2, 0.05), (0.9, 0.1, 0.0), (1.0, 0, 0)
    assert coefficients == [first, first, second, third, last, last]
    assert [learning_rate(published, step) for step in (0, 24_999, 25_000, 99_999)] == [1e-4, 1e-4, 5e-5, 5e-5]


def test_the_cosine_schedule_rises_and_falls_to_a_hundredth():
    settings = MapTraining(steps=1000, lr=1e-3, lr_schedule="cosine")
    rates = [learning_rate(settings, step) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-3 / 20)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-5, rel=0.02)
