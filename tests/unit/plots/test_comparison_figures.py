"""The figures of a comparison say what the summary says: numbers, orders, intervals, and why something is missing."""

from __future__ import annotations

import comparison_rows as made
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from netalike.evidence.measurements import condition, table
from netalike.plots.comparison_clusters import average_linkage, branches, leaf_order
from netalike.plots.comparison_common import family_of, in_order, label_of, state_of
from netalike.plots.comparison_correlations import correlation_matrices, measure_correlations
from netalike.plots.comparison_cost import cost_pareto, measure_costs, pareto_front
from netalike.plots.comparison_maps import network_maps, onto, positions
from netalike.plots.comparison_pairs import pair_heatmap, pair_matrices
from netalike.plots.comparison_separation import measure_separation, with_questions
from netalike.plots.studies import with_factors

NAN = float("nan")
DASH = "\N{EN DASH}"
FEW = ["cka/biased", "cka/unbiased", "procrustes/published", "stir/cka"]
SUMMARY = made.summary(6, FEW)
NOTHING = SUMMARY.iloc[:0]


def texts_of(figure: Figure) -> list[str]:
    """All words of a figure, those of legends too."""
    axes = [text.get_text() for ax in figure.axes for text in [*ax.texts, ax.title, ax._left_title, ax.xaxis.label]]
    ticks = [tick.get_text() for ax in figure.axes for tick in [*ax.get_xticklabels(), *ax.get_yticklabels()]]
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    told = [legend.get_title().get_text() for legend in legends]
    told += [text.get_text() for legend in legends for text in legend.get_texts()]
    return [*axes, *ticks, *told, figure.get_suptitle()]


def said(figure: Figure) -> str:
    return " ".join(" ".join(texts_of(figure)).split())


def row(quantity: str, estimator: str, value: float, status: str = "ok", **factors: object) -> dict[str, object]:
    networks = {name: factors.pop(name) for name in ("network_a", "network_b", "low", "high") if name in factors}
    return {
        "quantity": quantity,
        "estimator": estimator,
        "value": value,
        "status": status,
        "condition": condition(**factors),
        **networks,
    }


# ---- names -----------------------------------------------------------------------------------------------------------


def test_measures_stand_family_by_family_and_unknown_ones_last():
    found = in_order(["own/score", "stir/cka", "procrustes/published", "cka/unbiased", "cka/unbiased"])
    assert found == ["cka/unbiased", "procrustes/published", "stir/cka", "own/score"]
    assert [label_of(key) for key in found] == ["CKA, unbiased", "Procrustes", "STIR", "own, score"]


def test_a_network_has_a_state_and_a_family():
    names = ("lenet-digits-s0", "lenet-digits-s0@untrained", "noise")
    assert [state_of(name) for name in names] == ["trained", "untrained", "noise"]
    assert [family_of(name) for name in names[:2]] == ["lenet-digits", "lenet-digits"]
    assert family_of("mine@permuted_units", {"mine": "theirs"}) == "theirs"
    assert family_of("my-net") == "my-net"


# ---- clusters --------------------------------------------------------------------------------------------------------


def test_the_tree_is_that_of_average_linkage_by_hand():
    distances = np.array([[0, 1, 4, 6], [1, 0, 6, 8], [4, 6, 0, 2], [6, 8, 2, 0]], dtype=float)
    merges = average_linkage(distances)
    assert merges == [((0,), (1,), 1.0), ((2,), (3,), 2.0), ((0, 1), (2, 3), 6.0)]
    np.testing.assert_allclose(branches(merges, 4)[-1], [[1, 1], [6, 1], [6, 3], [2, 3]])
    assert leaf_order(merges, 4) == [0, 1, 2, 3]
    assert leaf_order([], 1) == [0]


