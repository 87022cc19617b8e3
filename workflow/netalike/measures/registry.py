"""The measures of similarity between two recorded representations, by name, each with what it promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from netalike.errors import ShapeError, unknown_name
from netalike.measures.gram import flatten

INVARIANCES = ("permutation", "orthogonal", "isotropic_scaling", "translation", "invertible_linear")


@dataclass(frozen=True)
class Measure:
    """One measure on two representations of the same samples.

    Attributes
    ----------
    quantity, estimator : str
        As in the measurement table.
    low, high : float
        The range of the value.
    direction : {"similarity", "distance"}
        Whether more is more alike.
    identical : float
        The value of a representation with itself.
    symmetric : bool
        Whether exchanging the two changes nothing.
    invariances : frozenset of str
        The transformations of the features (of `INVARIANCES`) of either representation that change nothing.
    prepare : callable
        ``prepare(x)``, x of shape (n, p) float64: what one representation contributes to every pair it is in.
    compare : callable
        ``compare(prepared_x, prepared_y)`` -> float.
    source : str
        Where the formula comes from.
    needs_inputs : bool
        Whether ``prepare(x, inputs)`` also wants the inputs, shape (n, d).
    """

    quantity: str
    estimator: str
    low: float
    high: float
    direction: str
    identical: float
    symmetric: bool
    invariances: frozenset[str]
    prepare: Callable[..., Any]
    compare: Callable[[Any, Any], float]
    source: str
    needs_inputs: bool = False

    @property
    def key(self) -> str:
        """``quantity/estimator``: the name of the measure in the registry."""
        return f"{self.quantity}/{self.estimator}"

    def __call__(self, x: ArrayLike | Tensor, y: ArrayLike | Tensor, inputs: ArrayLike | Tensor | None = None) -> float:
        """Compare two representations.

        Parameters
        ----------
        x : array, shape (n, ...)
            Activations of n samples; everything after the first axis is flattened.
        y : array, shape (n, ...)
            Activations of the same samples, of any width.
        inputs : array, shape (n, ...), optional
            The inputs, for measures that adjust for them.

        Returns
        -------
        float

        Raises
        ------
        ShapeError
            If the numbers of samples differ, or inputs are missing.
        UndefinedMeasureError
            If the measure has no value; the message says why.
        """
        a, b = as_features(x), as_features(y)
        if len(a) != len(b):
            raise ShapeError(f"{self.key}: representations of different samples: {len(a)} and {len(b)}.")
        extra: tuple[Tensor, ...] = ()
        if self.needs_inputs:
            if inputs is None:
                raise ShapeError(f"{self.key} adjusts for the inputs: give them as the third argument.")
            extra = (as_features(inputs),)
        return self.compare(self.prepare(a, *extra), self.prepare(b, *extra))


def as_features(x: ArrayLike | Tensor) -> Tensor:
    """Return activations as a float64 matrix of shape (n, p).

    Raises
    ------
    ShapeError
        If there is no sample axis, or an entry is not finite.
    """
    tensor = x if isinstance(x, Tensor) else torch.from_numpy(np.array(x, copy=True))
    features = flatten(tensor.detach()).double()
    if not torch.isfinite(features).all():
        row = int(torch.nonzero(~torch.isfinite(features).all(1))[0])
        raise ShapeError(f"the representation of sample {row} has an entry that is not finite.")
    return features


_MEASURES: dict[str, Measure] = {}
_DEFAULT: dict[str, str] = {}


def register(measure: Measure) -> Measure:
    """Add a measure; the first estimator of a quantity is its default.

    Raises
    ------
    ValueError
        If the name is taken or an invariance is unknown.
    """
    if measure.key in _MEASURES:
        raise ValueError(f"measure {measure.key} is registered twice.")
    if not measure.invariances <= set(INVARIANCES):
        raise ValueError(f"measure {measure.key}: invariances must be among {', '.join(INVARIANCES)}.")
    _MEASURES[measure.key] = measure
    _DEFAULT.setdefault(measure.quantity, measure.key)
    return measure


def names() -> list[str]:
    """Return the quantities, in order of registration."""
    return list(_DEFAULT)


def all_measures() -> list[Measure]:
    """Return every measure with every estimator."""
    return list(_MEASURES.values())


def measure(name: str) -> Measure:
    """Look a measure up.

    Parameters
    ----------
    name : str
        A quantity (``"cka"``: its default estimator) or ``quantity/estimator`` (``"cka/biased"``).

    Raises
    ------
    UnknownNameError
        With the nearest name.
    """
    if name in _DEFAULT:
        return _MEASURES[_DEFAULT[name]]
    if name in _MEASURES:
        return _MEASURES[name]
    raise unknown_name("measure", name, [*_DEFAULT, *_MEASURES])


def of_quantity(quantity: str) -> list[Measure]:
    """Return all estimators of one quantity.

    Raises
    ------
    UnknownNameError
        With the nearest name.
    """
    if quantity not in _DEFAULT:
        raise unknown_name("measure", quantity, names())
    return [m for m in _MEASURES.values() if m.quantity == quantity]
