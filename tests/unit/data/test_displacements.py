"""Displacement fields: exact extremes, bilinear reading, and an inverse that is one."""

import numpy as np
import pytest

from netalike.data.displacements import displace, displacement_field, invert_displacement, sample_field
from netalike.errors import NetalikeError, ShapeError


def points_in(size: int, n: int = 400) -> np.ndarray:
    return np.random.default_rng(0).uniform(-2, size + 2, (n, 2))


def test_each_direction_reaches_exactly_the_amplitude():
    field = displacement_field(3, 120, 200)
    assert field.shape == (120, 200, 2)
    assert field.dtype == np.float32
    for direction in (0, 1):
        assert field[..., direction].min() == -4
        assert field[..., direction].max() == 4


def test_the_same_seed_gives_the_same_bits_and_another_another_field():
    assert np.array_equal(displacement_field(3, 64, 64), displacement_field(3, 64, 64))
    assert not np.array_equal(displacement_field(3, 64, 64), displacement_field(4, 64, 64))


def test_the_amplitude_only_scales():
    assert displacement_field(3, 64, 80, amplitude=8.0) == pytest.approx(2 * displacement_field(3, 64, 80), abs=1e-5)


@pytest.mark.parametrize(("size", "steepest"), [(256, 0.45), (512, 0.23)])
def test_the_slope_is_that_of_the_specification(size, steepest):
    # measured there: about 0.31 and 0.16 pixels per pixel at most, rms of a component about 1.2 pixels
    fields = np.stack([displacement_field(seed, size, size) for seed in range(4)])
    slopes = [np.abs(np.diff(fields, axis=axis)).max(axis=(1, 2, 3)) for axis in (1, 2)]
    assert 0.4 * steepest < np.mean(slopes) < steepest
    assert 0.7 < np.sqrt(np.mean(fields**2)) < 1.9


def test_the_field_at_a_pixels_centre_is_the_pixel():
    field = displacement_field(1, 40, 50)
    assert sample_field(field, [[7.5, 30.5], [0.5, 0.5], [39.5, 49.5]]) == pytest.approx(
        field[[7, 0, 39], [30, 0, 49]], abs=1e-6
    )


def test_a_plane_is_read_exactly_and_goes_on_flat_outside():
    rows, columns = np.meshgrid(np.arange(20) + 0.5, np.arange(30) + 0.5, indexing="ij")
    field = np.stack([2 * rows - columns, rows + 0.25 * columns], axis=-1).astype(np.float32)
    points = np.random.default_rng(0).uniform(0.5, 19.5, (50, 2))
    expected = np.stack([2 * points[:, 0] - points[:, 1], points[:, 0] + 0.25 * points[:, 1]], axis=1)
    assert sample_field(field, points) == pytest.approx(expected, abs=1e-5)
    assert sample_field(field, [[-9, 3.5]]) == pytest.approx(sample_field(field, [[0.5, 3.5]]))


def test_a_field_of_one_pixel_is_constant():
    assert sample_field(np.full((1, 1, 2), 3.0, np.float32), [[0, 0], [5, 5]]).tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("size", [128, 256, 512])
def test_b14_the_inverse_is_exact(size):
    """Reading the field at rounded places leaves tenths of a pixel; the fixed point leaves less than 1e-5."""
    worst_rounded = 0.0
    for seed in range(5):
        field, goal = displacement_field(seed, size, size), points_in(size)
        found = invert_displacement(goal, field)
        assert np.abs(found + sample_field(field, found) - goal).max() < 1e-5
        rounded = np.clip(np.round(goal).astype(int), 0, size - 1)
        once = goal - field[rounded[:, 0], rounded[:, 1]]
        worst_rounded = max(worst_rounded, np.abs(displace(once, field) - goal).max())
    assert worst_rounded > 0.1


def test_ten_iterations_are_enough_for_a_scene_of_512_pixels():
    field, goal = displacement_field(0, 512, 512), points_in(512)
    found = goal.copy()
    for _ in range(10):
        found = goal - sample_field(field, found)
    assert np.array_equal(found, invert_displacement(goal, field))
    assert np.abs(displace(found, field) - goal).max() < 1e-7


def test_an_oracle_that_knows_a_constant_displacement_makes_no_error():
    """The sign: the network's target at r is D(r), and r + D(r) is where the label was."""
    field = np.full((64, 64, 2), (2.5, -1.25), np.float32)
    label = np.array([[20.0, 20], [20, 40], [40, 40]])
    given = invert_displacement(label, field)
    assert given == pytest.approx(label - (2.5, -1.25))
    assert displace(given, field) == pytest.approx(label)


def test_a_field_that_folds_is_refused():
    steep = 3 * np.stack(np.meshgrid(np.arange(32.0), np.arange(32.0), indexing="ij"), axis=-1)
    with pytest.raises(NetalikeError, match=r"could not be inverted: .* changes by less than 1 pixel per pixel"):
        invert_displacement(np.array([[10.0, 10.0]]), steep.astype(np.float32))


def test_no_points_are_no_problem():
    field = displacement_field(0, 32, 32)
    assert invert_displacement(np.zeros((0, 2)), field).shape == (0, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: displacement_field(0, 4, 90), ShapeError, "at least 8 pixels a side, got 4 x 90"),
        (lambda: displacement_field(0, 64, 64, components=0), ValueError, "at least 1 component, got 0"),
        (lambda: sample_field(np.zeros((4, 4)), [[1, 1]]), ShapeError, r"got \(4, 4\) and \(1, 2\)"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
