"""The types of the keys of a configuration, and what every section has in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from netalike.data.shift_names import CORRUPTIONS, SEVERITIES, TASKS

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.+]*(-[A-Za-z0-9_.+]+)*$"


def _seeds(given: object) -> object:
    """Spell out a count (`3` means 0, 1, 2) or a range (`0-19`, both ends in); leave a list as it is."""
    if isinstance(given, str) and (ends := re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", given)):
        given = list(range(int(ends[1]), int(ends[2]) + 1))
    elif isinstance(given, str) and given.strip().isdigit():
        given = int(given)
    if isinstance(given, int) and not isinstance(given, bool):
        given = list(range(given))
    if not isinstance(given, list | tuple) or not given:
        raise PydanticCustomError("seeds", "these are no seeds")
    return given


def _layers(given: object) -> object:
    """Accept a list of patterns, or a list per family."""
    if _is_patterns(given):
        return tuple(given)  # type: ignore[arg-type]
    if isinstance(given, dict) and given and all(_is_patterns(patterns) for patterns in given.values()):
        return {str(family): tuple(patterns) for family, patterns in given.items()}
    raise PydanticCustomError("layers", "these are no layer patterns")


def patterns_of(layers: tuple[str, ...] | dict[str, tuple[str, ...]], family: str) -> tuple[str, ...]:
    """Return the layer patterns of one family; KeyError where the mapping lacks it."""
    return layers[family] if isinstance(layers, dict) else layers


def _is_patterns(given: object) -> bool:
    return isinstance(given, list | tuple) and bool(given) and all(isinstance(pattern, str) for pattern in given)


def _plain_layers(layers: tuple[str, ...] | dict[str, tuple[str, ...]]) -> list[str] | dict[str, list[str]]:
    if isinstance(layers, dict):
        return {family: list(patterns) for family, patterns in layers.items()}
    return list(layers)


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    def check(given: str) -> str:
        if given not in names:
            raise PydanticCustomError("enum", "this is none of the names")
        return given

    return check


def not_boolean(given: object) -> object:
    """Refuse a truth value where a number belongs, before pydantic validates it."""
    # pydantic would take true for 1
    if isinstance(given, bool):
        raise PydanticCustomError("int_type", "a boolean is no number")
    return given


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Whole = Annotated[int, BeforeValidator(not_boolean)]
Positive = Annotated[int, Field(ge=1), BeforeValidator(not_boolean)]
Task = Annotated[str, AfterValidator(_one_of(TASKS)), WithJsonSchema({"type": "string", "enum": list(TASKS)})]
Corruption = Annotated[
    str, AfterValidator(_one_of(CORRUPTIONS)), WithJsonSchema({"type": "string", "enum": list(CORRUPTIONS)})
]
Severity = Annotated[int, Field(ge=SEVERITIES[0], le=SEVERITIES[-1]), BeforeValidator(not_boolean)]
_PATTERNS_SCHEMA = {"type": "array", "minItems": 1, "items": {"type": "string"}}
Seeds = Annotated[
    tuple[Annotated[Whole, Field(ge=0)], ...],
    BeforeValidator(_seeds),
    WithJsonSchema(
        {
            "$comment": "a list of whole numbers such as [0, 1, 2], a range such as 0-19, or a count (3 is 0, 1, 2)",
            "anyOf": [
                {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\s*\d+\s*(-\s*\d+\s*)?$"},
            ],
        }
    ),
]
Layers = Annotated[
    tuple[str, ...] | dict[str, tuple[str, ...]],
    PlainValidator(_layers),
    PlainSerializer(_plain_layers),
    WithJsonSchema(
        {
            "$comment": "a list of layer names, globs such as bn*, or blocks; or a mapping from family to such a list",
            "anyOf": [
                _PATTERNS_SCHEMA,
                {"type": "object", "minProperties": 1, "additionalProperties": _PATTERNS_SCHEMA},
            ],
        }
    ),
]


class Section(BaseModel):
    """A section of the configuration: unknown keys are refused, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    changes_results: ClassVar[bool] = True
    """Whether two runs that differ in this section alone may come to different numbers."""
    without_effect: ClassVar[frozenset[str]] = frozenset()
    """Keys of the section that change no number."""
