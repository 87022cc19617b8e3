"""Polygons: drawn where they are, compared vertex by vertex, refused when they are none."""

import numpy as np
import pytest
import shapely

from netalike.data.polygons import (
    as_polygon,
    centroid,
    cumulative_accuracy,
    inside,
    moved,
    overlapping,
    rasterize,
    rms,
    vertex_errors,
)
from netalike.errors import ShapeError


def rectangle(row: float, column: float, height: float, width: float) -> np.ndarray:
    return np.array([[row, column], [row, column + width], [row + height, column + width], [row + height, column]])


def turned(polygon: np.ndarray, degrees: float) -> np.ndarray:
    sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    middle = polygon.mean(axis=0)
    return (polygon - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle


def test_the_raster_has_rows_first_and_three_channels_between_0_and_1():
    raster = rasterize([rectangle(10, 30, 12, 20)], 40, 60)
    assert raster.shape == (40, 60, 3)
    assert raster.dtype == np.float32
    assert raster.min() == 0
    assert raster.max() == 1


def test_the_fill_lies_where_the_polygon_is():
    fill = rasterize([rectangle(10, 30, 12, 20)], 40, 60)[..., 0]
    assert (fill[10:22, 30:50] == 1).all()
    outside = fill.copy()
    outside[10:23, 30:51] = 0
    assert outside.sum() == 0


def test_edges_are_three_pixels_wide_and_vertices_discs_of_that_diameter():
    raster = rasterize([rectangle(10, 30, 40, 40)], 64, 96)
    across_the_upper_edge = raster[:25, 50, 1]
    assert across_the_upper_edge.sum() == pytest.approx(3, abs=0.3)
    assert across_the_upper_edge[:8].sum() == 0
    assert across_the_upper_edge[12:].sum() == 0
    assert raster[..., 2].sum() == pytest.approx(4 * np.pi * 1.5**2, rel=0.1)
    assert (raster[..., 1] >= raster[..., 2]).all()


@pytest.mark.parametrize("degrees", [0, 17, 45, 71])
def test_the_filled_area_is_the_polygons(degrees):
    polygon = turned(rectangle(20.3, 30.7, 22, 31), degrees)
    area = rasterize([polygon], 80, 100)[..., 0].sum()
    assert area == pytest.approx(shapely.Polygon(polygon).area, rel=0.03)


def test_a_shift_below_one_pixel_is_seen():
    polygon = turned(rectangle(20, 30, 20, 30), 20)
    weights = np.arange(80)[:, None]
    before, after = (rasterize([p], 80, 100)[..., 0] for p in (polygon, polygon + np.array([0.25, 0])))
    move = (after * weights).sum() / after.sum() - (before * weights).sum() / before.sum()
    assert move == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_no_channel_is_drawn_off_its_place(channel):
    """Pixel (i, j) covers [i, i + 1) x [j, j + 1): half a pixel off would show as 0.5."""
    random = np.random.default_rng(0)
    away = []
    for _ in range(40):
        polygon = turned(rectangle(*random.uniform(20, 40, 2), *random.uniform(12, 24, 2)), random.uniform(0, 90))
        shares = rasterize([polygon], 90, 90)[..., channel]
        centres = np.arange(90) + 0.5
        found = [(shares.sum(axis=1) * centres).sum(), (shares.sum(axis=0) * centres).sum()] / shares.sum()
        away.append(found - centroid(polygon))  # of a rectangle: the centre of its sides and of its corners as well
    assert np.mean(away, axis=0) == pytest.approx([0, 0], abs=0.03)
    assert np.abs(away).max() < 0.15


def test_what_reaches_out_of_the_image_is_cut_off_and_the_rest_is_left_out():
    polygons = [rectangle(-10, -10, 15, 15), rectangle(100, 100, 9, 9), rectangle(-40, 3, 9, 9)]
    raster = rasterize(polygons, 20, 20)
    assert (raster[:4, :4, 0] == 1).all()
    assert np.array_equal(raster, rasterize(polygons[:1], 20, 20))


def test_drawing_a_crop_is_cropping_the_drawing():
    polygons = [turned(rectangle(20, 30, 20, 30), 33), rectangle(50, 5, 9, 12)]
    whole = rasterize(polygons, 90, 90)
    part = rasterize(moved(polygons, (-16, -8)), 40, 50)
    assert np.array_equal(part, whole[16:56, 8:58])


def test_nothing_to_draw_is_an_empty_raster():
    assert rasterize([], 5, 7).shape == (5, 7, 3)
    assert rasterize([], 5, 7).sum() == 0


def test_an_empty_image_is_refused():
    with pytest.raises(ShapeError, match=r"expected a positive \(height, width\), got \(0, 5\)"):
        rasterize([], 0, 5)


def test_holes_and_the_closing_point_are_cut():
    ring = [[0, 0], [0, 9], [9, 9], [0, 0], [np.nan, np.nan], [2, 2], [2, 3], [3, 3]]
    assert as_polygon(ring).tolist() == [[0, 0], [0, 9], [9, 9]]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[1, 2], [3, 4]], "roof: expected at least 3 finite vertices before the first gap, got 2"),
        ([[0, 0], [0, 1], [np.inf, 1]], "at least 3 finite vertices"),
        ([1, 2, 3], r"roof: expected an array of shape \(vertices, 2\) of \(row, column\), got \(3,\)"),
    ],
)
def test_what_is_no_polygon_is_refused(points, message):
    with pytest.raises(ShapeError, match=message):
        as_polygon(points, "roof")


