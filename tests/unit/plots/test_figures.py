"""Figures show what the rows say, hide nothing that is missing, and are the same bytes every time."""

from __future__ import annotations

import itertools
import json

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from netalike import plots
from netalike.errors import BadFileError, NetalikeError, UnknownNameError
from netalike.plots.intervals import mean_interval

NAN = float("nan")
CARD = {
    "name": "layers",
    "title": "CKA by layer",
    "caption": "A caption.",
    "category": "deconfounded_cka",
    "rule": "plot_layers",
    "script": "workflow/scripts/plot_layers.py",
    "command": "snakemake --cores 2 results/figures/layers.svg",
}


def row(network_a: str, layer_a: str, network_b: str, layer_b: str, value: float, **other: object) -> dict[str, object]:
    filled = {"quantity": "cka", "estimator": "unbiased", "low": NAN, "high": NAN, "status": "ok", **other}
    return {
        "network_a": network_a,
        "layer_a": layer_a,
        "network_b": network_b,
        "layer_b": layer_b,
        "value": value,
        **filled,
    }


def matrix(rows: int, columns: int) -> pd.DataFrame:
    values = np.linspace(0.0, 1.0, rows * columns).reshape(rows, columns)
    return pd.DataFrame(values, index=[f"a{i}" for i in range(rows)], columns=[f"b{i}" for i in range(columns)])


def drawn() -> Axes:
    return plots.new_figure()[1][0]


