"""From a user's values to a validated configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from netalike.configuration.checks import check
from netalike.configuration.models import Configuration
from netalike.configuration.problems import ConfigurationError, Path, Problem, problems_of
from netalike.configuration.reading import expand, merge, preset_of, read, read_preset, without_removed

REPOSITORY = FilePath(__file__).resolve().parents[3]
PRESETS_FOLDER = FilePath("workflow/presets")


def load(user: Mapping[str, Any] | FilePath | str, repo_root: FilePath | str | None = None) -> Configuration:
    """Merge a preset under a user's values, and validate the result.

    Parameters
    ----------
    user : mapping, Path or str
        The user's values, or the file that holds them. Keys may be nested, or dotted at the top (`data.root`).
    repo_root : Path or str, optional
        The repository, which holds `workflow/presets`; by default the one that this file lies in.

    Returns
    -------
    Configuration

    Raises
    ------
    ConfigurationError
        With every mistake in one message: where, what was given, what is allowed, and the YAML to write.
    """
    source = "the configuration" if isinstance(user, Mapping) else str(user)
    values = expand(user if isinstance(user, Mapping) else read(FilePath(user)))
    try:
        preset = read_preset(preset_of(values), FilePath(repo_root or REPOSITORY) / PRESETS_FOLDER)
    except ConfigurationError as error:
        raise ConfigurationError(
            error.problems, source if error.source == "the configuration" else error.source
        ) from None
    return validated(without_removed(merge(preset, values)), source)


def validated(values: Mapping[str, Any], source: str = "the configuration") -> Configuration:
    """Validate complete values, with no preset under them; see `load`."""
    try:
        configuration = Configuration.model_validate(values)
        found: list[Problem] = []
    except ValidationError as error:
        found = problems_of(error, values)
        configuration = _sound_part(values, found)
    faulty = {problem.path for problem in found}
    found += [problem for problem in check(configuration, values) if not _depends(problem, faulty)]
    if found:
        raise ConfigurationError(found, source)
    return configuration


def _sound_part(values: Mapping[str, Any], problems: list[Problem]) -> Configuration:
    """Take the faulty values out, so that the rest can be checked in the same message."""
    rest: Any = values
    for problem in problems:
        rest = _removed(rest, problem.path)
    try:
        return Configuration.model_validate(rest)
    except ValidationError as error:
        # an entry that lacks what is required goes as a whole
        shorter = [Problem(problem.path[:-1], "") for problem in problems_of(error, rest)]
        return _sound_part(rest, shorter)


def _removed(values: Any, path: Path) -> Any:
    """Return values without the one at a path, or without the list that holds it."""
    if not isinstance(values, Mapping) or not path or path[0] not in values:
        return values
    if len(path) == 1 or not isinstance(values[path[0]], Mapping):
        return {key: value for key, value in values.items() if key != path[0]}
    return {**values, path[0]: _removed(values[path[0]], path[1:])}


def _depends(problem: Problem, faulty: set[Path]) -> bool:
    return any(place in faulty for place in problem.relies_on)
