"""Figures of the studies: what they average and count, by hand; nothing overlaps; the same bytes every time."""

from __future__ import annotations

import itertools
import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import study_rows
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from netalike import plots
from netalike.errors import NetalikeError
from netalike.evidence import measurements
from netalike.evidence.claims import Statistic, estimate
from netalike.evidence.measurements import table
from netalike.page.selection import rows_of_figure
from netalike.plots import studies
from netalike.plots.identities import chance_level
from netalike.plots.jobs import save_figure

NAN = float("nan")


def explained(rows: pd.DataFrame) -> Figure:
    figure, [ax] = plots.new_figure(8, 3.6)
    plots.explained_by_depth(ax, rows)
    return figure


FIGURES = {
    "random_by_depth": (plots.random_by_depth, study_rows.task_rows),
    "explained_by_depth": (explained, study_rows.task_rows),
    "separation": (plots.separation, study_rows.task_rows),
    "transfer": (plots.transfer, study_rows.transfer_rows),
    "ood": (plots.ood, study_rows.ood_rows),
    "demonstration": (plots.demonstration, study_rows.demonstration_rows),
    "identities": (plots.identities, study_rows.identity_rows),
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Figure, pd.DataFrame]]:
    made = {}
    for name, (draw, make) in FIGURES.items():
        rows = make()
        made[name] = (draw(rows), rows)
    return made


def axes_titled(figure: Figure, title: str) -> Axes:
    (found,) = (ax for ax in figure.axes if ax.get_title(loc="left").startswith(title))
    return found


def texts_of(figure: Figure) -> str:
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    found = [legend.get_title().get_text() for legend in legends]
    return "\n".join(found + [text.get_text() for legend in legends for text in legend.get_texts()])


def drawn_at(ax: Axes, colour: object, marker: str) -> list[tuple[float, float]]:
    lines = [line for line in ax.lines if line.get_color() == colour and line.get_marker() == marker]
    return [point for line in lines for point in zip(*map(np.atleast_1d, line.get_data()), strict=True)]


# ---- what all figures have in common ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_lies_on_another_or_is_cut_off(drawn, name):
    figure, _ = drawn[name]
    figure.draw_without_rendering()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts_drawn(figure)]
    assert len(boxes) > 10
    for written, box in boxes:
        assert figure.bbox.padded(1).containsx(box.x0), f"{written!r} is cut off"
        assert figure.bbox.padded(1).containsx(box.x1), f"{written!r} is cut off"
        assert figure.bbox.padded(1).containsy(box.y0), f"{written!r} is cut off"
        assert figure.bbox.padded(1).containsy(box.y1), f"{written!r} is cut off"
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        assert overlap(one, other) <= 1.5, f"{first!r} and {second!r} overlap"


def overlap(one: Bbox, other: Bbox) -> float:
    """Pixels by which two boxes would have to move apart."""
    width, height = (
        min(a[1], b[1]) - max(a[0], b[0]) for a, b in zip(one.get_points().T, other.get_points().T, strict=True)
    )
    return min(width, height)


def texts_drawn(figure: Figure) -> list[Text]:
    """All but the labels of ticks outside the scale, which are artists too."""
    hidden = set()
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            hidden |= {tick.label2} | ({tick.label1} if not low <= tick.get_loc() <= high else set())
    return [
        text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and text not in hidden
    ]


# ---- scripts, cards and captions -------------------------------------------------------------------------------------

KINDS = {"random_by_depth": "tasks", "explained_by_depth": "tasks", "separation": "tasks"}
SECTIONS = {
    "tasks": "tasks",
    "identities": "tasks",
    "transfer": "transfers",
    "ood": "populations",
    "demonstration": "demonstrations",
}
STUDY = {
    "dataset": "digits",
    "n_images": 500,
    "batch_size": 125,
    "networks": "lenet-digits",
    "severities": [1, 3, 5],
    "seed": 0,
}


class Wildcards(SimpleNamespace):
    """As Snakemake gives them: attributes, and items()."""

    def items(self):
        return vars(self).items()


def job_of(folder: Path, name: str) -> SimpleNamespace:
    """What a script sees as `snakemake`."""
    figure = folder / "deconfounded_cka" / f"{KINDS.get(name, name)}_digits" / f"{name}.svg"
    return SimpleNamespace(
        rule=f"plot_{name}",
        wildcards=Wildcards(study="digits"),
        params=SimpleNamespace(study=STUDY),
        input=SimpleNamespace(measurements=[str(folder / "measurements.parquet")]),
        output=SimpleNamespace(figure=figure),
        log=[str(folder / "log.txt")],
    )


