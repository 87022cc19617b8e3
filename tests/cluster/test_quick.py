"""All of the preset quick on SLURM, and its tables beside those of a local run."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

TABLES = ["measurements", "claims"]
QUICK = "preset: quick\n"
# what a job took is no result
TIMES = ["cpu_minutes"]

pytestmark = pytest.mark.skipif(
    "NETALIKE_TEST_QUICK" not in os.environ, reason="takes most of an hour: make test-cluster QUICK=1"
)


@pytest.fixture(scope="module")
def both(cluster, copies, start, on_slurm):
    """The folders of a local run, which may be there already, and of one on SLURM."""
    targets = [f"results/tables/{table}.parquet" for table in TABLES]
    given = os.environ.get("NETALIKE_QUICK_RUN")
    local, on_nodes = Path(given) if given else copies("quick-local", QUICK), copies("quick-slurm", QUICK)
    if not given:
        assert start(local, *targets, "--cores", "2").wait(2400) == 0, (local / "run.txt").read_text()[-3000:]
    # twice as many jobs as cores: one waits for SLURM while another computes
    status = start(on_nodes, *targets, *on_slurm, "--jobs", "4").wait(4800)
    assert status == 0, (on_nodes / "run.txt").read_text()[-4000:] + cluster.logs()
    assert len(cluster.jobs()) > 40
    return local, on_nodes


@pytest.mark.parametrize("table", TABLES)
def test_tables_of_quick_are_those_of_a_local_run(both, table):
    local, on_nodes = (pd.read_parquet(folder / f"results/tables/{table}.parquet") for folder in both)
    assert len(local) > (100_000 if table == "measurements" else 150)
    left_out = [column for column in TIMES if column in local]
    pd.testing.assert_frame_equal(on_nodes.drop(columns=left_out), local.drop(columns=left_out), check_exact=True)
