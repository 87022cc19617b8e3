"""Figures of the stitching studies: what they average, nothing overlaps, scripts and cards."""

from __future__ import annotations

import itertools
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import stitching_rows
from matplotlib.text import Text
from test_studies import Wildcards, axes_titled, drawn_at, overlap, texts_drawn, texts_of

from netalike import plots
from netalike.errors import NetalikeError
from netalike.evidence import measurements
from netalike.page.selection import rows_of_figure
from netalike.plots.stitching import METHODS

FIGURES = {
    "layers": (plots.stitching_layers, stitching_rows.layer_rows),
    "similarity": (plots.stitching_similarity, stitching_rows.layer_rows),
    "agreement": (plots.stitching_agreement, stitching_rows.layer_rows),
    "ranks": (plots.stitching_ranks, stitching_rows.sweep_rows),
    "training": (plots.stitching_training, stitching_rows.sweep_rows),
    "masks": (plots.stitching_masks, stitching_rows.sweep_rows),
}
STUDY = {
    "dataset": "digits",
    "n_images": 500,
    "n_train": 1000,
    "batch_size": 125,
    "cka_images": 500,
    "networks": ["tiny10-digits"],
    "layers": ["bn*"],
    "training": {"epochs": 2},
    "seed": 0,
}


@pytest.fixture(scope="module")
def drawn():
    return {name: (draw(rows := make()), rows) for name, (draw, make) in FIGURES.items()}


def chosen(rows, quantity, estimator, *words, experiment=""):
    kept = (rows["quantity"] == quantity) & (rows["estimator"] == estimator)
    for word in words:
        kept &= rows["condition"].str.split(";").map(lambda parts, word=word: word in parts)
    return rows[kept & rows["experiment"].str.startswith(experiment)]


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_lies_on_another_or_is_cut_off(drawn, name):
    figure, _ = drawn[name]
    figure.draw_without_rendering()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts_drawn(figure)]
    assert len(boxes) > 10
    inside = figure.bbox.padded(1)
    for written, box in boxes:
        assert inside.containsx(box.x0), f"{written!r} is cut off"
        assert inside.containsx(box.x1), f"{written!r} is cut off"
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        assert overlap(one, other) <= 1.5, f"{first!r} and {second!r} overlap"


@pytest.mark.parametrize("name", FIGURES)
def test_a_script_writes_the_same_bytes_twice_and_a_card_that_finds_its_rows(tmp_path, name, repository, monkeypatch):
    monkeypatch.chdir(repository)
    kind = "layers" if name in ("layers", "similarity", "agreement") else "sweeps"
    jobs = [job_of(tmp_path / run, name, kind) for run in ("one", "two")]
    rows = FIGURES[name][1]()
    for job in jobs:
        measurements.write(rows, job.input.measurements[0])
        runpy.run_path(f"workflow/scripts/plot_stitching_{name}.py", init_globals={"snakemake": job})
    for suffix in (".svg", ".png"):
        first, second = (job.output.figure.with_suffix(suffix).read_bytes() for job in jobs)
        assert first == second
    card = plots.load_card(jobs[0].output.figure.with_suffix(".json"))
    assert (card.name, card.category) == (f"{kind}_digits/stitching_{name}", "stitching")
    assert card.configuration == {"stitching": {kind: {"digits": STUDY}}}
    assert "tiny10-digits" in card.caption
    assert "the first 1000 training images, 2 passes" in card.caption
    assert "{{" not in card.caption
    assert card.n_rows == len(rows_of_figure(rows, card.rows)) > 0


def job_of(folder: Path, name: str, kind: str) -> SimpleNamespace:
    return SimpleNamespace(
        rule=f"plot_stitching_{name}",
        wildcards=Wildcards(study="digits"),
        params=SimpleNamespace(study=STUDY),
        input=SimpleNamespace(measurements=[str(folder / "measurements.parquet")]),
        output=SimpleNamespace(figure=folder / "stitching" / f"{kind}_digits" / f"stitching_{name}.svg"),
        log=[str(folder / "log.txt")],
    )


