"""What each environment of the workflow pins, for the page's provenance."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_PINNED = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*==?\s*([\w.!+*-]+)")


@dataclass(frozen=True)
class Environment:
    """An environment by the name of its file, with the packages that it pins."""

    name: str
    packages: dict[str, str]


def environments(repository: str | Path | None) -> list[Environment]:
    """Read the environments in the folder `envs` of a checkout; what is not a conda environment is left out."""
    if repository is None:
        return []
    found = [_environment(path) for path in sorted(Path(repository).glob("envs/*.yaml"))]
    return [environment for environment in found if environment.packages]


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
