"""One value for each pair and measure: matched layers, both directions, intervals, standardised."""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from panel_tables import panel_of, row, rows_of

from netalike.errors import NetalikeError
from netalike.experiments.panel_pairs import PAIR_COLUMNS, pair_table

PANEL = panel_of("A", "B", count=2)


def the(pairs: pd.DataFrame, a: str, b: str, measure: str = "cka/unbiased") -> pd.Series:
    found = pairs[(pairs["network_a"] == a) & (pairs["network_b"] == b) & (pairs["measure"] == measure)]
    assert len(found) == 1
    return found.iloc[0]


def layers(a: str, b: str, pair: str, values: dict[tuple[str, str], float], **columns) -> list[dict]:
    told = {"experiment": "layers_small", **columns}
    return [row(a, b, pair, value, layer_a=one, layer_b=other, **told) for (one, other), value in values.items()]


def test_of_all_pairs_of_layers_the_matched_ones_are_averaged():
    square = {(a, b): float(a == b) + 0.1 * (a == "y") for a in "xyz" for b in "xyz"}
    found = the(pair_table(rows_of(*layers("A0", "A1", "same_family", square)), PANEL), "A0", "A1")
    assert found["value"] == pytest.approx((1 + 1.1 + 1) / 3)
    assert found["n_layers"] == 3
    assert found["interval"] == "layers"


def test_layers_of_unequal_depth_are_matched_in_the_order_of_the_rows():
    values = {(a, b): float(10 * i + j) for i, a in enumerate("xyzuv") for j, b in enumerate("pqr")}
    found = the(pair_table(rows_of(*layers("A0", "B0", "other_family", values)), PANEL), "A0", "B0")
    assert found["value"] == pytest.approx((0 + 21 + 42) / 3)


def test_rows_at_matched_layers_are_all_taken():
    values = {("x", "p"): 0.2, ("z", "q"): 0.4, ("v", "r"): 0.9}
    found = the(pair_table(rows_of(*layers("A0", "B0", "other_family", values)), PANEL), "A0", "B0")
    assert found["value"] == pytest.approx(0.5)


def test_noise_is_compared_with_every_layer():
    values = {("x", "noise"): 0.1, ("y", "noise"): -0.2, ("z", "noise"): 0.1}
    found = the(pair_table(rows_of(*layers("A0", "noise", "noise", values)), PANEL), "A0", "noise")
    assert (found["value"], found["n_layers"]) == (pytest.approx(0), 3)


def test_both_directions_are_averaged_under_one_name():
    there = row("A0", "B0", "other_family", 0.5, "pwcca/first", layer_a="x", layer_b="p")
    back = row("B0", "A0", "other_family", 0.7, "pwcca/first", layer_a="p", layer_b="x")
    pairs = pair_table(rows_of(back, there), PANEL)
    assert len(pairs) == 1
    found = the(pairs, "A0", "B0", "pwcca/first")
    assert (found["value"], found["n_layers"]) == (pytest.approx(0.6), 1)
    assert math.isnan(found["low"])
    assert found["interval"] == ""


def test_a_trained_network_comes_before_its_control_and_noise_is_last():
    pairs = pair_table(
        rows_of(
            row("A0@untrained", "A1", "trained_untrained", 0.1),
            row("noise", "A0", "noise", 0.0),
            row("A1@untrained", "A0@untrained", "untrained", 0.1),
            row("B0", "A0", "other_family", 0.4),
        ),
        PANEL,
    )
    assert list(zip(pairs["network_a"], pairs["network_b"], strict=True)) == [
        ("A0", "B0"),
        ("A0", "noise"),
        ("A1", "A0@untrained"),
        ("A0@untrained", "A1@untrained"),
    ]


def test_intervals_of_images_are_passed_on():
    told = {"low": 0.4, "high": 0.8}
    found = the(
        pair_table(rows_of(row("A0", "A1", "same_family", 0.6, "stir/cka", **told)), PANEL), "A0", "A1", "stir/cka"
    )
    assert (found["low"], found["high"], found["interval"], found["n_layers"]) == (0.4, 0.8, "images", 0)