def test_the_heights_of_the_tree_are_those_of_scipy():
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    points = np.random.default_rng(0).standard_normal((12, 3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    theirs = hierarchy.linkage(distances[np.triu_indices(12, 1)], "average")
    np.testing.assert_allclose(sorted(merge.height for merge in average_linkage(distances)), theirs[:, 2])


# ---- correlations ----------------------------------------------------------------------------------------------------


def correlations(*given: tuple[str, str, float]) -> pd.DataFrame:
    entries = []
    for a, b, value in given:
        ends = (
            {"low": value - 0.1, "high": value + 0.1} if np.isfinite(value) else {"status": "undefined: equal values"}
        )
        entries.append(row("rank_correlation", "spearman", value, measure_a=a, measure_b=b, n_pairs=9, **ends))
    for entry, (_, _, value) in zip(entries, given, strict=True):
        entry["status"] = "ok" if np.isfinite(value) else "undefined: equal values"
    return table([{k: v for k, v in entry.items() if k != "n"} for entry in entries])


def test_correlations_are_symmetric_with_ones_on_the_diagonal():
    rows = correlations(("stir/cka", "cka/biased", 0.25), ("cka/biased", "procrustes/published", NAN))
    value, low, high = correlation_matrices(rows)
    assert list(value.index) == ["cka/biased", "procrustes/published", "stir/cka"]
    np.testing.assert_allclose(value, [[1, NAN, 0.25], [NAN, 1, NAN], [0.25, NAN, 1]])
    np.testing.assert_allclose([low.loc["stir/cka", "cka/biased"], high.loc["cka/biased", "stir/cka"]], [0.15, 0.35])


def test_correlations_are_written_above_and_their_intervals_below_the_diagonal():
    rows = correlations(
        ("cka/biased", "cka/unbiased", 0.9), ("cka/biased", "stir/cka", -0.004), ("cka/unbiased", "stir/cka", NAN)
    )
    figure = measure_correlations(rows)
    square = figure.axes[0]
    written = {text.get_position(): text for text in square.texts}
    assert [label.get_text() for label in square.get_xticklabels()] == ["CKA", "CKA, unbiased", "STIR"]
    assert {place: text.get_text() for place, text in written.items()} == {
        (1.5, 0.5): ".90",
        (2.5, 0.5): "0",  # never "-0"
        (0.5, 1.5): ".80\n1",
        (0.5, 2.5): "\N{MINUS SIGN}.10\n.10",
    }
    assert [written[place].get_style() for place in ((0.5, 1.5), (0.5, 2.5))] == ["normal", "italic"]
    assert "undefined: the reason is in the table" in texts_of(figure)


def test_measures_that_agree_stand_side_by_side():
    keys = ["cka/biased", "cka/unbiased", "procrustes/published", "stir/cka"]
    alike = {("cka/biased", "procrustes/published"), ("cka/unbiased", "stir/cka")}
    given = [(a, b, 0.9 if (a, b) in alike else 0.1) for i, a in enumerate(keys) for b in keys[i + 1 :]]
    names = [label.get_text() for label in measure_correlations(correlations(*given)).axes[0].get_yticklabels()]
    assert names == ["CKA", "Procrustes", "CKA, unbiased", "STIR"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (NOTHING, "It takes at least two measures of the same panel."),
        (correlations(("cka/biased", "stir/cka", NAN)), "Undefined: equal values."),
    ],
)
def test_without_correlations_the_figure_says_so(rows, words):
    assert f"No two measures have a rank correlation here. {words}" in said(measure_correlations(rows))


# ---- pairs -----------------------------------------------------------------------------------------------------------


def standardised(*given: tuple[str, str, str, str, float]) -> pd.DataFrame:
    return table(
        row(
            "pair_standardised",
            key,
            value,
            "ok" if np.isfinite(value) else "undefined: no pair of layers",
            network_a=a,
            network_b=b,
            pair=pair,
            family="representation",
        )
        for a, b, pair, key, value in given
    )


PAIRS = standardised(
    ("a-s0", "b-s0", "other_family", "cka/biased", -1.0),
    ("a-s0", "b-s0", "other_family", "stir/cka", NAN),
    ("a-s0", "a-s1", "same_family", "cka/biased", 0.5),
    ("a-s0", "a-s1", "same_family", "stir/cka", 0.25),
    ("a-s1", "a-s2", "same_family", "cka/biased", 1.5),
    ("a-s0", "noise", "noise", "cka/biased", -40.0),
)


def test_pairs_are_grouped_by_what_they_are_and_sorted_by_how_alike_they_are():
    matrices = pair_matrices(with_factors(PAIRS, "pair"))
    assert list(matrices) == ["same_family", "other_family", "noise"]
    assert list(matrices["same_family"].index) == [("a-s1", "a-s2"), ("a-s0", "a-s1")]
    np.testing.assert_allclose(matrices["same_family"], [[1.5, NAN], [0.5, 0.25]])
    np.testing.assert_allclose(matrices["noise"], [[-40, NAN]])


def test_the_heatmap_of_pairs_shows_its_numbers_and_names_what_is_missing():
    figure = pair_heatmap(PAIRS)
    groups = [ax for ax in figure.axes if ax.texts and ax.collections]
    assert [ax.texts[0].get_text() for ax in groups] == [
        "same family, other seed (2)",
        "other family (1)",
        "independent noise (1)",
    ]
    drawn = np.ma.filled(np.ma.asarray(groups[0].collections[0].get_array()).astype(float), np.nan)
    np.testing.assert_allclose(drawn.reshape(2, 2), [[1.5, NAN], [0.5, 0.25]])
    assert groups[0].collections[0].get_clim() == (-3, 3)
    assert [tick.get_text() for tick in groups[0].get_yticklabels()] == [f"a-s1 {DASH} a-s2", f"a-s0 {DASH} a-s1"]
    assert [tick.get_text() for tick in groups[2].get_yticklabels()] == ["a-s0"]
    assert "3 of 8 undefined or not measured" in texts_of(figure)
    assert groups[0].patch.get_hatch() == "////"


def test_runs_of_many_pairs_are_named_by_their_families():
    figure = pair_heatmap(made.summary(24, FEW), made.members(24))
    names = {tick.get_text() for ax in figure.axes for tick in ax.get_yticklabels()}
    assert "lenet-digits \N{MULTIPLICATION SIGN} robust-lenet-digits" in names
    assert not [name for name in names if "-s1" in name]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (NOTHING, "A panel needs two trained networks for them."),
        (PAIRS[PAIRS["value"].isna()], "Undefined: no pair of layers."),
    ],
)
def test_without_standardised_pairs_the_figure_says_so(rows, words):
    assert f"No pair of networks has a standardised value here. {words}" in said(pair_heatmap(rows))


