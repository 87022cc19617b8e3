"""CKA of many resamples of the same images at once, by weights on Gram matrices: the bootstrap without recomputing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from netalike.errors import NetalikeError
from netalike.measures.gram import centred_gram
from netalike.measures.hsic import MIN_UNBIASED_SAMPLES
from netalike.measures.undefined import UndefinedMeasureError

# A self-term of unbiased HSIC below this share of the biased one is what rounding leaves of zero; 1 - r^2 of a Gram
# matrix with the inputs' below this, what is left of a multiple of it.
_ROUNDING, _EXPLAINED = 1e-12, 1e-10


def image_weights(n: int, n_boot: int, seed: int) -> Tensor:
    """Draw how often each image is in each resample.

    Parameters
    ----------
    n : int
        Number of images, at least 4.
    n_boot : int
        Number of resamples with replacement.
    seed : int

    Returns
    -------
    Tensor, shape (n_boot + 1, n), float64
        Row 0 is the sample itself: ones. Every row sums to n.

    Raises
    ------
    NetalikeError
        If there are too few images, or a negative number of resamples.
    """
    if n < MIN_UNBIASED_SAMPLES:
        raise NetalikeError(f"similarity needs at least {MIN_UNBIASED_SAMPLES} images, got {n}.")
    if n_boot < 0:
        raise NetalikeError(f"the number of resamples must be at least 0, got {n_boot}.")
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, n, (n_boot, n), generator=generator)
    counts = torch.zeros(n_boot, n, dtype=torch.float64).scatter_add_(1, drawn, torch.ones(n_boot, n).double())
    return torch.cat([torch.ones(1, n, dtype=torch.float64), counts])


@dataclass(frozen=True)
class WeightedGram:
    """A centred Gram matrix, and its row sums in every resample.

    Attributes
    ----------
    gram : Tensor, shape (n, n), float64
    diagonal : Tensor, shape (n,)
    sums : Tensor, shape (resamples, n)
        ``K w``.
    """

    gram: Tensor
    diagonal: Tensor
    sums: Tensor


def weighted_gram(representation: Tensor, weights: Tensor) -> WeightedGram:
    """Prepare a representation for `products`.

    Parameters
    ----------
    representation : Tensor, shape (n, p)
    weights : Tensor, shape (resamples, n)

    Returns
    -------
    WeightedGram

    Raises
    ------
    UndefinedMeasureError
        If the representation is constant over the images.
    """
    gram = centred_gram(representation.double())
    if not gram.diagonal().sum() > 0:
        raise UndefinedMeasureError("zero variance over the samples")
    return WeightedGram(gram, gram.diagonal().clone(), weights @ gram)


@dataclass(frozen=True)
class Products:
    """Inner products of two centred Gram matrices in every resample, up to one common factor each.

    Attributes
    ----------
    biased, unbiased : Tensor, shape (resamples,)
        Estimates of HSIC.
    """

    biased: Tensor
    unbiased: Tensor


def products(a: WeightedGram, b: WeightedGram, weights: Tensor) -> Products:
    """Estimate HSIC of two representations in every resample of the images.

    Parameters
    ----------
    a, b : WeightedGram
        Of n images.
    weights : Tensor, shape (resamples, n)
        `image_weights`.

    Returns
    -------
    Products

    Notes
    -----
    With all weights one these are the trace of ``K L`` and HSIC_1 (Song et al. 2012, eq. 5) of centred matrices. In a
    resample an image may occur twice. Its similarity with its own copy is no similarity of two images, and would
    inflate every resample (for CKA of few images and wide representations by as much as the value itself), so sums
    over pairs, triples and quadruples run over different images alone, each term weighted by the product of its
    images' weights, and are divided by the sum of those products; the diagonal of the biased estimate, in which an
    image meets itself once, has the image's weight. Two products of (resamples, n) with (n, n).
    """
    n = weights.shape[1]
    squares = weights**2
    both = a.gram * b.gram
    diagonal = both.diagonal().clone()
    both.fill_diagonal_(0)
    rows = weights @ both
    pairs = (rows * weights).sum(1)
    return Products(
        _biased(a, b, weights, pairs / _distinct(weights, 2) * (n * (n - 1)) + weights @ diagonal),
        _unbiased(a, b, weights, pairs, (rows * squares).sum(1), ((squares @ both) * squares).sum(1)),
    )


def cka(ab: Products, aa: Products, bb: Products, is_unbiased: bool) -> Tensor:
    """CKA in every resample, shape (resamples,); NaN where a self-term is not above rounding.

    Parameters
    ----------
    ab, aa, bb : Products
        Of the pair, and of each with itself.
    is_unbiased : bool
        Of HSIC_1, not clamped; else of the biased estimate, as published.
    """
    if not is_unbiased:
        return ab.biased / (aa.biased * bb.biased).sqrt()
    n_terms = torch.stack([_positive(own.unbiased, own.biased) for own in (aa, bb)])
    return ab.unbiased / n_terms.prod(0).sqrt()


def deconfounded_cka(ab: Tensor, a_inputs: Tensor, b_inputs: Tensor) -> Tensor:
    """CKA after the inputs' Gram matrix is regressed out of both (Cui et al. 2022, closed form).

    Parameters
    ----------
    ab, a_inputs, b_inputs : Tensor, shape (resamples,)
        Biased CKA of the pair, and of each with the inputs.

    Returns
    -------
    Tensor, shape (resamples,)
        NaN where a Gram matrix is a multiple of the inputs'.
    """
    left = torch.stack([1 - a_inputs**2, 1 - b_inputs**2])
    left = torch.where(left > _EXPLAINED, left, torch.nan)
    return (ab - a_inputs * b_inputs) / left.prod(0).sqrt()


def _positive(unbiased: Tensor, biased: Tensor) -> Tensor:
    return torch.where(unbiased > _ROUNDING * biased.abs(), unbiased, torch.nan)


def _biased(a: WeightedGram, b: WeightedGram, weights: Tensor, total: Tensor) -> Tensor:
    """Centre anew: each image's row sum counts the image itself once, and its copies not at all."""
    n = weights.shape[1]
    rows_a, rows_b = (g.sums + (1 - weights) * g.diagonal for g in (a, b))
    cross = (weights * rows_a * rows_b).sum(1)
    grand = (weights * rows_a).sum(1) * (weights * rows_b).sum(1)
    return (total - 2 / n * cross + grand / n**2) / (n * (n - 3))