@pytest.mark.parametrize("name", FIGURES)
def test_a_script_writes_the_same_bytes_twice_and_a_card_that_finds_its_rows(tmp_path, name, repository, monkeypatch):
    monkeypatch.chdir(repository)
    jobs = [job_of(tmp_path / run, name) for run in ("one", "two")]
    rows = FIGURES[name][1]()
    for job in jobs:
        measurements.write(rows, job.input.measurements[0])
        runpy.run_path(f"workflow/scripts/plot_{name}.py", init_globals={"snakemake": job})
    for suffix in (".svg", ".png"):
        first, second = (job.output.figure.with_suffix(suffix).read_bytes() for job in jobs)
        assert first == second
    card = plots.load_card(jobs[0].output.figure.with_suffix(".json"))
    kind = KINDS.get(name, name)
    assert (card.name, card.category) == (f"{kind}_digits/{name}", "deconfounded_cka")
    assert card.configuration == {"deconfounded_cka": {SECTIONS[kind]: {"digits": STUDY}}}
    assert card.labels == {"study": "digits"}
    assert "digits" in card.caption
    assert "{{" not in card.caption
    assert card.n_rows == len(rows_of_figure(rows, card.rows)) > 0


def test_the_card_of_a_panel_is_as_before(tmp_path, repository, monkeypatch):
    monkeypatch.chdir(repository)
    panel = {"n_images": 500, "dataset": "digits"}
    job = job_of(tmp_path, "explained_by_depth")
    job.wildcards, job.params = Wildcards(panel="digits"), SimpleNamespace(panel=panel)
    figure, _ = plots.new_figure()
    save_figure(job, figure, study_rows.task_rows(1), "A title", "explained_by_inputs")
    card = json.loads(job.output.figure.with_suffix(".json").read_text())
    assert card["configuration"] == {"panels": {"digits": panel}}
    assert card["labels"] == {"panel": "digits"}


# ---- depths ----------------------------------------------------------------------------------------------------------


def compared(*values: tuple[str, str, float, float], pair: str = "same_task") -> pd.DataFrame:
    """Rows of (network_a, network_b, depth, value)."""
    return table(
        {
            "network_a": a,
            "network_b": b,
            "quantity": "cka",
            "estimator": "published",
            "condition": f"depth={depth:.3f};pair={pair}",
            "value": value,
            "status": "ok" if value == value else "undefined: why",
        }
        for a, b, depth, value in values
    )


def test_networks_of_other_lengths_meet_at_the_depths_of_the_shortest():
    short = [("a-s0", "a-s1", depth, depth) for depth in (0, 0.5, 1)]
    long = [("b-s0", "b-s1", i / 4, 10 + i) for i in range(5)]
    found = studies.at_common_depths(studies.with_factors(compared(*short, *long), "depth"))
    assert found.groupby("depth")["value"].apply(list).to_dict() == {0.0: [0, 10], 0.5: [0.5, 12], 1.0: [1, 14]}


def test_a_mean_over_depths_needs_all_of_them():
    rows = compared(
        ("a-s0", "a-s1", 0, 0.2), ("a-s0", "a-s1", 1, 0.4), ("a-s0", "a-s2", 0, 0.9), ("a-s0", "a-s2", 1, NAN)
    )
    means = studies.mean_over_depths(rows)
    assert means["condition"].tolist() == ["pair=same_task"] * 2
    np.testing.assert_allclose(means["value"], [0.3, NAN])
    assert means["status"].tolist() == ["ok", "undefined: a layer has no value"]


# ---- random networks -------------------------------------------------------------------------------------------------


def test_each_kind_of_pair_is_a_line_of_means_in_the_panel_of_its_measure(drawn):
    figure, rows = drawn["random_by_depth"]
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["CKA, published", "CKA, unbiased", "deconfounded CKA"]
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    look = studies.KINDS["untrained"]
    first = rows["condition"].eq("depth=0.000;pair=untrained") & rows["quantity"].eq("deconfounded_cka")
    assert drawn_at(figure.axes[2], look.colour, look.marker)[0] == (
        0.0,
        pytest.approx(rows.loc[first, "value"].mean()),
    )
    written = texts_of(figure)
    for words in ("trained on the same task (7 pairs)", "both untrained (15 pairs)", "independent noise (6 pairs)"):
        assert words in written
    assert "bootstrap over networks" in written