def legend_texts(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    return [legend.get_title().get_text() for legend in legends] + [
        text.get_text() for legend in legends for text in legend.get_texts()
    ]


# ---- heatmaps ------------------------------------------------------------------------------------------------------


def test_the_first_layer_of_the_first_network_is_the_top_row():
    ax = plots.layer_heatmap(drawn(), matrix(2, 3), annotate=True)
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written == {(c + 0.5, r + 0.5): f"{matrix(2, 3).iloc[r, c]:.2f}" for r in range(2) for c in range(3)}
    bottom, top = ax.get_ylim()
    assert bottom > top
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a0", "a1"]


def test_an_undefined_cell_is_hatched_named_and_not_written_as_a_number():
    given = matrix(3, 3)
    given.iloc[1, 2] = NAN
    figure, [ax] = plots.new_figure()
    plots.layer_heatmap(ax, given, annotate=True, undefined="undefined: layer a1 is constant")
    assert [(patch.get_xy(), patch.get_hatch()) for patch in ax.patches] == [((2, 1), "////")]
    assert len(ax.texts) == 8
    assert "undefined: layer a1 is constant" in legend_texts(figure)


def test_a_matrix_without_any_number_is_drawn_and_says_so():
    figure, [ax] = plots.new_figure()
    plots.layer_heatmap(ax, matrix(2, 2) * NAN, vmin=None)
    assert len(ax.patches) == 4
    assert not ax.texts
    assert any("undefined" in text for text in legend_texts(figure))


@pytest.mark.parametrize(("lowest", "expected"), [(-0.02, ("magma", 0, 1)), (-0.4, ("vlag", -1, 1))])
def test_an_open_lower_end_is_diverging_only_for_clearly_negative_values(lowest, expected):
    given = matrix(2, 2)
    given.iloc[0, 0] = lowest
    mesh = plots.layer_heatmap(drawn(), given, vmin=None).collections[0]
    assert (mesh.get_cmap().name, *mesh.get_clim()) == expected


def test_values_beyond_the_scale_show_on_the_colour_bar():
    given = matrix(2, 2)
    given.iloc[0, 0], given.iloc[1, 1] = -0.3, 1.2
    ax = plots.layer_heatmap(drawn(), given)
    assert ax.collections[0].colorbar.extend == "both"


@pytest.mark.parametrize(("size", "numbers"), [(8, 64), (25, 0)])
def test_numbers_are_written_where_they_have_the_room(size, numbers):
    given = matrix(size, size)
    _, [ax] = plots.new_figure(*plots.heatmap_size(given))
    assert len(plots.layer_heatmap(ax, given).texts) == numbers


@pytest.mark.parametrize("shape", [(8, 8), (4, 8), (25, 25), (121, 101), (2, 3)])
def test_layer_names_do_not_overlap(shape):
    given = matrix(*shape)
    given.index = [f"block{i:02d}.conv" for i in range(shape[0])]
    given.columns = [f"block{i:02d}.conv" for i in range(shape[1])]
    figure, [ax] = plots.new_figure(*plots.heatmap_size(given))
    plots.layer_heatmap(ax, given, title="CKA", label="CKA, unbiased (1 = same, higher is more alike)")
    figure.draw_without_rendering()
    for labels, side in ((ax.get_xticklabels(), 0), (ax.get_yticklabels(), 1)):
        boxes = [label.get_window_extent() for label in labels]
        starts = sorted((box.x0, box.x1) if side == 0 else (box.y0, box.y1) for box in boxes)
        assert all(one[1] <= other[0] + 0.5 for one, other in itertools.pairwise(starts))
    bar = ax.collections[0].colorbar.ax.yaxis.label.get_window_extent()
    assert bar.y0 >= 0
    assert bar.y1 <= figure.bbox.y1


def test_a_grid_has_one_scale_and_one_colour_bar():
    figure, _ = plots.new_figure(8, 6, 0, 0)
    axes = plots.layer_heatmap_grid(figure, {"one": matrix(2, 2), "two": matrix(2, 2) - 0.5}, vmin=None, label="CKA")
    assert [ax.get_title(loc="left") for ax in axes] == ["one", "two"]
    assert {ax.collections[0].get_clim() for ax in axes} == {(-1.0, 1.0)}
    assert len(figure.axes) == 3


def test_an_empty_grid_is_refused():
    with pytest.raises(NetalikeError, match="at least one"):
        plots.layer_heatmap_grid(plots.new_figure(4, 4, 0, 0)[0], {})


def test_a_layer_matrix_keeps_the_order_of_layers_and_averages_over_pairs():
    rows = pd.DataFrame(
        [row("n0", a, f"n{k}", b, k / 4 + i) for k in (1, 2) for i, (a, b) in enumerate([("z", "z"), ("z", "a")])]
        + [row("n0", "a", "n1", "z", NAN), row("n0", "a", "n1", "a", 5.0)]
    )
    found = plots.layer_matrix(rows)
    assert list(found.index) == ["z", "a"]
    assert list(found.columns) == ["z", "a"]
    np.testing.assert_allclose(found.to_numpy(), [[0.375, 1.375], [NAN, 5.0]])


def test_a_layer_matrix_of_two_measures_is_refused():
    rows = pd.DataFrame([row("n0", "a", "n1", "a", 1.0), row("n0", "a", "n1", "a", 0.5, estimator="published")])
    with pytest.raises(NetalikeError, match="cka/unbiased, cka/published"):
        plots.layer_matrix(rows)


# ---- along layers --------------------------------------------------------------------------------------------------


def line_of(ax: Axes, label: str) -> np.ndarray:
    handles, labels = ax.get_legend_handles_labels()
    handle = handles[labels.index(label)]
    return np.asarray((handle[0] if isinstance(handle, tuple) else handle).get_ydata(), dtype=float)


def test_self_similarity_draws_only_layers_with_themselves_and_the_expected_line():
    rows = pd.DataFrame(
        [
            row("n0", "a", "n0", "a", 1.0),
            row("n0", "b", "n0", "b", 1.11),
            row("n0", "a", "n0", "b", 0.2),
            row("n0", "a", "n1", "a", 0.3),
        ]
    )
    ax = plots.self_similarity(drawn(), rows)
    np.testing.assert_allclose(line_of(ax, "CKA, unbiased"), [1.0, 1.11])
    assert list(line_of(ax, "expected: 1")) == [1, 1]
    assert ax.get_ylim()[1] > 1.11


def test_a_measure_by_layer_says_how_many_values_are_undefined():
    rows = pd.DataFrame(
        [row("n0", layer, "n1", layer, value) for layer, value in (("a", 0.5), ("b", NAN), ("c", 0.25))]
        + [row("n0", "a", "n1", "c", 0.9), row("n0", "a", "n0", "a", 1.0)]
    )
    ax = plots.measure_by_layer(drawn(), rows)
    np.testing.assert_allclose(line_of(ax, "CKA, unbiased"), [0.5, NAN, 0.25])
    assert "1 of 3 values undefined" in legend_texts(ax.get_figure())[0]
    assert "1 = same, higher is more alike" in ax.get_ylabel()


def test_rows_that_a_figure_cannot_draw_are_refused():
    rows = pd.DataFrame([row("n0", "a", "n1", "b", 0.5)])
    for draw in (plots.self_similarity, plots.measure_by_layer):
        with pytest.raises(NetalikeError, match="expected rows"):
            draw(drawn(), rows)
    with pytest.raises(NetalikeError, match="expected rows that compare layers"):
        plots.controls(drawn(), rows.iloc[:0])
    with pytest.raises(NetalikeError, match="selection has none"):
        plots.pve_by_depth(drawn(), rows.iloc[:0])


def test_variance_explained_separates_trained_from_untrained():
    rows = pd.DataFrame(
        [row(f"n{i}{end}", layer, "", "", value) for i in range(3) for end, layer, value in
         (("", "a", 0.9), ("", "b", 0.3), ("@untrained", "a", 0.95), ("@untrained", "b", 0.8))]
    )  # fmt: skip
    ax = plots.pve_by_depth(drawn(), rows)
    np.testing.assert_allclose(line_of(ax, "trained (3 networks)"), [0.9, 0.3])
    np.testing.assert_allclose(line_of(ax, "untrained (3 networks)"), [0.95, 0.8])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b"]


def test_networks_of_other_lengths_share_a_relative_depth():
    rows = pd.DataFrame(
        [row("n0", layer, "", "", 0.5) for layer in "abc"] + [row("n1", layer, "", "", 0.7) for layer in "ab"]
    )
    ax = plots.pve_by_depth(drawn(), rows)
    np.testing.assert_allclose(line_of(ax, "trained (2 networks)"), [0.6, 0.5, 0.6])
    assert "relative depth" in ax.get_xlabel()


# ---- controls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("tiny10-digits-s0", "tiny10-digits-s0", "same network twice"),
        ("tiny10-digits-s0", "tiny10-digits-s10", "trained, other seed"),
        ("tiny10-digits-s0", "resnet20_w1-digits-s0", "trained, other kind"),
        ("tiny10-digits-s0", "tiny10-digits-s0@untrained", "trained and untrained"),
        ("tiny10-digits-s0@untrained", "tiny10-digits-s1", "trained and untrained"),
        ("tiny10-digits-s0@untrained", "tiny10-digits-s1@untrained", "both untrained"),
        ("tiny10-digits-s0", "tiny10-digits-s0@permuted_samples", "permuted samples"),
        ("noise", "tiny10-digits-s0", "independent noise"),
        ("tiny10-digits-s0", "tiny10-digits-s0@other_labels", "other labels"),
    ],
)
def test_the_ids_say_which_control_a_pair_is(a, b, expected):
    assert plots.control_of(a, b) == expected


