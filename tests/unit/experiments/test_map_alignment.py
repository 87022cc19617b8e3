"""Rows of map alignment: errors, intervals and accuracies by hand, and one tiny run of everything."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("tensorflow")

from netalike.data.polygons import moved
from netalike.data.scenes import clean_scene
from netalike.evidence import measurements
from netalike.evidence.measurements import parse_condition
from netalike.experiments.map_alignment import (
    MapStudy,
    accuracy_rows,
    align_noisy_maps,
    error_rows,
    loss_rows,
    relative_rows,
    units_of,
)
from netalike.networks.double_unet import Widths
from netalike.training.map_alignment import MapHistory, prepare_tensorflow
from netalike.training.map_rounds import Round
from netalike.training.map_settings import MapTraining

FACTORS = {"noise": "bias", "round": 1, "passes": 2}


def scene(name="s", seed=0, size=144, shift=(0.0, 0.0)):
    generator = np.random.default_rng(seed)
    image = generator.integers(40, 90, (size, size, 3), dtype=np.uint8)
    polygons = []
    for row, column in [(20, 20), (20, 90), (90, 20), (64, 64)]:
        image[row : row + 16, column : column + 20] = 200
        polygons.append(
            np.array([(row, column), (row, column + 20), (row + 16, column + 20), (row + 16, column)], float)
        )
    facts = [{"kind": "rectangle", "size": 20.0, "angle": 0.0, "palette": "grey"}] * 4
    clean = clean_scene(name, image, polygons, facts)
    return replace(clean, labels=moved(clean.polygons, shift), noise=np.tile(shift, (4, 1)))


def value(rows, quantity, **factors):
    (row,) = [
        row
        for row in rows
        if row["quantity"] == quantity and factors.items() <= parse_condition(row["condition"]).items()
    ]
    return row


def test_errors_of_shifted_labels_are_the_shift():
    scenes = [scene(f"s{i}", i, shift=(3.0, 4.0)) for i in range(5)]
    rows = error_rows(scenes, [own.labels for own in scenes], "test", **FACTORS)
    pooled = value(rows, "vertex_error")
    assert (pooled["value"], pooled["low"], pooled["high"]) == (5.0, 5.0, 5.0)
    assert pooled["n_samples"] == 5 * 16
    assert value(rows, "mean_offset")["value"] == 5.0
    assert value(rows, "vertex_error_of_scene", scene="s3")["value"] == 5.0


def test_intervals_are_over_scenes_and_hold_the_value():
    scenes = [scene(f"s{i}", i, shift=(float(i), 0.0)) for i in range(6)]
    pooled = value(error_rows(scenes, [own.labels for own in scenes], "test", **FACTORS), "vertex_error")
    assert pooled["value"] == pytest.approx(np.sqrt(np.mean(np.arange(6.0) ** 2)))
    assert pooled["low"] < pooled["value"] < pooled["high"]
    assert 1 < pooled["low"] < 2.5
    assert 3.5 < pooled["high"] <= 5


def test_few_scenes_are_divided_and_scenes_without_polygons_left_out():
    units = units_of([scene("a"), scene("b"), scene("c")])
    assert [unit.name for unit in units[:4]] == ["a_part00", "a_part01", "a_part10", "a_part11"]
    assert sorted(np.concatenate([unit.members for unit in units[:4]])) == [0, 1, 2, 3]
    empty = clean_scene("empty", np.zeros((10, 10, 3), np.uint8), [], [])
    assert [unit.name for unit in units_of([scene(str(i)) for i in range(5)] + [empty])] == list("01234")


def test_accuracy_counts_vertices_within_the_threshold():
    scenes = [scene(str(i), shift=(0.0, 1.0 if i < 4 else 3.0)) for i in range(5)]
    rows = accuracy_rows(scenes, [own.labels for own in scenes], "test", **FACTORS)
    assert len(rows) == 33
    assert value(rows, "accuracy", threshold="0.75")["value"] == 0
    assert value(rows, "accuracy", threshold="1")["value"] == 0.8
    last = value(rows, "accuracy", threshold="3")
    assert (last["value"], last["low"], last["high"]) == (1, 1, 1)


def test_relative_error_is_undefined_where_the_labels_are_the_truth():
    noisy = [scene(str(i), shift=(0.0, 4.0)) for i in range(5)]
    half = [moved(own.polygons, (0.0, 1.0)) for own in noisy]
    assert {row["value"] for row in relative_rows(noisy, half, "test", **FACTORS)} == {0.25}
    clean = [scene(str(i)) for i in range(5)]
    rows = relative_rows(clean, half, "test", **FACTORS)
    assert {row["status"] for row in rows} == {"undefined: the labels are the truth"}
    measurements.table(rows)


def test_loss_rows_are_pixels_and_say_whether_the_curve_is_flat():
    falling = MapHistory([1.0] * 80, [0.25] * 60 + [0.16] * 20, [0.25] * 80, [0.5] * 80)
    rows = loss_rows(Round(1, None, falling, [], [], []), "bias", batch_size=4)
    last = [row for row in rows if row["estimator"] == "displacement"][-1]
    assert (last["value"], last["step"], last["n_samples"]) == (pytest.approx(3.2), 80, 8)
    assert len([row for row in rows if row["estimator"] == "displacement"]) == 40
    assert value(rows, "loss_slope")["value"] == pytest.approx(0.2)


def test_a_tiny_run_fills_the_table_and_keeps_the_pictures(tmp_path):
    prepare_tensorflow(1)
    training = MapTraining(input_size=140, batch_size=1, steps=2, passes=1)
    study = MapStudy("independent", training, Widths(2, 1, 3), rounds=2, patches=3, neighbours=2)
    scenes = [scene(f"s{i}", i, shift=(1.0, 0.0)) for i in range(2)]
    rows, pictures = align_noisy_maps(scenes, scenes[:1], study, tmp_path)
    table = measurements.table(rows, paper="input_similarity", experiment="map_alignment_x", dataset="scenes", seed=0)
    assert {parse_condition(text)["round"] for text in table["condition"]} == {"0", "1", "2"}
    assert (table["status"] == "ok").all()
    counted = table.groupby("quantity").size()
    assert counted["soft_count"] == 2 * len(pictures.patches.images)
    assert counted["vertex_error"] == 2 + 2 * 2
    assert set(table["quantity"]) >= {"accuracy", "relative_error", "training_loss", "loss_slope", "mean_offset"}
    assert len(pictures.overlays[0].aligned) == 2


def test_a_run_that_was_cut_off_after_training_comes_to_the_same_rows(tmp_path):
    prepare_tensorflow(1)
    training = MapTraining(input_size=140, batch_size=1, steps=2, passes=1)
    study = MapStudy("independent", training, Widths(2, 1, 3), rounds=1, patches=0)
    scenes = [scene("s0", 0, shift=(1.0, 0.0))]
    first, again = (align_noisy_maps(scenes, scenes, study, tmp_path)[0] for _ in range(2))
    pd.testing.assert_frame_equal(pd.DataFrame(first), pd.DataFrame(again))
