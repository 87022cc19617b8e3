"""Noisy labels: each kind has the size, the smoothness and the sameness that it promises."""

import numpy as np
import pytest

from netalike.data.label_noise import KINDS, smooth_field, with_noise
from netalike.data.polygons import centroid, rms, vertex_errors
from netalike.data.scenes import Scene, clean_scene, make_scene
from netalike.errors import UnknownNameError

SIGMA = 1.5


def grid_scene(name: str, size: int = 512, step: int = 8) -> Scene:
    """Many small squares in rows, without a picture."""
    square = np.array([[0.0, 0], [0, 4], [4, 4], [4, 0]])
    polygons = [square + np.array([row, column]) for row in range(0, size, step) for column in range(0, size, step)]
    return clean_scene(name, np.zeros((size, size, 3), np.uint8), polygons, [{}] * len(polygons))


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    return [grid_scene(f"scene_{index}") for index in range(6)]


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_polygons_plus_the_noise_that_is_kept(kind):
    scene = with_noise(make_scene(5, 128), kind)
    for polygon, label, offset in zip(scene.polygons, scene.labels, scene.noise, strict=True):
        assert np.array_equal(label, polygon + offset)


@pytest.mark.parametrize(("kind", "expected"), [("independent", 2**0.5), ("bias", 2**0.5), ("smooth", 2), ("clean", 0)])
def test_the_size_of_the_noise(many, kind, expected):
    noisy = [with_noise(scene, kind, SIGMA) for scene in many]
    errors = np.concatenate([vertex_errors(scene.labels, scene.polygons) for scene in noisy])
    assert rms(errors) == pytest.approx(expected * SIGMA, rel=0.02)


def test_independent_noise_has_no_mean_and_no_memory(many):
    noise = np.concatenate([with_noise(scene, "independent", SIGMA).noise for scene in many])
    assert noise.mean(axis=0) == pytest.approx([0, 0], abs=4 * SIGMA / len(noise) ** 0.5)
    assert abs(np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1]) < 0.03


def test_smooth_noise_is_shared_by_neighbours_and_averages_out_over_a_scene(many):
    for scene in many:
        noise = with_noise(scene, "smooth", SIGMA).noise
        neighbours = np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1]
        assert neighbours == pytest.approx(0.5, abs=0.06)  # half of the variance is the field's
        assert np.abs(noise.mean(axis=0)).max() < 0.1 * SIGMA


def test_the_smooth_field_has_mean_0_and_root_mean_square_1():
    field = smooth_field(np.random.default_rng(0), 200, 300)
    assert field.shape == (200, 300, 2)
    assert field.mean(axis=(0, 1)) == pytest.approx([0, 0], abs=1e-5)
    assert np.sqrt((field**2).mean(axis=(0, 1))) == pytest.approx([1, 1], abs=1e-5)
    assert np.abs(np.diff(field, axis=0)).max() < 0.15


def test_a_bias_is_one_for_the_whole_data_set(many):
    offsets = np.concatenate([with_noise(scene, "bias", SIGMA, seed).noise for seed, scene in enumerate(many)])
    assert np.ptp(offsets, axis=0).tolist() == [0, 0]
    assert np.hypot(*offsets[0]) == pytest.approx(SIGMA * 2**0.5)


def test_scenes_get_different_noise_from_the_same_seed_and_the_same_from_the_same_name(many):
    first, second = (with_noise(scene, "independent", SIGMA, seed=0).noise for scene in many[:2])
    assert not np.array_equal(first, second)
    assert np.array_equal(first, with_noise(many[0], "independent", SIGMA, seed=0).noise)
    assert not np.array_equal(first, with_noise(many[0], "independent", SIGMA, seed=1).noise)


def test_noise_starts_from_the_truth_and_not_from_earlier_labels(many):
    once = with_noise(many[0], "independent")
    assert np.array_equal(with_noise(once, "independent").noise, once.noise)
    assert with_noise(once, "clean").labels[3].tolist() == many[0].polygons[3].tolist()


def test_smooth_noise_is_read_at_the_centre_of_a_building():
    scene = make_scene(5, 128)
    far = with_noise(scene, "smooth", 1e-9)
    assert np.abs(far.noise).max() < 1e-8
    assert centroid(scene.polygons[0]).shape == (2,)


def test_bad_input_is_refused(many):
    with pytest.raises(UnknownNameError, match=r"unknown kind of label noise 'smoth': .* Did you mean 'smooth'\?"):
        with_noise(many[0], "smoth")
    for sigma in (-1, float("nan")):
        with pytest.raises(ValueError, match="expected sigma of at least 0 pixels"):
            with_noise(many[0], "bias", sigma)


def test_a_scene_without_buildings_stays_one():
    empty = clean_scene("empty", np.zeros((64, 64, 3), np.uint8), [], [])
    assert {with_noise(empty, kind).noise.shape for kind in KINDS} == {(0, 2)}