def test_controls_show_the_mean_of_each_comparison_from_the_most_alike_down():
    pairs = {"s0": 1.0, "s0@untrained": 0.4, "noise": 0.0}
    rows = pd.DataFrame(
        [row("s0", layer, other, layer, value + shift) for other, value in pairs.items()
         for layer, shift in (("a", 0.0), ("b", 0.1))]
    )  # fmt: skip
    ax = plots.controls(drawn(), rows)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "same network twice",
        "trained and untrained",
        "independent noise",
    ]
    means = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(means, [1.05, 0.45, 0.05])


# ---- intervals -----------------------------------------------------------------------------------------------------


def test_the_interval_knows_that_pairs_share_networks():
    generator = np.random.default_rng(0)
    effect = generator.normal(0, 0.1, 20)
    rows = pd.DataFrame(
        [row(f"n{a}", "l", f"n{b}", "l", 0.5 + effect[a] + effect[b]) for a, b in itertools.combinations(range(20), 2)]
    )
    found = mean_interval(rows)
    as_if_independent = 2 * 1.96 * rows["value"].std() / len(rows) ** 0.5
    expected = 2 * 1.96 * 2 * effect.std(ddof=1) / 20**0.5  # the mean over pairs moves by 2 / n with each network
    assert found.mean == pytest.approx(rows["value"].mean())
    assert found.high - found.low == pytest.approx(expected, rel=0.2)
    assert found.high - found.low > 2 * as_if_independent
    assert found.n == 190


