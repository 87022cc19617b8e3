"""Mistakes in a configuration, each with what was given, what is allowed, and the YAML to write."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from netalike.configuration import schema
from netalike.errors import NetalikeError, nearest

Path = tuple[str | int, ...]
NOTHING = object()
"""Stands for a value that was not given, where None is one."""

_BUILT_IN = frozenset(get_args(ErrorType))
_LENGTHS = {"too_short": "too few", "too_long": "too many", "string_too_short": "too short"}
_SNIPPET_LINES = 4
_LONG = 70


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Attributes
    ----------
    path : tuple
        Keys from the top of the configuration to the value.
    what : str
        What is wrong with it, as the end of a sentence that begins with the path.
    given : object
        The value, or `NOTHING`.
    allowed : str
        Which values there are.
    write : object
        A value for `path` that is right, or `NOTHING`.
    near : str, optional
        The nearest valid name.
    instead : tuple, optional
        Where `write` goes, if not to `path`.
    relies_on : tuple of tuple
        Other places; where one of them is wrong, this may be no mistake.
    """

    path: Path
    what: str
    given: object = NOTHING
    allowed: str = ""
    write: object = NOTHING
    near: str | None = None
    instead: Path | None = None
    relies_on: tuple[Path, ...] = ()

    def __str__(self) -> str:
        lines = [f"{dotted(self.path)}: {self.what}"]
        if self.given is not NOTHING:
            lines.append(f"  given:   {_short(self.given)}")
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        if self.near is not None:
            lines.append(f"  nearest: {self.near}")
        if self.write is not NOTHING:
            lines.append("  write:")
            lines += [f"    {line}" for line in snippet(self.instead or self.path, self.write).splitlines()]
        return "\n".join(lines)


@dataclass
class ConfigurationError(NetalikeError):
    """A configuration that cannot be run: one message that lists every mistake found.

    Attributes
    ----------
    problems : list of Problem
    source : str
        Where the configuration came from, as the message names it.
    """

    problems: list[Problem]
    source: str = "the configuration"
    message: str = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.problems)
        head = f"{self.source} has {'a mistake' if count == 1 else f'{count} mistakes'}:"
        self.message = "\n\n".join([head, *map(str, self.problems)])
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


def dotted(path: Path) -> str:
    """Write a path as `panels.digits.controls[0]`; a name that holds a dot is quoted."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{_quoted(step)}"
    return text.removeprefix(".") or "the whole file"


def snippet(path: Path, value: object) -> str:
    """Write a value as YAML below its keys."""
    lines = [f"{'  ' * depth}{_key(step)}:" for depth, step in enumerate(path)]
    if isinstance(value, Mapping) and value and path:
        return "\n".join([*lines, *indented(block(value), "  " * len(path))])
    return "\n".join([*lines[:-1], f"{lines[-1]} {flow(value)}"]) if lines else flow(value)


def block(values: Mapping[str, Any]) -> list[str]:
    """Write a mapping as YAML, a key per line; what is short stays in one line."""
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping) and len(flow(value)) > _LONG:
            lines += [f"{_key(key)}:", *indented(block(value), "  ")]
        else:
            lines.append(f"{_key(key)}: {flow(value)}")
    return lines


def indented(lines: Iterable[str], by: str) -> list[str]:
    """Put the same text before each line."""
    return [by + line for line in lines]


def flow(value: object) -> str:
    """Write a value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=100_000)
    return text.removesuffix("...\n").strip()


def corrected(values: Any, path: Path, value: object) -> tuple[Path, object]:
    """Put a value into a copy of the list that holds it, as only a whole list can be written.

    Returns
    -------
    path, value
        Those of the list, or as given where the path runs through no list.
    """
    depth = next((depth for depth, step in enumerate(path) if isinstance(step, int)), None)
    if depth is None:
        return path, value
    whole = copy.deepcopy(look_up(values, path[:depth]))
    if not isinstance(whole, list) or depth + 1 != len(path):
        return path[:depth], [value]
    whole[int(path[depth])] = value
    return path[:depth], list(dict.fromkeys(whole))


def look_up(values: Any, path: Path) -> Any:
    """Return the value at a path, or `NOTHING`."""
    for step in path:
        try:
            values = values[step]
        except (KeyError, IndexError, TypeError):
            return NOTHING
    return values


def problems_of(error: ValidationError, values: Any) -> list[Problem]:
    """Turn what pydantic found into problems that a user can act on, one per place.

    Parameters
    ----------
    error : pydantic.ValidationError
    values : mapping
        What was validated.
    """
    found: dict[Path, Problem] = {}
    for details in error.errors(include_url=False):
        problem = _problem_of(details, values)
        found.setdefault(problem.path, problem)
    # pydantic does not count the items that are wrong, and calls a list of them too short
    return [problem for path, problem in found.items() if not _holds_another(path, found)]


