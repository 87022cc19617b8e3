"""The rows of a whole panel: correlations of measures, pairs, controls; deterministic, and a valid table."""

import math
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from panel_tables import pairs_of, panel_of, row, rows_of

from netalike.evidence import measurements
from netalike.evidence.measurements import parse_condition
from netalike.experiments.panel_controls import control_rows
from netalike.experiments.panel_map import map_rows
from netalike.experiments.panel_pairs import pair_table
from netalike.experiments.panel_summary import summary_rows

PANEL = panel_of("A", "B")
ORDER = {name: place for place, name in enumerate(PANEL["members"])}


def of(rows: list[dict], quantity: str, **factors: str) -> list[dict]:
    """Rows of a quantity whose condition has these factors."""
    return [
        row
        for row in rows
        if row["quantity"] == quantity and factors.items() <= parse_condition(row["condition"]).items()
    ]


def test_measures_are_correlated_two_by_two_larger_being_more_alike():
    spread = lambda a, b: ORDER[a] + 0.1 * ORDER[b] ** 2  # noqa: E731
    pairs = pairs_of(
        PANEL, {"cka/biased": spread, "procrustes/published": spread, "rsa/pearson": lambda a, b: spread(a, b) ** 3}
    )
    rows = summary_rows(pairs, PANEL, n_boot=100)
    found = {row["condition"]: row["value"] for row in of(rows, "rank_correlation")}
    assert found == pytest.approx(
        {
            "measure_a=cka/biased;measure_b=procrustes/published;n_pairs=15": -1,
            "measure_a=cka/biased;measure_b=rsa/pearson;n_pairs=15": 1,
            "measure_a=procrustes/published;measure_b=rsa/pearson;n_pairs=15": -1,
        }
    )


def test_correlations_without_enough_pairs_say_so():
    value = lambda a, b: 0.1 * ORDER[b] if a == "A0" and b in ("A1", "A2") else math.nan  # noqa: E731
    pairs = pairs_of(PANEL, {"cka/biased": value, "rsa/pearson": value})
    (found,) = of(summary_rows(pairs, PANEL, n_boot=10), "rank_correlation")
    assert found["status"] == "undefined: 2 pairs of trained networks have both, at least 3 needed"
    assert math.isnan(found["value"])


def test_pairs_are_told_with_their_numbers():
    rows = rows_of(
        row("A0", "A1", "same_family", 0.4, "stir/cka", low=0.3, high=0.6),
        row("A0", "B0", "other_family", 0.2, "stir/cka"),
        row("A0", "B1", "other_family", math.nan, "stir/cka", status="undefined: constant"),
    )
    found = summary_rows(pair_table(rows, PANEL), PANEL, n_boot=10)
    first, second, third = of(found, "pair_similarity", family="inversion")
    assert first["condition"] == "family=inversion;interval=images;layers=0;pair=same_family"
    assert (first["value"], first["low"], first["high"], first["n_samples"]) == (0.4, 0.3, 0.6, 100)
    assert parse_condition(second["condition"])["interval"] == "none"
    assert third["status"] == "undefined: constant"
    standardised = of(found, "pair_standardised")
    assert [row["value"] for row in standardised[:2]] == pytest.approx([0.5**0.5, -(0.5**0.5)])
    assert standardised[2]["status"] == "undefined: constant"


def test_one_pair_cannot_be_standardised_and_says_so():
    found = summary_rows(pair_table(rows_of(row("A0", "A1", "same_family", 0.4)), PANEL), PANEL, n_boot=10)
    (standardised,) = of(found, "pair_standardised")
    assert standardised["status"] == "undefined: the pairs of trained networks do not vary, or are fewer than two"


def controls(measure: str, *values: tuple[str, float]) -> list[dict]:
    more = [
        {"network_a": f"A{i}", "network_b": f"A{i}@{kind}", "pair": kind, "measure": measure, "value": value}
        for i, (kind, value) in enumerate(values)
    ]
    return list(control_rows(pairs_of(PANEL, {measure: lambda a, b: 0.5}, more)))


def value_of(rows: list[dict], quantity: str, control: str) -> float:
    (found,) = of(rows, quantity, control=control)
    return found["value"]


def test_controls_that_sit_where_they_must():
    rows = controls("cka/unbiased", ("self", 1.0), ("permuted_units", 1 + 1e-7), ("noise", -0.02))
    assert [value_of(rows, "control_holds", name) for name in ("self", "permuted_units", "noise")] == [1, 1, 1]
    assert value_of(rows, "control_check", "noise") == -0.02


def test_the_worst_pair_is_checked():
    rows = controls("procrustes/published", ("self", 0.0), ("self", 0.2), ("self", 0.1))
    (found,) = of(rows, "control_check", control="self")
    assert (found["value"], found["network_a"]) == (0.2, "A1")
    assert value_of(rows, "control_holds", "self") == 0


def test_noise_that_an_unbiased_measure_finds_alike_does_not_hold():
    rows = controls("rsa/pearson", ("noise", 0.3))
    assert value_of(rows, "control_holds", "noise") == 0


def test_what_is_not_fixed_is_not_judged():
    rows = controls("cka/biased", ("noise", 0.2), ("noise", 0.4))
    assert value_of(rows, "control_check", "noise") == pytest.approx(0.3)
    (holds,) = of(rows, "control_holds", control="noise", expected="none")
    assert holds["status"] == "undefined: CKA has no fixed value for this control"
    (absent,) = of(rows, "control_holds", control="self")
    assert absent["status"] == "undefined: the panel has no such pair under this measure"


def whole_panel() -> pd.DataFrame:
    rows = []
    for i, a in enumerate(ORDER):
        for b in list(ORDER)[i:]:
            kind = "self" if a == b else "same_family" if a[0] == b[0] else "other_family"
            for layer in "xyz":
                near = 1.0 if a == b else 0.3 + 0.05 * ORDER[a] + 0.01 * ORDER[b] + 0.1 * (a[0] == b[0])
                told = {"layer_a": layer, "layer_b": layer}
                rows.append(row(a, b, kind, near, "cka/unbiased", **told))
                rows.append(row(a, b, kind, (1 - near) ** 2, "procrustes/published", **told))
            rows.append(row(a, b, kind, near**2, "prediction_agreement/share", low=near**2 - 0.1, high=near**2 + 0.1))
    return rows_of(*rows)


def test_the_rows_of_a_panel_are_a_valid_table_and_always_the_same():
    rows = whole_panel()

    def summary() -> pd.DataFrame:
        pairs = pair_table(rows, PANEL)
        return measurements.table([*summary_rows(pairs, PANEL, rows, n_boot=50), *map_rows(pairs, PANEL)])

    one = summary()
    pd.testing.assert_frame_equal(one, summary(), check_exact=True)
    assert set(one["quantity"]) == {
        "pair_similarity",
        "pair_standardised",
        "rank_correlation",
        "separation",
        "control_check",
        "control_holds",
        "map_position",
        "map_stress",
    }
    assert not one.duplicated(["quantity", "estimator", "condition", "network_a", "network_b"]).any()
    holds = one[(one["quantity"] == "control_holds") & one["condition"].str.contains("control=self")]
    assert list(holds["value"]) == [1, 1, 1]
