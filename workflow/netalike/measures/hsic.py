"""Hilbert-Schmidt independence criterion between stacks of centred Gram matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from netalike.errors import ShapeError

MIN_UNBIASED_SAMPLES = 4


def inner_products(grams_a: Tensor, grams_b: Tensor) -> Tensor:
    """Take the Frobenius inner product of every pair of two stacks of matrices.

    Parameters
    ----------
    grams_a : Tensor, shape (layers_a, n, m)
    grams_b : Tensor, shape (layers_b, n, m)

    Returns
    -------
    Tensor, shape (layers_a, layers_b)
        ``<K_i, L_j>``; for centred Gram matrices this is (n - 1)^2 times the biased HSIC.

    Raises
    ------
    ShapeError
        If the stacks are of different samples.

    Notes
    -----
    One matrix product: O(layers_a * layers_b * n * m) time, no memory beyond the inputs.
    """
    if grams_a.shape[1:] != grams_b.shape[1:]:
        raise ShapeError(
            f"Gram matrices of different samples: {tuple(grams_a.shape[1:])} and {tuple(grams_b.shape[1:])}."
        )
    return grams_a.flatten(1) @ grams_b.flatten(1).T


def own_products(grams: Tensor) -> tuple[Tensor, Tensor]:
    """Take the inner products of all pairs within one stack of centred Gram matrices, with their diagonals apart.

    Parameters
    ----------
    grams : Tensor, shape (layers, n, n)

    Returns
    -------
    products : Tensor, shape (layers, layers), float64
        As `inner_products`.
    diagonals : Tensor, shape (layers, n), float64

    Notes
    -----
    The large sums run over the entries off the diagonal alone: of wide representations of few samples the diagonal is
    nearly all, and the unbiased estimator, which leaves it out, would be what rounding leaves of a difference.
    """
    inside = grams.diagonal(dim1=-2, dim2=-1)
    diagonals = inside.to(torch.float64, copy=True)
    inside.zero_()
    off_diagonal = inner_products(grams, grams).double()
    inside.copy_(diagonals)  # as it was: the numbers came from here
    return off_diagonal + diagonals @ diagonals.T, diagonals


def unbiased_from_centred(products: Tensor, diagonals_a: Tensor, diagonals_b: Tensor) -> Tensor:
    """Turn inner products of centred Gram matrices into unbiased HSIC estimates.

    Parameters
    ----------
    products : Tensor, shape (layers_a, layers_b)
        ``<HKH, HLH>`` of `inner_products`.
    diagonals_a : Tensor, shape (layers_a, n)
        The diagonals of the same centred matrices.
    diagonals_b : Tensor, shape (layers_b, n)

    Returns
    -------
    Tensor, shape (layers_a, layers_b)
        HSIC_1; near 0, and possibly below it, for independent representations.

    Raises
    ------
    ShapeError
        If n < 4, where the estimator is undefined.

    Notes
    -----
    HSIC_1 of Song et al. (2012), eq. 5, leaves the diagonals out.  It does not change when the features are shifted,
    so centred matrices may be used; then the rows without their diagonal sum to minus the diagonal, and all three of
    its terms follow from the products and the diagonals: O(layers_a * layers_b * n) beyond the products.
    """
    n = diagonals_a.shape[1]
    if n < MIN_UNBIASED_SAMPLES:
        raise ShapeError(f"unbiased HSIC needs at least {MIN_UNBIASED_SAMPLES} samples in a batch, got {n}.")
    across = diagonals_a @ diagonals_b.T  # sum of the products of the diagonals, and of the off-diagonal row sums
    traces = torch.outer(diagonals_a.sum(1), diagonals_b.sum(1))
    off_diagonal = products - across
    return (off_diagonal + traces / ((n - 1) * (n - 2)) - 2 / (n - 2) * across) / (n * (n - 3))


def unbiased_hsic(grams_a: Tensor, grams_b: Tensor) -> Tensor:
    """Estimate HSIC between every pair of two stacks of centred Gram matrices, without bias.

    Parameters
    ----------
    grams_a : Tensor, shape (layers_a, n, n)
        Centred Gram matrices of the same n samples, one per layer (`gram.centred_gram`).
    grams_b : Tensor, shape (layers_b, n, n)

    Returns
    -------
    Tensor, shape (layers_a, layers_b)

    Raises
    ------
    ShapeError
        If the stacks are of different samples, or n < 4.
    """
    diagonals = [grams.diagonal(dim1=-2, dim2=-1) for grams in (grams_a, grams_b)]
    return unbiased_from_centred(inner_products(grams_a, grams_b), *diagonals)
