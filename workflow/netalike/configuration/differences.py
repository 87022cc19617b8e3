"""Where a run differs from the papers' sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from netalike.configuration.fields import Section
from netalike.configuration.loading import load
from netalike.configuration.models import Configuration
from netalike.configuration.problems import dotted

ABSENT = "absent"


@dataclass(frozen=True)
class Difference:
    """One value that differs: where, ours, and the other's; `ABSENT` where one has no such network, panel or study."""

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
        In the order of the sections; where data lie, the page, and what a job uses or does at once are left out.
    """
    other = load({"preset": preset}, repo_root) if isinstance(preset, str) else preset
    ours, theirs = _telling(configuration), _telling(other)
    return list(_differences(ours, theirs, ()))


def _telling(value: Any) -> Any:
    """Return plain values, without those that can change no number."""
    if isinstance(value, Section):
        parts = {key: getattr(value, key) for key in type(value).model_fields if key not in value.without_effect}
        return {key: _telling(part) for key, part in parts.items() if not _is_neutral(part)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: _telling(part) for key, part in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _is_neutral(part: Any) -> bool:
    return isinstance(part, Section) and not part.changes_results


def _differences(ours: Any, theirs: Any, path: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in dict.fromkeys([*theirs, *ours]):
            yield from _differences(ours.get(key, ABSENT), theirs.get(key, ABSENT), (*path, key))
    elif ours != theirs:
        yield Difference(dotted(path), ours, theirs)
