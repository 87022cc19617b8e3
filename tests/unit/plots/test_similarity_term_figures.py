"""Figures of the similarity term: what they average and pair, nothing overlaps, scripts and cards."""

from __future__ import annotations

import itertools
import runpy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from similarity_term_rows import term_rows
from test_studies import Wildcards, axes_titled, drawn_at, overlap, texts_drawn, texts_of

from netalike import plots
from netalike.configuration.similarity_term_study import SimilarityTermStudy
from netalike.errors import NetalikeError
from netalike.evidence import measurements
from netalike.experiments import similarity_term_published as published
from netalike.page.selection import rows_of_figure
from netalike.plots import similarity_term as figures

FIGURES = {
    "curves": figures.similarity_term_curves,
    "differences": figures.similarity_term_differences,
}
STUDY = {**SimilarityTermStudy.model_validate({"dataset": "mnist", "seeds": 6}).model_dump(mode="json"), "seed": 0}


@pytest.fixture(scope="module")
def rows():
    return term_rows()


@pytest.fixture(scope="module")
def drawn(rows):
    return {name: draw(rows) for name, draw in FIGURES.items()}


def curve(rows, sign, quantity="validation_accuracy", weight="weight=1", words=()):
    kept = (rows["quantity"] == quantity) & (rows["estimator"] == sign)
    for word in (weight, *words):
        kept &= rows["condition"].str.split(";").map(lambda parts, word=word: word in parts)
    for word in ("mask=random", "partner=different_class"):
        kept &= ~rows["condition"].str.contains(word)
    return rows[kept]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(("seeds", "dataset", "ceiling"), [(6, "mnist", 0.9), (1, "digits", 0.4), (6, "mnist", 0.72)])
def test_no_text_lies_on_another_or_is_cut_off(name, seeds, dataset, ceiling):
    figure = FIGURES[name](term_rows(seeds, dataset, ceiling))
    figure.draw_without_rendering()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts_drawn(figure)]
    assert len(boxes) > 10
    for written, box in boxes:
        assert figure.bbox.padded(1).containsx(box.x0), f"{written!r} is cut off"
        assert figure.bbox.padded(1).containsx(box.x1), f"{written!r} is cut off"
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        assert overlap(one, other) <= 1.5, f"{first!r} and {second!r} overlap"


@pytest.mark.parametrize("name", FIGURES)
def test_a_script_writes_the_same_bytes_twice_and_a_card_that_finds_its_rows(
    tmp_path, name, rows, repository, monkeypatch
):
    monkeypatch.chdir(repository)
    jobs = [job_of(tmp_path / run, name) for run in ("one", "two")]
    for job in jobs:
        measurements.write(rows, job.input.measurements[0])
        runpy.run_path(f"workflow/scripts/plot_similarity_term_{name}.py", init_globals={"snakemake": job})
    for suffix in (".svg", ".png"):
        first, second = (job.output.figure.with_suffix(suffix).read_bytes() for job in jobs)
        assert first == second
    card = plots.load_card(jobs[0].output.figure.with_suffix(".json"))
    assert card.name == f"similarity_term_mine/similarity_term_{name}"
    assert card.category == "input_similarity"
    assert "1000 held-out images" in card.caption
    assert "{{" not in card.caption
    assert "{%" not in card.caption
    assert card.n_rows == len(rows_of_figure(rows, card.rows)) > 0


def job_of(folder, name):
    return SimpleNamespace(
        rule=f"plot_similarity_term_{name}",
        wildcards=Wildcards(study="mine"),
        params=SimpleNamespace(study=STUDY),
        input=SimpleNamespace(measurements=[str(folder / "measurements.parquet")]),
        output=SimpleNamespace(
            figure=folder / "input_similarity" / "similarity_term_mine" / f"similarity_term_{name}.svg"
        ),
        log=[str(folder / "log.txt")],
    )


def test_curves_are_means_over_seeds_of_the_main_variants(drawn, rows):
    ax = axes_titled(drawn["curves"], "(a)")
    look = figures.SIGNS["plus"]
    (line,) = (line for line in ax.lines if line.get_color() == look.colour and line.get_linestyle() == look.line)
    expected = curve(rows, "plus").groupby("step")["value"].mean()
    assert line.get_xdata().tolist() == expected.index.tolist()
    assert line.get_ydata() == pytest.approx(expected.to_numpy(float))
    assert "means over 6 seeds; 95 % intervals, bootstrap over seeds" in texts_of(drawn["curves"])


