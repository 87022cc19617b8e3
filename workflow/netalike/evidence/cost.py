"""What each job of a run took: Snakemake's benchmark files in one table."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

import pandas as pd

COLUMNS = ("paper", "rule", "job", "s", "max_rss", "cpu_time")


def read(directory: str | Path) -> pd.DataFrame:
    """Read all benchmark files below a folder.

    Parameters
    ----------
    directory : path
        ``<paper>/<rule>_<wildcards>.tsv``, as the rules write them.

    Returns
    -------
    DataFrame
        Columns paper, rule, job, s (wall seconds), max_rss (MB), cpu_time (seconds), sorted by paper and job; a
        number that Snakemake could not take (a job shorter than its sampling) is missing.
    """
    rows = []
    for path in sorted(Path(directory).rglob("*.tsv")):
        paper = path.relative_to(directory).parts[0]
        for entry in pd.read_csv(path, sep="\t", na_values=["-", "NA"]).to_dict("records"):
            rows.append({"paper": paper, "rule": rule_of(path.stem), "job": path.stem, **_numbers(entry)})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"s": float, "max_rss": float, "cpu_time": float})


def rule_of(job: str) -> str:
    """Return the rule of a job's benchmark file: ``train_lenet-digits-s0`` is of ``train``.

    The verb and its object (``compare_panel``) are the rule's; what follows is the job's own.
    """
    verb, _, rest = job.partition("_")
    known = ("panel", "network", "networks", "measurements", "page")
    thing = rest.split("_")[0]
    return f"{verb}_{thing}" if thing in known else verb


def _numbers(entry: Mapping[Hashable, object]) -> dict[str, object]:
    return {name: entry.get(name) for name in ("s", "max_rss", "cpu_time")}
