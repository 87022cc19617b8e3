"""The worked example in examples/own_networks: networks from five places in one panel, run as its README says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from netalike.evidence import measurements

CONFIG = "examples/own_networks/config.yaml"
SCRIPTS = ("make_images", "train", "record_keras", "record_arrays")
TARGETS = [f"results/comparison/shapes/{name}.parquet" for name in ("measures-0", "alignment-0", "behaviour")]
MEMBERS = {"mine-s0", "resnet18-s0", "keras", "numpy", "pixels"}


@pytest.fixture(scope="module")
def example(checkout: Path, repository: Path) -> Path:
    """The example's files, made by its own scripts."""
    folder = checkout / "examples/own_networks"
    shutil.copytree(repository / "examples/own_networks", folder, ignore=shutil.ignore_patterns("files"))
    environment = {**os.environ, "PYTHONPATH": str(checkout / "workflow"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    for script in SCRIPTS:
        done = subprocess.run(
            [sys.executable, f"{script}.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{script}: {done.stderr[-2000:]}"
    return folder


@pytest.fixture(scope="module")
def finished(example: Path, checkout: Path, snakemake) -> Path:
    results = checkout / "results"
    shutil.rmtree(results, ignore_errors=True)
    done = snakemake(*TARGETS, "--configfile", CONFIG)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    (checkout / "example.txt").write_text(done.stdout)
    return results


def test_networks_from_five_places_are_compared_with_each_other(finished):
    (file,) = finished.glob("comparison/shapes/measures-*.parquet")
    table = measurements.read(file)
    distances = table[(table["quantity"] == "procrustes") & table["value"].notna()]
    pairs = {frozenset(pair) for pair in zip(distances["network_a"], distances["network_b"], strict=True)}
    for one in MEMBERS:
        assert all(frozenset((one, other)) in pairs for other in MEMBERS - {one}), one
    own = distances[(distances["network_a"] == distances["network_b"]) & (distances["layer_a"] == distances["layer_b"])]
    assert len(own) >= len(MEMBERS)
    assert own["value"].abs().max() < 1e-5


def test_what_they_predict_is_compared_where_it_is_known(finished):
    table = measurements.read(finished / "comparison/shapes/behaviour.parquet")
    told = {*table["network_a"], *table["network_b"]}
    assert {"mine-s0", "resnet18-s0", "keras", "numpy"} <= told
    assert "pixels" not in told or table[table["network_a"] == "pixels"]["value"].isna().all()


def test_the_run_says_at_its_end_what_it_made(finished, checkout):
    said = (checkout / "example.txt").read_text()
    assert "jobs on 2 cores; how long they take is not known before the first run." in said
    assert "Made in " in said
    assert "2 networks" in said
    assert "Slowest: " in said


def test_a_missing_recording_is_named_before_the_first_job(finished, checkout, snakemake):
    kept = checkout / "examples/own_networks/files/mine.pt"
    weights = finished / "networks/mine-s0.safetensors"
    away, made = kept.with_suffix(".away"), weights.with_suffix(".away")
    kept.rename(away)
    weights.rename(made)
    target = ("results/networks/mine-s0.safetensors", "--configfile", CONFIG)
    done = snakemake(*target, "--workflow-profile", "profiles/offline")
    away.rename(kept)
    text = done.stdout + done.stderr
    made.rename(weights)
    assert done.returncode != 0
    assert "preflight: 1 thing stands in the way of this run:" in text
    assert "networks.mine.weights: no such file: examples/own_networks/files/mine.pt" in text
    assert "Traceback" not in text
    assert "Execute 1 jobs" not in text
