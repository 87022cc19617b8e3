"""Masks of a stitching layer: which entries of its matrix may differ from zero (Csiszarik et al. 2021)."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from netalike.errors import NetalikeError, ShapeError
from netalike.stitching.names import canonical

_T = TypeVar("_T")


def semi_match(correlation: Tensor) -> Tensor:
    """Keep for each output channel the input channel that correlates most with it.

    Parameters
    ----------
    correlation : Tensor, shape (outputs, inputs)
        Pearson correlations, as `NormalEquations.correlation` has them: 0 for constant channels.

    Returns
    -------
    Tensor, float32, shape (outputs, inputs)
        One 1 in each row, else 0.

    Raises
    ------
    ShapeError
        If the correlations are no matrix.

    Notes
    -----
    Not a matching: several outputs may keep the same input. Input channels that are constant are kept by no output,
    unless all of them are.
    """
    if correlation.ndim != 2:
        raise ShapeError(f"correlations are a matrix (outputs, inputs), got the shape {tuple(correlation.shape)}.")
    constant = (correlation == 0).all(0)
    usable = correlation if bool(constant.all()) else correlation.masked_fill(constant, -torch.inf)
    return _one_per_row(usable.argmax(1), correlation.shape[1])


def abs_semi_match(correlation: Tensor) -> Tensor:
    """Keep for each output channel the input channel whose correlation with it is largest in absolute value.

    Parameters
    ----------
    correlation : Tensor, shape (outputs, inputs)

    Returns
    -------
    Tensor, float32, shape (outputs, inputs)
        As `semi_match`.
    """
    return semi_match(correlation.abs())


def random_permutation(n: int, generator: torch.Generator, published: bool = False) -> Tensor:
    """Draw a random permutation matrix.

    Parameters
    ----------
    n : int
        Channels of both layers.
    generator : torch.Generator
        On the CPU; advanced.
    published : bool
        Do what the published code does: a 1 in each row at a place of its own, which is no permutation (on average
        1/e of the columns stay empty).

    Returns
    -------
    Tensor, float32, shape (n, n)
        One 1 in each row, and, unless `published`, one in each column.
    """
    if published:
        return _one_per_row(torch.rand(n, n, generator=generator).argmax(1), n)
    return _one_per_row(torch.randperm(n, generator=generator), n)


def mask(
    name: str,
    inputs: int,
    outputs: int,
    correlation: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor | None:
    """Make a mask from its name.

    Parameters
    ----------
    name : str
        One of `netalike.stitching.names.MASKS`, or a name that the published code has for it.
    inputs, outputs : int
        Channels of the front and of the end layer.
    correlation : Tensor, shape (outputs, inputs), optional
        For semi_match and abs_semi_match; of the training split (the published code took the test split by mistake).
    generator : torch.Generator, optional
        For random_permutation.

    Returns
    -------
    Tensor, float32, shape (outputs, inputs), or None
        None for identity: no mask.

    Raises
    ------
    UnknownNameError
        If there is no such mask.
    ShapeError
        If a permutation is asked for between different numbers of channels.
    """
    known = canonical("mask", name)
    if known == "identity":
        return None
    if known == "random_permutation":
        if inputs != outputs:
            raise ShapeError(
                f"the mask random_permutation needs as many input as output channels, got {inputs} and {outputs}: "
                "choose semi_match, or layers of one width."
            )
        return random_permutation(inputs, _needed(generator, known, "a generator"))
    found = _needed(correlation, known, "the correlations of the training split")
    return semi_match(found) if known == "semi_match" else abs_semi_match(found)


def _needed(value: _T | None, name: str, what: str) -> _T:
    if value is None:
        raise NetalikeError(f"the mask {name} needs {what}, got none.")
    return value


def _one_per_row(kept: Tensor, inputs: int) -> Tensor:
    return functional.one_hot(kept.cpu(), inputs).float()
