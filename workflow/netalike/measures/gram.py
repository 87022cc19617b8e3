"""Gram matrices of representations, centred, one per layer."""

from __future__ import annotations

import torch
from torch import Tensor

from netalike.errors import ShapeError

# Above this share of the squared norm, the mean is removed before the product: centring afterwards would subtract two
# nearly equal float32 numbers.  Below it, centring the small n x n matrix saves a pass over the n x p features.
_MEAN_SHARE = 0.5
# Below this share of the squared norm, what is left after centring is rounding: the representation is constant.
_CONSTANT_SHARE = 1e-12


def flatten(representation: Tensor) -> Tensor:
    """View a representation as one row per sample.

    Parameters
    ----------
    representation : Tensor, shape (n, ...)
        Activations of n samples: feature maps, token sequences or vectors.

    Returns
    -------
    Tensor, shape (n, p)
        The same numbers; a view where the memory layout allows it, whatever the memory format.

    Raises
    ------
    ShapeError
        If there is no sample axis, or nothing but it.
    """
    if representation.ndim == 0 or representation[:1].numel() == 0:
        raise ShapeError(
            f"a representation of shape {tuple(representation.shape)} has no samples or no units: expected (n, ...)."
        )
    return representation.reshape(len(representation), -1)


def flatten_in_memory_order(representation: Tensor) -> Tensor:
    """View a representation as one row per sample, the units in whatever order they lie in memory.

    Parameters
    ----------
    representation : Tensor, shape (n, ...)

    Returns
    -------
    Tensor, shape (n, p)
        A view also for feature maps in channels-last layout.  The order of the units is the same for every batch of
        one layer, and no Gram matrix depends on it.
    """
    if representation.ndim == 4 and not representation.is_contiguous():
        representation = representation.permute(0, 2, 3, 1)
    return flatten(representation)


def double_centre(gram: Tensor) -> Tensor:
    """Centre a Gram matrix in feature space: H K H with H = I - 11'/n.

    Parameters
    ----------
    gram : Tensor, shape (..., n, n)
        Symmetric; float64 if the mean of the features is large beside their spread.

    Returns
    -------
    Tensor, shape (..., n, n)
        A new tensor; its rows and columns sum to zero.
    """
    rows = gram.mean(-1, keepdim=True)
    return gram - rows - rows.mT + rows.mean(-2, keepdim=True)


def centred_gram(representation: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Compute the Gram matrix of a representation, centred over the samples.

    Parameters
    ----------
    representation : Tensor, shape (n, ...)
        Activations of n samples; flattened to (n, p).
    dtype : torch.dtype, optional
        Precision of the product; the representation's own by default.

    Returns
    -------
    Tensor, shape (n, n), float64
        ``Xc Xc'``, where Xc has zero column means; exactly zero if the representation is constant up to rounding.

    Notes
    -----
    O(n^2 p) time.  The product is taken on the raw features and centred afterwards in float64, unless the column
    means hold more than half of the squared norm: then the features are centred first.
    """
    x = flatten(representation)
    if dtype is not None:
        x = x.to(dtype)
    gram = torch.mm(x, x.T).double()
    trace = gram.diagonal().sum()
    if gram.sum() / len(x) > _MEAN_SHARE * trace:
        centred = x - x.mean(0)
        gram = torch.mm(centred, centred.T).double()
        if gram.diagonal().sum() <= _CONSTANT_SHARE * trace:
            return torch.zeros_like(gram)
    return double_centre(gram)


def unit_vectors(grams: Tensor) -> tuple[Tensor, Tensor]:
    """Scale each Gram matrix of a stack to Frobenius norm one.

    Parameters
    ----------
    grams : Tensor, shape (layers, n, m)

    Returns
    -------
    units : Tensor, shape (layers, n * m)
        Vectorised; all NaN where the norm is zero, never a silent zero.
    norms : Tensor, shape (layers,)
    """
    vectors = grams.flatten(1)
    norms = torch.linalg.vector_norm(vectors, dim=1)
    return vectors / norms[:, None], norms
