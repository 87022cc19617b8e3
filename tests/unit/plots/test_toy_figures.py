"""Figures of the toy problem: what they draw, nothing overlaps, scripts and cards."""

from __future__ import annotations

import itertools
import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_studies import Wildcards, axes_titled, drawn_at, overlap, texts_drawn, texts_of

from netalike import plots
from netalike.configuration.toy_study import ToyStudy
from netalike.data.toy import curvature
from netalike.errors import NetalikeError
from netalike.evidence import measurements
from netalike.evidence.measurements import condition, table
from netalike.page.selection import rows_of_figure
from netalike.plots.toy import frequency_looks, toy_curvature, toy_measures, toy_sizes
from netalike.plots.toy_denoising import toy_denoising

CONSTANTS = {"paper": "input_similarity", "dataset": "toy-uniform", "split": "train", "experiment": "toy_test"}
MEASURES = [("soft_count", {}, 0.7)]
MEASURES += [("less_soft_count", {"exponent": f"{m}"}, 0.6 / m) for m in (2, 3, 4)]
MEASURES += [
    ("hard_count", {"threshold": f"{t}"}, 1.01 - t) for t in (0.5, 0.6, 0.7, 0.8, 0.9, 0.925, 0.95, 0.975, 0.99)
]


def count_rows(sizes: tuple[int, ...] = (2048,), frequencies: tuple[int, ...] = (1, 2, 4, 8, 16)) -> pd.DataFrame:
    rows = []
    for n, f, seed in itertools.product(sizes, frequencies, range(3)):
        network = {"network_a": f"toy-f{f}-n{n}-s{seed}", "n_samples": n, "seed": seed}
        for quantity, factors, share in MEASURES:
            value = share * n * f**-0.4 * (1 + 0.05 * seed)
            told = {"quantity": quantity, "estimator": "corrected", "value": value}
            rows.append({**network, **told, "condition": condition(frequency=f, n=n, **factors)})
            name = "_".join([quantity, *factors.values()])
            told = {"quantity": "rank_correlation_with_soft", "estimator": "spearman", "value": share - 0.02 * f / 16}
            factors = {"frequency": f, "n": n, "measure": name, "scope": "samples"}
            rows.append({**network, **told, "condition": condition(**factors)})
            if n == sizes[0] and len(sizes) > 1:
                told = {"quantity": "count_exponent", "estimator": "log_slope", "value": 0.9 + share / 10 + seed / 50}
                own = {"network_a": f"toy-f{f}-s{seed}", "seed": seed, **told}
                rows.append({**own, "condition": condition(frequency=f, measure=name)})
    return table([*rows, *position_rows(sizes, frequencies)], **CONSTANTS)


def position_rows(sizes: tuple[int, ...], frequencies: tuple[int, ...]) -> list[dict]:
    rows = []
    for n, f, place in itertools.product(sizes, frequencies, range(64)):
        alpha = (place + 0.5) / 64
        bend = float(curvature(np.array([alpha]), f)[0])
        told = {"network_a": f"toy-f{f}-n{n}", "n_samples": n, "estimator": "by_position"}
        told["condition"] = condition(frequency=f, n=n, alpha=f"{alpha:.5f}", bin=f"{place:03d}")
        count = n * f**-0.4 * (0.7 - 0.02 * math.log1p(bend))
        rows.append({**told, "quantity": "soft_count", "value": count, "low": 0.95 * count, "high": 1.1 * count})
        rows.append({**told, "quantity": "curvature", "value": bend})
    return rows


def noisy_rows() -> pd.DataFrame:
    rows, generator = [], np.random.default_rng(0)
    for f, seed, (i, step) in itertools.product((1, 4), range(3), enumerate((75, 150, 300, 600, 900))):
        network = {"network_a": f"toy-f{f}-n256-s{seed}", "n_samples": 256, "seed": seed, "step": step}
        told = {"frequency": f, "n": 256, "noise": 0.2}
        values = {
            ("denoising_factor", "unnormalised"): 0.07,
            ("averaged_noise", "unnormalised"): 0.06,
            ("identity_residual", "unnormalised"): 0.3 / 4**i,
            ("relative_gradient_norm", "l2"): 0.2 / 3**i,
            ("noisy_error", "prediction"): 0.3,
            ("consistency_shift", "unnormalised"): 2.4,
        }
        for (quantity, estimator), value in values.items():
            value = value * (1 + 0.1 * seed) * (1 + 0.1 * f)
            rows.append({**network, "quantity": quantity, "estimator": estimator, "value": value})
            rows[-1]["condition"] = condition(**told)
        for place in range(32 if step == 900 else 0):
            upper = 0.07 + 0.02 * generator.random()
            where = condition(**told, alpha=f"{(place + 0.5) / 32:.5f}", bin=f"{place:03d}")
            for quantity, value in (("denoising_upper_bound", upper), ("denoising_factor", 0.5 * (upper + 1 / 16))):
                rows.append({**network, "quantity": quantity, "estimator": "by_position", "value": value})
                rows[-1]["condition"] = where
    return table(rows, **CONSTANTS)


def size_rows() -> pd.DataFrame:
    return count_rows((512, 1024, 4096), (1, 4))


FIGURES = {
    "curvature": (toy_curvature, count_rows),
    "measures": (toy_measures, count_rows),
    "sizes": (toy_sizes, size_rows),
    "denoising": (toy_denoising, noisy_rows),
}


@pytest.fixture(scope="module")
def drawn():
    return {name: (draw(rows := make()), rows) for name, (draw, make) in FIGURES.items()}