# ---- separation ------------------------------------------------------------------------------------------------------


def answer(key: str, question: str, value: float, half: float = 0.1, **factors: object) -> dict[str, object]:
    given = {"statistic": "auc", "n_positive": 4, "n_negative": 6, **factors}
    known = np.isfinite(value)
    ends = {"low": value - half, "high": value + half} if known else {}
    status = "ok" if known else "undefined: the panel has no such networks"
    return row("separation", key, value, status, question=question, **given, **ends)


ANSWERS = table(
    [
        answer("stir/cka", "controls", NAN),
        answer("cka/biased", "controls", 0.9),
        answer("cka/biased", "shortcut", NAN),
        answer("stir/cka", "accuracy", -0.2, 0.5, statistic="spearman", n_positive=10, n_negative=0),
        answer("cka/biased", "accuracy", 0.7, statistic="spearman", n_positive=10, n_negative=0),
        answer("cka/biased", "layer_monotonicity", 0.8, statistic="conformity", n_positive=56, n_negative=0),
    ]
)


def test_each_question_is_a_column_with_its_numbers_and_intervals():
    figure = measure_separation(ANSWERS)
    titles = [ax.get_title(loc="left").replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ") for ax in figure.axes]
    assert titles == [
        "trained or not 4 vs 6 pairs",
        "follows the difference of accuracies (ReSi 1) 10 pairs",
        "nearer layers are more alike (ReSi 6) 56 triples",
    ]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["CKA", "STIR"]
    drawn = [line.get_xydata().tolist() for line in figure.axes[1].lines[1:-1]]  # between chance and the rule
    expected = [[[0.6, 0], [0.8, 0]], [[0.7, 0]], [[-0.7, 1], [0.3, 1]], [[-0.2, 1]]]
    assert [np.round(line, 9).tolist() for line in drawn] == expected
    assert [ax.get_xlabel() for ax in figure.axes] == ["AUC", "Spearman", "share in order"]


def test_a_mark_is_filled_where_the_interval_excludes_chance():
    marks = [line for line in measure_separation(ANSWERS).axes[1].lines[1:] if len(line.get_xdata()) == 1]
    assert [to_rgba(mark.get_markerfacecolor()) == to_rgba("white") for mark in marks] == [False, True]


def test_what_cannot_be_answered_is_said():
    figure = measure_separation(ANSWERS)
    assert [text.get_text() for text in figure.axes[0].texts] == ["undefined"]
    assert "not answered: with or without a shortcut (ReSi 4): the panel has no such networks" in said(figure)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (NOTHING, "A panel needs at least two families of networks, or untrained twins."),
        (ANSWERS[ANSWERS["value"].isna()], "Undefined: the panel has no such networks."),
    ],
)
def test_without_answers_the_figure_says_so(rows, words):
    assert f"No question can be answered here. {words}" in said(measure_separation(rows))


