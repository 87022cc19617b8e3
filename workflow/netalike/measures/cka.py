"""CKA and deconfounded CKA of two recorded representations, on all samples at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from netalike.errors import ShapeError, unknown_name
from netalike.measures.gram import centred_gram, unit_vectors
from netalike.measures.registry import Measure, as_features, register
from netalike.measures.streaming import PairwiseCKA
from netalike.measures.undefined import UndefinedMeasureError

_CONSTANT_INPUTS = "the inputs are constant over the samples"
_GRAM_INVARIANCES = frozenset({"permutation", "orthogonal", "isotropic_scaling", "translation"})


@dataclass(frozen=True)
class _Prepared:
    gram: Tensor  # (n, n), centred, float64
    inputs: Tensor | None = None  # (n, n)


def _prepare(x: Tensor, inputs: Tensor | None = None) -> _Prepared:
    return _Prepared(_varying_gram(x), None if inputs is None else _varying_gram(inputs, _CONSTANT_INPUTS))


def _varying_gram(x: Tensor, otherwise: str = "zero variance over the samples") -> Tensor:
    gram = centred_gram(x)
    if not gram.diagonal().sum() > 0:
        raise UndefinedMeasureError(otherwise)
    return gram


def _pair(estimator: str, a: _Prepared, b: _Prepared) -> float:
    pairwise = PairwiseCKA([estimator])
    pairwise.update(torch.stack([a.gram, b.gram]), a.inputs)
    value = float(pairwise.result().values[estimator][0, 1])
    if np.isnan(value):
        raise UndefinedMeasureError(_REASONS[estimator])
    return value


_REASONS = {
    "published": "zero variance over the samples",
    "unbiased": "the unbiased HSIC of a representation with itself is not positive",
    "deconfounded": "the Gram matrix is a multiple of the inputs' Gram matrix",
    "deconfounded_psd": "the Gram matrix is a multiple of the inputs' Gram matrix",
}


def reason_of(estimator: str) -> str:
    """Say why an estimator has no value where the representations themselves vary."""
    return _REASONS.get(estimator, _REASONS["published"])


UNBIASED = register(
    Measure(
        quantity="cka",
        estimator="unbiased",
        low=-1.0,  # near 0 for unrelated representations, and possibly below; never clamped
        high=1.0,
        direction="similarity",
        identical=1.0,
        symmetric=True,
        invariances=_GRAM_INVARIANCES,
        prepare=_prepare,
        compare=lambda a, b: _pair("unbiased", a, b),
        source="Song et al. 2012, eq. 5 (HSIC_1); Nguyen et al. 2021, eq. 3",
    )
)
BIASED = register(
    Measure(
        quantity="cka",
        estimator="biased",
        low=0.0,
        high=1.0,
        direction="similarity",
        identical=1.0,
        symmetric=True,
        invariances=_GRAM_INVARIANCES,
        prepare=_prepare,
        compare=lambda a, b: _pair("published", a, b),  # the mean over one batch
        source="Kornblith et al. 2019, eq. 2 and 3, linear kernel",
    )
)
DECONFOUNDED = register(
    Measure(
        quantity="deconfounded_cka",
        estimator="published",
        low=-1.0,
        high=1.0,
        direction="similarity",
        identical=1.0,
        symmetric=True,
        invariances=_GRAM_INVARIANCES,
        prepare=_prepare,
        compare=lambda a, b: _pair("deconfounded", a, b),
        source="Cui et al. 2022; simtorch 0.2.1, remove_negative_eig=False, in closed form",
        needs_inputs=True,
    )
)
DECONFOUNDED_PSD = register(
    Measure(
        quantity="deconfounded_cka",
        estimator="published_psd",
        low=0.0,
        high=1.0,
        direction="similarity",
        identical=1.0,
        symmetric=True,
        invariances=_GRAM_INVARIANCES,
        prepare=_prepare,
        compare=lambda a, b: _pair("deconfounded_psd", a, b),
        source="Cui et al. 2022; simtorch 0.2.1, remove_negative_eig=True",
        needs_inputs=True,
    )
)


def cka(
    x: ArrayLike | Tensor, y: ArrayLike | Tensor, estimator: str = "unbiased", batch_size: int | None = None
) -> float:
    """Centred kernel alignment of two representations, with linear kernels.

    Parameters
    ----------
    x : array, shape (n, ...)
        Activations of n samples; everything after the first axis is flattened.
    y : array, shape (n, ...)
        Activations of the same samples, in the same order.
    estimator : {"unbiased", "biased", "published"}
        ``unbiased``: HSIC_1 summed over batches, then the ratio; not clamped.  ``biased``: of all samples at once.
        ``published``: the unweighted mean over batches of the biased estimate.
    batch_size : int, optional
        For ``unbiased`` and ``published``; all samples at once by default.

    Returns
    -------
    float
        1 for representations equal up to rotation, scale and shift; about 0 (``unbiased``) for unrelated ones.

    Raises
    ------
    ShapeError
        If the numbers of samples differ, or a batch has fewer than 4.
    UndefinedMeasureError
        If a representation is constant.
    UnknownNameError
        If there is no such estimator.

    Notes
    -----
    O(n b (p + q)) time and O(b (p + q)) memory beyond the inputs, b being the batch size.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(64, 10))
    >>> round(cka(x, 3 * x[:, ::-1] + 1), 6)
    1.0
    """
    allowed = ("unbiased", "biased", "published")
    if estimator not in allowed:
        raise unknown_name("CKA estimator", estimator, allowed)
    size = None if estimator == "biased" else batch_size
    return _batched("published" if estimator == "biased" else estimator, x, y, None, size)


def deconfounded_cka(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    inputs: ArrayLike | Tensor,
    psd: bool = False,
    batch_size: int | None = None,
) -> float:
    """CKA after the similarity of the inputs is regressed out of both Gram matrices.

    Parameters
    ----------
    x : array, shape (n, ...)
    y : array, shape (n, ...)
        Activations of the same n samples.
    inputs : array, shape (n, ...)
        What the networks saw, normalised as they saw it.
    psd : bool
        Project the adjusted Gram matrices on the positive semi-definite cone before comparing them.
    batch_size : int, optional
        The mean over batches of this size is returned; all samples at once by default.

    Returns
    -------
    float
        In [-1, 1] ([0, 1] with `psd`).

    Raises
    ------
    ShapeError
        If the numbers of samples differ, or a batch has fewer than 4.
    UndefinedMeasureError
        If a representation is constant, or its Gram matrix is a multiple of the inputs'.

    Notes
    -----
    Cui et al. (2022) regress vec(K) on vec(K0).  All three Gram matrices are centred, so the intercept is 0 and,
    without the projection, the result is the partial correlation (r12 - r10 r20) / sqrt((1 - r10^2)(1 - r20^2)) of the
    pairwise CKAs: O(n b (p + q + d)) time.  The projection adds O(n b^2).
    """
    return _batched("deconfounded_psd" if psd else "deconfounded", x, y, inputs, batch_size)


def _batched(
    estimator: str,
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    inputs: ArrayLike | Tensor | None,
    batch_size: int | None,
) -> float:
    features = _of_same_samples(*(part for part in (x, y, inputs) if part is not None))
    size = batch_size or len(features[0])
    pairwise = PairwiseCKA([estimator])
    for batch in zip(*(torch.split(part, size) for part in features), strict=True):
        confounder = None if inputs is None else _varying_gram(batch[2], _CONSTANT_INPUTS)
        pairwise.update(torch.stack([centred_gram(part) for part in batch[:2]]), confounder)
    result = pairwise.result()
    value = float(result.values[estimator][0, 1])
    if np.isnan(value):
        raise UndefinedMeasureError(next(iter(result.reasons.values()), _REASONS[estimator]))
    return value


def explained_by_inputs(x: ArrayLike | Tensor, inputs: ArrayLike | Tensor) -> float:
    """Share of the variance of a representation's Gram matrix that the inputs' Gram matrix explains (PVE).

    Parameters
    ----------
    x : array, shape (n, ...)
    inputs : array, shape (n, ...)

    Returns
    -------
    float
        The squared CKA of the representation with the inputs, in [0, 1].

    Raises
    ------
    ShapeError
        If the numbers of samples differ.
    UndefinedMeasureError
        If either is constant.
    """
    features, confounder = _of_same_samples(x, inputs)
    grams = torch.stack([_varying_gram(features), _varying_gram(confounder, _CONSTANT_INPUTS)])
    units, _ = unit_vectors(grams)
    return float(units[0] @ units[1]) ** 2


def _of_same_samples(*representations: ArrayLike | Tensor) -> list[Tensor]:
    features = [as_features(part) for part in representations]
    sizes = [len(part) for part in features]
    if len(set(sizes)) > 1:
        raise ShapeError(f"CKA of different samples: {' and '.join(map(str, sizes))}.")
    return features
