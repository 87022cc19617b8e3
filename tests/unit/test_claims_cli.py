"""`netalike claims`: what it prints, what it exits with, and what it says of mistakes."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import textwrap

import pytest

from netalike import claims_cli, cli
from netalike.evidence import measurements
from netalike.evidence.claims import VERDICTS
from netalike.evidence.measurements import condition

CLAIMS = """\
paper: deconfounded_cka
claims:
  - id: dcka-holds
    statement: "The [first] exceeds 0."
    source: abstract
    evidence: {kind: abstract, note: Without a number.}
    kind: sign
    on: [cifar10, digits]
    select: {a: {experiment: "tasks_{on}", condition: {pair: same}}}
    statistic: {name: mean, of: [a]}
    tolerance: {above: 0, reason: A sign.}
    needs: quick
    figure: deconfounded_cka/tasks_{on}/first
  - id: dcka-fails
    statement: The first is 5.
    source: table 1
    evidence: {kind: printed}
    kind: value
    paper_value: 5
    select: {a: {experiment: tasks_digits}}
    statistic: {name: mean, of: [a]}
    tolerance: {within: 0.5, reason: Rounding.}
    needs: quick
    figure: deconfounded_cka/tasks_digits/first
  - id: dcka-large
    statement: Needs more.
    source: abstract
    evidence: {kind: hypothesis}
    kind: trend
    select: {a: {experiment: gone}}
    statistic: {name: mean, of: [a]}
    tolerance: {below: 0, reason: A sign.}
    needs: paper
    figure: deconfounded_cka/gone
"""
OTHER = """\
paper: stitching
claims:
  - id: stitch-missing
    statement: Never run.
    source: abstract
    evidence: {kind: abstract}
    kind: sign
    paper_value: higher
    select: {a: {experiment: gone}}
    statistic: {name: mean, of: [a]}
    tolerance: {above: 0, reason: A sign.}
    needs: quick
    figure: stitching/gone
