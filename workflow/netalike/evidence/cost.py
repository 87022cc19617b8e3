"""What each job of a run took: Snakemake's benchmark files in one table."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path

import pandas as pd

COLUMNS = ("paper", "rule", "job", "s", "max_rss", "cpu_time")


def read(directory: str | Path) -> pd.DataFrame:
    """Read all benchmark files below a folder.

    Parameters
    ----------
    directory : path
        ``<paper>/<rule>/<job>.tsv``, as the rules write them.

    Returns
    -------
    DataFrame
        Columns paper, rule, job, s (wall seconds), max_rss (MB), cpu_time (seconds), sorted by paper, rule and job; a
        number that Snakemake could not take (a job shorter than its sampling) is missing.
    """
    rows = []
    for path in sorted(Path(directory).glob("*/*/*.tsv")):
        paper, rule, _ = path.relative_to(directory).parts
        for entry in pd.read_csv(path, sep="\t", na_values=["-", "NA"]).to_dict("records"):
            rows.append({"paper": paper, "rule": rule, "job": path.stem, **_numbers(entry)})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"s": float, "max_rss": float, "cpu_time": float})


def cpu_minutes(jobs: pd.DataFrame, names: Iterable[str]) -> float:
    """Add up the CPU time of some jobs.

    Parameters
    ----------
    jobs : DataFrame
        As `read` gives it.
    names : iterable of str
        ``<paper>/<rule>/<job>``; each counts once.

    Returns
    -------
    float
        In minutes; NaN where one of the jobs has no measurement: a sum without it would show too little.
    """
    keys = jobs["paper"] + "/" + jobs["rule"] + "/" + jobs["job"]
    times = jobs.set_index(keys)["cpu_time"]
    wanted = list(dict.fromkeys(names))
    if not wanted or not set(wanted) <= set(times.index):
        return float("nan")
    return float(times.groupby(level=0).last()[wanted].sum(skipna=False)) / 60


def _numbers(entry: Mapping[Hashable, object]) -> dict[str, object]:
    return {name: entry.get(name) for name in ("s", "max_rss", "cpu_time")}
