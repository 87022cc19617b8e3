"""Mistakes in claim files: where, what was given, what is expected, and the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from netalike.configuration.problems import flow
from netalike.errors import NetalikeError, nearest

Path = tuple[str | int, ...]
_LONG = 80
# kind of pydantic's error -> what is expected
_EXPECTED = {
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than_equal": "a number that is not negative",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "date_type": "a date such as 2025-01-31",
    "date_parsing": "a date such as 2025-01-31",
    "date_from_datetime_parsing": "a date such as 2025-01-31",
}


class Part(BaseModel):
    """A part of a claim; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


@dataclass(frozen=True)
class Mistake:
    """One mistake in a claim file.

    Attributes
    ----------
    file : str
    claim : str
        Id of the claim; empty where the mistake is in none.
    field : str
        As in ``select.gap.quantity``; empty for the file itself.
    text : str
        What is wrong, what is expected, and the nearest name.
    line : int, optional
        Of the file, from 1.
    """

    file: str
    claim: str
    field: str
    text: str
    line: int | None = None

    def __str__(self) -> str:
        where = f" (line {self.line})" if self.line else ""
        return ": ".join(part for part in (self.file, self.claim, self.field, self.text) if part) + where


class ClaimError(NetalikeError, ValueError):
    """Claim files that cannot be used: a line for every mistake found.

    Attributes
    ----------
    mistakes : list of Mistake
    """

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = list(mistakes)


def mistake(what: str, expected: str, near: str | None = None, field: str = "") -> PydanticCustomError:
    """Make the error that a validator raises.

    Parameters
    ----------
    what : str
        What is wrong with what was given.
    expected : str
        What is expected instead.
    near : str, optional
        The nearest valid name.
    field : str
        Where it stands, as ``select.gap``, if not in the field that is being validated.
    """
    return PydanticCustomError("claim", "{text}", {"text": sentence(what, expected, near), "field": field})


def sentence(what: str, expected: str, near: str | None = None) -> str:
    """Write a mistake in one line."""
    return f"{what}; expected {expected}" + (f", nearest {near!r}" if near else "")


def found_in(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Path, str]]:
    """Say what pydantic found: the place of each mistake, and its text.

    Parameters
    ----------
    error : pydantic.ValidationError
    model : type
        The model that was validated.
    """
    for details in error.errors(include_url=False):
        place = details.get("ctx", {}).get("field")
        path = tuple(str(place).split(".")) if place else tuple(details["loc"])
        yield path, _text_of(details, model)


def _text_of(details: ErrorDetails, model: type[BaseModel]) -> str:
    kind, given = details["type"], details["input"]
    if kind == "claim":
        return details["msg"]
    if kind == "missing":
        return "required, but missing"
    if kind == "extra_forbidden":
        return _unknown_key(details["loc"], model)
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", str(details["ctx"]["expected"]))
        return sentence(f"unknown name {_short(given)}", f"one of {', '.join(names)}", nearest(str(given), names))
    return sentence(f"{_short(given)} is not valid", _EXPECTED.get(kind, details["msg"]))


def _unknown_key(path: Path, model: type[BaseModel]) -> str:
    names, key = _keys_beside(path, model), str(path[-1])
    hint = " (within { } a text with a comma needs quotes)" if " " in key else ""
    return sentence("unknown key", f"one of {', '.join(names)}", nearest(key, names)) + hint


def _keys_beside(path: Path, model: type[BaseModel]) -> list[str]:
    """Keys of the model in which an unknown key stands."""
    node: type[BaseModel] = model
    for step in path[:-1]:
        inner = _model_in(node.model_fields[str(step)].annotation) if str(step) in node.model_fields else None
        node = inner or node
    return [name for name in node.model_fields if name != "file"]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    return next((found for argument in arguments if (found := _model_in(argument)) is not None), None)


def _short(value: object) -> str:
    text = flow(value) if isinstance(value, str | int | float | bool | list | dict | None) else str(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."