"""
KEYS = ["id", "paper", "kind", "verdict", "value", "low", "high", "paper_value", "tolerance", "needs"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "deconfounded_cka.yaml").write_text(CLAIMS)
    (tmp_path / "claims" / "stitching.yaml").write_text(OTHER)
    return tmp_path


@pytest.fixture
def results(folder):
    rows = [
        {"network_a": f"net-s{i}", "network_b": f"net-s{j}", "value": 1 + (i + j) / 100}
        for i, j in itertools.combinations(range(6), 2)
    ]
    constants = {"paper": "deconfounded_cka", "experiment": "tasks_digits", "condition": condition(pair="same")}
    tables = folder / "results" / "tables"
    measurements.write(rows, tables / "measurements.parquet", **constants)
    (tables / "configuration.json").write_text(json.dumps({"preset": "quick"}))
    card = folder / "results/figures/deconfounded_cka/tasks_digits/first.json"
    card.parent.mkdir(parents=True)
    card.write_text("{}")
    return folder / "results"


def run(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as caught:
        cli.main(["claims", arguments[0], "--claims", "claims", *map(str, arguments[1:])])
    captured = capsys.readouterr()
    assert (caught.value.code or 0) == code, captured.err
    return captured


def test_list_needs_no_results(folder, capsys):
    text = run(capsys, "list").out
    assert "deconfounded_cka: 3 claims" in text
    assert "stitching: 1 claim\n" in "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    assert "The [first] exceeds 0." in text
    assert "verdict" not in text
    listed = json.loads(run(capsys, "list", "--json").out)
    assert [list(claim) for claim in listed] == [KEYS] * 4
    assert [claim["verdict"] for claim in listed] == [None] * 4
    assert listed[1]["tolerance"] == {"within": 0.5}


def test_list_shows_verdicts_where_there_are_results(results, capsys):
    text = run(capsys, "list", "--paper", "deconfounded_cka").out
    assert "✓ reproduced" in text
    assert "stitch-missing" not in text


def test_check_judges_every_claim(results, capsys):
    found = json.loads(run(capsys, "check", "--json").out)
    assert [list(claim) for claim in found] == [KEYS] * 4
    holds, fails, large, missing = found
    assert holds["verdict"] == "reproduced"
    assert holds["value"] == pytest.approx(1.05)
    assert holds["low"] < 1.05 < holds["high"]
    assert (holds["paper_value"], holds["tolerance"], holds["needs"]) == (None, {"above": 0.0}, "quick")
    assert (fails["verdict"], fails["paper_value"], fails["tolerance"]) == ("contradicted", 5.0, {"within": 0.5})
    assert (large["verdict"], large["value"], large["low"]) == ("not testable at this scale", None, None)
    assert (missing["verdict"], missing["value"], missing["paper_value"]) == ("not run", None, "higher")


def test_check_prints_a_table_per_paper_and_counts_verdicts(results, capsys):
    text = run(capsys, "check").out
    line = next(line for line in text.splitlines() if "dcka-fails" in line)
    cells = [cell.strip() for cell in line.strip("│ \n").split("│")]
    assert cells[:3] == ["dcka-fails", "value", "✗ contradicted"]
    assert cells[3].startswith("1.05 [1.0")
    assert cells[4:] == ["5", "within 0.5 of 5", "quick"]
    assert text.index("dcka-large") < text.index("stitch-missing")
    assert text.rstrip().endswith("4 claims: 1 reproduced, 1 contradicted, 1 not testable at this scale, 1 not run")


def test_a_preset_that_is_given_counts(results, capsys):
    found = json.loads(run(capsys, "check", "--preset", "paper", "--json").out)
    assert found[2]["verdict"] == "not run"
    assert "unknown preset 'large'" in run(capsys, "check", "--preset", "large", code=2).err


def test_strict_exits_with_1_and_says_why(results, capsys):
    captured = run(capsys, "check", "--strict", "--json", code=1)
    assert len(json.loads(captured.out)) == 4
    fails, missing, figure = captured.err.splitlines()
    assert fails.startswith("dcka-fails: contradicted: ours is 1.05 [1.0")
    assert fails.endswith("expected within 0.5 of 5")
    assert missing == "stitch-missing: not run: expected above 0 (no rows of a)"
    assert figure == "stitch-missing: no figure: results/figures/stitching/gone.json is missing"


def test_strict_is_content_where_every_testable_claim_is_reproduced(results, folder, capsys):
    (folder / "claims" / "stitching.yaml").unlink()
    text = CLAIMS.replace("paper_value: 5", "paper_value: 1")
    (folder / "claims" / "deconfounded_cka.yaml").write_text(text)
    assert run(capsys, "check", "--strict").err == ""
    (results / "figures/deconfounded_cka/tasks_digits/first.json").unlink()
    lines = run(capsys, "check", "--strict", code=1).err.splitlines()
    assert lines[0] == ("dcka-holds: no figure: results/figures/deconfounded_cka/tasks_digits/first.json is missing")
    assert len(lines) == 2


def test_show_prints_everything(results, capsys):
    text = " ".join(run(capsys, "show", "dcka-holds").out.split())
    for part in (
        "The [first] exceeds 0.",
        "abstract: Without a number.",
        "none stated",
        "✓ reproduced",
        "judged on │ digits",
        "1.05 [1.0",
        "6 units, 15 rows",
        "above 0. A sign.",
        "mean of a; interval over networks",
        "{paper: deconfounded_cka, experiment: 'tasks_{on}', condition: {pair: same}}",
        "claims/deconfounded_cka.yaml",
    ):
        assert part in text


def test_show_as_json(results, capsys):
    found = json.loads(run(capsys, "show", "dcka-holds", "--json").out)
    assert found["select"] == {
        "a": {"paper": "deconfounded_cka", "experiment": "tasks_{on}", "condition": {"pair": "same"}}
    }
    assert found["statistic"] == {"name": "mean", "of": ["a"]}
    judgement = found["judgement"]
    assert (judgement["verdict"], judgement["on"], judgement["testable"]) == ("reproduced", "digits", True)
    assert judgement["cpu_minutes"] is None
    assert judgement["rows"][0]["condition"] == ["pair=same"]


def test_show_works_without_results(folder, capsys):
    assert json.loads(run(capsys, "show", "dcka-holds", "--json").out)["judgement"] is None
    assert "verdict" not in run(capsys, "show", "dcka-holds").out


def test_an_unknown_claim_or_paper_names_the_nearest(folder, capsys):
    assert "Did you mean 'dcka-holds'?" in run(capsys, "show", "dcka-hold", code=2).err
    assert "unknown paper 'stiching'" in run(capsys, "list", "--paper", "stiching", code=2).err


def test_without_measurements_or_configuration_check_says_what_to_do(folder, results, capsys):
    (results / "tables" / "configuration.json").unlink()
    assert "configuration.json is missing: run `snakemake`, or give --preset." in run(capsys, "check", code=2).err
    assert "verdict" not in run(capsys, "list").out
    (results / "tables" / "configuration.json").write_text("[]")
    assert "configuration.json names no preset" in run(capsys, "check", code=2).err
    (results / "tables" / "measurements.parquet").unlink()
    assert "measurements.parquet is missing: run `snakemake`" in run(capsys, "check", code=2).err


def test_a_bad_claim_file_exits_with_2_and_a_line_per_mistake(folder, capsys):
    text = CLAIMS.replace("needs: paper", "needs: papers").replace("kind: sign", "kind: sgn")
    (folder / "claims" / "deconfounded_cka.yaml").write_text(text)
    for command in (["list"], ["check"], ["show", "dcka-holds"]):
        lines = run(capsys, *command, code=2).err.splitlines()
        assert lines[0].startswith("error: claims/deconfounded_cka.yaml: dcka-holds: kind: unknown name sgn")
        assert lines[1].startswith("claims/deconfounded_cka.yaml: dcka-large: needs: unknown preset 'papers'")
        assert len(lines) == 2


def test_every_verdict_has_a_symbol_of_its_own():
    assert tuple(claims_cli._LOOKS) == VERDICTS
    assert len({symbol for symbol, _ in claims_cli._LOOKS.values()}) == len(VERDICTS)


def test_the_claims_of_the_checkout_are_the_default(folder, capsys):
    with pytest.raises(SystemExit):
        cli.main(["claims", "list", "--json"])
    assert len(json.loads(capsys.readouterr().out)) >= 20


def test_no_command_loads_a_framework(results):
    code = textwrap.dedent("""\
        import sys
        from netalike import cli
        try: cli.main(["claims", "check", "--claims", "claims"])
        except SystemExit as end: assert not end.code
        print([name for name in ("torch", "tensorflow", "matplotlib", "scipy") if name in sys.modules])
        """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("name", ["list", "show", "check", "diff"])
def test_each_command_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit):
        cli.main(["claims", name, "--help"])
    assert f"Example: netalike claims {name}" in capsys.readouterr().out
