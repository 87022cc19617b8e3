"""Every rule says what a user and a cluster need to know of it."""

import re
from pathlib import Path

import pytest
import yaml

# what Snakemake calls a rule's parts, at one level of indentation below it
REQUIRED = ("message", "input", "output", "log", "conda", "threads", "resources")
FORBIDDEN = ("run", "wrapper", "group")
RULE = re.compile(r"^(?P<indent>[ ]*)(?:rule|checkpoint)(?:[ ]+(?P<name>\w+))?:[ ]*$", re.MULTILINE)


def rules_in(text: str) -> dict[str, dict[str, str]]:
    """Directives of each rule of a Snakefile, by name: a rule ends where a line is indented no deeper than it."""
    found = {}
    for match in RULE.finditer(text):
        indent = len(match["indent"])
        body = []
        for line in text[match.end() :].splitlines()[1:]:
            if line.strip() and len(line) - len(line.lstrip()) <= indent:
                break
            body.append(line)
        directives = directives_of("\n".join(body), indent + 4)
        name = match["name"] or directives["name"].strip()
        found[name] = directives
    return found


def directives_of(body: str, indent: int) -> dict[str, str]:
    parts = re.split(rf"^[ ]{{{indent}}}(\w+):", body, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def problems_of(name: str, directives: dict[str, str]) -> list[str]:
    problems = [f"rule {name}: no {part}" for part in REQUIRED if part not in directives]
    problems += [f"rule {name}: {part} is not used in this project" for part in FORBIDDEN if part in directives]
    is_plot = name.strip('f"').startswith("plot_")
    if not is_plot and "benchmark" not in directives:
        problems.append(f"rule {name}: no benchmark")
    if (is_plot or "tables/" in directives.get("output", "")) and name != "build_page":
        output = directives.get("output", "")
        for word in ("report(", "caption=", "category=", "labels="):
            if word not in output:
                problems.append(f"rule {name}: its output lacks {word.rstrip('(=')}")
    return problems


def all_rules(repository: Path) -> dict[str, dict[str, str]]:
    rules: dict[str, dict[str, str]] = {}
    for file in sorted((repository / "rules").glob("*.smk")):
        rules |= rules_in(file.read_text())
    return rules


def test_every_rule_has_all_directives(repository):
    rules = all_rules(repository)
    assert len(rules) >= 14
    assert [problem for name, parts in rules.items() for problem in problems_of(name, parts)] == []


GOOD = """
rule plot_it:
    input:
        "a",
    output:
        report("b.svg", caption="c.rst", category="C", labels={"figure": "b"}),
    log:
        "l",
    conda:
        "e.yaml"
    threads: 1
    resources:
        mem_mb=1,
    message:
        "Plotting"
    script:
        "s.py"
"""


def test_the_check_passes_a_complete_rule():
    (rule,) = rules_in(GOOD).items()
    assert problems_of(*rule) == []


@pytest.mark.parametrize("part", REQUIRED)
def test_the_check_names_the_rule_and_what_is_missing(part):
    text = re.sub(rf"^    {part}:.*\n((?:        .*\n)*)", "", GOOD, flags=re.MULTILINE)
    (rule,) = rules_in(text).items()
    assert f"rule plot_it: no {part}" in problems_of(*rule)


def test_the_check_wants_a_benchmark_of_rules_that_plot_nothing():
    (rule,) = rules_in(GOOD.replace("plot_it", "compute_it")).items()
    assert problems_of(*rule) == ["rule compute_it: no benchmark"]


def test_the_check_refuses_run_blocks_and_figures_without_labels():
    text = GOOD.replace("    script:", "    run:").replace(', labels={"figure": "b"}', "")
    (rule,) = rules_in(text).items()
    assert problems_of(*rule) == [
        "rule plot_it: run is not used in this project",
        "rule plot_it: its output lacks labels",
    ]


def test_scripts_are_short_and_all_are_used(repository):
    texts = "".join(file.read_text() for file in (repository / "rules").glob("*.smk"))
    for script in (repository / "workflow/scripts").glob("*.py"):
        assert len(script.read_text().splitlines()) <= 40, f"{script.name}: its logic belongs in the library"
        assert f"../workflow/scripts/{script.name}" in texts or is_drawn(script, texts), (
            f"{script.name} is run by no rule"
        )


def is_drawn(script: Path, rules: str) -> bool:
    """Whether a job that draws several figures runs a script: a table of figures names them."""
    figure = script.stem.removeprefix("plot_")
    return (
        script.stem.startswith("plot_")
        and re.search(rf'(^    "{figure}": \(|_figure\("{figure}")', rules, re.M) is not None
    )


def test_a_script_that_no_table_names_is_found():
    tables = 'STUDY_FIGURES = {\n    "ood": ("ood", "words"),\n}\n_figure("layers", "words")'
    assert [is_drawn(Path(f"plot_{name}.py"), tables) for name in ("ood", "layers", "oo", "pair")] == [
        True,
        True,
        False,
        False,
    ]


def test_captions_exist(repository):
    texts = "".join(file.read_text() for file in (repository / "rules").glob("*.smk"))
    named = re.findall(r'caption="\.\./(workflow/report/\w+\.rst)"', texts)
    tables = re.findall(r"^(?:STUDY|PANEL)_FIGURES = \{$(.*?)^\}$", texts, flags=re.MULTILINE | re.DOTALL)
    of_tables = [name for table in tables for name in re.findall(r'^    "(\w+)": \("', table, flags=re.MULTILINE)]
    of_cka = re.findall(r'_figure\("(\w+)"', texts)
    assert (len(tables), len(of_tables) >= 45, len(of_cka)) == (2, True, 3)
    for caption in [*named, *(f"workflow/report/{figure}.rst" for figure in [*of_tables, *of_cka])]:
        assert (repository / caption).read_text().strip(), f"{caption} is empty"


def pins(lines: list[str]) -> dict[str, str]:
    # behind a semicolon stands on which machines a package is wanted
    split = (line.partition(";")[0].split("==") for line in lines if "==" in line)
    return {name.strip().lower().replace("_", "-"): version.strip() for name, version in split}


def test_environments_pin_what_the_constraints_pin(repository):
    (constraints,) = (repository / "envs").glob("constraints-*.txt")
    tested = pins(constraints.read_text().splitlines())
    tested["tensorflow"] = tested["tensorflow-cpu"]  # one release under two names, by platform
    for file in (repository / "envs").glob("*.yaml"):
        environment = yaml.safe_load(file.read_text())
        assert environment["channels"] == ["conda-forge", "nodefaults"], file.name
        python, pip, packages = environment["dependencies"]
        assert (python, pip) == ("python=3.11", "pip"), file.name
        pinned = pins(packages["pip"])
        assert len(pinned) == len({line.partition("==")[0] for line in packages["pip"]}), (
            f"{file.name}: every package needs an exact version"
        )
        for name, version in pinned.items():
            assert tested.get(name) == version, f"{file.name}: {name}=={version}, but tested with {tested.get(name)}"


def test_every_profile_shows_the_library_to_jobs_in_conda_environments(repository):
    for file in (repository / "profiles").glob("*/config.yaml"):
        profile = yaml.safe_load(file.read_text())
        assert profile["conda-not-block-search-path-envvars"] is True, file.parent.name
        if file.parent.name.startswith("slurm"):
            assert profile["executor"] == "slurm", file.parent.name
