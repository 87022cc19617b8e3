"""Figures of the simulation: what they draw, published bars beside ours, nothing overlaps."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from test_studies import axes_titled, drawn_at, overlap, texts_drawn, texts_of

from netalike.errors import NetalikeError
from netalike.evidence.measurements import condition, table
from netalike.experiments.simulation_published import BARS
from netalike.plots.simulation import simulation_bars, simulation_rsms

CONSTANTS = {"paper": "shared_response", "experiment": "simulation_test", "dataset": "xor", "split": "test"}
LEVELS = {("shared", "brainiak"): 0.9, ("native", "none"): 0.1, ("shared", "mean"): 1.0, ("native", "mean"): -0.1}
FACTORS = {
    "haar": {"transform": "haar"},
    "uniform_qr": {"transform": "uniform_qr"},
    "permutation": {"transform": "permutation"},
    "independent": {"variant": "independent", "z_score": "own"},
}


def rows_of(repeats: int = 5) -> pd.DataFrame:
    rows = []
    for repeat, (name, factors), (place, value) in itertools.product(range(repeats), FACTORS.items(), LEVELS.items()):
        told = condition(space=place[0], center=place[1], **factors)
        estimators = {"pearson": 1, "kendall": 0.8}
        if place[1] != "mean" and name != "independent":
            estimators["kendall_as_published"] = 1.0 if place[0] == "native" else 0.8
        for estimator, share in estimators.items():
            row = {"network_a": f"xor-s{repeat}", "seed": repeat, "quantity": "rsm_correlation", "n_samples": 200}
            number = share * value - 0.02 * repeat
            rows.append({**row, "estimator": estimator, "condition": told, "value": number})
            if name == "independent" and place == ("shared", "brainiak"):
                other = condition(space="shared", center="brainiak", variant="independent", z_score="published")
                rows.append({**row, "estimator": estimator, "condition": other, "value": number - 0.3})
    return table(rows, **CONSTANTS)


def pictures_of(names: tuple[str, ...] = tuple(FACTORS), n: int = 8) -> dict[str, np.ndarray]:
    generator, found = np.random.default_rng(0), {}
    for i, name in enumerate(names):
        for key in ("none.native", "none.truth", "brainiak.shared", "mean.native", "mean.truth", "mean.shared"):
            found[f"{name}.{key}"] = generator.random((n, n), dtype=np.float32) + i
        found[f"{name}.labels"] = np.arange(n) % 2  # not sorted
        found[f"{name}.clouds"] = np.arange(n) % 2 * 2 + np.arange(n) // 2 % 2
    if "independent" in names:
        found["independent.published.shared"] = np.full((n, n), 7, np.float32)
    return found


@pytest.fixture(scope="module")
def figures():
    return {"bars": simulation_bars(rows_of()), "rsms": simulation_rsms(pictures_of())}


@pytest.mark.parametrize("name", ["bars", "rsms"])
def test_no_text_lies_on_another_or_is_cut_off(figures, name):
    figure = figures[name]
    figure.draw_without_rendering()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts_drawn(figure)]
    assert len(boxes) > 15
    for written, box in boxes:
        inside = figure.bbox.padded(1)
        assert inside.contains(box.x0, box.y0), f"{written!r} is cut off"
        assert inside.contains(box.x1, box.y1), f"{written!r} is cut off"
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        assert overlap(one, other) <= 1.5, f"{first!r} and {second!r} overlap"


def test_bars_are_means_over_repeats_in_both_modes(figures):
    heights = [bar.get_height() for bar in axes_titled(figures["bars"], "Orthogonal (Haar)").patches]
    lower = 0.02 * 2  # mean over five repeats
    wanted = [0.9, 0.1, 1.0, -0.1, 0.9 * 0.8, 0.1, 1.0 * 0.8, -0.1 * 0.8]  # the published native rank is Pearson's
    assert heights == pytest.approx([value - lower for value in wanted])


def test_independent_networks_have_the_published_standardisation_and_no_published_bars(figures):
    ax = axes_titled(figures["bars"], "No copies")
    heights = [bar.get_height() for bar in ax.patches]
    wanted = [0.9 - 0.3, 0.1, 1.0, -0.1, 0.72 - 0.3, 0.08, 0.8, -0.08]
    assert heights == pytest.approx([value - 0.04 for value in wanted])
    assert not drawn_at(ax, "white", "D")


@pytest.mark.parametrize(("title", "transform"), [("Orthogonal (uniform QR", "uniform_qr"), ("Perm", "permutation")])
def test_published_bars_are_drawn_beside_ours_with_their_intervals(figures, title, transform):
    ax = axes_titled(figures["bars"], title)
    points = drawn_at(ax, "white", "D")
    order = list(itertools.product(("linear", "rank"), ("shared", "native")))
    assert [value for _, value in points] == [BARS[transform, space, measure].value for measure, space in order]
    ends = [tuple(line.get_ydata()) for line in ax.lines if line.get_color() == "black" and len(line.get_xdata()) == 2]
    for measure, space in order:
        assert BARS[transform, space, measure][1:] in ends
    for (x, _), bar in zip(points, [ax.patches[i] for i in (0, 1, 4, 5)], strict=True):
        assert bar.get_x() < x < bar.get_x() + bar.get_width()


def test_haar_has_no_published_bars_and_the_legend_tells_the_modes(figures):
    assert not drawn_at(axes_titled(figures["bars"], "Orthogonal (Haar)"), "white", "D")
    words = texts_of(figures["bars"])
    for part in ("shared, as published", "native, corrected", "published bar", "5 repeats", "bootstrap over repeats"):
        assert part in words


def test_panels_are_those_of_the_rows():
    rows = rows_of(1)
    figure = simulation_bars(rows[rows["condition"].str.contains("permutation")])
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Permutation"]
    assert "1 repeat;" in texts_of(figure)


def test_matrices_are_sorted_by_class_with_borders(figures):
    images = [ax for ax in figures["rsms"].axes if ax.images]
    assert len(images) == 24
    pictures = pictures_of()
    order = np.lexsort((pictures["haar.clouds"], pictures["haar.labels"]))
    assert np.array_equal(images[0].images[0].get_array(), pictures["haar.brainiak.shared"][np.ix_(order, order)])
    thick = {line.get_ydata()[0] for line in images[0].lines if line.get_linewidth() > 1}
    assert 3.5 in thick  # between the fourth and the fifth image
    assert [label.get_text() for label in images[0].get_yticklabels()] == ["class 0", "class 1"]


def test_three_matrices_share_a_robust_scale(figures):
    pictures = pictures_of()
    images = [ax.images[0] for ax in figures["rsms"].axes if ax.images]
    three = np.stack([pictures[f"haar.{key}"] for key in ("brainiak.shared", "none.truth", "none.native")])
    assert [image.get_clim() for image in images[:3]] == [pytest.approx(tuple(np.percentile(three, (2, 98))))] * 3


def test_independent_networks_show_the_published_matrix(figures):
    images = [ax.images[0].get_array() for ax in figures["rsms"].axes if ax.images]
    assert (images[9] == 7).all()  # the last row of the left half


def test_nothing_to_draw_is_said():
    with pytest.raises(NetalikeError, match="nothing to draw for simulation_bars: expected rows of rsm_correlation"):
        simulation_bars(rows_of().iloc[:0])
    with pytest.raises(NetalikeError, match=r"nothing to draw for simulation_rsms: .* got \['a'\]"):
        simulation_rsms({"a": np.zeros((2, 2))})
