"""Where a run differs from the papers' sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netalike.configuration.loading import load
from netalike.configuration.models import Configuration, Section
from netalike.configuration.problems import dotted

ABSENT = "absent"


@dataclass(frozen=True)
class Difference:
    """One value that differs: where, ours, and the other's; `ABSENT` where one of them has no such network or panel."""

    path: str
    ours: Any
    theirs: Any


def explain(
    configuration: Configuration, preset: str | Configuration = "paper", repo_root: Path | str | None = None
) -> list[Difference]:
    """List where a configuration differs from a preset in what can change a result.

    Parameters
    ----------
    configuration : Configuration
        The one in force.
    preset : str or Configuration
        What to hold it against.
    repo_root : Path or str, optional
        The repository, which holds the presets.

    Returns
    -------
    list of Difference
        In the order of the sections; where data lie, the page and the resources of a job are left out.
    """
    other = load({"preset": preset}, repo_root) if isinstance(preset, str) else preset
    ours, theirs = _telling(configuration), _telling(other)
    return list(_differences(ours, theirs, ()))


def _telling(configuration: Configuration) -> dict[str, Any]:
    values = configuration.as_dict()
    sections = {name: getattr(configuration, name) for name in values}
    return {
        name: value
        for name, value in values.items()
        if name != "preset" and not (isinstance(sections[name], Section) and not sections[name].changes_results)
    }


def _differences(ours: Any, theirs: Any, path: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in dict.fromkeys([*theirs, *ours]):
            yield from _differences(ours.get(key, ABSENT), theirs.get(key, ABSENT), (*path, key))
    elif ours != theirs:
        yield Difference(dotted(path), ours, theirs)