def shown(figure: Figure) -> list[Text]:
    """Without the labels of ticks outside the scale of a third axis."""
    hidden = set()
    for axis in (ax.zaxis for ax in figure.axes if hasattr(ax, "zaxis")):
        low, high = axis.get_view_interval()
        hidden |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    return [text for text in texts_drawn(figure) if text not in hidden]


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_lies_on_another_or_is_cut_off(drawn, name):
    figure, _ = drawn[name]
    figure.draw_without_rendering()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in shown(figure)]
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
    jobs = [job_of(tmp_path / run, name) for run in ("one", "two")]
    rows = FIGURES[name][1]()
    for job in jobs:
        measurements.write(rows, job.input.measurements)
        runpy.run_path(f"workflow/scripts/plot_toy_{name}.py", init_globals={"snakemake": job})
    for suffix in (".svg", ".png"):
        first, second = (job.output.figure.with_suffix(suffix).read_bytes() for job in jobs)
        assert first == second
    card = plots.load_card(jobs[0].output.figure.with_suffix(".json"))
    assert (card.name, card.category) == (f"toy_test/toy_{name}", "input_similarity")
    assert "3 runs of each setting; 600 epochs with the loss l2" in card.caption
    assert "{{" not in card.caption
    assert card.n_rows == len(rows_of_figure(rows, card.rows)) > 0


def job_of(folder: Path, name: str) -> SimpleNamespace:
    study = ToyStudy(seeds="0-2", epochs=600, loss="l2", noise=0.2, polish=300).model_dump(mode="json")
    return SimpleNamespace(
        rule=f"plot_toy_{name}",
        wildcards=Wildcards(study="test"),
        params=SimpleNamespace(study=study),
        input=SimpleNamespace(measurements=str(folder / "measurements.parquet")),
        output=SimpleNamespace(figure=folder / "input_similarity" / "toy_test" / f"toy_{name}.svg"),
        log=[str(folder / "log.txt")],
    )


def test_means_of_measures_are_drawn_over_the_frequency(drawn):
    figure, rows = drawn["measures"]
    points = drawn_at(axes_titled(figure, "(a) Mean of each measure"), "black", "o")
    chosen = rows[(rows["quantity"] == "soft_count") & (rows["estimator"] == "corrected")]
    for frequency, mean in points:
        own = chosen[chosen["condition"] == condition(frequency=f"{frequency:g}", n=2048)]
        assert mean == pytest.approx(own["value"].mean())
    assert [frequency for frequency, _ in points] == [1, 2, 4, 8, 16]
    for words in ("soft", "less soft, power 4", "hard, above 0.925", "bootstrap over networks"):
        assert words in texts_of(figure)


def test_all_thirteen_measures_have_a_line_and_differ_in_more_than_colour(drawn):
    ax = axes_titled(drawn["measures"][0], "(a) Mean of each measure")
    lines = [line for line in ax.lines if len(line.get_xdata()) == 5]
    assert len(lines) == 13
    assert len({line.get_color() for line in lines}) == 13
    assert {(line.get_marker(), line.get_linestyle()) for line in lines} == {("o", "-"), ("s", ":"), ("^", "--")}


def test_positions_are_drawn_in_order_and_in_three_dimensions_as_published(drawn):
    figure, rows = drawn["curvature"]
    flat = axes_titled(figure, "(b) By position")
    chosen = rows[(rows["quantity"] == "soft_count") & (rows["network_a"] == "toy-f8-n2048")]
    found = [line for line in flat.lines if np.allclose(line.get_ydata(), chosen["value"])]
    assert len(found) == 1
    assert (np.diff(found[0].get_xdata()) > 0).all()
    solid = axes_titled(figure, "(a) As published")
    assert solid.get_zlabel() == "soft count"
    x, y, z = solid.lines[3].get_data_3d()
    bends = rows[(rows["quantity"] == "curvature") & (rows["network_a"] == "toy-f8-n2048")]
    assert np.allclose(y, np.log1p(bends["value"]))
    assert np.allclose(z, chosen["value"])
    assert np.allclose(x, found[0].get_xdata())


def test_the_exponents_are_means_over_runs(drawn):
    figure, rows = drawn["sizes"]
    ax = axes_titled(figure, "Exponent")
    look = frequency_looks(pd.DataFrame({"frequency": [1.0, 4.0]}))[4.0]
    points = drawn_at(ax, look.colour, look.marker)
    own = rows[(rows["quantity"] == "count_exponent") & (rows["condition"] == "frequency=4;measure=soft_count")]
    assert points[0][0] == pytest.approx(own["value"].mean())
    assert len(points) == 13


def test_the_identity_and_the_errors_are_drawn_in_units_of_the_noise(drawn):
    figure, rows = drawn["denoising"]
    look = frequency_looks(pd.DataFrame({"frequency": [1.0, 4.0]}))[1.0]
    points = drawn_at(axes_titled(figure, "(b) The identity along training"), look.colour, look.marker)
    own = rows[(rows["quantity"] == "identity_residual") & rows["condition"].str.contains("frequency=1;")]
    for step, group in own.groupby("step"):
        assert any(point == (step, pytest.approx(group["value"].mean())) for point in points)
    last = drawn_at(axes_titled(figure, "(c) At the end of training"), look.colour, look.marker)
    assert last[0][0] == pytest.approx(own[own["step"] == 900]["value"].mean())
    bounds = axes_titled(figure, "(a) Factor and its bounds")
    assert {text.get_text() for text in bounds.texts} == {"upper bound", "lower bound, 1/√n"}


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_said(name):
    with pytest.raises(NetalikeError, match=r"nothing to draw for .*: expected"):
        FIGURES[name][0](noisy_rows().iloc[:0])


def test_one_number_of_samples_makes_no_figure_of_sizes():
    with pytest.raises(NetalikeError, match="at least two values of n_samples"):
        toy_sizes(count_rows())