# ---- cost ------------------------------------------------------------------------------------------------------------


def cost(measure: str, seconds_networks: float, seconds_pairs: float, peak: float, networks=4, pairs=6):
    return {
        "measure": measure,
        "family": "representation",
        "networks": networks,
        "pairs": pairs,
        "seconds_networks": seconds_networks,
        "seconds_pairs": seconds_pairs,
        "peak_mb": peak,
    }


TIMINGS = pd.DataFrame(
    [
        cost("cka/biased", 4, 6, 10),
        cost("cka/biased", 12, 18, 30),  # another chunk
        cost("stir/cka+inverted_cka/biased", 8, 3, 5),
        cost("stir/cka", 0, 12, 7, networks=0),  # beside what it shares
    ]
)


def test_costs_are_of_two_networks_and_one_pair():
    found = measure_costs(TIMINGS)
    # (4 + 12) s for 8 networks and (6 + 18) s for 12 pairs; 8 s for 4 networks and 3 s for 6 pairs; 12 s for 6 pairs
    assert found["seconds"].to_dict() == {"cka/biased": 6.0, "inverted_cka/biased": 4.5, "stir/cka": 6.5}
    assert found["peak_mb"].to_dict() == {"cka/biased": 30.0, "inverted_cka/biased": 5.0, "stir/cka": 7.0}


def test_the_front_holds_what_nothing_beats():
    cost_of, gain = np.array([1.0, 2, 2, 3, 4]), np.array([0.6, 0.5, 0.8, 0.8, 0.9])
    assert pareto_front(cost_of, gain) == [0, 2, 4]
    assert pareto_front(np.array([2.0, 1.0]), np.array([0.5, 0.5])) == [1]


def test_cost_stands_against_separation_with_names_on_the_front():
    rows = table(
        [
            answer("cka/biased", "controls", 0.9),
            answer("stir/cka", "controls", 0.8),
            answer("cka/unbiased", "controls", 0.7),
        ]
    )
    figure = cost_pareto(rows, TIMINGS)
    seconds, memory, *_ = figure.axes
    marks = [line.get_xydata()[0].tolist() for line in seconds.lines if line.get_marker() not in ("None", "")]
    assert marks == [[6.0, 0.9], [6.5, 0.8]]
    assert sorted(text.get_text() for text in seconds.texts) == ["1 CKA", "2"]
    assert sorted(text.get_text() for text in memory.texts) == ["1 CKA", "2 STIR"]
    assert (seconds.get_title(loc="left"), seconds.get_xscale()) == ("trained or not", "log")
    words = said(figure)
    assert "no cost measured: CKA, unbiased" in words
    assert "no separation: inverted CKA" in words


