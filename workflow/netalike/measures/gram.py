"""Gram matrices of representations, centred, one per layer."""

from __future__ import annotations

import torch
from torch import Tensor

from netalike.errors import ShapeError

# Above this share of the squared norm, the mean is removed before the product: centring afterwards would subtract two
# nearly equal numbers.  Below it, a pass over the n x p features is saved: the rounding of a float32 product, 1e-7 of
# its entries, grows at most a hundredfold (tenfold), and averages out over n^2 entries.
MEAN_SHARE = 0.99
# For estimators that subtract nearly equal correlations afterwards.
PRECISE_MEAN_SHARE = 0.9
# Below this share of the squared norm, what is left after centring is rounding: the representation is constant.
_CONSTANT_SHARE = 1e-12
_BLOCK, _WIDE = 64, 2048  # rows and columns; smaller products are not worth splitting


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
    if representation.ndim == 0 or 0 in representation.shape:
        raise ShapeError(
            f"a representation of shape {tuple(representation.shape)} has no samples or no units: expected (n, ...)."
        )
    return representation if representation.ndim == 2 else representation.reshape(len(representation), -1)


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
    return centre_in_place(gram.clone())


def centre_in_place(gram: Tensor) -> Tensor:
    """Centre Gram matrices as `double_centre`, in the memory that they have."""
    rows = gram.mean(-1)
    shares = rows - rows.mean(-1, keepdim=True) / 2  # half of the grand mean with the rows, half with the columns
    return gram.sub_(shares[..., :, None]).sub_(shares[..., None, :])


def symmetric_product(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Multiply a matrix with its transpose, computing little more than one triangle.

    Parameters
    ----------
    x : Tensor, shape (n, p)
    out : Tensor, shape (n, n), optional
        Where to write the product.

    Returns
    -------
    Tensor, shape (n, n)
        ``x x'``.

    Notes
    -----
    The left half of the columns is computed whole, the lower right quarter again by halves, the rest is their
    transpose.  For n = 128 three quarters of the O(n^2 p) operations, for large n little over half.
    """
    n = len(x)
    if out is None:
        out = x.new_empty(n, n)
    if n < 2 * _BLOCK or x.shape[1] < _WIDE:
        return torch.mm(x, x.T, out=out)
    half = n // 2
    torch.mm(x, x[:half].T, out=out[:, :half])
    symmetric_product(x[half:], out[half:, half:])
    out[:half, half:] = out[half:, :half].T
    return out


def centred_product(x: Tensor, scratch: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Subtract the mean over the samples, then multiply with the transpose.

    Parameters
    ----------
    x : Tensor, shape (n, p)
    scratch : Tensor, shape (at least n * p,), optional
        Memory for the centred features; asking the system for it anew takes longer than centring.
    out : Tensor, shape (n, n), optional
        Where to write the product.

    Returns
    -------
    Tensor, shape (n, n)
        Exactly zero if the representation is constant up to rounding.
    """
    mean = x.mean(0)
    place = None if scratch is None else scratch[: x.numel()].view(x.shape)
    gram = symmetric_product(torch.sub(x, mean, out=place), out)
    is_constant = gram.diagonal().sum() <= _CONSTANT_SHARE * len(x) * (mean @ mean)
    return gram.zero_() if is_constant else gram


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
    O(n^2 p) time.
    """
    x = flatten(representation)
    if dtype is not None:
        x = x.to(dtype)
    gram = symmetric_product(x)
    if gram.sum() > PRECISE_MEAN_SHARE * len(x) * gram.diagonal().sum():
        gram = centred_product(x)
    return double_centre(gram.double())


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