def test_two_networks_have_no_interval_and_one_row_keeps_its_own():
    two = pd.DataFrame([row("n0", "a", "n1", "a", 0.5), row("n0", "b", "n1", "b", 0.7)])
    assert np.isnan([mean_interval(two).low, mean_interval(two).high]).all()
    one = pd.DataFrame([row("n0", "a", "n1", "a", 0.5, low=0.4, high=0.6)])
    assert mean_interval(one) == (0.5, 0.4, 0.6, 1)
    none = pd.DataFrame([row("n0", "a", "n1", "a", NAN)])
    assert np.isnan(mean_interval(none).mean)
    assert mean_interval(none).n == 0


# ---- look and files ------------------------------------------------------------------------------------------------


def test_drawing_and_saving_leave_the_global_style_alone(tmp_path):
    before = dict(mpl.rcParams)
    figure, [ax] = plots.new_figure()
    plots.layer_heatmap(ax, matrix(2, 2))
    plots.save(figure, tmp_path / "figure.svg", CARD)
    assert dict(mpl.rcParams) == before
    assert ax.title.get_fontsize() == 10
    assert ax.get_facecolor() == to_rgba("#d1d5db")


def draw_and_save(folder) -> dict[str, bytes]:
    given = matrix(25, 25)
    given.iloc[2, 3] = NAN
    figure, [ax] = plots.new_figure(*plots.heatmap_size(given))
    plots.layer_heatmap(ax, given, title="CKA", label="CKA")
    return {path.name: path.read_bytes() for path in plots.save(figure, folder / "figure.svg", CARD)}


def test_equal_figures_are_equal_bytes(tmp_path):
    first, second = draw_and_save(tmp_path / "one"), draw_and_save(tmp_path / "two")
    assert sorted(first) == ["figure.json", "figure.png", "figure.svg"]
    assert first == second


def test_an_svg_needs_no_font_no_network_and_has_no_date(tmp_path):
    svg = draw_and_save(tmp_path)["figure.svg"].decode()
    assert "<text" not in svg
    assert "date" not in svg
    assert 'href="http' not in svg
    assert len(svg) < 300_000


def test_a_card_comes_back_with_its_files(tmp_path):
    rows = {"quantity": "cka", "estimator": ["published", "unbiased"]}
    figure, _ = plots.new_figure()
    *_, sidecar = plots.save(figure, tmp_path / "layers.svg", {**CARD, "rows": rows, "n_rows": 7})
    card = plots.load_card(sidecar)
    assert (card.rows, card.n_rows, card.files) == (rows, 7, ["layers.svg", "layers.png"])
    assert json.loads(sidecar.read_text())["command"] == CARD["command"]


def test_a_wrong_card_is_refused_with_the_nearest_key(tmp_path):
    figure, _ = plots.new_figure()
    with pytest.raises(UnknownNameError, match="Did you mean 'caption'"):
        plots.save(figure, tmp_path / "x.svg", {**CARD, "captoin": "?"})
    with pytest.raises(NetalikeError, match="missing: command"):
        plots.save(figure, tmp_path / "x.svg", {key: value for key, value in CARD.items() if key != "command"})
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(BadFileError, match="expected a JSON object, got list"):
        plots.load_card(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "1 = same, higher is more alike"),
        ((False, 0), "0 = same, lower is more alike"),
        ((True, None), "higher is more alike"),
    ],
)
def test_a_direction_is_put_into_words(arguments, expected):
    assert plots.direction_label(*arguments) == expected


def test_a_measure_is_named_as_readers_know_it():
    assert plots.measure_label("deconfounded_cka", "unbiased") == "deconfounded CKA, unbiased"
    assert plots.measure_label("linear_regression") == "linear regression"