def test_lines_are_means_over_pairs_in_the_panel_of_their_kind(drawn):
    figure, rows = drawn["layers"]
    look = METHODS["task_loss"]
    for title, pair in (("trained networks\n6 pairs", "same_family"), ("untrained front network\n5", "untrained")):
        points = drawn_at(axes_titled(figure, title), look.colour, look.marker)
        first = chosen(rows, "relative_accuracy", "task_loss", "depth=0.000", f"pair={pair}")
        last = chosen(rows, "relative_accuracy", "task_loss", "depth=1.000", f"pair={pair}")
        assert points[0] == (0, pytest.approx(first["value"].mean()))
        assert points[-1] == (7, pytest.approx(last["value"].mean()))
    assert "task loss, from least squares (234 steps)" in texts_of(figure)
    assert "bootstrap over networks" in texts_of(figure)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == stitching_rows.LAYERS
    assert len({ax.get_ylim() for ax in figure.axes}) == 1


def test_the_front_network_is_a_level(drawn):
    figure, rows = drawn["agreement"]
    expected = rows[(rows["quantity"] == "agreement") & (rows["estimator"] == "front_network")]["value"].mean()
    levels = [line.get_ydata()[0] for line in axes_titled(figure, "(a)").lines if len(set(line.get_ydata())) == 1]
    assert any(np.isclose(value, expected) for value in levels)


def test_every_pair_layer_and_method_is_a_point_of_the_scatter(drawn):
    figure, _ = drawn["similarity"]
    ax = axes_titled(figure, "(c)")
    points = sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() not in ("", "None"))
    assert points == 6 * 8 * 5


def test_rank_curves_and_the_rank_that_is_needed(drawn):
    figure, rows = drawn["ranks"]
    look = METHODS["least_squares"]
    curve = dict(drawn_at(axes_titled(figure, "Rank of the stitching layer at bn3"), look.colour, look.marker))
    assert sorted(curve) == [1, 2, 4, 8, 16, 32]
    expected = chosen(rows, "relative_accuracy", "least_squares", "rank=4", experiment="ranks")["value"].mean()
    assert curve[4] == pytest.approx(expected)
    needed = axes_titled(figure, "Rank that is needed")
    assert drawn_at(needed, look.colour, look.marker)[0][0] == 16
    assert drawn_at(needed, METHODS["task_loss"].colour, "^")[0][0] == 4


def test_there_is_a_panel_of_ranks_for_each_layer():
    figure = plots.stitching_ranks(stitching_rows.sweep_rows(5, ("bn3", "bn6")))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["Rank of the stitching layer at bn3", "Rank of the stitching layer at bn6", "Rank that is needed"]


def test_paths_lead_from_least_squares_to_the_end(drawn):
    figure, rows = drawn["training"]
    ax = axes_titled(figure, "(b)")
    starts = [line for line in ax.lines if line.get_color() == "white"]
    ends = [line for line in ax.lines if line.get_color() == "black"]
    assert len(starts) == len(ends) == 6
    along = rows[rows["experiment"].str.startswith("trajectory")]
    first = along[(along["step"] == 0) & (along["quantity"] == "cka")]["value"]
    assert sorted(line.get_xdata()[0] for line in starts) == pytest.approx(sorted(first))


def test_masks_and_targets_are_dots_at_their_means(drawn):
    figure, rows = drawn["masks"]
    look = METHODS["task_loss"]
    values = [x for x, _ in drawn_at(axes_titled(figure, "(a)"), look.colour, look.marker)]
    means = [
        chosen(rows, "relative_accuracy", "task_loss", f"mask={name}")["value"].mean()
        for name in ("none", "semi_match", "abs_semi_match", "random_permutation")
    ]
    assert values == pytest.approx(means)
    names = [label.get_text() for label in axes_titled(figure, "(b)").get_yticklabels()]
    assert names == ["labels", "front network", "end network", "both losses", "mean of both logits"]
    black = [line for line in axes_titled(figure, "(c)").lines if line.get_color() == "black"]
    assert list(black[0].get_ydata()) == pytest.approx([0.05, 0.2, 0.6, 0.9])


def test_few_networks_have_no_intervals():
    figure = plots.stitching_layers(stitching_rows.layer_rows(2))
    assert "too few networks for intervals" in texts_of(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_refused(drawn, name):
    draw, make = FIGURES[name]
    with pytest.raises(NetalikeError, match="nothing to draw"):
        draw(make().iloc[:0])