def test_series_differ_in_more_than_colour():
    for looks in (studies.KINDS, studies.MEASURES):
        cues = [(look.marker, str(look.line)) for look in looks.values()]
        assert len({marker for marker, _ in cues}) == len({line for _, line in cues}) == len(cues)


def test_explained_shares_show_networks_means_and_the_level_of_noise(drawn):
    figure, rows = drawn["explained_by_depth"]
    (ax,) = figure.axes
    look = studies.KINDS["same_task"]
    last = rows["condition"].eq("depth=1.000;network=trained")
    assert drawn_at(ax, look.colour, look.marker)[-1] == (1.0, pytest.approx(rows.loc[last, "value"].mean()))
    thin = [line for line in ax.lines if line.get_linewidth() == 0.7]
    assert len(thin) == 12
    assert "independent noise (0.04)" in texts_of(figure)
    assert "trained (mean of 6 networks)" in texts_of(figure)


# ---- separation ------------------------------------------------------------------------------------------------------


def test_a_roc_curve_by_hand():
    false, true = plots.roc_curve(np.array([0.9, 0.5]), np.array([0.7, 0.5, 0.1, 0.1]))
    assert list(zip(false, true, strict=True)) == [(0, 0), (0, 0.5), (0.25, 0.5), (0.5, 1), (1, 1)]


def test_the_area_under_the_curve_is_the_auc_of_the_claims():
    generator = np.random.default_rng(0)
    same, other = generator.normal(0.5, 1, 30).round(1), generator.normal(0, 1, 40).round(1)
    rows = [compared(*((f"a-s{i}", f"a-s{i}", 0, v) for i, v in enumerate(values))) for values in (same, other)]
    area = np.trapezoid(*reversed(plots.roc_curve(same, other)))
    expected = estimate({"a": rows[0], "b": rows[1]}, Statistic(name="auc", of=("a", "b"), over=()))
    assert area == pytest.approx(expected.value)


def test_the_dots_are_the_estimates_that_claims_are_judged_by(drawn):
    figure, rows = drawn["separation"]
    listed = axes_titled(figure, "(c)")
    look = studies.MEASURES["cka", "published"]
    published = rows[(rows["quantity"] == "cka") & (rows["estimator"] == "published")]
    others = ("other_task", "trained_untrained", "untrained")
    same, other = (
        published[published["condition"].str.rpartition("pair=")[2].isin(kinds)] for kinds in (["same_task"], others)
    )
    expected = estimate({"a": same, "b": other}, Statistic(name="auc", of=("a", "b"), by=("depth",)))
    assert drawn_at(listed, look.colour, look.marker)[0][0] == expected.value
    bars = [
        line.get_xdata() for line in listed.lines if line.get_linewidth() == 1.8 and line.get_color() == look.colour
    ]
    assert list(bars[0]) == [expected.low, expected.high]
    names = [label.get_text() for label in listed.get_yticklabels()]
    assert names[0] == "all other networks"
    assert names[-2:] == ["permuted samples", "independent noise"]


def test_with_few_networks_points_have_no_bars_and_the_legend_says_why():
    rows = study_rows.task_rows(1)
    figure = plots.separation(rows)
    listed = axes_titled(figure, "(c)")
    bars = [line.get_xdata() for line in listed.lines if line.get_linewidth() == 1.8]
    assert bars
    assert np.isnan(bars).all()
    assert "3 networks, an interval needs 5" in texts_of(figure)
    assert "intervals: 95 %" not in texts_of(figure)


def test_gaps_of_hundreds_of_standard_deviations_leave_room_for_one_or_two():
    rows = study_rows.task_rows()
    control = rows["condition"].str.contains("pair=noise")
    rows.loc[control, "value"] = -100 + 0.001 * np.arange(control.sum())
    figure = plots.separation(rows)
    figure.draw_without_rendering()
    (ax,) = (ax for ax in figure.axes if ax.get_xscale() == "symlog")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "10", "1,000"]
    assert max(x for line in ax.lines for x in np.atleast_1d(line.get_xdata())) > 1000
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


# ---- transfer --------------------------------------------------------------------------------------------------------


