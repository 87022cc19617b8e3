"""Another workflow imports this one with `module`, in a folder of its own, and changes one rule."""

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