def _holds_another(path: Path, others: Iterable[Path]) -> bool:
    return any(len(other) > len(path) and other[: len(path)] == path for other in others)


def _problem_of(details: ErrorDetails, values: Any) -> Problem:
    path = tuple(details["loc"])
    if path and path[-1] == "[key]":
        return _bad_name(path[:-1], values)
    if details["type"] == "extra_forbidden":
        return _unknown_key(path, values)
    if details["type"] == "missing":
        return _missing(path)
    path = _known_part(path)
    if details["type"] not in _BUILT_IN and isinstance(look_up(values, path), Mapping):
        return _ruled_out(path, details, values)
    return _bad_value(path, details["type"], values)


def _bad_name(path: Path, values: Any) -> Problem:
    given = str(path[-1])
    name = "-".join(part for part in re.split(r"[^A-Za-z0-9_.+]+", given.lstrip("_.+")) if part) or "my-name"
    content = look_up(values, path)
    few = dict(list(content.items())[: _SNIPPET_LINES - 2]) if isinstance(content, dict) else {}
    return Problem(
        path,
        "not a valid name",
        given,
        "letters, digits and . _ + -, beginning with a letter or a digit; no --, no slash, no - at the end",
        few,
        instead=(*path[:-1], name),
    )


def _unknown_key(path: Path, values: Any) -> Problem:
    node = schema.node_at(path[:-1])
    names = schema.keys(node) if node is not None else []
    near = nearest(str(path[-1]), names)
    given = look_up(values, path)
    allowed = f"the keys {', '.join(names)}"
    if near is None:
        return Problem(path, "unknown key; remove it", given, allowed)
    instead = (*path[:-1], near)
    write = given if _fits(instead, given) else _valid_value(instead)
    return Problem(path, "unknown key", given, allowed, write, near, instead)


def _missing(path: Path) -> Problem:
    node = schema.node_at(path) or {}
    return Problem(path, "required, but missing", NOTHING, schema.describe(node), _valid_value(path))


def _bad_value(path: Path, kind: str, values: Any) -> Problem:
    node = schema.node_at(path) or {}
    given = look_up(values, path)
    near = nearest(given, map(str, node["enum"])) if isinstance(given, str) and "enum" in node else None
    if "enum" in node:
        what = "unknown name"
    elif kind.startswith(("greater", "less")):
        what = "out of range"
    else:
        what = _LENGTHS.get(kind, "not a valid value") if given or kind not in _LENGTHS else "empty"
    value = near if near is not None else _valid_value(path, given)
    place, write = corrected(values, path, value)
    return Problem(path, what, given, schema.describe(node), write, near, place)


def _ruled_out(path: Path, details: ErrorDetails, values: Any) -> Problem:
    """What a section's own check refused, as it says; the error is named by the key to change."""
    if details["type"] in schema.keys(schema.node_at(path) or {}):
        path = (*path, details["type"])
    return Problem(path, details["msg"], look_up(values, path), schema.describe(schema.node_at(path) or {}))


def _valid_value(path: Path, given: object = NOTHING) -> object:
    """Return a value that a key takes, near to a given one where that can be told."""
    node = schema.node_at(path) or {}
    if node.get("type") == "array" and isinstance(given, str):
        return [given]
    if isinstance(given, int | float) and not isinstance(given, bool):
        for bound, beyond in (
            ("minimum", given < node.get("minimum", given)),
            ("maximum", given > node.get("maximum", given)),
        ):
            if beyond:
                return node[bound]
    if node.get("required"):
        return {key: _valid_value((*path, key)) for key in node["required"]}
    examples = node.get("examples", []) or _examples_of_list(path)
    default = node.get("default")
    if "enum" in node:
        return default if default is not None else node["enum"][0]
    return default if default not in (None, {}, []) else examples[0] if examples else {}


def _examples_of_list(path: Path) -> list[object]:
    """Values for an item of a list, taken from the example of the list."""
    lists = (schema.node_at(path[:-1]) or {}).get("examples", []) if path and isinstance(path[-1], int) else []
    return [item for example in lists if isinstance(example, list) for item in example]


def _fits(path: Path, given: object) -> bool:
    kinds: dict[str, type | tuple[type, ...]] = {
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "string": str,
        "array": list,
        "object": dict,
    }
    node = schema.node_at(path) or {}
    kind = str(node.get("type"))
    if isinstance(given, bool) and kind != "boolean":
        return False
    return isinstance(given, kinds.get(kind, object)) and len(flow(given)) < 200


def _known_part(path: Path) -> Path:
    while path and schema.node_at(path) is None:
        path = path[:-1]
    return path


def _quoted(step: str) -> str:
    return f'"{step}"' if "." in step else step


def _key(step: str | int) -> str:
    return flow(step)


def _short(value: object) -> str:
    text = flow(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
