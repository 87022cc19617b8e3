"""Figures of aligned networks: they draw the numbers of the rows and pictures, and say what they show."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from netalike.errors import BadFileError, NetalikeError
from netalike.evidence.measurements import table
from netalike.experiments import shared_published
from netalike.experiments.shared_response import align_recordings
from netalike.plots import trajectories
from netalike.plots.captions import caption
from netalike.plots.shared_response import (
    epoch_words,
    shared_classes,
    shared_consistency,
    shared_development,
    shared_panel,
    shared_variance,
)
from netalike.plots.studies import with_factors

sys.path.insert(0, str(Path(__file__).parents[1]))
from shared_recordings import made

FIGURES = (shared_development, shared_variance, shared_consistency, shared_classes)
STUDY = {"n_fit": 120, "n_evaluate": 100, "bootstrap": 50}


def measured(dataset="digits", rename=None, **given):
    networks = made(n=240, **given)
    for network in networks:
        network.name = network.name.replace("conv", rename or "conv")
    rows, pictures = align_recordings(networks, STUDY, 0)
    return table(rows, dataset=dataset), pictures


@pytest.fixture(scope="module")
def several():
    return measured()


@pytest.fixture(scope="module")
def single():
    return measured(epochs=("final",))


@pytest.fixture(scope="module")
def published():
    return measured("cifar100", "preact_resnet18", widths=(8,) * 9, epochs=(0, 13, 100), n_networks=3)


def drawn(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def lines(ax):
    return [np.asarray(line.get_ydata(), float) for line in ax.get_lines()]


def has_line(ax, expected):
    return any(line.shape == np.shape(expected) and np.allclose(line, expected) for line in lines(ax))


def words(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("figure", FIGURES)
def test_no_rows_is_an_error_that_names_the_figure(figure, several):
    with pytest.raises(NetalikeError, match=f"nothing to draw for {figure.__name__}"):
        figure(several[0].iloc[:0])


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_draw_one_epoch_and_several(figure, several, single):
    for rows, _ in (several, single):
        drawn(figure(rows))


def test_development_draws_both_references_and_the_native_units(several):
    rows = several[0]
    figure = drawn(shared_development(rows))
    told = with_factors(rows[rows["quantity"] == "second_order_similarity"], "center", "space", "reference", "rsm")
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[0] == "(a) RSM of the last epoch\nmeans subtracted"
    assert titles[3] == "(b) RSM of the same epoch\nmeans left in, as published"
    cells = [(r, c) for r in ("final", "same_epoch") for c in ("mean", "brainiak")]
    for ax, (reference, center) in zip(figure.axes, cells, strict=True):
        for space in ("native", "shared"):
            chosen = (told[["reference", "center", "space", "rsm"]] == [reference, center, space, "pearson"]).all(
                axis=1
            )
            chosen &= (told["layer_a"] == "layer2") & (told["estimator"] == "pearson")
            assert has_line(ax, told.loc[chosen].sort_values("step")["value"])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0", "1", "5"]
    assert words(figure) == ["layer1", "layer2", "native units, not aligned"]


def test_one_epoch_is_drawn_by_layer(single):
    figure = drawn(shared_development(single[0]))
    assert len(figure.axes) == 1
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["layer1", "layer2"]


def test_variance_draws_means_over_networks_and_controls(several):
    rows = several[0]
    figure = drawn(shared_variance(rows))
    told = with_factors(rows[rows["quantity"] == "variance_explained"], "control", "center")
    for ax, estimator in zip(figure.axes, ("published", "leave_one_out"), strict=True):
        for control, step in (("none", 5), ("untrained", 0), ("noise", 5)):
            chosen = (told[["control", "center", "estimator", "step"]] == [control, "mean", estimator, step]).all(
                axis=1
            )
            assert has_line(ax, told[chosen].groupby("layer_a")["value"].mean())
    assert "untrained networks" in words(figure)
    assert "1/4 of noise (left)" in figure.legends[0].get_title().get_text()


def test_published_numbers_stand_beside_their_networks_alone(several, published):
    assert has_line(drawn(shared_variance(published[0])).axes[0], shared_published.VARIANCE_EXPLAINED)
    assert has_line(drawn(shared_consistency(published[0])).axes[0], shared_published.CONSISTENCY)
    assert has_line(drawn(shared_development(published[0])).axes[0], [shared_published.DEVELOPMENT[13]])
    for figure in (shared_variance, shared_consistency, shared_development):
        assert "published, digitised ±0.02" in words(figure(published[0]))
        assert "published, digitised ±0.02" not in words(figure(several[0]))
        other = published[0].assign(network_a=published[0]["network_a"].str.replace("preact_resnet18", "conv"))
        assert "published, digitised ±0.02" not in words(figure(other))


def test_consistency_draws_means_over_pairs(several):
    rows = several[0]
    ax = drawn(shared_consistency(rows)).axes[0]
    told = with_factors(rows[rows["quantity"] == "consistency"], "rsm", "center")
    for step in (0, 5):
        chosen = (told["rsm"] == "pearson") & (told["center"] == "brainiak") & (told["step"] == step)
        assert has_line(ax, told[chosen].groupby("layer_a")["value"].mean())


def test_classes_are_a_grid_of_layers_and_epochs(several):
    rows = several[0]
    figure = drawn(shared_classes(rows))
    squares = [ax for ax in figure.axes if ax.images and ax.get_label() != "<colorbar>"]
    assert len(squares) == 2 * 3
    told = with_factors(rows[rows["quantity"] == "class_rsm"], "space", "class_a", "class_b")
    chosen = (told["layer_a"] == "layer1") & (told["step"] == 5) & (told["space"] == "native")
    value = told[chosen & (told["class_a"] == "1") & (told["class_b"] == "3")]["value"].item()
    matrix = squares[2].images[0].get_array()
    assert matrix[1, 3] == matrix[3, 1] == pytest.approx(value)
    assert squares[2].get_title() == "epoch 5"


def test_epochs_are_put_into_words():
    assert epoch_words([0, 1]) == ["untrained", "trained"]
    assert epoch_words(np.array(["0", "1", "5"])) == ["epoch 0", "epoch 1", "epoch 5"]
    assert epoch_words(["final"]) == ["trained"]


def test_panel_draws_four_matrices_on_one_scale(several):
    pictures = several[1]
    figure = drawn(shared_panel(pictures))
    images = [ax.images[0] for ax in figure.axes[:4]]
    assert len({image.get_clim() for image in images}) == 1
    assert np.array_equal(images[3].get_array(), pictures["panel/between_shared"])
    assert "layer layer2, epoch 5; mean over 4 networks" in figure.get_supxlabel()
    without = {name: array for name, array in pictures.items() if name != "panel/between_native"}
    assert any("undefined" in text.get_text() for text in drawn(shared_panel(without)).axes[2].texts)
    with pytest.raises(NetalikeError, match="nothing to draw for shared_panel"):
        shared_panel({})


@pytest.mark.parametrize("name", ["panel", "development", "variance", "consistency", "classes", "trajectories"])
def test_captions_tell_what_was_fitted(name, monkeypatch, repository):
    monkeypatch.chdir(repository)
    study = {"n_images": 6000, "n_evaluate": 2000, "dataset": "cifar10", "features": None, "z_score": True}
    keras = {**study, "seeds": [0, 1], "n_train": 5000, "training": {"architecture": "conv"}, "features": 20}
    told = [
        caption(f"shared_{name}", snakemake=SimpleNamespace(params=SimpleNamespace(study=s))) for s in (study, keras)
    ]
    assert told[0].startswith("Trained networks of one family, recorded over 6,000 test images of cifar10: a shared ")
    assert "fitted to 4,000 of them, and all is measured on the other 2,000" in told[0]
    assert told[1].startswith("2 networks (conv) that differ in their seed alone, trained on cifar10 (5,000 images)")
    assert "It has 20 features." in told[1]


# ---- trajectories ----------------------------------------------------------------------------------------------------


def test_trajectories_show_both_ends_before_and_after(several, single):
    figure = drawn(trajectories.shared_trajectories(several[1]))
    assert len(figure.axes) == 2 * 4
    assert figure.axes[0].get_title().startswith("layer1, epoch 0\nbefore: native units\n3 components: ")
    assert len(figure.axes[7].lines) == 4
    x, _, _ = figure.axes[7].lines[2].get_data_3d()
    assert np.allclose(x, several[1]["trajectory/shared/1/2"][2, :, 0])
    assert len(drawn(trajectories.shared_trajectories(single[1])).axes) == 4
    with pytest.raises(NetalikeError, match="expected trajectories of networks"):
        trajectories.shared_trajectories({"networks": np.array(["a"])})


def test_an_animation_moves_is_small_and_the_same_again(several, tmp_path):
    for name in ("a.gif", "b.gif"):
        trajectories.animate_trajectories(several[1], tmp_path / "made" / name, frames=4)
    first, second = (tmp_path / "made" / name for name in ("a.gif", "b.gif"))
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as found:
        assert found.n_frames == 4
        assert found.info["duration"] == 100
        frames = []
        for number in range(4):
            found.seek(number)
            frames.append(np.asarray(found.convert("RGB")))
    assert not np.array_equal(frames[0], frames[3])
    colours = {tuple(colour) for colour in frames[3].reshape(-1, 3)}
    assert any(blue > red + 80 for red, _, blue in (tuple(map(int, colour)) for colour in colours)), "networks' colours"
    assert first.stat().st_size / 4 * trajectories.FRAMES < 3e6


def test_an_animation_needs_a_known_ending_and_ffmpeg(several, tmp_path, monkeypatch):
    with pytest.raises(BadFileError, match=r"an animation is a \.gif or an \.mp4"):
        trajectories.animate_trajectories(several[1], tmp_path / "a.avi")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NetalikeError, match="an MP4 needs ffmpeg, which is not found"):
        trajectories.animate_trajectories(several[1], tmp_path / "a.mp4")
