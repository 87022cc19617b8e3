"""The pages say what the code does: measures, links, commands, and examples with the output they print."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from netalike import measures
from netalike.cli import app
from netalike.configuration import load, parse
from netalike.measures import INVARIANCES, Measure

REPOSITORY = Path(__file__).resolve().parents[2]
README = REPOSITORY / "README.md"
PAGES = [README, REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "CHANGELOG.md", REPOSITORY / "results/README.md"]
PAGES += sorted((REPOSITORY / "docs").glob("*.md"))
COLUMNS = ("measure", "range", "direction", "identical", "symmetric", "invariances", "undefined when", "source")
TOLERANCE = 0.02  # printed numbers may differ by this much from machine to machine
NUMBER = re.compile(r"-?\d+\.\d*|-?\d+")
# Runs every example in a namespace of its own, and hands their outputs back in one list.
RUNNER = """
import contextlib, io, json, sys
outputs = []
for block in json.load(sys.stdin):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, "README.md", "exec"), {"__name__": "example"})
    outputs.append(printed.getvalue())
print(json.dumps(outputs))
"""


def cells(line: str) -> list[str]:
    """Cells of one row of a Markdown table; a bar within a cell is escaped."""
    parts = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [part.strip().replace(r"\|", "|") for part in parts]


def table_of_measures(text: str) -> dict[str, dict[str, str]]:
    rows = [cells(line) for line in text.splitlines() if line.startswith("|")]
    start = rows.index(list(COLUMNS)) + 2
    found = {}
    for row in rows[start:]:
        if len(row) != len(COLUMNS) or not row[0].startswith("`"):
            break
        found[row[0].strip("`")] = dict(zip(COLUMNS, row, strict=True))
    return found


def declared(measure: Measure) -> dict[str, str]:
    """What a row of docs/measures.md has to say, apart from when the measure is undefined."""
    unbounded = math.isinf(measure.low) and math.isinf(measure.high)
    return {
        "measure": f"`{measure.key}`",
        "range": "unbounded" if unbounded else f"{measure.low:g} to {measure.high:g}",
        "direction": measure.direction,
        "identical": f"{measure.identical:g}",
        "symmetric": "yes" if measure.symmetric else "no",
        "invariances": ", ".join(name for name in INVARIANCES if name in measure.invariances),
        "source": measure.source,
    }


def blocks_of(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block."""
    found, language, content = [], None, []
    for line in text.splitlines():
        if line.startswith("```"):
            if language is None:
                language, content = line[3:], []
            else:
                found.append((language, "".join(content)))
                language = None
        elif language is not None:
            content.append(line + "\n")
    return found


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        if not path.exists():
            broken.append(f"{page.name}: {target}: no such file")
        elif anchor and path.suffix == ".md" and anchor not in anchors(path):
            broken.append(f"{page.name}: {target}: no such heading")
    return broken


def test_the_page_of_measures_lists_the_registry_in_order():
    documented = table_of_measures((REPOSITORY / "docs/measures.md").read_text())
    assert list(documented) == [measure.key for measure in measures.all_measures()]


@pytest.mark.parametrize("measure", measures.all_measures(), ids=lambda measure: measure.key)
def test_the_page_of_measures_says_what_the_registry_declares(measure):
    documented = table_of_measures((REPOSITORY / "docs/measures.md").read_text())[measure.key]
    assert documented.pop("undefined when")
    assert documented == declared(measure)