def test_points_of_domains_are_means_at_the_mean_loss_and_named(drawn):
    figure, rows = drawn["transfer"]
    ax = axes_titled(figure, "deconfounded CKA")
    chosen = rows[(rows["quantity"] == "deconfounded_cka") & rows["condition"].str.contains("domain=rotation:30")]
    loss = rows.loc[rows["condition"] == "domain=rotation:30", "value"].mean()
    points = [
        point
        for line in ax.lines
        if line.get_marker() not in ("", "None")
        for point in zip(*line.get_data(), strict=True)
    ]
    assert (pytest.approx(loss), pytest.approx(chosen["value"].mean())) in points
    named = {text.get_text() for text in ax.texts if isinstance(text, Annotation)}
    assert named == {domain.replace(":", " ") for domain in study_rows.DOMAINS}
    assert "ln 2" in [label.get_text() for label in ax.get_xticklabels()]


def test_controls_are_levels_at_their_means(drawn):
    figure, rows = drawn["transfer"]
    ax = axes_titled(figure, "(a) CKA, published")
    levels = {round(line.get_ydata()[0], 6) for line in ax.lines if len(set(line.get_ydata())) == 1}
    published = rows[(rows["quantity"] == "cka") & (rows["estimator"] == "published")]
    for wanted in ("pair=noise", "pair=permuted_samples", "pair=trained_untrained", "domain=none"):
        mean = published.loc[published["condition"].str.contains(wanted), "value"].mean()
        assert round(mean, 6) in levels, wanted


def test_the_correlation_is_that_of_the_claims(drawn):
    figure, rows = drawn["transfer"]
    look = studies.MEASURES["deconfounded_cka", "published"]
    of_claim = Statistic(
        name="spearman", of=("a", "b"), join=("domain",), by=("network_a", "depth"), over=("networks", "domain")
    )
    tuned = rows[(rows["quantity"] == "deconfounded_cka") & rows["condition"].str.contains("pair=finetuned")]
    found = estimate({"a": tuned, "b": rows[rows["quantity"] == "domain_similarity"]}, of_claim)
    ((value, _),) = drawn_at(axes_titled(figure, "(b)"), look.colour, look.marker)
    assert value == found.value
    assert value > 0.8


# ---- corruptions -----------------------------------------------------------------------------------------------------


def test_taus_are_those_of_the_claims_with_the_control_beside_them(drawn):
    figure, rows = drawn["ood"]
    look = studies.MEASURES["deconfounded_cka", "published"]
    keys = ("corruption", "severity")
    of_claim = Statistic(name="kendall", of=("a", "b"), join=("network_b", *keys), by=keys, over=("network_b",))
    chosen = rows[(rows["quantity"] == "deconfounded_cka") & rows["condition"].str.contains("pair=with_best")]
    found = estimate({"a": chosen, "b": rows[rows["quantity"] == "accuracy_gap"]}, of_claim)
    ax = axes_titled(figure, "(b)")
    values = [value for value, _ in drawn_at(ax, look.colour, look.marker)]
    assert values[-1] == found.value
    assert values[-1] < -0.4
    assert values[-1] == pytest.approx(np.mean(values[:-1]))
    control = axes_titled(figure, "control: permuted samples")
    assert abs(drawn_at(control, look.colour, look.marker)[-1][0]) < 0.25
    assert "negative = the more alike, the smaller the gap" in ax.get_xlabel()


def test_every_network_corruption_and_severity_is_a_point(drawn):
    figure, rows = drawn["ood"]
    points = sum(len(line.get_xdata()) for line in axes_titled(figure, "deconfounded CKA").lines)
    assert points == (rows["quantity"] == "accuracy_gap").sum() == 5 * 8 * 3


# ---- demonstration ---------------------------------------------------------------------------------------------------


def test_heatmaps_say_what_stands_for_one_and_the_largest_value(drawn):
    figure, rows = drawn["demonstration"]
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]
    pair = rows[rows["condition"] == "pair=two_networks"]
    largest = pair[pair["quantity"] == "cka"].groupby("estimator")["value"].max()
    assert titles[0] == f"CKA, corrected\nlargest {largest['published']:.3f}"
    assert titles[2] == f"CKA, with the division bug\nlargest {largest['division_bug']:.3f}"
    assert [title.splitlines()[-1] for title in titles[4:6]] == ["diagonal 1.000", "diagonal 1.111"]
    bars = [ax.get_ylabel().replace("\n", " ") for ax in figure.axes if "same" in ax.get_ylabel()]
    assert bars[:3:2] == ["CKA (1 = same, higher is more alike)", "CKA (1.667 = same, higher is more alike)"]


