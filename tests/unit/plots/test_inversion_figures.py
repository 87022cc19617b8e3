"""Figures of inversion: what they draw, by hand; nothing overlaps; scripts, captions and cards."""

from __future__ import annotations

import itertools
import runpy
from pathlib import Path
from types import SimpleNamespace

import inversion_made_rows
import numpy as np
import pytest
from matplotlib.text import Text
from test_studies import Wildcards, axes_titled, overlap, texts_drawn, texts_of

from netalike import plots
from netalike.errors import NetalikeError
from netalike.evidence import measurements
from netalike.experiments.inversion_published import INVERTED, NETWORKS
from netalike.page.selection import rows_of_figure
from netalike.plots.inversion import (
    inversion_asymmetry,
    inversion_published,
    inversion_robustness,
    inversion_similarity,
)
from netalike.plots.inversion_gallery import inversion_gallery
from netalike.plots.inversion_losses import inversion_accuracy, inversion_losses
from netalike.plots.inversion_rows import network_labels

OF_ROWS = {
    "inversion_similarity": inversion_similarity,
    "inversion_robustness": inversion_robustness,
    "inversion_asymmetry": inversion_asymmetry,
    "inversion_losses": inversion_losses,
    "inversion_accuracy": inversion_accuracy,
}
NAMES = [*OF_ROWS, "inversion_published", "inversion_gallery"]
MANY = (("mlp", "lenet", "vgg_small", "resnet8", "mobile", "densenet_small"), ("0", "0.5", "1"))
STUDY = {
    "dataset": "digits",
    "networks": ["mlp-digits", "mlp-digits-eps2"],
    "pairs": 48,
    "iterations": 150,
    "mode": "published",
    "n_images": 500,
    "attack_steps": 20,
    "seed": 0,
}


@pytest.fixture(scope="module")
def rows():
    return inversion_made_rows.study_rows()


@pytest.fixture(scope="module")
def drawn(rows):
    made = {name: draw(rows) for name, draw in OF_ROWS.items()}
    many = inversion_made_rows.study_rows(*MANY)
    made |= {f"{name}_of_many": draw(many) for name, draw in OF_ROWS.items()}
    made["inversion_published"] = inversion_published()
    made["inversion_gallery"] = inversion_gallery(inversion_made_rows.pictures())
    return made


@pytest.mark.parametrize("name", [*NAMES, *(f"{name}_of_many" for name in OF_ROWS)])
def test_no_text_lies_on_another_or_is_cut_off(drawn, name):
    figure = drawn[name]
    figure.draw_without_rendering()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts_drawn(figure)]
    assert len(boxes) > 10
    inside = figure.bbox.padded(1)
    for written, box in boxes:
        assert inside.contains(box.x0, box.y0), f"{written!r} is cut off"
        assert inside.contains(box.x1, box.y1), f"{written!r} is cut off"
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        assert overlap(one, other) <= 1.5, f"{first!r} and {second!r} overlap"


# ---- matrices --------------------------------------------------------------------------------------------------------


def cells(ax):
    return np.asarray(ax.collections[0].get_array()).reshape(len(ax.get_yticklabels()), -1)


def test_the_published_matrices_have_their_first_row_at_the_bottom(drawn):
    left, right = drawn["inversion_published"].axes[:2]
    assert np.array_equal(cells(right), INVERTED)
    assert [label.get_text() for label in left.get_yticklabels()] == list(NETWORKS)
    low, high = right.get_ylim()
    assert low < high  # the first row at the bottom
    assert [text.get_text() for text in right.texts[:3]] == ["1.00", "0.08", "0.15"]
    assert "0.672 on the targets, 0.095 on the inverted images" in texts_of(drawn["inversion_published"])


