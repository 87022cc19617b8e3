"""`netalike claims diff`: which verdicts, values, claims and settings changed between two runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from netalike import cli
from netalike.configuration.loading import load
from netalike.evidence.claims import CLAIM_COLUMNS
from netalike.evidence.claims.differences import claims_difference, read_claims

NAN = float("nan")


def claims(**rows):
    """A claims table; of each claim (verdict, value, low, high)."""
    found = []
    for name, (verdict, value, low, high) in rows.items():
        row = dict.fromkeys(CLAIM_COLUMNS, "") | {"id": name, "paper": "stitching", "verdict": verdict, "on": "digits"}
        numbers = dict.fromkeys(("percentile_low", "percentile_high", "n_units", "n_rows", "cpu_minutes"), NAN)
        found.append(row | numbers | {"value": value, "low": low, "high": high, "testable": True})
    return pd.DataFrame(found, columns=list(CLAIM_COLUMNS))


REFERENCE = {
    "same": ("reproduced", 0.5, 0.4, 0.6),
    "turned": ("reproduced", 0.3, 0.2, 0.4),
    "moved": ("reproduced", 0.8, 0.7, 0.9),
    "exact": ("reproduced", 1.0, NAN, NAN),
    "went": ("not run", NAN, NAN, NAN),
}
RESULTS = {
    "same": ("reproduced", 0.55, 0.45, 0.65),
    "turned": ("contradicted", -0.3, -0.4, -0.2),
    "moved": ("reproduced", 0.72, 0.71, 0.73),
    "exact": ("reproduced", 1.0 + 1e-12, NAN, NAN),
    "came": ("inconclusive", 0.1, 0.0, 0.2),
}


def write(folder, table, suffix="parquet", **settings):
    tables = folder / "tables"
    tables.mkdir(parents=True)
    if suffix == "csv":
        table.to_csv(tables / "claims.csv", index=False)
    else:
        table.to_parquet(tables / "claims.parquet", index=False)
    configuration = load({"preset": "quick", **settings}).model_dump(mode="json")
    (tables / "configuration.json").write_text(json.dumps(configuration))
    return folder


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "reference", claims(**REFERENCE))
    write(tmp_path / "results", claims(**RESULTS), seed=7)
    return tmp_path


def run(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as caught:
        cli.main(["claims", "diff", *map(str, arguments)])
    captured = capsys.readouterr()
    assert (caught.value.code or 0) == code, captured.err
    return captured


def test_changes_are_told_apart():
    found = claims_difference(claims(**REFERENCE), claims(**RESULTS))
    assert [one.id for one in found.verdicts] == ["turned"]
    assert [(one.id, one.outside) for one in found.moved] == [
        ("turned", ("results", "reference")),
        ("moved", ("reference",)),
    ]
    assert (found.new, found.gone, found.same) == (["came"], ["went"], 2)
    assert found.redefined == {}
    assert found.fails


def test_a_table_beside_itself_has_no_changes():
    found = claims_difference(claims(**REFERENCE), claims(**REFERENCE))
    assert (found.verdicts, found.moved, found.new, found.gone, found.redefined) == ([], [], [], [], {})
    assert found.same == 5
    assert not found.fails


@pytest.mark.parametrize(
    ("reference", "results", "outside"),
    [
        ((0.5, 0.4, 0.6), (0.7, 0.3, 0.9), ("results",)),
        ((0.5, 0.4, 0.6), (0.6, 0.5, 0.7), ()),
        ((0.5, NAN, NAN), (0.5001, NAN, NAN), ("results", "reference")),
        ((0.0, NAN, NAN), (0.0, NAN, NAN), ()),
        ((0.5, 0.4, 0.6), (NAN, NAN, NAN), ("missing",)),
        ((NAN, NAN, NAN), (NAN, NAN, NAN), ()),
    ],
)
def test_a_value_moves_out_of_the_interval_of_the_other(reference, results, outside):
    tables = (claims(one=("reproduced", *numbers)) for numbers in (reference, results))
    moved = claims_difference(*tables).moved
    assert (moved[0].outside if moved else ()) == outside


def test_a_claim_that_is_written_otherwise_names_the_fields():
    other = claims(**REFERENCE)
    other.loc[2, ["tolerance", "paper_value"]] = "within 1 of 5", "5"
    assert claims_difference(claims(**REFERENCE), other).redefined == {"moved": ["paper_value", "tolerance"]}


def test_text_lists_what_changed(runs, capsys):
    text = run(capsys, "reference").out
    lines = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in text.splitlines()]
    assert ["turned", "✓ reproduced", "✗ contradicted", "0.3 [0.2, 0.4]", "-0.3 [-0.4, -0.2]"] in lines
    assert ["moved", "0.8 [0.7, 0.9]", "0.72 [0.71, 0.73]", "reference outside the results' interval"] in lines
    assert ["seed", "0", "7"] in lines
    assert "new: came\n" in text
    assert "gone: went\n" in text
    assert text.rstrip().endswith("2 claims as before, 1 verdict changed, 2 values moved, 1 new, 1 gone")


def test_json_has_the_same(runs, capsys):
    found = json.loads(run(capsys, "reference", "results", "--json").out)
    assert (found["reference"], found["results"]) == ("reference", "results")
    assert found["configuration"] == {"seed": [0, 7]}
    (turned,) = found["verdicts"]
    assert turned["results"] == {
        "verdict": "contradicted",
        "value": -0.3,
        "low": -0.4,
        "high": -0.2,
        "on": "digits",
        "reason": "",
    }
    assert (found["new"], found["gone"], found["same"]) == (["came"], ["went"], 2)


def test_strict_exits_with_1_where_something_changed(runs, capsys):
    run(capsys, "reference", "--strict", code=1)
    assert "5 claims as before, 0 verdicts changed" in run(capsys, "reference", "reference", "--strict").out
    more = claims(**REFERENCE, another=("reproduced", 1.0, 0.9, 1.1))
    assert "1 new" in run(capsys, "reference", write(runs / "more", more), "--strict").out


def test_csv_is_read_where_there_is_no_parquet(runs, capsys):
    write(runs / "text", claims(**REFERENCE), "csv")
    pd.testing.assert_series_equal(read_claims(runs / "text")["low"], read_claims(runs / "reference")["low"])
    assert "5 claims as before" in run(capsys, "reference", "text", "--strict").out


def test_presets_are_named_first(runs, capsys):
    path = runs / "reference/tables/configuration.json"
    path.write_text(json.dumps(load({"preset": "standard"}).model_dump(mode="json")))
    found = json.loads(run(capsys, "reference", "--json").out)["configuration"]
    assert next(iter(found.items())) == ("preset", ["standard", "quick"])
    assert len(found) > 20
    assert "more: --json lists them" in run(capsys, "reference").out


def test_configurations_that_cannot_be_compared_say_why(runs, capsys):
    path = runs / "reference/tables/configuration.json"
    path.write_text(json.dumps({"preset": "quick", "panls": {}}))
    found = json.loads(run(capsys, "reference", "--json").out)["configuration"]
    assert found == {"configuration": ["of another version", "Extra inputs are not permitted"]}
    path.write_text("[]")
    assert json.loads(run(capsys, "reference", "--json").out)["configuration"]["configuration"] == [
        "names no preset",
        "there",
    ]
    path.unlink()
    line = next(line for line in run(capsys, "reference").out.splitlines() if "configuration " in line)
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == ["configuration", "missing", "there"]


def test_a_folder_without_claims_says_what_is_expected(runs, capsys):
    (runs / "empty").mkdir()
    error = run(capsys, "empty", code=2).err
    assert "empty holds no claims: expected tables/claims.parquet or tables/claims.csv" in error
    assert "`snakemake`" in error
    (runs / "empty" / "claims.csv").write_text("id,verdict\n")
    assert "claims.csv is no claims table: it has no column 'paper'" in run(capsys, "empty", code=2).err
    (runs / "empty" / "claims.parquet").write_text("no parquet")
    assert "claims.parquet is no claims table" in run(capsys, "empty", code=2).err


def test_no_framework_is_loaded(runs):
    code = """import sys
from netalike import cli
try: cli.main(["claims", "diff", "reference"])
except SystemExit as end: assert not end.code
print([name for name in ("torch", "tensorflow", "matplotlib", "scipy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