def test_the_first_layer_is_the_top_row_and_the_map_is_magma(drawn):
    figure, _ = drawn["demonstration"]
    ax = figure.axes[0]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert [ax.get_ylabel(), ax.get_xlabel()] == ["tiny10-digits-s0", "lenet-digits-s0"]
    assert {
        mesh.get_cmap().name for one in figure.axes for mesh in one.collections if hasattr(mesh, "get_coordinates")
    } == {"magma"}


def test_the_demonstration_needs_no_controls():
    rows = study_rows.demonstration_rows()
    figure = plots.demonstration(rows[rows["condition"] == "pair=two_networks"])
    assert len(figure.axes) == 8


# ---- identities ------------------------------------------------------------------------------------------------------


def test_identities_are_on_a_logarithmic_axis_and_zeros_at_its_edge(drawn):
    figure, rows = drawn["identities"]
    left, right = figure.axes
    assert left.get_xscale() == "log"
    tolerance = [line for line in left.lines if set(line.get_xdata()) == {1e-10}]
    assert len(tolerance) == 1
    points = [x for line in left.lines if line.get_marker() in ("o", "s") for x in line.get_xdata()]
    positive = rows[(rows["quantity"] == "largest_difference") & (rows["value"] > 0)]["value"]
    assert sorted(points) == sorted(positive)
    zeros = [x for line in left.lines if line.get_marker() == "<" for x in line.get_xdata()]
    assert len(zeros) == 2
    assert max(zeros) < positive.min() / 5
    assert left.get_xticklabels()[0].get_text() == "0"
    assert "exactly 0, at the left edge" in texts_of(figure)
    assert "constant layer: no number in 1 of 1 cases" in texts_of(figure)
    means = [float(np.atleast_1d(line.get_xdata())[0]) for line in right.lines if line.get_markersize() == 6]
    assert means[0] == pytest.approx(rows.loc[rows["estimator"] == "biased", "value"].mean())
    assert means[-1] == pytest.approx(rows.loc[rows["estimator"] == "unbiased", "value"].mean())


def test_the_chance_level_agrees_with_gaussian_matrices():
    generator = np.random.default_rng(0)
    x, y = (generator.standard_normal((60, width)) for width in (80, 300))
    grams = [(one - one.mean(0)) @ (one - one.mean(0)).T for one in (x, y)]
    cka = (grams[0] * grams[1]).sum() / np.linalg.norm(grams[0]) / np.linalg.norm(grams[1])
    assert chance_level(60, 80, 300) == pytest.approx(cka, abs=0.02)
    assert chance_level(40, 1000, 1000) == pytest.approx(0.9615, abs=5e-5)


# ---- missing values and missing rows ---------------------------------------------------------------------------------


def test_undefined_values_are_counted_in_the_legend():
    rows = study_rows.task_rows(2)
    undefined = (rows["quantity"] == "deconfounded_cka").cumsum().between(1, 3) & (
        rows["quantity"] == "deconfounded_cka"
    )
    rows.loc[undefined, ["value", "status"]] = [NAN, "undefined: why"]
    assert "values undefined, left out" in texts_of(plots.random_by_depth(rows))


@pytest.mark.parametrize("name", FIGURES)
def test_without_its_rows_a_figure_is_refused_in_words(name):
    draw, make = FIGURES[name]
    rows = make()
    with pytest.raises(NetalikeError, match=r"nothing to draw for .*: expected rows of .*; the selection has none"):
        draw(rows[rows["quantity"] == "accuracy"])


def test_transfer_without_similarities_of_domains_is_refused():
    rows = study_rows.transfer_rows(2)
    with pytest.raises(NetalikeError, match="expected rows of domain_similarity / discriminator_loss"):
        plots.transfer(rows[rows["quantity"] != "domain_similarity"])


# ---- names beside points ---------------------------------------------------------------------------------------------


def test_names_of_crowded_points_lie_apart():
    generator = np.random.default_rng(0)
    figure, [ax] = plots.new_figure(5, 4)
    x, y = generator.random((2, 14)) * 0.3
    ax.plot(x, y, "o")
    ax.set(xlim=(-0.5, 1), ylim=(-0.5, 1))
    plots.label_points(ax, list(x), list(y), [f"rotation {i}" for i in range(14)])
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    assert max(overlap(one, other) for one, other in itertools.combinations(boxes, 2)) <= 0
    pixels = ax.transData.transform(np.column_stack([x, y]))
    assert not any(box.contains(*point) for box in boxes for point in pixels)
