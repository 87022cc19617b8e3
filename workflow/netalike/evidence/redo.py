"""What the rows of a claim cost, and the command that makes them again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from netalike.evidence.cost import cpu_minutes

_DEFAULT_PRESET = "quick"


def with_cost(
    claims: pd.DataFrame, jobs: pd.DataFrame, experiments: Mapping[str, Mapping[str, Any]], preset: str
) -> pd.DataFrame:
    """Fill in the columns `cpu_minutes` and `command` of the table of claims.

    Parameters
    ----------
    claims : DataFrame
        As `claims.judge_all` gives it: `rows` holds the filters of each claim's rows.
    jobs : DataFrame
        As `cost.read` gives it.
    experiments : mapping
        Experiment of the measurement table to its ``files``, which are to be made again, and its ``jobs``, the training
        of its networks included: ``<paper>/<rule>/<job>``.
    preset : str
        Of the run.

    Returns
    -------
    DataFrame
        A claim whose rows no experiment of this run makes keeps an empty command and no cost.
    """
    found = [_experiments_of(rows, experiments) for rows in claims["rows"]]
    costs = [cpu_minutes(jobs, [job for name in names for job in experiments[name]["jobs"]]) for names in found]
    commands = [_command([file for name in names for file in experiments[name]["files"]], preset) for names in found]
    return claims.assign(cpu_minutes=costs, command=commands)


def _experiments_of(rows: str, known: Mapping[str, Any]) -> list[str]:
    named = [text for filters in json.loads(rows or "[]") for text in filters.get("experiment", [])]
    return [name for name in dict.fromkeys(named) if name in known]


def _command(files: Sequence[str], preset: str) -> str:
    if not files:
        return ""
    chosen = "" if preset == _DEFAULT_PRESET else f" --config preset={preset}"
    return f"snakemake results/index.html --cores 2{chosen} --forcerun {' '.join(files)}"
