"""Read YAML as a person wrote it, and merge it over a preset."""

from __future__ import annotations

import copy
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml

from netalike.configuration import schema
from netalike.configuration.models import Configuration
from netalike.configuration.problems import ConfigurationError, Problem
from netalike.errors import nearest

PRESETS: tuple[str, ...] = get_args(Configuration.model_fields["preset"].annotation)
DEFAULT_PRESET: str = Configuration.model_fields["preset"].default
EXTENDS = "extends"
_NULLS = ("null", "~")


class _DuplicateKeyError(yaml.MarkedYAMLError):
    def __init__(self, key: object, first_line: int, mark: yaml.Mark) -> None:
        super().__init__(problem="duplicate key", problem_mark=mark)
        self.key, self.first_line, self.line = str(key), first_line, mark.line + 1


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML keeps the last; reads 1e-4 as a number, as YAML 1.2 does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[object, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen and key != "<<":
                raise _DuplicateKeyError(key, seen[key], key_node.start_mark)
            if isinstance(key, Hashable):
                seen[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"), list("-+0123456789.")
)


def read(path: Path) -> dict[str, Any]:
    """Read a configuration file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict
        Its values; empty for an empty file.

    Raises
    ------
    ConfigurationError
        If the file is missing, no YAML, no mapping, or gives a key twice; with line and column.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([Problem((), f"cannot be read: {error}")], str(path)) from None
    return parse(text, str(path))


def parse(text: str, source: str = "the configuration") -> dict[str, Any]:
    """Read a configuration from YAML text; see `read`."""
    try:
        values = yaml.load(text, Loader=_Loader)
    except _DuplicateKeyError as error:
        raise ConfigurationError([_duplicate(error)], source) from None
    except yaml.YAMLError as error:
        raise ConfigurationError([_syntax(error, text)], source) from None
    return _mapping(values, source)


def expand(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn top-level keys such as `panels.digits.n_images` into nested ones; text values of such keys are read as YAML.

    Snakemake's `--config` takes no dots in a key, so `panels__digits__n_images` says the same. A name that holds a dot
    is quoted: `networks."resnet20.v2".seeds`. Elsewhere the text `null` becomes None, as
    `snakemake --config 'panels={digits: null}'` hands over every value as text.
    """
    plain = _plain({key: value for key, value in values.items() if not _is_path(key)})
    for key, value in values.items():
        steps = [step.strip('"') for step in re.findall(r'"[^"]*"|[^.]+', str(key).replace("__", "."))]
        if _is_path(key):
            nested: Any = _plain(_from_yaml(value, str(key)))
            for step in reversed(steps):
                nested = {step: nested}
            plain = merge(plain, nested)
    return dict(plain)


def _is_path(key: object) -> bool:
    return "." in str(key) or "__" in str(key).strip("_")


def merge(base: Mapping[str, Any], over: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Merge two configurations by key; lists are replaced, and null removes an entry of a mapping of names.

    Parameters
    ----------
    base, over : mapping
        What is there, and what a user changes.
    path : tuple of str
        Where in the configuration they stand.

    Returns
    -------
    dict
        A new one; an entry that `over` removes is kept as None, see `without_removed`.
    """
    merged = dict(copy.deepcopy(dict(base)))
    for key, value in over.items():
        here = (*path, key)
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value, here)
        elif value is None and isinstance(merged.get(key), Mapping) and _is_section(here):
            continue  # a heading whose lines are all comments
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def without_removed(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Leave out the entries that are null, and the keys of sections that say nothing."""
    kept = {}
    for key, value in values.items():
        here = (*path, key)
        if value is None and (_is_entry(here) or _is_section(here) or len(here) == 1):
            continue
        kept[key] = without_removed(value, here) if isinstance(value, Mapping) else value
    return kept


def preset_of(values: Mapping[str, Any]) -> str:
    """Return the preset that a configuration names.

    Raises
    ------
    ConfigurationError
        If there is no such preset; nothing else can be judged before that is right.
    """
    given = values.get("preset", DEFAULT_PRESET)
    given = DEFAULT_PRESET if given is None else given
    if given in PRESETS:
        return str(given)
    near = nearest(str(given), PRESETS)
    raise ConfigurationError(
        [Problem(("preset",), "unknown preset", given, f"one of {', '.join(PRESETS)}", near or DEFAULT_PRESET, near)]
    )


def read_preset(name: str, folder: Path) -> dict[str, Any]:
    """Read a preset, merged over the one that it extends.

    Parameters
    ----------
    name : str
    folder : Path
        The folder of the presets.

    Returns
    -------
    dict
    """
    values = read(folder / f"{name}.yaml")
    parent = values.pop(EXTENDS, None)
    if parent is not None:
        values = without_removed(merge(read_preset(str(parent), folder), values))
    return {**values, "preset": name}


def _is_section(path: tuple[str, ...]) -> bool:
    """Say whether a key holds a section or a mapping of names that cannot itself be null."""
    node = schema.node_at(path)
    return node is not None and node.get("type") == "object" and not schema.is_nullable(node) and not _is_entry(path)


def _is_entry(path: tuple[str, ...]) -> bool:
    parent = schema.node_at(path[:-1])
    if path[-2:-1] == ("layers",) and _is_entry(path[:-2]):
        return True  # the layers of one family, in a panel or study
    return parent is not None and schema.entries(parent) is not None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, str) and value in _NULLS else value


def _from_yaml(value: object, key: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return yaml.load(value, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigurationError(
            [Problem(tuple(key.split(".")), f"no YAML: {getattr(error, 'problem', error)}", value)]
        ) from None


def _mapping(values: object, source: str) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        allowed = f"keys and values, with the keys {', '.join(Configuration.model_fields)}"
        raise ConfigurationError([Problem((), "is no mapping", values, allowed, {"preset": "quick"})], source)
    return values


def _duplicate(error: _DuplicateKeyError) -> Problem:
    return Problem(
        (error.key,),
        f"given twice, in line {error.first_line} and in line {error.line}; YAML would keep the last alone",
        allowed="each key once: put both blocks under one heading, or take one out",
    )


def _syntax(error: yaml.YAMLError, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return Problem((), f"no YAML: {error}")
    lines = text.splitlines()
    line = lines[mark.line].strip() if mark.line < len(lines) else ""
    why = getattr(error, "problem", None) or "cannot be read"
    return Problem(
        (),
        f"no YAML in line {mark.line + 1}, column {mark.column + 1}: {why}",
        line,
        "`key: value` with a space after the colon, the keys of a section indented alike by spaces, brackets closed",
    )
