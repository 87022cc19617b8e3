"""What jobs took, from Snakemake's benchmark files."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from netalike.evidence import cost

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))


def test_reads_every_job_of_every_paper(tmp_path):
    write(tmp_path / "networks" / "train_lenet-digits-s0.tsv", "12.5\t0:00:12\t300.25\t1\t1\t1\t0\t0\t99.0\t12.0")
    write(tmp_path / "deconfounded_cka" / "compare_panel_digits.tsv", "2.0\t0:00:02\t512.0\t1\t1\t1\t0\t0\t50.0\t1.5")
    found = cost.read(tmp_path)
    assert tuple(found.columns) == cost.COLUMNS
    assert found.to_dict("records") == [
        {
            "paper": "deconfounded_cka",
            "rule": "compare_panel",
            "job": "compare_panel_digits",
            "s": 2.0,
            "max_rss": 512.0,
            "cpu_time": 1.5,
        },
        {
            "paper": "networks",
            "rule": "train",
            "job": "train_lenet-digits-s0",
            "s": 12.5,
            "max_rss": 300.25,
            "cpu_time": 12.0,
        },
    ]


@pytest.mark.parametrize("missing", ["-", "NA"])
def test_what_snakemake_could_not_sample_is_missing_and_not_zero(tmp_path, missing):
    marks = "\t".join([missing] * 8)
    write(tmp_path / "data" / "fetch_digits.tsv", f"0.3\t0:00:00\t{marks}")
    found = cost.read(tmp_path)
    assert found["s"].tolist() == [0.3]
    assert found[["max_rss", "cpu_time"]].isna().all(axis=None)


def test_no_files_are_no_rows(tmp_path):
    found = cost.read(tmp_path)
    assert len(found) == 0
    assert tuple(found.columns) == cost.COLUMNS
    assert pd.api.types.is_float_dtype(found["s"])


@pytest.mark.parametrize(
    ("job", "rule"),
    [
        ("train_lenet-digits-s0", "train"),
        ("compare_panel_digits", "compare_panel"),
        ("measure_panel_my_panel_12", "measure_panel"),
        ("fetch_cifar10", "fetch"),
        ("build_page", "build_page"),
        ("collect_measurements", "collect_measurements"),
        ("tabulate_networks", "tabulate_networks"),
        ("tabulate", "tabulate"),
    ],
)
def test_the_rule_of_a_job(job, rule):
    assert cost.rule_of(job) == rule


def test_every_benchmark_file_of_the_workflow_has_a_rule(repository):
    """The verb of the file is that of the rule that writes it."""
    checked = 0
    for file in sorted((repository / "rules").glob("*.smk")):
        for block in re.split(r"^ *rule ", file.read_text(), flags=re.M)[1:]:
            named = re.search(r'benchmark:\s+f?"results/cost/[^/]+/([^"]+)\.tsv"', block)
            if named is None or block.startswith(":"):
                continue
            rule = re.match(r"\w+", block)
            assert rule is not None
            assert cost.rule_of(named[1]).split("_")[0] == rule[0].split("_")[0]
            checked += 1
    assert checked >= 5
