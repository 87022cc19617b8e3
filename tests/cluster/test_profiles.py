"""The profiles name every rule that runs on a node, and ask for no less than the rule itself. Needs no cluster."""

from __future__ import annotations

import importlib.util
import re

import pytest
import yaml

PROFILES = ["slurm", "slurm-gpu"]
RULE = re.compile(r"^rule (\w+):$(.*?)(?=^\S)", re.MULTILINE | re.DOTALL)
LOCAL = re.compile(r"^localrules:$(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def on_nodes(repository):
    """The text of each rule with a fixed name that runs on a node and is more than a figure."""
    texts = [path.read_text() + "\n#" for path in [repository / "Snakefile", *(repository / "rules").glob("*.smk")]]
    local = {name for text in texts for block in LOCAL.findall(text) for name in re.findall(r"\w+", block)}
    rules = {name: body for text in texts for name, body in RULE.findall(text) if "script:" in body}
    return {name: body for name, body in rules.items() if name not in local and "report.yaml" not in body}


@pytest.fixture(scope="module")
def profiles(repository):
    return {name: yaml.safe_load((repository / f"profiles/{name}/config.yaml").read_text()) for name in PROFILES}


def asked(profile, rule, resource, attempt):
    """What a profile asks for, as Snakemake evaluates it."""
    return eval(str(profile["set-resources"][rule][resource]), {"attempt": attempt})


@pytest.mark.parametrize("name", PROFILES)
def test_every_rule_on_a_node_is_in_the_profile_and_no_other(profiles, on_nodes, name):
    assert len(on_nodes) > 25
    named = set(profiles[name]["set-resources"])
    assert set(on_nodes) - named == set(), f"name these rules in profiles/{name}/config.yaml, in set-resources"
    drawn = named - set(on_nodes)
    assert drawn <= {"animate_trajectories", "summarise_panel"}, "no such rules on a node"


LOOPED = re.compile(r"^    rule:$(.*?)^        script:", re.MULTILINE | re.DOTALL)


def test_rules_that_no_profile_can_name_ask_for_more_each_time_themselves(repository):
    """Those that a loop makes: families, and the figures of studies and panels."""
    made = [body for path in (repository / "rules").glob("*.smk") for body in LOOPED.findall(path.read_text())]
    assert len(made) == 6
    for body in made:
        for resource in ("mem_mb", "runtime"):
            assert re.search(rf"^            {resource}=by_attempt\(", body, re.MULTILINE), body.split('"')[1]


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("resource", ["mem_mb", "runtime"])
def test_a_profile_asks_for_no_less_than_the_rule_and_for_more_each_time(profiles, on_nodes, name, resource):
    compared = 0
    for rule, body in on_nodes.items():
        stated = re.search(rf"{resource}=(\d+),", body)
        if stated is None:
            assert resource == "mem_mb", rule  # a time is always a number
            assert resource not in profiles[name]["set-resources"][rule], (
                f"{rule}: its memory follows from its settings"
            )
            continue
        values = [asked(profiles[name], rule, resource, attempt) for attempt in (1, 2, 3)]
        assert values[0] >= int(stated[1]), rule
        assert values[1:] == [2 * values[0], 3 * values[0]], rule
        compared += 1
    assert compared > 20


def test_gpus_are_asked_for_where_a_script_runs_networks_on_the_device_and_nowhere_else(profiles, on_nodes, repository):
    resources = profiles["slurm-gpu"]["set-resources"]
    for rule, body in on_nodes.items():
        script = re.search(r'"\.\./(workflow/scripts/\w+\.py)"', body)
        uses_device = "resolve_device" in (repository / script[1]).read_text()
        assert resources[rule]["gres"] == ("gpu:1" if uses_device else "''"), rule


@pytest.mark.parametrize(
    ("inputs", "gres"),
    [
        (["results/data/digits.json"], "gpu:1"),  # train_FAMILY_0, import_FAMILY
        (["results/panel/measurements.parquet"], ""),  # a figure
        (["results/networks/a.safetensors", "results/data/digits.json"], ""),  # named in set-resources
        ([], ""),
    ],
)
def test_rules_of_families_are_known_by_their_one_input(profiles, inputs, gres):
    assert eval(profiles["slurm-gpu"]["default-resources"]["gres"], {"input": inputs}) == gres


def test_the_gpu_profile_differs_only_where_it_says_so(profiles):
    differing = {"config", "default-resources", "set-resources"}
    kept = {key: value for key, value in profiles["slurm-gpu"].items() if key not in differing}
    assert kept == {key: value for key, value in profiles["slurm"].items() if key not in differing}
    assert profiles["slurm-gpu"]["config"] == ["resources__device=cuda"]


@pytest.mark.parametrize("name", PROFILES)
def test_every_key_of_a_profile_has_a_comment_above_it(repository, name):
    lines = (repository / f"profiles/{name}/config.yaml").read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"[a-z-]+:", line)]
    assert len(keys) > 15
    bare = []
    for number in keys:
        above = number - 1
        while re.match(r"[a-z-]+:", lines[above]):
            above -= 1
        if not lines[above].startswith("#"):
            bare.append(lines[number])
    assert bare == []


@pytest.mark.parametrize("name", PROFILES)
def test_a_dry_run_with_the_profile(copies, start, name):
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("needs pip install snakemake-executor-plugin-slurm")
    folder = copies(name)
    profile = ["--workflow-profile", f"profiles/{name}", "--software-deployment-method", "env-modules"]
    assert start(folder, "-n", *profile).wait(120) == 0, (folder / "run.txt").read_text()
    assert f"profiles/{name}" in (folder / "run.txt").read_text()