def _unbiased(
    a: WeightedGram, b: WeightedGram, weights: Tensor, pairs: Tensor, mixed: Tensor, squared: Tensor
) -> Tensor:
    """Sums over different images by inclusion and exclusion; `mixed` and `squared` have weights w^2 w and w^2 w^2."""
    rows_a, rows_b = (g.sums - weights * g.diagonal for g in (a, b))
    both = rows_a * rows_b
    triples = (weights * both).sum(1) - mixed
    grand = (weights * rows_a).sum(1) * (weights * rows_b).sum(1)
    quadruples = grand - 4 * (weights**2 * both).sum(1) + 2 * squared
    parts = zip((pairs, triples, quadruples), (2, 3, 4), (1, -2, 1), strict=True)
    return torch.stack([sign * part / _distinct(weights, size) for part, size, sign in parts]).sum(0)


def _distinct(weights: Tensor, size: int) -> Tensor:
    """Sum over tuples of different images of the product of their weights, shape (resamples,)."""
    one, two, three, four = ((weights**power).sum(1) for power in (1, 2, 3, 4))
    if size == 2:
        return one**2 - two
    if size == 3:
        return one**3 - 3 * one * two + 2 * three
    return one**4 - 6 * one**2 * two + 8 * one * three + 3 * two**2 - 6 * four
