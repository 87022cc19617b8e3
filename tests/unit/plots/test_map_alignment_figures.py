"""Figures of map alignment: they draw the numbers of the rows, and say what they show."""

import numpy as np
import pandas as pd
import pytest
from map_rows import error_of, map_pictures, map_rows
from matplotlib.backends.backend_agg import FigureCanvasAgg

from netalike.errors import BadFileError, NetalikeError
from netalike.experiments.map_pictures import read_pictures, write_pictures
from netalike.plots.map_alignment import (
    map_alignment_accuracy,
    map_alignment_denoising,
    map_alignment_error,
    map_alignment_facts,
    map_alignment_training,
)
from netalike.plots.map_pictures import (
    fullest_corner,
    map_alignment_counts,
    map_alignment_neighbours,
    map_alignment_overlay,
)

FIGURES = (
    map_alignment_error,
    map_alignment_accuracy,
    map_alignment_training,
    map_alignment_denoising,
    map_alignment_facts,
)


def lines(ax):
    return [np.asarray(line.get_ydata(), float) for line in ax.get_lines()]


def has_line(ax, expected):
    return any(line.shape == np.shape(expected) and np.allclose(line, expected) for line in lines(ax))


@pytest.mark.parametrize("figure", FIGURES)
def test_no_rows_is_an_error_that_names_the_figure(figure):
    with pytest.raises(NetalikeError, match=f"nothing to draw for {figure.__name__}"):
        figure(map_rows(rounds=0).iloc[:0])


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("noises", [("independent",), ("independent", "smooth", "bias", "clean")])
def test_figures_draw_with_one_and_with_all_kinds(figure, noises):
    drawn = figure(map_rows(noises, rounds=1))
    FigureCanvasAgg(drawn).draw()
    assert all(ax.get_xlabel() or ax.get_xticklabels() for ax in drawn.axes)


def test_errors_are_those_of_the_rows_by_round():
    ax = map_alignment_error(map_rows()).axes[0]
    for noise in ("independent", "bias"):
        assert has_line(ax, [error_of(noise, number) for number in range(3)])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["labels", "round 1", "round 2"]
    assert ax.get_title(loc="left") == "test scenes"


def test_several_seeds_are_averaged():
    rows = map_rows(("bias",), rounds=1, seeds=(0, 1))
    other = rows["seed"] == 1
    rows.loc[other & (rows["quantity"] == "vertex_error"), ["value", "low", "high"]] += 1
    assert has_line(map_alignment_error(rows).axes[0], [error_of("bias", number) + 0.5 for number in range(2)])


def test_only_the_last_pass_is_drawn():
    rows = map_rows(("bias",), rounds=1)
    early = rows[(rows["quantity"] == "vertex_error") & rows["condition"].str.contains("round=1")].copy()
    early["condition"] = early["condition"].str.replace("passes=3", "passes=1")
    early[["value", "low", "high"]] = 9.0
    rows = pd.concat([rows, early], ignore_index=True)
    assert has_line(map_alignment_error(rows).axes[0], [error_of("bias", 0), error_of("bias", 1)])


def test_denoising_leaves_clean_labels_out_and_draws_the_first_round():
    figure = map_alignment_denoising(map_rows())
    assert [ax.get_title(loc="left") for ax in figure.axes[:3]] == [
        "independent noise",
        "smooth noise",
        "constant bias",
    ]
    rows = map_rows(("bias",))
    chosen = rows["condition"].str.contains("round=1") & (rows["quantity"] == "label_noise")
    expected = np.sqrt(np.mean(rows.loc[chosen, "value"] ** 2))
    bars = map_alignment_denoising(rows).axes[1].patches
    assert bars[0].get_height() == pytest.approx(expected)


def test_pictures_survive_a_file(tmp_path):
    for pictures in (map_pictures(), map_pictures(patches=0)):
        write_pictures(pictures, tmp_path / "p.npz")
        found = read_pictures(tmp_path / "p.npz")
        assert found.noise == "independent"
        assert np.array_equal(found.overlays[0].image, pictures.overlays[0].image)
        assert all(
            np.array_equal(a, b)
            for a, b in zip(found.overlays[0].aligned[1], pictures.overlays[0].aligned[1], strict=True)
        )
        assert (found.patches is None) == (pictures.patches is None)
    first = (tmp_path / "p.npz").read_bytes()
    write_pictures(map_pictures(patches=0), tmp_path / "q.npz")
    assert (tmp_path / "q.npz").read_bytes() == first
    (tmp_path / "p.npz").write_bytes(b"junk")
    with pytest.raises(BadFileError, match="holds no pictures of map alignment"):
        read_pictures(tmp_path / "p.npz")


def test_polygons_of_patches_survive_a_file(tmp_path):
    pictures = map_pictures()
    write_pictures(pictures, tmp_path / "p.npz")
    found = read_pictures(tmp_path / "p.npz").patches
    assert [len(own) for own in found.polygons] == [1] * 12
    assert np.array_equal(found.polygons[5][0], pictures.patches.polygons[5][0])
    assert np.array_equal(found.similarity, pictures.patches.similarity)


def test_overlay_has_a_row_per_kind_and_states_the_errors():
    figure = map_alignment_overlay([map_pictures("bias"), map_pictures("independent")], crop=96)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[0].startswith("independent noise: labels, ")
    assert titles[2].startswith("constant bias: labels, ")
    before, after = (float(title.split(", ")[1].removesuffix(" px")) for title in titles[:2])
    assert after == pytest.approx(before / 4, abs=0.02)
    with pytest.raises(NetalikeError, match="expected a test scene"):
        map_alignment_overlay([])


def test_the_part_with_most_polygons_is_shown():
    overlay = map_pictures().overlays[0]
    row, column = fullest_corner(overlay, 64)
    inside = [(p.max(0) > (row, column)).all() and (p.min(0) < (row + 64, column + 64)).all() for p in overlay.truth]
    assert sum(inside) == 4


def test_counts_and_neighbours_need_patches():
    for figure in (map_alignment_counts, map_alignment_neighbours):
        FigureCanvasAgg(figure(map_pictures())).draw()
        with pytest.raises(NetalikeError, match="set `patches` of the study above 0"):
            figure(map_pictures(patches=0))