def test_inside_and_overlapping_a_box():
    polygons = [rectangle(1, 1, 3, 3), rectangle(8, 8, 4, 4), rectangle(20, 1, 3, 3), rectangle(0, 0, 10, 10)]
    assert inside(polygons, 0, 0, 10, 10).tolist() == [True, False, False, True]
    assert overlapping(polygons, 0, 0, 10, 10).tolist() == [True, True, False, True]
    assert inside([], 0, 0, 9, 9).shape == (0,)


def test_the_centroid_is_that_of_the_area():
    ell = np.array([[0, 0], [0, 30], [10, 30], [10, 10], [40, 10], [40, 0]]) + 5000.0
    centre = shapely.Polygon(ell).centroid
    assert centroid(ell) == pytest.approx([centre.x, centre.y], abs=1e-9)
    assert centroid(ell[::-1]) == pytest.approx([centre.x, centre.y], abs=1e-9)
    assert centroid(np.array([[0.0, 0], [1, 1], [2, 2]])).tolist() == [1, 1]


def test_each_polygon_is_moved_by_its_own_offset():
    polygons = [rectangle(0, 0, 2, 2), rectangle(5, 5, 2, 2)]
    found = moved(polygons, [[1, 2], [-3, 0.5]])
    assert found[0][0].tolist() == [1, 2]
    assert found[1][0].tolist() == [2, 5.5]
    with pytest.raises(ShapeError, match=r"expected offsets of shape \(2,\) or \(2, 2\), got \(3, 2\)"):
        moved(polygons, np.zeros((3, 2)))


def test_vertex_errors_are_distances():
    truth = [rectangle(0, 0, 2, 2), rectangle(5, 5, 3, 2)[:3]]
    errors = vertex_errors(moved(truth, [[3, 4], [0, -2]]), truth)
    assert errors == pytest.approx([5, 5, 5, 5, 2, 2, 2])
    assert rms(errors) == pytest.approx(np.sqrt((4 * 25 + 3 * 4) / 7))
    assert vertex_errors([], []).shape == (0,)
    assert np.isnan(rms([]))


def test_polygons_that_do_not_belong_together_are_refused():
    truth = [rectangle(0, 0, 2, 2), rectangle(5, 5, 3, 2)]
    with pytest.raises(ShapeError, match="1 polygons were given for 2 true ones"):
        vertex_errors(truth[:1], truth)
    with pytest.raises(ShapeError, match=r"polygon 1 has shape \(3, 2\), the true one \(4, 2\)"):
        vertex_errors([truth[0], truth[1][:3]], truth)


def test_cumulative_accuracy_counts_an_error_equal_to_the_threshold():
    found = cumulative_accuracy([0.0, 1.0, 1.0, 4.0], [0, 0.5, 1, 3.99, 4, 9])
    assert found.tolist() == [0.25, 0.25, 0.75, 0.75, 1, 1]
    assert np.isnan(cumulative_accuracy([], [1, 2])).all()
