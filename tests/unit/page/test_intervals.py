"""The small drawing of an interval: everything on one scale, nothing outside, nothing too thin to see."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netalike.page.intervals import WIDTH, draw, number_text, tolerance_band

NAN = float("nan")


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("above 0", (0, math.inf)),
        ("below -0.25", (-math.inf, -0.25)),
        ("within 0.005 of 1.11", (1.105, 1.115)),
        ("within 1e-06 of 0", (-1e-6, 1e-6)),
        ("about 3", None),
        ("", None),
        ("above <script>", None),
    ],
)
def test_the_band_of_a_tolerance(text, band):
    assert tolerance_band(text) == (band if band is None else pytest.approx(band))


def test_value_interval_and_bound_share_a_scale():
    drawing = draw(0.5, 0.25, 0.75, (0, math.inf))
    scale = WIDTH / (0.75 * 1.3)  # from 0 to 0.75, with 15 % at each side
    x = {number: round((number + 0.1125) * scale, 1) for number in (0, 0.25, 0.5, 0.75)}
    assert drawing.dot == x[0.5]
    assert drawing.line == (x[0.25], x[0.75])
    assert drawing.mark == x[0]
    assert drawing.band == (x[0], pytest.approx(WIDTH - x[0]))
    assert (drawing.mark_text, drawing.anchor, drawing.paper) == ("0", "start", None)


def test_a_tolerance_below_reaches_to_the_left_edge():
    drawing = draw(-1, -2, 0.5, (-math.inf, 0), paper_value=-1.5)
    assert drawing.band == (0, drawing.mark)
    assert drawing.line[0] < drawing.paper < drawing.dot < drawing.mark < drawing.line[1]


def test_a_tolerance_within_names_its_middle():
    drawing = draw(1.2, NAN, NAN, (1.0, 1.1), paper_value=1.05)
    assert drawing.mark_text == "1.05"
    assert drawing.mark == drawing.paper == pytest.approx(drawing.band[0] + drawing.band[1] / 2, abs=0.1)
    assert drawing.line is None


def test_a_narrow_band_is_still_seen():
    start, width = draw(1000, 900, 1100, (0, 1e-9)).band
    assert width == 2
    assert start == pytest.approx(draw(1000, 900, 1100, (0, math.inf)).mark - 1, abs=0.1)


def test_an_interval_without_width_is_no_line():
    assert draw(0.5, 0.5, 0.5, (0, math.inf)).line is None


def test_without_a_value_there_is_no_drawing():
    assert draw(NAN, 0, 1, (0, 1)) is None


def test_without_a_band_there_are_value_and_interval():
    drawing = draw(0.5, 0.25, 0.75, None)
    assert (drawing.band, drawing.mark) == (None, None)
    assert drawing.dot == WIDTH / 2


def test_a_span_next_to_nothing_has_a_scale():
    drawing = draw(0.0, -5e-324, 0.0, (0.0, math.inf), 0.0)
    assert drawing.dot == WIDTH / 2


numbers = st.floats(-1e6, 1e6)


@given(numbers, st.floats(0, 1e5), st.floats(0, 1e5), numbers, numbers | st.just(NAN))
def test_nothing_leaves_the_drawing_and_order_is_kept(value, below, above, bound, paper):
    drawing = draw(value, value - below, value + above, (bound, math.inf), paper)
    left, right = drawing.line or (drawing.dot, drawing.dot)
    assert 0 <= left <= drawing.dot <= right <= WIDTH
    assert 0 <= drawing.band[0] <= drawing.band[0] + drawing.band[1] <= WIDTH + 0.1
    assert (drawing.mark <= drawing.dot) == (bound <= value) or abs(drawing.mark - drawing.dot) <= 0.1


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.123456, "0.1235"), (-2.0, "\N{MINUS SIGN}2"), (NAN, ""), (math.inf, ""), (2e-8, "2e\N{MINUS SIGN}08")],
)
def test_a_number_as_text(number, text):
    assert number_text(number) == text
