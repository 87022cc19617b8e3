"""Canonical correlations, and linear regression, between representations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from netalike.measures.gram import centred_gram
from netalike.measures.procrustes import gram_factor
from netalike.measures.registry import Measure, register
from netalike.measures.undefined import UndefinedMeasureError

SVCCA_VARIANCE = 0.99


@dataclass(frozen=True)
class _Subspace:
    basis: Tensor  # (n, r), orthonormal basis of the centred features
    features: Tensor | None = None  # (n, p), centred; what SVCCA does not need


def _centre(x: Tensor) -> Tensor:
    centred = x - x.mean(0)
    if not torch.linalg.norm(centred) > 1e-12 * torch.linalg.norm(x):
        raise UndefinedMeasureError("zero variance over the samples")
    return centred


def _require_samples(n: int, width: int) -> None:
    if n <= width + 1:
        raise UndefinedMeasureError(
            f"{n} samples of {width} dimensions: with n <= width + 1 any two representations are perfectly correlated"
        )


def _subspace(x: Tensor) -> _Subspace:
    """An orthonormal basis of the span of the centred features, numerically zero directions left out."""
    _require_samples(*x.shape)
    centred = _centre(x)
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    rank = int((values > values[0] * max(x.shape) * torch.finfo(x.dtype).eps).sum())
    return _Subspace(left[:, :rank], centred)


def _main_subspace(x: Tensor) -> _Subspace:
    """The leading directions that hold 99 % of the variance; SVCCA's first step."""
    _centre(x)
    factor = gram_factor(centred_gram(x)).flip(1)  # columns in order of falling variance
    share = (factor**2).sum(0).cumsum(0)
    kept = int((share < SVCCA_VARIANCE * share[-1]).sum()) + 1
    _require_samples(len(x), kept)
    main = factor[:, :kept]
    return _Subspace(main / torch.linalg.norm(main, dim=0))


def _correlations(a: _Subspace, b: _Subspace) -> Tensor:
    correlations: Tensor = torch.linalg.svdvals(a.basis.T @ b.basis)
    return correlations.clamp(max=1.0)


def _mean_squared(a: _Subspace, b: _Subspace) -> float:
    return float((_correlations(a, b) ** 2).mean())


def _mean(a: _Subspace, b: _Subspace) -> float:
    return float(_correlations(a, b).mean())


def _projection_weighted(a: _Subspace, b: _Subspace) -> float:
    assert a.features is not None
    left, correlations, _ = torch.linalg.svd(a.basis.T @ b.basis, full_matrices=False)
    canonical = a.basis @ left  # (n, min(r_a, r_b)): canonical variables of the first representation
    weights = (canonical.T @ a.features).abs().sum(1)
    return float((weights * correlations.clamp(max=1.0)).sum() / weights.sum())


def _explained(a: _Subspace, b: _Subspace) -> float:
    assert a.features is not None
    return float(((b.basis.T @ a.features) ** 2).sum() / (a.features**2).sum())


_LINEAR = frozenset({"permutation", "orthogonal", "isotropic_scaling", "translation", "invertible_linear"})
_ROTATION = _LINEAR - {"invertible_linear"}

CCA = register(
    Measure(
        quantity="cca",
        estimator="mean_squared",
        low=0.0,
        high=1.0,
        direction="similarity",
        identical=1.0,
        symmetric=True,
        invariances=_LINEAR,
        prepare=_subspace,
        compare=_mean_squared,
        source="mean squared canonical correlation over min(rank) directions; Kornblith et al. 2019, table 1, centred",
    )
)
SVCCA = register(
    Measure(
        quantity="svcca",
        estimator="mean",
        low=0.0,
        high=1.0,
        direction="similarity",
        identical=1.0,
        symmetric=True,
        invariances=_ROTATION,
        prepare=_main_subspace,
        compare=_mean,
        source="Raghu et al. 2017: the directions that hold 99 % of the variance, then the mean canonical correlation",
    )
)
PWCCA = register(
    Measure(
        quantity="pwcca",
        estimator="first",
        low=0.0,
        high=1.0,
        direction="similarity",
        identical=1.0,
        symmetric=False,  # the weights are the first representation's
        # weights are sums of absolute projections on the units themselves: a rotation of the units changes them
        invariances=frozenset({"permutation", "isotropic_scaling", "translation"}),
        prepare=_subspace,
        compare=_projection_weighted,
        source="Morcos et al. 2018, eq. 2: canonical correlations weighted by projections of the first representation",
    )
)
LINEAR_REGRESSION = register(
    Measure(
        quantity="linear_regression",
        estimator="r2",
        low=0.0,
        high=1.0,
        direction="similarity",
        identical=1.0,
        symmetric=False,  # share of the first that the second explains
        invariances=_ROTATION,
        prepare=_subspace,
        compare=_explained,
        source="||Q_y'X||^2 / ||X||^2: share of the first explained by the second; Kornblith et al. 2019, table 1",
    )
)
