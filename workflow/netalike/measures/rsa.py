"""Representational similarity analysis: correlate the dissimilarities of all pairs of samples."""

from __future__ import annotations

import torch
from torch import Tensor

from netalike.errors import ShapeError
from netalike.measures.registry import Measure, register
from netalike.measures.undefined import UndefinedMeasureError

_MIN_SAMPLES = 4


def dissimilarities(x: Tensor) -> Tensor:
    """Squared Euclidean distances of all pairs of samples.

    Parameters
    ----------
    x : Tensor, shape (n, p)

    Returns
    -------
    Tensor, shape (n (n - 1) / 2,)
        The upper triangle of the representational dissimilarity matrix, row by row.

    Raises
    ------
    ShapeError
        If n < 4.
    UndefinedMeasureError
        If all samples are equally far apart, as in a constant representation.
    """
    n = len(x)
    if n < _MIN_SAMPLES:
        raise ShapeError(f"RSA needs at least {_MIN_SAMPLES} samples, got {n}.")
    centred = x - x.mean(0)
    gram = centred @ centred.T
    norms = gram.diagonal()
    rows, columns = torch.triu_indices(n, n, 1)
    distances = norms[rows] + norms[columns] - 2 * gram[rows, columns]
    scale = (x**2).sum() / n
    if not distances.max() - distances.min() > 1e-12 * scale:
        raise UndefinedMeasureError("zero variance over the pairs of samples")
    return distances


def average_ranks(values: Tensor) -> Tensor:
    """Rank numbers from 1, ties sharing the mean of their ranks.

    Parameters
    ----------
    values : Tensor, shape (m,)

    Returns
    -------
    Tensor, shape (m,), float64
    """
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    ranks: Tensor = last - (counts.double() - 1) / 2
    return ranks[inverse]


def _standardise(values: Tensor) -> Tensor:
    centred = values - values.mean()
    return torch.div(centred, torch.linalg.norm(centred))


def _correlation(a: Tensor, b: Tensor) -> float:
    return float((a @ b).clamp(-1.0, 1.0))


_INVARIANCES = frozenset({"permutation", "orthogonal", "isotropic_scaling", "translation"})

RSA_SPEARMAN = register(
    Measure(
        quantity="rsa",
        estimator="spearman",
        low=-1.0,
        high=1.0,
        direction="similarity",
        identical=1.0,
        symmetric=True,
        invariances=_INVARIANCES,
        prepare=lambda x: _standardise(average_ranks(_rounded(dissimilarities(x)))),
        compare=_correlation,
        source="Kriegeskorte et al. 2008: squared Euclidean dissimilarities, Spearman correlation",
    )
)
RSA_PEARSON = register(
    Measure(
        quantity="rsa",
        estimator="pearson",
        low=-1.0,
        high=1.0,
        direction="similarity",
        identical=1.0,
        symmetric=True,
        invariances=_INVARIANCES,
        prepare=lambda x: _standardise(dissimilarities(x)),
        compare=_correlation,
        source="Kriegeskorte et al. 2008: squared Euclidean dissimilarities, Pearson correlation",
    )
)


def _rounded(distances: Tensor) -> Tensor:
    """Make distances that differ by rounding alone equal, so that ties do not depend on the order of a sum."""
    return (distances / distances.max()).round(decimals=12)
