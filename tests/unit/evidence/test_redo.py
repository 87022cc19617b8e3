"""The cost of a claim, and the command that makes its rows again."""

import json
import math

import pandas as pd
import pytest

from netalike.evidence.redo import with_cost

EXPERIMENTS = {
    "tasks_digits": {"files": ["results/tasks.parquet"], "jobs": ["networks/train/lenet-0", "cka/compare/tasks"]},
    "ood_digits": {
        "files": ["results/accuracies.parquet", "results/ood.parquet"],
        "jobs": ["networks/train/lenet-0", "cka/compare/ood"],
    },
}
JOBS = pd.DataFrame(
    [
        {"paper": "networks", "rule": "train", "job": "lenet-0", "cpu_time": 60.0},
        {"paper": "cka", "rule": "compare", "job": "tasks", "cpu_time": 30.0},
        {"paper": "cka", "rule": "compare", "job": "ood", "cpu_time": 90.0},
    ]
)


def claims_on(*experiments):
    rows = [json.dumps([{"experiment": [name]} for name in names]) for names in experiments]
    return pd.DataFrame({"id": range(len(rows)), "rows": rows, "cpu_minutes": math.nan, "command": ""})


def test_networks_count_and_jobs_that_two_experiments_share_count_once():
    found = with_cost(
        claims_on(["tasks_digits"], ["tasks_digits", "ood_digits", "ood_digits"]), JOBS, EXPERIMENTS, "quick"
    )
    assert found["cpu_minutes"].tolist() == pytest.approx([1.5, 3.0])
    assert found["command"].tolist() == [
        "snakemake results/index.html --cores 2 --forcerun results/tasks.parquet",
        "snakemake results/index.html --cores 2 --forcerun results/tasks.parquet "
        "results/accuracies.parquet results/ood.parquet",
    ]


def test_the_command_names_another_preset():
    found = with_cost(claims_on(["ood_digits"]), JOBS, EXPERIMENTS, "standard")
    assert found["command"].item() == (
        "snakemake results/index.html --cores 2 --config preset=standard --forcerun "
        "results/accuracies.parquet results/ood.parquet"
    )


def test_a_claim_whose_rows_nothing_makes_has_no_cost_and_no_command():
    found = with_cost(claims_on(["transfer_stsb"], []), JOBS, EXPERIMENTS, "quick")
    assert found["cpu_minutes"].isna().all()
    assert found["command"].tolist() == ["", ""]
