"""Filters of `select`: how a claim says which rows of the measurement table belong to a group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeGuard

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, model_serializer

from netalike.errors import nearest
from netalike.evidence.claims.mistakes import Part, mistake
from netalike.evidence.measurements import COLUMNS

CONDITION = "condition"
ON = "{on}"
_BOUNDS = ("above", "below")
_NUMBER_FORMS = "a number, a list of numbers, or {above: x} or {below: x}"
_FACTOR_FORMS = "a text or a number, a list of them, or {above: x} or {below: x}"


@dataclass(frozen=True)
class Bounds:
    """Numbers strictly between two bounds."""

    above: float = -math.inf
    below: float = math.inf


Scalar = str | float
Filter = tuple[Scalar, ...] | Bounds
"""Values of which one must match, or bounds."""


def is_number(value: object) -> TypeGuard[float]:
    """Say whether a value is a finite number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> Filter:
    return _any_of(value, lambda one: isinstance(one, str), "a text, or a list of texts")


def _number(value: Any) -> Filter:
    return _bounds(value) if isinstance(value, Mapping) else _any_of(value, is_number, _NUMBER_FORMS)


def _factor(value: Any) -> Filter:
    if isinstance(value, Mapping):
        return _bounds(value)
    return _any_of(value, lambda one: isinstance(one, str | bool) or is_number(one), _FACTOR_FORMS)


def _any_of(value: Any, is_right: Callable[[object], bool], forms: str) -> Filter:
    values = value if isinstance(value, list | tuple) else [value]
    wrong = [one for one in values if not is_right(one)]
    if wrong or not values:
        raise mistake(f"{wrong[0] if wrong else value!r} is not valid", forms)
    # a truth value stands in a condition as Python writes it
    return tuple(str(one) if isinstance(one, bool) else one for one in values)


def _bounds(value: Mapping[Any, Any]) -> Bounds:
    for key, bound in value.items():
        if key not in _BOUNDS:
            raise mistake(f"unknown key {key!r}", "above or below, or both", nearest(str(key), _BOUNDS))
        if not is_number(bound):
            raise mistake(f"{key} is {bound!r}", "a number")
    if not value:
        raise mistake("an empty mapping", "above or below, or both")
    return Bounds(**value)


def _factors(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise mistake(f"{value!r} is not a mapping", "factors with their values, such as {pair: same_task}")
    return dict(value)


TextFilter = Annotated[Any, PlainValidator(_text)]
NumberFilter = Annotated[Any, PlainValidator(_number)]
FactorFilter = Annotated[Any, PlainValidator(_factor)]


class Group(Part):
    """Rows of the measurement table: a filter per column, and per factor of the condition; () for any value."""

    model_config = ConfigDict(validate_default=False)

    paper: TextFilter = ()
    experiment: TextFilter = ()
    dataset: TextFilter = ()
    split: TextFilter = ()
    n_samples: NumberFilter = ()
    network_a: TextFilter = ()
    layer_a: TextFilter = ()
    network_b: TextFilter = ()
    layer_b: TextFilter = ()
    quantity: TextFilter = ()
    estimator: TextFilter = ()
    condition: Annotated[dict[str, FactorFilter], BeforeValidator(_factors)] = Field(default_factory=dict)
    seed: NumberFilter = ()
    step: NumberFilter = ()
    value: NumberFilter = ()
    low: NumberFilter = ()
    high: NumberFilter = ()
    status: TextFilter = ()

    def columns(self) -> dict[str, Filter]:
        """Filters of the columns that are restricted, apart from the condition."""
        return {name: found for name in COLUMNS if name != CONDITION and (found := getattr(self, name)) != ()}

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        factors = {name: _written(found) for name, found in self.condition.items()}
        columns = {name: _written(found) for name, found in self.columns().items()}
        return columns | ({CONDITION: factors} if factors else {})

    def filled(self, on: str) -> Group:
        """Put the name of a data set or study in place of ``{on}``."""
        texts = {name: _filled(found, on) for name, found in self.columns().items()}
        factors = {name: _filled(found, on) for name, found in self.condition.items()}
        return self.model_copy(update={**texts, CONDITION: factors})


def _written(found: Filter) -> Any:
    if isinstance(found, Bounds):
        return {name: bound for name in _BOUNDS if math.isfinite(bound := getattr(found, name))}
    return found[0] if len(found) == 1 else list(found)


def _filled(found: Filter, on: str) -> Filter:
    if isinstance(found, Bounds):
        return found
    return tuple(one.replace(ON, on) if isinstance(one, str) else one for one in found)
