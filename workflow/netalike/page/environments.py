"""What each environment of the workflow pins, and what jobs really ran with, for the page's provenance."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from netalike.evidence import job_environment
from netalike.evidence.job_environment import JobEnvironment

_PINNED = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*==?\s*([\w.!+*-]+)")


@dataclass(frozen=True)
class Environment:
    """An environment by the name of its file.

    Attributes
    ----------
    name : str
    packages : dict of str to str
        What the file pins; empty for the one environment of a run without conda.
    ran : dict of str to str
        What jobs of the last run really had; empty where none is recorded.
    """

    name: str
    packages: dict[str, str]
    ran: dict[str, str] = field(default_factory=dict)


def environments(repository: str | Path | None) -> list[Environment]:
    """Read the environments in the folder `envs` of a checkout, and what jobs recorded in `results/environments`.

    Parameters
    ----------
    repository : path, optional
        The checkout; without one there are none.

    Returns
    -------
    list of Environment
        What is not a conda environment is left out; an environment of another name that jobs ran in comes last.
    """
    if repository is None:
        return []
    found = [_environment(path) for path in sorted(Path(repository).glob("envs/*.yaml"))]
    ran = {record.name: _of(record) for record in job_environment.read(Path(repository) / job_environment.FOLDER)}
    pinned = [replace(each, ran=ran.pop(each.name, {})) for each in found if each.packages]
    return [*pinned, *(Environment(name, {}, packages) for name, packages in ran.items())]


def _of(record: JobEnvironment) -> dict[str, str]:
    return {"python": record.python, **record.packages}


def _environment(path: Path) -> Environment:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        content = None  # the page is no place to check an environment: conda says what is wrong with it
    given = content.get("dependencies") if isinstance(content, dict) else None
    pinned = [_PINNED.fullmatch(text.split("#")[0].split(";")[0].strip()) for text in _texts(given or [])]
    return Environment(path.stem, {match[1]: match[2] for match in pinned if match})


def _texts(dependencies: Iterable[Any]) -> Iterable[str]:
    for entry in dependencies:
        if isinstance(entry, dict):
            yield from (str(text) for text in entry.get("pip") or [])
        else:
            yield str(entry)