def test_without_cost_or_separation_the_figure_says_so():
    assert "3 measures have a cost and 0 a separation (AUC), none has both." in said(cost_pareto(NOTHING, TIMINGS))
    none = cost_pareto(ANSWERS, TIMINGS.iloc[:0])
    assert "0 measures have a cost and 1 a separation (AUC), none has both." in said(none)


# ---- maps ------------------------------------------------------------------------------------------------------------


def places(key: str, points: dict[str, tuple[float, float]], stress: float = 0.1) -> list[dict[str, object]]:
    found = [row("map_stress", key, stress)]
    for network, point in points.items():
        for axis, value in zip("xy", point, strict=True):
            status = "ok" if np.isfinite(value) else "undefined: no defined pair"
            found.append(row("map_position", key, value, status, network_a=network, axis=axis, group="a"))
    return found


SQUARE = {"a-s0": (0.0, 0.0), "a-s1": (2.0, 0.0), "b-s0": (0.0, 1.0)}
TURNED = {name: (3 - y, 3 * x / 3) for name, (x, y) in SQUARE.items()}


def test_a_turned_map_lies_on_the_first():
    first, second = (positions(with_factors(table(places("cka/biased", m)), "axis")) for m in (SQUARE, TURNED))
    np.testing.assert_allclose(onto(second * 5, first), onto(first, first), atol=1e-12)
    np.testing.assert_allclose(onto(first, first).mean(), 0, atol=1e-12)
    assert (onto(first, first) ** 2).sum(axis=1).mean() == pytest.approx(1)


def test_each_measure_has_a_map_with_its_stress_and_its_networks():
    absent = dict.fromkeys(SQUARE, (NAN, NAN))
    rows = table([*places("cka/biased", SQUARE, 0.125), *places("stir/cka", absent)])
    figure = network_maps(rows)
    with_map, without = figure.axes[:2]
    assert [ax.get_title(loc="left") for ax in (with_map, without)] == ["CKA", "STIR"]
    assert with_map.get_xlabel() == "stress 0.12"
    drawn = np.array([line.get_xydata()[0] for line in with_map.lines])
    gaps = np.linalg.norm(drawn[1:] - drawn[0], axis=1)
    assert gaps[0] / gaps[1] == pytest.approx(2)  # distances keep their ratios
    assert [line.get_marker() for line in with_map.lines] == ["o", "o", "s"]
    assert [text.get_text() for text in without.texts] == ["no map: no defined pair"]
    assert {"a", "b"} <= set(texts_of(figure))


def test_without_a_map_the_figure_says_so():
    assert "No measure gives a map of these networks. It takes at least 3 networks." in said(network_maps(NOTHING))
    absent = table(places("stir/cka", dict.fromkeys(SQUARE, (NAN, NAN))))
    assert "Undefined: no defined pair." in said(network_maps(absent))


# ---- all -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [measure_correlations, pair_heatmap, measure_separation, network_maps])
def test_figures_of_the_same_rows_are_the_same_bytes(draw, tmp_path):
    for name in ("one", "two"):
        draw(SUMMARY).savefig(tmp_path / f"{name}.png", metadata={"Software": None})
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("draw", [measure_correlations, measure_separation, network_maps])
def test_no_words_leave_the_figure_or_cover_others(draw):
    figure = draw(made.summary(6))
    figure.draw_without_rendering()
    names = [tick for ax in figure.axes for tick in ax.get_yticklabels() if tick.get_text()]
    boxes = [tick.get_window_extent() for tick in names]
    assert all(box.x0 >= 0 and box.y0 >= 0 for box in boxes)
    titles = [ax._left_title.get_window_extent() for ax in figure.axes if ax._left_title.get_text()]
    crossing = [(a, b) for i, a in enumerate(titles) for b in titles[i + 1 :] if a.overlaps(b)]
    assert crossing == []


def test_with_question_keeps_all_rows_of_separation():
    found = with_questions(SUMMARY)
    assert len(found) == (SUMMARY["quantity"] == "separation").sum() > 0
    assert {question.name for question in found["question"]} == {
        *made.QUESTIONS,
        *made.FOLLOWS,
        *made.ABSENT,
        "layer_monotonicity",
    }
