"""What jobs took, from Snakemake's benchmark files."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest

from netalike.evidence import cost

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))


def test_reads_every_job_of_every_paper(tmp_path):
    write(tmp_path / "networks" / "train" / "lenet-digits-0.tsv", "12.5\t0:00:12\t300.25\t1\t1\t1\t0\t0\t99.0\t12.0")
    write(
        tmp_path / "deconfounded_cka" / "compare_panel" / "digits.tsv", "2.0\t0:00:02\t512.0\t1\t1\t1\t0\t0\t50.0\t1.5"
    )
    found = cost.read(tmp_path)
    assert tuple(found.columns) == cost.COLUMNS
    assert found.to_dict("records") == [
        {
            "paper": "deconfounded_cka",
            "rule": "compare_panel",
            "job": "digits",
            "s": 2.0,
            "max_rss": 512.0,
            "cpu_time": 1.5,
        },
        {
            "paper": "networks",
            "rule": "train",
            "job": "lenet-digits-0",
            "s": 12.5,
            "max_rss": 300.25,
            "cpu_time": 12.0,
        },
    ]


@pytest.mark.parametrize("missing", ["-", "NA"])
def test_what_snakemake_could_not_sample_is_missing_and_not_zero(tmp_path, missing):
    marks = "\t".join([missing] * 8)
    write(tmp_path / "data" / "fetch_dataset" / "digits.tsv", f"0.3\t0:00:00\t{marks}")
    found = cost.read(tmp_path)
    assert found["s"].tolist() == [0.3]
    assert found[["max_rss", "cpu_time"]].isna().all(axis=None)


def test_no_files_are_no_rows(tmp_path):
    found = cost.read(tmp_path)
    assert len(found) == 0
    assert tuple(found.columns) == cost.COLUMNS
    assert pd.api.types.is_float_dtype(found["s"])


def jobs_of(**times):
    keys = [key.split("__") for key in times]
    return pd.DataFrame(
        [
            {"paper": "p", "rule": rule, "job": job, "s": 1.0, "max_rss": 1.0, "cpu_time": time}
            for (rule, job), time in zip(keys, times.values(), strict=True)
        ]
    )


def test_cpu_minutes_of_some_jobs_count_each_once():
    jobs = jobs_of(train__a=30.0, train__b=60.0, compare__a=90.0)
    assert cost.cpu_minutes(jobs, ["p/train/a", "p/compare/a", "p/train/a"]) == pytest.approx(2.0)


@pytest.mark.parametrize("names", [[], ["p/train/c"], ["p/train/a", "p/train/c"], ["p/train/b"]])
def test_cpu_minutes_are_missing_where_a_job_was_not_measured(names):
    jobs = jobs_of(train__a=30.0, train__b=float("nan"))
    assert math.isnan(cost.cpu_minutes(jobs, names))


def test_every_benchmark_file_lies_in_the_folder_of_its_rule(repository):
    checked = 0
    for file in sorted((repository / "rules").glob("*.smk")):
        for block in re.split(r"^ *rule ?", file.read_text(), flags=re.M)[1:]:
            folder = re.search(r'benchmark:\s+f?"results/cost/[^/]+/([^/"]+)/[^"]+\.tsv"', block)
            rule = re.match(r"(\w+)", block) or re.search(r'name:\s+f"(\w+?)_\{', block)
            if folder is None or rule is None:
                assert "benchmark:" not in block
                continue
            assert folder[1] == rule[1]
            checked += 1
    assert checked >= 12