def test_our_matrices_are_in_the_same_layout(drawn, rows):
    left, right = drawn["inversion_similarity"].axes[:2]
    names = [label.get_text() for label in right.get_yticklabels()]
    assert names == [f"{a}, {eps}" for eps in ("standard", "ε = 2", "untrained") for a in ("MLP", "LeNet", "ResNet-8")]
    pair = (rows["network_a"] == "mlp-eps2-digits-s0") & (rows["network_b"] == "lenet-digits-s0")
    kept = rows[pair & (rows["quantity"] == "cka") & (rows["estimator"] == "published")]
    value = kept[kept["condition"].str.contains("images=inverted.*seeds=other_class")]["value"].item()
    assert cells(right)[3, 1] == value
    assert (np.diag(cells(left)) == 1).all()
    assert left.collections[0].get_clim() == right.collections[0].get_clim() == (0, 1)


def test_numbers_go_where_cells_are_too_small(drawn):
    assert len(drawn["inversion_similarity"].axes[1].texts) == 81
    assert not drawn["inversion_similarity_of_many"].axes[1].texts


def test_seeds_tell_networks_of_one_family_apart():
    trained_against = {"a-s0": "0", "a-s1": "0", "b-s0": "1", "c-s0@untrained": "none"}
    architectures = {"a-s0": "mlp", "a-s1": "mlp", "b-s0": "mlp", "c-s0@untrained": "torchvision:resnet18:V1"}
    assert network_labels(trained_against, architectures) == {
        "a-s0": "MLP, standard s0",
        "a-s1": "MLP, standard s1",
        "b-s0": "MLP, ε = 1",
        "c-s0@untrained": "resnet18, untrained",
    }
    assert network_labels({"x-s0": "0"}, {}) == {"x-s0": "x-s0"}


# ---- lines -----------------------------------------------------------------------------------------------------------


def points(ax, marker):
    lines = [line for line in ax.lines if line.get_marker() == marker]
    return sorted(point for line in lines for point in zip(*map(np.atleast_1d, line.get_data()), strict=True))


def test_similarity_by_robustness_has_means_and_levels(drawn, rows):
    ax = drawn["inversion_robustness"].axes[0]
    assert ax.get_title(loc="left") == "Linear CKA"
    heights = [y for _, y in points(ax, "s")]
    wanted = rows[(rows["quantity"] == "mean_cka") & (rows["estimator"] == "published")]
    for place, eps in enumerate(("0", "2")):
        told = f"control=none;eps_a={eps};eps_b={eps};images=inverted;pair=other_architecture;.*other_class"
        assert heights[place] == wanted[wanted["condition"].str.fullmatch(told)]["value"].item()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["standard", "ε = 2", "untrained"]


def test_a_distance_is_turned_into_a_similarity(drawn):
    ax = axes_titled(drawn["inversion_robustness"], "Procrustes")
    assert [y for _, y in points(ax, "o")] == pytest.approx([0.7, 0.7, 0.28])


def test_agreement_is_drawn_with_both_kinds_of_heads(drawn):
    ax = axes_titled(drawn["inversion_robustness"], "Agreement")
    assert [y for _, y in points(ax, "^")] == [0.9] * 3
    assert [y for _, y in points(ax, "v")] == [0.95] * 3


def test_asymmetry_puts_the_robust_row_upwards(drawn):
    left, right = drawn["inversion_asymmetry"].axes
    found = points(left, "s")
    assert len(found) == 9  # three robust and three standard networks
    assert all(y > x for x, y in found)
    assert points(right, "s")[0][0] == pytest.approx(0.5)
    assert right.get_yticklabels()[0].get_text() == "Linear CKA"


def test_losses_are_drawn_by_kind_of_seeds(drawn):
    axes = drawn["inversion_losses"].axes
    assert [ax.get_title(loc="left") for ax in axes[:3]] == [
        "Images of another class",
        "Noise",
        "Images of the same class",
    ]
    assert points(axes[3], "o") == [(i, pytest.approx(0.03 * (1 + i) * 0.9)) for i in range(3)]
    assert [label.get_text() for label in axes[3].get_xticklabels()] == ["MLP", "LeNet", "ResNet-8"] * 3