def test_the_interval_over_layers_is_the_percentile_bootstrap():
    values = [0.1, 0.4, 0.2, 0.9, 0.7]
    rows = rows_of(*layers("A0", "A1", "same_family", {(f"l{i}", f"l{i}"): value for i, value in enumerate(values)}))
    found = the(pair_table(rows, PANEL, n_boot=4000), "A0", "A1")
    drawn = np.random.default_rng(1).choice(values, (4000, 5)).mean(axis=1)
    assert [found["low"], found["high"]] == pytest.approx(list(np.quantile(drawn, (0.025, 0.975))), abs=0.02)


def test_undefined_layers_are_left_out_and_undefined_pairs_say_why():
    some = layers("A0", "A1", "same_family", {("x", "x"): 0.4, ("y", "y"): 0.6})
    none = row("A0", "B0", "other_family", math.nan, layer_a="x", layer_b="p", status="undefined: too wide")
    gap = {**some[0], "layer_a": "z", "layer_b": "z", "value": math.nan, "status": "undefined: too wide"}
    pairs = pair_table(rows_of(gap, *some, none), PANEL)
    assert (the(pairs, "A0", "A1")["value"], the(pairs, "A0", "A1")["n_layers"]) == (pytest.approx(0.5), 2)
    assert the(pairs, "A0", "A1")["status"] == "ok"
    missing = the(pairs, "A0", "B0")
    assert math.isnan(missing["value"])
    assert math.isnan(missing["standardised"])
    assert missing["status"] == "undefined: too wide"


@pytest.mark.parametrize(("measure", "sign"), [("cka/unbiased", 1), ("procrustes/published", -1)])
def test_standardised_over_trained_pairs_and_more_is_more_alike(measure, sign):
    pairs = pair_table(
        rows_of(
            row("A0", "A1", "same_family", 0.2, measure),
            row("A0", "B0", "other_family", 0.4, measure),
            row("A1", "B0", "other_family", 0.6, measure),
            row("A0", "A0", "self", 1.0, measure),
        ),
        PANEL,
    )
    found = {tuple(pair): value for *pair, value in pairs[["network_a", "network_b", "standardised"]].to_numpy()}
    expected = {("A0", "A1"): -1, ("A0", "B0"): 0, ("A1", "B0"): 1, ("A0", "A0"): 3}
    assert found == pytest.approx({pair: sign * value for pair, value in expected.items()})


def test_nothing_to_standardise_by_is_nan():
    same = [row("A0", "A1", "same_family", 0.5), row("A0", "B0", "other_family", 0.5)]
    assert pair_table(rows_of(*same), PANEL)["standardised"].isna().all()


def test_columns_panel_and_family():
    rows = rows_of(row("A0", "A1", "same_family", 0.5, "kernel_cka/biased", experiment="gradients_my_panel"))
    pairs = pair_table(rows, {**PANEL, "name": None})
    assert tuple(pairs.columns) == PAIR_COLUMNS
    assert list(pairs[["panel", "family", "n_samples"]].iloc[0]) == ["my_panel", "gradients", 100]


def test_the_order_of_the_rows_changes_nothing_where_the_layers_are_matched():
    rows = rows_of(*layers("A0", "A1", "same_family", {(f"l{i}", f"l{i}"): i / 7 for i in range(7)}))
    one, other = pair_table(rows, PANEL), pair_table(rows, PANEL)
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_rows_without_a_measure_are_refused():
    single = {
        "network_a": "A0",
        "quantity": "accuracy",
        "estimator": "test",
        "value": 0.9,
        "condition": "network=trained",
    }
    with pytest.raises(NetalikeError, match="no row of 1 is a measure of a pair"):
        pair_table(rows_of(single), PANEL)


def test_pairs_that_nobody_asked_for_are_left_out_in_either_order():
    rows = rows_of(row("A0", "A1", "same_family", 0.4), row("A0", "B0", "other_family", 0.2))
    pairs = pair_table(rows, PANEL, asked=[("A1", "A0")])
    assert pairs[["network_a", "network_b"]].to_numpy().tolist() == [["A0", "A1"]]
