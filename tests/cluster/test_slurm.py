"""A run on SLURM: a job is cancelled, a node dies, and the tables are those of a local run all the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

TARGETS = ["results/tables/measurements.csv", "results/tables/claims.csv"]
TABLES = [*TARGETS, "results/tables/measurements.parquet"]
# what a claim took is no result
TIMES = ["cpu_minutes"]


@dataclass
class Broken:
    """A finished run, and what was done to it."""

    folder: Path
    output: str
    cancelled: str
    on_dead_node: str
    dead_node: str
    jobs: dict[str, tuple[str, str, str]]


@pytest.fixture(scope="module")
def local(cluster, copies, start):
    folder = copies("local")
    assert start(folder, *TARGETS, "--cores", "2").wait(600) == 0, (folder / "run.txt").read_text()[-3000:]
    return folder


@pytest.fixture(scope="module")
def broken(cluster, copies, start, on_slurm):
    """A run whose first training is cancelled, and whose second training's node dies."""
    folder = copies("slurm")
    run = start(folder, *TARGETS, *on_slurm)
    try:
        training = cluster.wait_for("two trainings", lambda: trained(cluster, folder))
        cancelled, on_dead_node = sorted(training, key=int)
        cluster.ask("scancel", cancelled)
        cluster.wait_for("the end of the cancelled job", lambda: cluster.jobs()[cancelled][1] == "CANCELLED")
        node = training[on_dead_node]
        assert cluster.running("train_")[on_dead_node] == node
        cluster.kill_node(node)
        cluster.wait_for("a node that is down", lambda: cluster.nodes()[node].startswith("down"))
        status = run.wait(400)
    finally:
        run.kill()
    output = (folder / "run.txt").read_text()
    assert status == 0, output[-4000:] + cluster.logs()
    return Broken(folder, output, cancelled, on_dead_node, node, cluster.jobs())


def trained(cluster, folder):
    """The running trainings, once there are two and both have a checkpoint to go on from."""
    found = cluster.running("train_")
    checkpoints = list(folder.glob("results/networks/checkpoints/*"))
    return found if len(found) == 2 and len(checkpoints) >= 2 else None


def test_a_cancelled_job_and_a_job_of_a_dead_node_are_run_again(broken):
    states = {job: state for job, (_, state, _) in broken.jobs.items()}
    assert states.pop(broken.cancelled) == "CANCELLED"
    assert states.pop(broken.on_dead_node) == "NODE_FAIL"
    assert f"SLURM-job '{broken.cancelled}' failed" in broken.output
    assert f"SLURM-job '{broken.on_dead_node}' failed" in broken.output
    rules = [rule for rule, state, _ in broken.jobs.values() if state == "COMPLETED"]
    for seed in (0, 1):
        assert f"rule_train_lenet-digits_{seed}" in rules


def test_jobs_after_the_failure_are_on_the_other_node(broken):
    later = [(rule, node) for rule, _, node in broken.jobs.values() if "measure_panel" in rule or "summarise" in rule]
    assert len(later) == 2
    assert broken.dead_node not in {node for _, node in later}


def test_a_job_asks_for_what_the_profile_says(broken, cluster):
    measuring = next(job for job, (rule, _, _) in broken.jobs.items() if "measure_panel" in rule)
    told = cluster.ask("scontrol", "show", "job", measuring)
    assert "TimeLimit=02:00:00" in told
    assert "MinMemoryNode=3000M" in told.replace("3G", "3000M")
    assert "Requeue=0" in told


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_those_of_a_local_run(broken, local, table):
    ours, theirs = broken.folder / table, local / table
    if table.endswith("claims.csv"):
        ours, theirs = pd.read_csv(ours).drop(columns=TIMES), pd.read_csv(theirs).drop(columns=TIMES)
        assert len(ours) > 100
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
        return
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("seed", [0, 1])
def test_interrupted_trainings_give_the_same_weights(broken, local, seed):
    weights = f"results/networks/lenet-digits-s{seed}.safetensors"
    assert (broken.folder / weights).read_bytes() == (local / weights).read_bytes()


def test_local_rules_are_not_submitted_and_logs_are_kept_by_rule(broken):
    submitted = {rule for rule, _, _ in broken.jobs.values()}
    for rule in ("fetch_dataset", "tabulate_networks", "collect_measurements", "judge_claims"):
        assert not any(rule in name for name in submitted)
    logs = broken.folder / "logs/slurm"
    assert (logs / "rule_measure_panel").is_dir()
    assert len(list((logs / "rule_train_lenet-digits_0").rglob("*.log"))) >= 2  # of the attempt that failed, too


def test_a_second_call_submits_nothing(broken, start, on_slurm, cluster):
    assert start(broken.folder, *TARGETS, *on_slurm).wait(120) == 0
    assert "Nothing to be done" in (broken.folder / "run.txt").read_text()
    assert cluster.jobs() == broken.jobs