def test_escaped_bars_belong_to_their_cell():
    assert cells(r"| `a` | \|x\| of y | 1 |") == ["`a`", "|x| of y", "1"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_relative_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_broken_links_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](page.md#one-two) [b](#three) [c](gone.md) [d](https://example.org/gone)\n")
    assert broken_links(page) == ["page.md: #three: no such heading", "page.md: gone.md: no such file"]


def test_the_picture_is_small():
    assert 1_000 < (REPOSITORY / "docs/img/heatmaps.png").stat().st_size < 200_000


def commands_in(text: str) -> set[str]:
    """Commands of netalike at the start of a line of a block, or of code within a sentence."""
    shown = "\n".join(content for language, content in blocks_of(text) if language in ("", "console"))
    inline = "\n".join(re.findall(r"`[^`\n]+`", without_code(text)))
    return set(re.findall(r"^(?:\$ |`)?netalike ([a-z][a-z-]*)\b", f"{shown}\n{inline}", flags=re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_commands_of_netalike_exist(page):
    known = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    named = commands_in(page.read_text())
    assert named <= known, f"{page.name} names {sorted(named - known)}; there are {sorted(known)}"
    if page == README:
        assert named == known


def test_commands_are_found_in_code_and_not_in_prose():
    text = "netalike compares `netalike one`.\n\n```console\n$ netalike two -x\n```\n\nnetalike is\n"
    text += "\n```\nnetalike three\n```\n"
    assert commands_in(text) == {"one", "two", "three"}


def examples() -> list[tuple[str, str]]:
    """Each Python block of the README, with the block of text that follows it, if any."""
    blocks = [*blocks_of(README.read_text()), ("", "")]
    pairs = itertools.pairwise(blocks)
    return [
        (code, after if kind == "text" else "") for (language, code), (kind, after) in pairs if language == "python"
    ]


def test_python_examples_print_what_the_readme_shows(tmp_path):
    blocks = examples()
    assert len([output for _, output in blocks if output]) >= 3
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUNNER],
        input=json.dumps([code for code, _ in blocks]),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for (code, shown), printed in zip(blocks, json.loads(done.stdout), strict=True):
        assert same_text(printed, shown), f"the README shows\n{shown}\nbut this prints\n{printed}\n{code}"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY / "workflow"), "OMP_NUM_THREADS": "1"}


def same_text(printed: str, shown: str) -> bool:
    """Whether two texts differ in nothing but blanks and the last digits of their numbers."""
    if NUMBER.sub("#", printed).split() != NUMBER.sub("#", shown).split():
        return False
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True)
    return all(abs(float(a) - float(b)) <= TOLERANCE for a, b in pairs)


@pytest.mark.parametrize(
    ("printed", "shown", "expected"),
    [
        ("CKA 0.56\n", "CKA 0.57\n", True),
        ("CKA 0.56\n", "CKA 0.66\n", False),
        ("CKA 0.56\n", "dCKA 0.56\n", False),
        ("[1.   0.95]", "[1. 0.95]", True),
        ("0.56 0.57", "0.56", False),
    ],
)
def test_outputs_are_compared_by_their_numbers(printed, shown, expected):
    assert same_text(printed, shown) is expected


def test_yaml_examples_of_the_readme_are_accepted():
    blocks = [content for language, content in blocks_of(README.read_text()) if language == "yaml"]
    assert blocks
    for block in blocks:
        loaded = load(parse(block), REPOSITORY)
        assert list(loaded.panels) in (["leaves"], ["digits", "mine"])


def test_the_verdicts_of_the_readme_are_those_of_the_reference():
    claims = pd.read_parquet(REPOSITORY / "results/reference/tables/claims.parquet", columns=["paper", "verdict"])
    verdicts = ["reproduced", "contradicted", "inconclusive", "not testable at this scale"]
    names = {
        "Deconfounded CKA": "deconfounded_cka",
        "Stitching": "stitching",
        "Input similarity": "input_similarity",
        "Shared response model": "shared_response",
        "Inversion": "inversion",
    }
    text = README.read_text(encoding="utf-8")
    for words, paper in {**names, f"all {len(claims)} claims": None}.items():
        own = claims if paper is None else claims[claims["paper"] == paper]
        counts = [int((own["verdict"] == verdict).sum()) for verdict in verdicts]
        assert sum(counts) == len(own)
        assert f"| {words} | {' | '.join(map(str, counts))} |" in text
