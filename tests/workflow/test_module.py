"""Another workflow imports this one with `module`, in a folder of its own, and changes one rule."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

# beside the checkout, as `snakedeploy deploy-workflow` and a person write it
IMPORTING = """
configfile: "mine.yaml"

module netalike:
    snakefile:
        "../checkout/Snakefile"
    config:
        config["netalike"]

use rule * from netalike as netalike_*

use rule compare_panel from netalike as netalike_compare_panel with:
    log:
        "mine/compare_{panel}.log",

rule all:
    default_target: True
    input:
        "results/figures/deconfounded_cka/mine/layers_unbiased.svg",
"""
MINE = {
    "networks": {"untrained": {"architecture": "lenet", "dataset": "digits", "seeds": 2}},
    "panels": {"mine": {"dataset": "digits", "networks": ["untrained"], "n_images": 50, "batch_size": 50}},
}


def removed(preset: Mapping) -> dict:
    """Every network, panel and study of a preset, taken away."""
    named = ("networks", "panels")
    return {
        section: dict.fromkeys(entries)
        if section in named
        else {kind: dict.fromkeys(studies) for kind, studies in entries.items()}
        for section, entries in preset.items()
    }


@pytest.fixture
def importing(checkout: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run Snakemake in the folder of the importing workflow."""
    (tmp_path / "checkout").symlink_to(checkout)
    folder = tmp_path / "importing"
    folder.mkdir()
    preset = yaml.safe_load((checkout / "workflow/presets/quick.yaml").read_text())
    nothing = removed(preset)
    mine = {section: {**nothing[section], **MINE.get(section, {})} for section in nothing}
    (folder / "Snakefile").write_text(IMPORTING)
    # a key of the importing workflow's own is none of ours
    (folder / "mine.yaml").write_text(yaml.safe_dump({"samples": 3, "netalike": mine}))

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)

    return run


def test_every_rule_is_there_and_nothing_of_the_preset_comes_back(importing):
    done = importing("-n", "results/index.html")
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-2000:]
    jobs = dict(line.split() for line in text.splitlines() if len(line.split()) == 2)
    assert jobs["netalike_import_untrained"] == "1"
    assert jobs["netalike_build_page"] == "1"
    # read twice, once for each `use rule`: what was removed stays so
    assert not [name for name in jobs if name.startswith("netalike_train_")]


def test_a_figure_is_made_through_the_changed_rule(importing, tmp_path):
    done = importing()
    folder = tmp_path / "importing"
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (folder / "results/figures/deconfounded_cka/mine/layers_unbiased.svg").stat().st_size > 1000
    assert (folder / "mine/compare_mine.log").exists()
    assert not list((folder / "logs").rglob("compare*"))


# ---- from an address -------------------------------------------------------------------------------------------------

# what `snakedeploy deploy-workflow https://github.com/netalike/netalike . --tag v0` writes, with its `config` folder
DEPLOYED = """
configfile: "config/config.yaml"

module netalike:
    snakefile:
        github("netalike/netalike", path="Snakefile", tag="v0")
    config:
        config

use rule * from netalike
"""
FIGURE = "results/figures/shared_response/exact_alignment_xor/alignment_identities.svg"


@pytest.fixture(scope="module")
def address(checkout: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that stands for github.com, with a repository of the checkout in it."""
    folder = tmp_path_factory.mktemp("address")
    clone = folder / "netalike" / "netalike"
    ignored = shutil.ignore_patterns("results", "logs", "resources", ".*")
    shutil.copytree(checkout, clone, ignore=ignored)
    shutil.copytree(repository / "config", clone / "config", symlinks=True)
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "all"], [*who, "tag", "v0"]):
        subprocess.run(["git", *command], cwd=clone, check=True, timeout=60)
    return folder


@pytest.fixture
def deployed(address: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Deploy the workflow as snakedeploy does, and run it with a folder in place of github.com."""
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "Snakefile").write_text(DEPLOYED)
    for name in ("config", "profiles"):  # links are followed
        shutil.copytree(address / "netalike" / "netalike" / name, tmp_path / name)
    instead = {"COUNT": "1", "KEY_0": f"url.file://{address}/.insteadOf", "VALUE_0": "https://github.com/"}
    environment = {**os.environ, **{f"GIT_CONFIG_{key}": value for key, value in instead.items()}}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("PYTHONPATH", None)

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return run


def test_a_workflow_imported_from_an_address_brings_its_library(address, deployed, tmp_path):
    done = deployed(FIGURE)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / FIGURE).stat().st_size > 1000
    clone = address / "netalike" / "netalike"
    commit = subprocess.run(["git", "rev-parse", "v0"], cwd=clone, capture_output=True, text=True, check=True)
    (library,) = (tmp_path / ".snakemake" / "netalike").iterdir()
    assert library.name == commit.stdout.strip()
    assert (library / "workflow" / "netalike" / "__init__.py").is_file()


def test_a_deployed_workflow_reads_its_own_configuration(deployed, tmp_path):
    (tmp_path / "config" / "config.yaml").write_text("preset: quik\n")
    done = deployed("-n")
    assert done.returncode != 0
    assert "nearest: quick" in done.stdout + done.stderr