def test_the_published_means_are_drawn_for_mnist_alone(drawn):
    ax = axes_titled(drawn["curves"], "(a)")
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 2
    assert hollow[0].get_xdata().tolist() == list(published.STEPS)
    assert hollow[0].get_ydata().tolist() == list(published.CURVES["baseline"])
    assert "published: mean of 60 runs" in texts_of(drawn["curves"])
    assert "published" not in texts_of(figures.similarity_term_curves(term_rows(3, "digits"))).replace(
        "published code", ""
    )


def test_cosines_are_drawn_within_and_between_classes(drawn, rows):
    ax = axes_titled(drawn["curves"], "(b)")
    look = figures.SIGNS["minus"]
    lines = {line.get_linestyle(): line for line in ax.lines if line.get_color() == look.colour}
    for style, between in (("-", "same_class"), (":", "different_class")):
        expected = curve(rows, "minus", "gradient_cosine", words=[f"between={between}"]).groupby("step")["value"].mean()
        assert lines[style].get_ydata() == pytest.approx(expected.to_numpy(float))


def test_differences_are_to_the_baseline_of_the_same_seed_and_step(drawn, rows):
    found = figures.paired_differences(figures.main_rows(rows, "validation_accuracy"), "minus")
    keys = ["seed", "step"]
    minus, baseline = (
        curve(rows, sign, weight=weight).set_index(keys)["value"]
        for sign, weight in (("minus", "weight=1"), ("baseline", "weight=0"))
    )
    expected = (minus - baseline).sort_index()
    assert found.set_index(keys)["value"].sort_index().to_numpy() == pytest.approx(expected.to_numpy())
    ax = axes_titled(drawn["differences"], "(a)")
    look = figures.SIGNS["minus"]
    (line,) = (line for line in ax.lines if line.get_color() == look.colour)
    assert line.get_ydata() == pytest.approx(expected.groupby("step").mean().to_numpy(float))


def test_every_variant_has_its_line_with_its_seeds(drawn, rows):
    ax = axes_titled(drawn["differences"], "(b)")
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert set(names) == {
        *(f"{sign} 1 (6 seeds)" for sign in "+\N{MINUS SIGN}"),
        *(
            f"{sign} {rest} (3 seeds)"
            for sign in "+\N{MINUS SIGN}"
            for rest in ("0.3", "1, random mask", "1, other class")
        ),
    }
    look = figures.SIGNS["plus"]
    points = {names[round(y)]: x for x, y in drawn_at(ax, look.colour, look.marker)}
    paired = figures.paired_differences(figures.main_rows(rows, "validation_accuracy"), "plus")
    assert points["+ 1 (6 seeds)"] == pytest.approx(paired[paired["step"] > 0]["value"].mean())


def test_steps_to_an_accuracy_are_where_the_mean_curve_crosses_it():
    steps, values = [0, 10, 20], {0: [0.0, 0.2, 0.8], 1: [0.0, 0.6, 0.4], 2: [0.0, 0.4, 0.6]}
    rows = pd.DataFrame(
        [{"seed": s, "step": t, "value": v} for s, vs in values.items() for t, v in zip(steps, vs, strict=True)]
    )
    found = figures.steps_to_reach(rows, 0.5)
    assert found.step == pytest.approx(15)  # the mean is 0, 0.4, 0.6
    assert found.low < 15 < found.high
    assert found == figures.steps_to_reach(rows.sample(frac=1, random_state=0), 0.5)
    never = figures.steps_to_reach(rows, 0.7)
    assert np.isnan(never.step)
    assert np.isinf(never.high)
    assert np.isnan(figures.steps_to_reach(rows[rows["seed"] < 2], 0.5).low)
    assert figures.steps_to_reach(rows, 0.0).step == 0


def test_what_is_not_reached_is_an_arrow_at_the_last_step():
    figure = figures.similarity_term_differences(term_rows(6, "mnist", 0.72))
    ax = axes_titled(figure, "(c)")
    arrows = [line for line in ax.lines if line.get_marker() == ">"]
    assert {float(line.get_xdata()[0]) for line in arrows} == {150.0}
    assert "(c) arrow: not reached by the last step" in texts_of(figure)
    reached = figures.similarity_term_differences(term_rows(6, "mnist", 0.99))
    assert "minus" not in texts_of(reached)


def test_one_seed_has_no_intervals():
    assert "too few seeds for intervals" in texts_of(figures.similarity_term_curves(term_rows(1)))


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_refused(rows, name):
    with pytest.raises(NetalikeError, match="nothing to draw for training with a similarity term"):
        FIGURES[name](rows.iloc[:0])
