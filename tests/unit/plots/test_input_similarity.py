"""Pictures of input similarity: bars in their bins, an example of each bin, and neighbours that say what is counted."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Polygon, Rectangle

from netalike.errors import NetalikeError, ShapeError
from netalike.plots import input_similarity
from netalike.plots.input_similarity import as_pictures, count_histogram, nearest_sheet, representatives

COUNTS = np.array([1.0, 1.2, 2.9, 3.1, 4.9, 5.0, 5.0])  # edges 1, 2, 3, 4, 5


def grey(n: int) -> np.ndarray:
    """Image i has the grey value i everywhere."""
    return np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 6, 8, 1), np.uint8)


def bars_of(ax):
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def test_b7_bars_are_drawn_at_the_centres_of_their_bins():
    ax = count_histogram(COUNTS, grey(7), bins=4).axes[0]
    numbers, edges = np.histogram(COUNTS, 4)
    bars = bars_of(ax)
    assert [bar.get_x() for bar in bars] == pytest.approx(edges[:-1])
    assert [bar.get_x() + bar.get_width() for bar in bars] == pytest.approx(edges[1:])
    assert [bar.get_height() for bar in bars] == pytest.approx(numbers / 7)
    assert ax.get_xlim() == (edges[0], edges[-1])


def test_above_each_bar_is_the_image_of_that_bin_nearest_to_its_middle():
    # The count 2.9 is nearest to the middle of the second bin, 3.1 to that of the third.
    assert representatives(COUNTS, [1, 2, 3, 4, 5]) == [1, 2, 3, 4]
    figure = count_histogram(COUNTS, grey(7), bins=4)
    insets = figure.axes[0].child_axes
    assert [int(ax.images[0].get_array()[0, 0]) for ax in insets] == [1, 2, 3, 4]
    for ax, bar in zip(insets, bars_of(figure.axes[0]), strict=True):
        figure.canvas.draw()
        low, high = ax.get_window_extent(), bar.get_window_extent()
        assert (low.x0 + low.x1) / 2 == pytest.approx((high.x0 + high.x1) / 2, abs=1)
        assert low.y0 >= high.y1


def test_an_empty_bin_has_no_image():
    assert representatives([1.0, 4.0], [1, 2, 3, 4]) == [0, None, 1]
    assert len(count_histogram([1.0, 4.0], grey(2), bins=3).axes[0].child_axes) == 2


def test_equal_counts_are_one_bar():
    figure = count_histogram([3.0, 3.0, 3.0], grey(3), bins=5)
    assert sum(bar.get_height() for bar in bars_of(figure.axes[0])) == pytest.approx(1)
    assert len(figure.axes[0].child_axes) == 1


def test_the_axis_says_whether_the_image_itself_is_counted():
    assert "with the image itself" in count_histogram(COUNTS, grey(7)).axes[0].get_xlabel()
    assert "without the image itself" in count_histogram(COUNTS, grey(7), include_self=False).axes[0].get_xlabel()


def shown(figure) -> list[tuple[int, str]]:
    """Grey value and text of each picture of a sheet."""
    (ax,) = figure.axes
    _, *texts = [text.get_text() for text in ax.texts]
    return list(zip([int(image.get_array()[0, 0]) for image in ax.images], texts, strict=True))


def test_a_sheet_shows_source_neighbours_and_similarity_to_three_digits():
    figure = nearest_sheet(grey(5), [4, 0], [[2, 1], [3, 4]], [[0.98765, 0.5], [0.1, -0.25]], names=list("abcde"))
    first = [(4, "source\ne"), (2, "0.988\nc"), (1, "0.500\nb")]
    assert shown(figure) == [*first, (0, "source\na"), (3, "0.100\nd"), (4, "-0.250\ne")]


def test_texts_of_a_sheet_lie_beneath_their_pictures():
    figure = nearest_sheet(grey(5), [4, 0], [[2, 1], [3, 4]], np.ones((2, 2)), names=["a name that is too long"] * 5)
    figure.canvas.draw()
    (ax,) = figure.axes
    assert ax.texts[1].get_text() == "source\na name that is …"
    boxes = [text.get_window_extent() for text in ax.texts]
    pictures = [image.get_window_extent() for image in ax.images]
    assert not any(one.overlaps(other) for one in boxes for other in pictures)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    for picture, box in zip(pictures, boxes[1:], strict=True):
        assert (picture.x0 + picture.x1) / 2 == pytest.approx((box.x0 + box.x1) / 2, abs=1)


def test_b13_a_sheet_says_whether_the_source_is_its_own_neighbour():
    without = nearest_sheet(grey(3), [0], [[2, 1]], [[0.9, 0.5]])
    assert "left out" in without.axes[0].texts[0].get_text()
    counted = nearest_sheet(grey(3), [0], [[0, 1]], [[1.0, 0.5]], include_self=True)
    assert "counted, marked (self)" in counted.axes[0].texts[0].get_text()
    assert shown(counted) == [(0, "source"), (0, "1.000 (self)"), (1, "0.500")]


def test_similarity_histograms_have_their_source_and_count():
    values = np.array([[1.0, 0.5, 0.5], [0.2, 1.0 + 1e-7, -0.1]])  # rounding may take a similarity above 1
    figure = input_similarity.similarity_histograms(values, [0, 1], grey(3), bins=10)
    first, second = figure.axes
    heights, edges, _ = first.patches[0].get_data()
    assert heights[heights > 0] == pytest.approx([2 / 3, 1 / 3])
    assert (edges[0], edges[-1]) == (-0.1, 1.0)
    assert second.patches[0].get_data().values.sum() == pytest.approx(1)
    assert first.get_title(loc="left") == "soft count 2.0"
    assert second.get_title(loc="left") == "soft count 1.1"
    assert int(second.child_axes[0].images[0].get_array()[0, 0]) == 1


def test_outlines_are_drawn_as_row_and_column_of_the_pixels():
    """Images are 6 high and 8 wide: a cell is as wide as the image, and rows lie in its middle."""
    polygon = np.array([[0.0, 0.0], [0.0, 8.0], [6.0, 8.0]])
    figure = nearest_sheet(grey(2), [0], [[1]], [[0.5]], outlines=[[polygon], []])
    (ax,) = figure.axes
    (drawn,) = [patch for patch in ax.patches if not isinstance(patch, Rectangle)]
    left, right, bottom, top = ax.images[0].get_extent()
    np.testing.assert_allclose(drawn.get_xy()[:3], [[left, top], [right, top], [right, bottom]])
    assert right - left == pytest.approx((bottom - top) * 8 / 6)


def test_the_same_figure_twice_is_the_same_picture(tmp_path):
    for name in ("one", "two"):
        count_histogram(COUNTS, grey(7), bins=4).savefig(tmp_path / f"{name}.png", metadata={"Software": None})
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_colour_images_keep_their_channels():
    assert as_pictures(np.zeros((2, 4, 5, 3))).shape == (2, 4, 5, 3)
    assert as_pictures(np.zeros((2, 4, 5, 1))).shape == (2, 4, 5)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ShapeError, match=r"got \(2, 3, 4, 5\): move the channels to the end"):
        count_histogram([1.0, 2.0], np.zeros((2, 3, 4, 5)))
    with pytest.raises(ShapeError, match="got 3 images and 2 counts"):
        count_histogram([1.0, 2.0], grey(3))
    with pytest.raises(NetalikeError, match="that of sample 1 is nan"):
        count_histogram([1.0, np.nan], grey(2))
    with pytest.raises(ShapeError, match=r"got \(1, 2\) and \(1, 1\) for 1 sources"):
        nearest_sheet(grey(3), [0], [[1, 2]], [[0.5]])
    with pytest.raises(ShapeError, match=r"there are 3 images, 0 to 2.*\(up to 7\)"):
        nearest_sheet(grey(3), [0], [[7]], [[0.5]])
    with pytest.raises(ShapeError, match=r"got \(1, 2\)"):
        input_similarity.similarity_histograms([[1.0, 0.5]], [0], grey(3))


def test_an_outline_ends_where_its_picture_does():
    reaching = np.array([[-3.0, 4.0], [-3.0, 12.0], [3.0, 12.0], [3.0, 4.0]])
    figure = nearest_sheet(grey(2), [0], [[1]], [[0.5]], outlines=[[reaching], []])
    (polygon,) = figure.axes[0].findobj(Polygon)
    (picture,) = [image for image in figure.axes[0].images if image.get_array().max() == 0]
    left, right, bottom, top = picture.get_extent()
    ends = figure.axes[0].transData.inverted().transform(polygon.get_clip_box().get_points())
    assert (ends.min(0)[0], ends.max(0)[0]) == pytest.approx((left, right))
    assert sorted((ends.min(0)[1], ends.max(0)[1])) == pytest.approx(sorted((bottom, top)))