def test_accuracy_falls_with_the_attack_and_stands_in_a_table(drawn):
    figure = drawn["inversion_accuracy"]
    standard = [y for _, y in points(axes_titled(figure, "MLP"), "o")]
    assert standard == pytest.approx([0.97, 0.97 - 0.225, 0.97 - 0.45, 0.97 - 0.9])
    table = axes_titled(figure, "Accuracy (%)")
    assert [text.get_text() for text in table.texts[:4]] == ["97", "74", "52", "7"]
    assert [label.get_text() for label in table.get_xticklabels()] == ["none", "0.5", "1", "2"]


def test_one_kind_of_seeds_is_enough():
    rows = inversion_made_rows.study_rows(kinds=("noise",))
    assert "seeds: noise" in texts_of(inversion_similarity(rows))
    assert "seeds: noise" in texts_of(inversion_robustness(rows))


def test_standard_networks_alone_have_matrices_and_no_asymmetry():
    rows = inversion_made_rows.study_rows(sizes=("0",))
    assert len(inversion_robustness(rows).axes) == 6
    with pytest.raises(NetalikeError, match="rows of cka between robust and standard networks, both ways"):
        inversion_asymmetry(rows)


# ---- pictures --------------------------------------------------------------------------------------------------------


def test_the_gallery_shows_seeds_targets_and_inverted_images(drawn):
    figure, pictures = drawn["inversion_gallery"], inversion_made_rows.pictures()
    assert len(figure.axes) == 8 * (2 + 4)
    assert np.array_equal(figure.axes[8 * 2].images[0].get_array(), pictures["inverted"][0, 0, 0])
    assert figure.axes[8 * 3].get_ylabel() == "LeNet,\nε = 2"
    assert figure.axes[8 * 3].get_xlabel() == f"{pictures['losses'][1, 0]:.2g}"


def test_coloured_pictures_are_drawn_in_colour():
    pictures = inversion_made_rows.pictures(networks=1)
    pictures |= {key: np.repeat(pictures[key], 3, axis=-3) for key in ("seeds", "targets", "inverted")}
    assert inversion_gallery(pictures).axes[0].images[0].get_array().shape == (8, 8, 3)


@pytest.mark.parametrize("draw", OF_ROWS.values())
def test_nothing_to_draw_is_said(draw, rows):
    with pytest.raises(NetalikeError, match="nothing to draw for inversion_"):
        draw(rows.iloc[:0])
    with pytest.raises(NetalikeError, match=r"missing \['seeds'"):
        inversion_gallery({})


# ---- scripts, cards and captions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_script_writes_the_same_bytes_twice_and_a_card_that_finds_its_rows(
    tmp_path, name, repository, monkeypatch, rows
):
    monkeypatch.chdir(repository)
    jobs = [job_of(tmp_path / run, name) for run in ("one", "two")]
    for job in jobs:
        measurements.write(rows, job.input.measurements[0])
        np.savez_compressed(job.input.pictures[0], **inversion_made_rows.pictures())
        runpy.run_path(f"workflow/scripts/plot_{name}.py", init_globals={"snakemake": job})
    for suffix in (".svg", ".png"):
        first, second = (job.output.figure.with_suffix(suffix).read_bytes() for job in jobs)
        assert first == second
    card = plots.load_card(jobs[0].output.figure.with_suffix(".json"))
    assert (card.name, card.category) == (f"inversion_digits/{name}", "inversion")
    assert card.configuration == {"inversion": {"inversions": {"digits": STUDY}}}
    assert len(card.caption) > 100
    assert "{{" not in card.caption
    assert card.n_rows == len(rows_of_figure(rows, card.rows))
    assert (card.n_rows > 0) == (name != "inversion_published")


def job_of(folder: Path, name: str) -> SimpleNamespace:
    return SimpleNamespace(
        rule=f"plot_{name}",
        wildcards=Wildcards(study="digits"),
        params=Params(study=STUDY, figure=name),
        input=SimpleNamespace(measurements=[str(folder / "measurements.parquet")], pictures=[folder / "pictures.npz"]),
        output=SimpleNamespace(figure=folder / "inversion" / "inversion_digits" / f"{name}.svg"),
        log=[str(folder / "log.txt")],
    )


class Params(SimpleNamespace):
    def items(self):
        return vars(self).items()
