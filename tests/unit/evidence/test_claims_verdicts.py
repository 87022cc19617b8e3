"""Verdicts: data made to hold reproduce a claim, made to fail contradict it, and too little is inconclusive."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netalike.errors import UnknownNameError
from netalike.evidence import measurements
from netalike.evidence.claims import CLAIM_COLUMNS, VERDICTS, Claim, Tolerance, judge, judge_all, verdict
from netalike.evidence.measurements import condition
from netalike.page.selection import rows_of_figure

NAN = math.nan


def claim(**changes):
    values = {
        "paper": "deconfounded_cka",
        "id": "dcka-test",
        "statement": "One exceeds the other.",
        "source": "abstract",
        "evidence": {"kind": "abstract"},
        "kind": "order",
        "select": {"a": {"quantity": "cka", "experiment": "one"}, "b": {"quantity": "cka", "experiment": "other"}},
        "statistic": {"name": "difference", "of": ["a", "b"], "join": ["pair"]},
        "tolerance": {"above": 0, "reason": "The claim is about the order."},
        "needs": "quick",
        "figure": "deconfounded_cka/one",
    }
    return Claim.model_validate(values | changes)


def rows(n, values, experiment="one", **factors):
    """A row per pair of n networks, values(i, j) or one value for all."""
    found = [
        {
            "network_a": f"net-s{i}",
            "network_b": f"net-s{j}",
            "value": float(values(i, j) if callable(values) else values),
        }
        for i, j in itertools.combinations(range(n), 2)
    ]
    constants = {"paper": "deconfounded_cka", "experiment": experiment, "quantity": "cka"}
    return measurements.table(found, **constants, condition=condition(**factors))


def two_groups(n, shift, seed):
    """Groups whose paired difference is `shift`, with effects of networks that are a quarter of it at most."""
    generator = np.random.default_rng(seed)
    common, own = generator.normal(size=n), generator.uniform(-0.1, 0.1, size=n) * abs(shift)
    a = rows(n, lambda i, j: common[i] * common[j] + shift + own[i] + own[j])
    return pd.concat([a, rows(n, lambda i, j: common[i] * common[j], "other")], ignore_index=True)


bands = st.sampled_from([("above", 1), ("below", -1)])


@settings(max_examples=25, deadline=None)
@given(n=st.integers(5, 12), size=st.floats(0.01, 10), seed=st.integers(0, 2**31), band=bands)
def test_data_made_to_hold_reproduce_a_claim_and_made_to_fail_contradict_it(n, size, seed, band):
    form, sign = band
    made = claim(tolerance={form: 0, "reason": "A sign."})
    holds = judge(made, two_groups(n, sign * size, seed), "quick", resamples=200)
    assert (holds.verdict, holds.reason, holds.estimate.n_units) == ("reproduced", "", n)
    assert sign * holds.estimate.value > 0
    fails = judge(made, two_groups(n, -sign * size, seed), "quick", resamples=200)
    assert fails.verdict == "contradicted"


@settings(max_examples=25, deadline=None)
@given(n=st.integers(5, 12), centre=st.floats(-5, 5), within=st.floats(0.01, 1), seed=st.integers(0, 2**31))
def test_equivalence_is_the_interval_within_the_band(n, centre, within, seed):
    noise = np.random.default_rng(seed).uniform(-1, 1, size=n)
    made = claim(
        kind="value",
        paper_value=centre,
        select={"a": {"experiment": "one"}},
        statistic={"name": "mean", "of": ["a"]},
        tolerance={"within": within, "reason": "Rounding."},
    )

    def judged(shift, spread):
        table = rows(n, lambda i, j: centre + shift + spread * (noise[i] + noise[j]))
        return judge(made, table, "quick", resamples=200).verdict

    assert judged(0, within / 4) == "reproduced"
    assert judged(3 * within, within / 4) == "contradicted"
    # an interval that covers the paper's value is no agreement while it covers much else
    noise = noise - noise.mean()
    if np.ptp(noise) > 0.5:
        assert judged(0, 200 * within) == "inconclusive"


@settings(max_examples=10, deadline=None)
@given(n=st.integers(2, 4), shift=st.floats(-5, 5), seed=st.integers(0, 1000))
def test_too_few_networks_are_inconclusive(n, shift, seed):
    found = judge(claim(), two_groups(n, shift, seed), "quick")
    assert found.verdict == "inconclusive"
    assert found.reason == f"{n} networks, an interval needs 5"
    assert math.isfinite(found.estimate.value)


@settings(max_examples=10, deadline=None)
@given(n=st.integers(5, 9), missing=st.sampled_from(["one", "other"]), shift=st.floats(-5, 5))
def test_missing_rows_are_not_run_and_never_0(n, missing, shift):
    table = two_groups(n, shift, 0)
    found = judge(claim(), table[table["experiment"] != missing], "quick")
    assert found.verdict == "not run"
    assert found.reason == f"no rows of {'a' if missing == 'one' else 'b'}"
    numbers = (found.estimate.value, found.estimate.low, found.estimate.high)
    assert all(math.isnan(number) for number in numbers)


def test_no_rows_at_all_are_not_run():
    assert judge(claim(), measurements.table([]), "paper").reason == "no rows of a, b"


def test_rows_without_values_are_inconclusive_with_their_reason():
    lost = two_groups(6, 1, 0).assign(value=NAN, status="undefined: zero variance in layer relu7")
    found = judge(claim(), lost, "quick")
    assert found.verdict == "inconclusive"
    assert found.reason.startswith("15 of 15 rows of a have no value: undefined: zero variance in layer relu7")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.5, "reproduced"),
        (0.0, 0.5, "inconclusive"),
        (-0.1, 0.5, "inconclusive"),
        (-0.5, 0.0, "inconclusive"),
        (0.0, 0.0, "inconclusive"),
        (-0.5, -0.1, "contradicted"),
        (NAN, NAN, "inconclusive"),
    ],
)
def test_a_bound_is_strict(low, high, expected):
    assert verdict((low + high) / 2, low, high, Tolerance(above=0, reason="x"), None) == expected
    assert verdict(-(low + high) / 2, -high, -low, Tolerance(below=0, reason="x"), None) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.75, 1.25, "reproduced"),
        (1.0, 1.0, "reproduced"),
        (0.75, 1.3, "inconclusive"),
        (0.7, 1.3, "inconclusive"),
        (1.25, 1.5, "inconclusive"),
        (1.3, 1.5, "contradicted"),
        (0.1, 0.7, "contradicted"),
        (NAN, NAN, "inconclusive"),
    ],
)
def test_a_band_includes_its_ends(low, high, expected):
    assert verdict((low + high) / 2, low, high, Tolerance(within=0.25, reason="x"), 1) == expected


@pytest.mark.parametrize(
    ("needs", "preset", "expected"),
    [
        ("quick", "quick", "reproduced"),
        ("quick", "paper", "reproduced"),
        ("standard", "standard", "reproduced"),
        ("standard", "quick", "not testable at this scale"),
        ("paper", "standard", "not testable at this scale"),
    ],
)
def test_a_claim_needs_a_preset(needs, preset, expected):
    found = judge(claim(needs=needs), two_groups(6, 1, 0), preset, resamples=100)
    assert found.verdict == expected
    assert found.testable == (expected == "reproduced")
    assert found.estimate.value == pytest.approx(1, abs=0.2)  # shown all the same
    if not found.testable:
        assert found.reason == f"needs the preset {needs}; this run is {preset}"
    assert judge(claim(needs=needs), measurements.table([]), preset).verdict == (
        "not run" if found.testable else "not testable at this scale"
    )


def test_an_unknown_preset():
    with pytest.raises(UnknownNameError, match="unknown preset 'qick': expected one of quick, standard, paper"):
        judge(claim(), measurements.table([]), "qick")


ON = claim(
    on=["cifar10", "mnist", "digits"],
    select={"a": {"experiment": "tasks_{on}", "condition": {"pair": "same", "depth": {"below": 0.5}}}},
    statistic={"name": "mean", "of": ["a"]},
    figure="deconfounded_cka/tasks_{on}/a",
)


def test_the_first_data_set_with_rows_is_judged_and_the_others_stand_beside_it():
    table = pd.concat(
        [
            rows(6, -1, "tasks_digits", pair="same", depth="0.333"),
            rows(6, 1, "tasks_mnist", pair="same", depth="0.333"),
            rows(6, 9, "tasks_mnist", pair="same", depth="0.500"),  # not strictly below
            rows(6, 9, "tasks_mnist", pair="other", depth="0.333"),
        ]
    )
    found = judge(ON, table, "quick")
    assert (found.on, found.verdict, found.estimate.value, found.estimate.n_rows) == ("mnist", "reproduced", 1, 15)
    (other,) = found.others
    assert (other.on, other.verdict, other.estimate.value) == ("digits", "contradicted", -1)
    (row,) = judge_all([ON], table, "quick").to_dict("records")
    assert row["figure"] == "deconfounded_cka/tasks_mnist/a"
    others = [{"on": "digits", "value": -1.0, "low": -1.0, "high": -1.0, "verdict": "contradicted"}]
    assert json.loads(row["others"]) == others


def test_the_filters_of_a_claim_find_its_rows_on_the_page():
    table = pd.concat(
        [
            rows(6, 1, "tasks_mnist", pair="same", depth="0.333"),
            rows(6, 2, "tasks_mnist", pair="same", depth="0.000"),
            rows(6, 9, "tasks_mnist", pair="same", depth="0.667"),
        ]
    ).reset_index(drop=True)
    (row,) = judge_all([ON], table, "quick").to_dict("records")
    (filters,) = json.loads(row["rows"])
    assert filters["condition"] == ["depth=0.000;pair=same", "depth=0.333;pair=same"]
    pd.testing.assert_frame_equal(rows_of_figure(table, filters), table.iloc[:30])
    assert row["n_rows"] == 30


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ({"seed": 1}, [1]),
        ({"seed": [0, 2]}, [0, 2]),
        ({"seed": {"above": 0}}, [1, 2, 3]),
        ({"seed": {"above": 0, "below": 3}}, [1, 2]),
        ({"value": {"below": 2}}, [0, 1]),
        ({"condition": {"severity": 2}}, [2]),
        ({"condition": {"severity": "2"}}, [2]),
        ({"condition": {"depth": 1}}, [1]),
        ({"condition": {"severity": [1, "3"], "name": "c3"}}, [3]),
        ({"condition": {"gone": "x"}}, []),
        ({"network_a": ["n0", "n9"]}, [0]),
    ],
)
def test_rows_are_selected_by_text_by_number_and_by_bounds(group, values):
    table = measurements.table(
        [
            {
                "paper": "deconfounded_cka",
                "network_a": f"n{i}",
                "seed": i,
                "value": i,
                "condition": condition(severity=i, depth=f"{i:.3f}", name=f"c{i}"),
            }
            for i in range(4)
        ]
    )
    made = claim(select={"a": group}, statistic={"name": "maximum", "of": ["a"]})
    found = judge(made, table, "quick")
    assert found.estimate.n_rows == len(values)
    assert (found.estimate.value == max(values)) if values else (found.verdict == "not run")


def test_the_paper_of_the_file_is_selected_unless_another_is_named():
    table = two_groups(6, 1, 0).assign(paper="stitching")
    assert judge(claim(), table, "quick").verdict == "not run"
    select = {name: {"experiment": name, "paper": "stitching"} for name in ("one", "other")}
    statistic = {"name": "difference", "of": ["one", "other"], "join": ["pair"]}
    assert judge(claim(select=select, statistic=statistic), table, "quick").verdict == "reproduced"


def test_the_claims_table_has_a_row_per_claim_and_all_columns():
    value = claim(
        id="dcka-value",
        kind="value",
        paper_value=1.11,
        evidence={"kind": "digitised", "note": "Read off the bars.", "reading_error": 0.005},
        tolerance={"within": 0.3, "reason": "Read off."},
        changes=[{"date": "2025-01-31", "field": "tolerance.within", "was": 0.1, "reason": "Misread."}],
        needs="standard",
    )
    table = judge_all([claim(), value], two_groups(6, 1, 0), "quick")
    assert tuple(table.columns) == CLAIM_COLUMNS
    first, second = table.to_dict("records")
    assert (first["verdict"], first["tolerance"], first["paper_value"], first["reading"]) == (
        "reproduced",
        "above 0",
        "",
        "",
    )
    assert first["low"] <= first["value"] <= first["high"]
    assert (first["n_units"], first["n_rows"], first["testable"], first["command"]) == (6, 15, True, "")
    assert math.isnan(first["cpu_minutes"])
    assert second["tolerance"] == "within 0.3 of 1.11"
    assert second["reading"] == "Read off the bars; reading error 0.005"
    assert second["paper_value"] == "1.11"
    assert second["changes"] == "2025-01-31: tolerance.within was 0.1: Misread."
    assert (second["verdict"], second["testable"]) == ("not testable at this scale", False)
    assert set(table["verdict"]) <= set(VERDICTS)
    types = {column: table[column].map(type).unique().tolist() for column in CLAIM_COLUMNS}
    assert types["on"] == [str]
    assert types["value"] == [float]


def test_a_table_without_claims_has_its_columns():
    assert tuple(judge_all([], measurements.table([]), "quick").columns) == CLAIM_COLUMNS


def test_the_same_judgement_twice():
    made, table = claim(), two_groups(7, 1, 3)
    first, second = (judge_all([made], table, "quick") for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    shuffled = judge_all([made], table.sample(frac=1, random_state=1), "quick")
    pd.testing.assert_frame_equal(first, shuffled, check_exact=True)
