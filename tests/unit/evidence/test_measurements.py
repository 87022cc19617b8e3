"""The measurement table: what goes in comes out, contradictions are refused, and equal rows are equal bytes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netalike.errors import BadFileError, NetalikeError, UnknownNameError
from netalike.evidence import measurements
from netalike.evidence.measurements import COLUMNS, condition, parse_condition, read, select, table, write, write_csv

NAN = math.nan
UNDEFINED = "undefined: zero variance over the samples in layer relu7"
FACTORS = st.dictionaries(
    st.text("abcdefgh_", min_size=1, max_size=6),
    st.text(st.characters(exclude_characters=";="), min_size=0, max_size=8),
    max_size=4,
)


def row(**other: object) -> dict[str, object]:
    return {
        "network_a": "lenet-s0",
        "layer_a": "relu1",
        "network_b": "lenet-s1",
        "layer_b": "relu2",
        "quantity": "cka",
        "estimator": "unbiased",
        "condition": "pair=same_family",
        "value": 0.25,
        **other,
    }


ROWS = [
    row(),
    row(layer_a="relu7", value=NAN, status=UNDEFINED),
    row(value=-0.1, low=-0.2, high=1 / 3, seed=4, step=1000, n_samples=500),
]


# ---- making a table -------------------------------------------------------------------------------------------------


def test_every_column_is_in_its_place():
    found = table(ROWS, paper="deconfounded_cka", dataset="digits")
    assert tuple(found.columns) == COLUMNS
    assert found["paper"].tolist() == ["deconfounded_cka"] * 3
    assert found["status"].tolist() == ["ok", UNDEFINED, "ok"]
    assert found["split"].tolist() == [""] * 3
    assert found["value"].isna().tolist() == [False, True, False]
    assert found["seed"].isna().tolist() == [True, True, False]
    assert found["seed"].iloc[2] == 4
    assert str(found["n_samples"].dtype) == "Int64"


def test_rows_may_come_from_a_generator_or_be_none():
    assert table(iter(ROWS)).equals(table(ROWS))
    empty = table([])
    assert len(empty) == 0
    assert tuple(empty.columns) == COLUMNS


def test_the_rows_given_are_not_changed():
    frame = pd.DataFrame([row()])
    before = frame.copy()
    table(frame, paper="stitching")
    pd.testing.assert_frame_equal(frame, before)


def test_an_unknown_column_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown column of the measurement table 'estimater'.*'estimator'"):
        table([{**row(), "estimater": "biased"}])
    with pytest.raises(UnknownNameError, match="Did you mean 'dataset'"):
        table([row()], datasets="digits")


@pytest.mark.parametrize(
    ("value", "status"), [(NAN, "ok"), (None, "ok"), (math.inf, "ok"), (0.5, UNDEFINED), (0.0, "undefined: x")]
)
def test_a_number_and_a_status_that_contradict_each_other_are_refused(value, status):
    with pytest.raises(NetalikeError, match=r"cka/unbiased of lenet-s0 relu1 and lenet-s1 relu2: value .* with status"):
        table([row(), row(value=value, status=status)])


def test_a_missing_status_means_ok_and_so_needs_a_number():
    assert table([row(status=None)])["status"].tolist() == ["ok"]
    with pytest.raises(NetalikeError, match="value nan with status 'ok'; a finite number is 'ok', and a missing one"):
        table([row(value=NAN)])


def test_an_interval_the_wrong_way_round_is_refused():
    with pytest.raises(NetalikeError, match=r"cka: the interval \[0\.5, 0\.25\] is the wrong way round"):
        table([row(low=0.5, high=0.25)])
    assert table([row(low=0.25, high=0.25)])["low"].iloc[0] == 0.25


# ---- files ----------------------------------------------------------------------------------------------------------


def test_a_round_trip_changes_nothing(tmp_path):
    written = write(ROWS, tmp_path / "deep" / "m.parquet", paper="stitching", experiment="layers")
    pd.testing.assert_frame_equal(read(tmp_path / "deep" / "m.parquet"), written)
    assert written["high"].iloc[2] == 1 / 3
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["m.parquet"]


def test_equal_rows_are_equal_bytes(tmp_path):
    frame = pd.DataFrame(ROWS)
    sources = [ROWS, iter(ROWS), frame, frame.set_index(pd.Index([9, 8, 7])), [dict(reversed(r.items())) for r in ROWS]]
    contents = set()
    for number, rows in enumerate(sources):
        write(rows, tmp_path / f"{number}.parquet", paper="stitching")
        contents.add((tmp_path / f"{number}.parquet").read_bytes())
    assert len(contents) == 1
    write([*ROWS[:2], {**ROWS[2], "value": np.nextafter(-0.1, 0)}], tmp_path / "other.parquet", paper="stitching")
    assert (tmp_path / "other.parquet").read_bytes() not in contents


def test_files_are_read_in_the_order_given(tmp_path):
    for number in (2, 1):
        write([row(value=float(number))], tmp_path / f"{number}.parquet")
    found = read([tmp_path / "2.parquet", str(tmp_path / "1.parquet")])
    assert found["value"].tolist() == [2.0, 1.0]
    assert found.index.tolist() == [0, 1]
    assert tuple(read([]).columns) == COLUMNS
    write([], tmp_path / "none.parquet")
    assert len(read([tmp_path / "none.parquet", tmp_path / "1.parquet"])) == 1


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "m.parquet"
    write([row()], path)
    with pytest.raises(NetalikeError):
        write([row(value=NAN)], path)
    assert read(path)["value"].tolist() == [0.25]
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_no_measurement_table_is_named(tmp_path):
    (tmp_path / "text.parquet").write_text("value\n1\n")
    pd.DataFrame({"value": [1.0]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(BadFileError, match=r"text\.parquet is no measurement table"):
        read(tmp_path / "text.parquet")
    with pytest.raises(BadFileError, match=r"other\.parquet is no measurement table: columns \['value'\], expected"):
        read(tmp_path / "other.parquet")
    with pytest.raises(BadFileError, match=r"missing\.parquet is no measurement table"):
        read(tmp_path / "missing.parquet")


def test_a_missing_number_is_an_empty_field_of_the_csv(tmp_path):
    write_csv(table(ROWS, paper="stitching"), tmp_path / "deep" / "m.csv")
    lines = (tmp_path / "deep" / "m.csv").read_bytes().decode().split("\n")
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1].endswith(",unbiased,pair=same_family,,,0.25,,,ok")
    assert lines[2].endswith(f",unbiased,pair=same_family,,,,,,{UNDEFINED}")
    assert lines[3].endswith(",4,1000,-0.10000000000000001,-0.20000000000000001,0.33333333333333331,ok")
    assert lines[4:] == [""]
    assert pd.read_csv(tmp_path / "deep" / "m.csv")["high"].iloc[2] == 1 / 3


# ---- conditions -----------------------------------------------------------------------------------------------------


def test_factors_are_sorted_by_name():
    assert condition(rank=8, eps=0.5) == condition(eps=0.5, rank=8) == "eps=0.5;rank=8"
    assert condition() == ""
    assert parse_condition("") == {}


@given(FACTORS)
def test_a_condition_reads_back(factors):
    assert parse_condition(condition(**factors)) == factors


@pytest.mark.parametrize(("name", "value"), [("rank", "8;9"), ("rank", "a=b"), ("ra;nk", "8"), ("ra=nk", 8)])
def test_marks_in_a_factor_are_refused(name, value):
    with pytest.raises(NetalikeError, match=f"factor {name}={value} of a condition may not hold ';' or '='"):
        condition(**{name: value})


# ---- selecting ------------------------------------------------------------------------------------------------------


def test_select_takes_values_and_lists_of_values():
    rows = table([row(estimator=e, seed=s) for e in ("biased", "unbiased", "published") for s in (0, 1, None)])
    assert len(select(rows)) == 9
    assert select(rows, estimator="biased")["seed"].dropna().tolist() == [0, 1]
    assert select(rows, estimator=["biased", "published"], seed=1)["estimator"].tolist() == ["biased", "published"]
    assert select(rows, seed=0).index.tolist() == [0, 3, 6]
    assert len(select(rows, estimator="none")) == 0
    with pytest.raises(UnknownNameError, match=r"unknown column of the measurement table 'sead'.*Did you mean 'seed'"):
        select(rows, sead=1)


def test_the_columns_are_those_of_the_design():
    assert " ".join(measurements.COLUMNS) == (
        "paper experiment dataset split n_samples network_a layer_a network_b layer_b quantity estimator condition "
        "seed step value low high status"
    )
