"""The kernel of gradients: K_ij = X_i' X_j, its normalised form, and the scalars made of it."""

from __future__ import annotations

import numpy as np

from netalike.errors import ShapeError, unknown_name
from netalike.gradients.arrays import Array, ArrayT, Floats, as_gradients, finite, like, to_numpy

SCALARS = ("trace", "nuclear", "frobenius")
# An eigenvalue of K_ii below this many units of rounding, beside the largest, is taken for zero.
_ROUNDING_UNITS = 100.0


def kernel_matrix(X: ArrayT, Y: Array | None = None) -> ArrayT:
    """Compute the matrix kernel of all pairs of samples.

    Parameters
    ----------
    X : ndarray or Tensor, shape (n, p, d)
        Gradients of n samples; (n, p) stands for one output.
    Y : ndarray or Tensor, shape (m, p, d), optional
        Default: X.

    Returns
    -------
    ndarray or Tensor (as X), shape (n, m, d, d)
        K[i, j] = X_i' Y_j, in the squared unit of the gradients.

    Raises
    ------
    ShapeError
        If X and Y have different numbers of parameters or outputs.

    Notes
    -----
    O(n m p d^2) time, O(n m d^2) memory. Charpiat et al. 2019.
    """
    x = as_gradients(X, "X")
    y = x if Y is None else as_gradients(Y, "Y")
    if x.shape[1:] != y.shape[1:]:
        raise ShapeError(f"X and Y are gradients of different shapes (p, d): {x.shape[1:]} and {y.shape[1:]}.")
    (n, p, d), m = x.shape, len(y)
    columns_x = x.transpose(0, 2, 1).reshape(n * d, p)
    columns_y = columns_x if y is x else y.transpose(0, 2, 1).reshape(m * d, p)
    products = (columns_x @ columns_y.T).reshape(n, d, m, d).transpose(0, 2, 1, 3)
    return like(products, X)


def inverse_roots(K: ArrayT, rcond: float | None = None) -> ArrayT:
    """Compute the symmetric inverse square root of each K_ii, on its range.

    Parameters
    ----------
    K : ndarray or Tensor, shape (n, d, d)
        Symmetric, positive semi-definite up to rounding.
    rcond : float, optional
        An eigenvalue below rcond times the largest is taken for zero; default: 100 units of rounding of the dtype
        (1.2e-5 for float32, 2.2e-14 for float64).

    Returns
    -------
    ndarray or Tensor (as K), shape (n, d, d)
        W with W K W the projection on the range of K: the identity where K has full rank, 0 where K is 0.

    Raises
    ------
    ShapeError, NetalikeError
        If K is no stack of square matrices, or not finite.

    Notes
    -----
    By `eigh` in float64, O(n d^3); a product of square roots and inverses, as published, turns complex or fails on a
    rank-deficient K.
    """
    given = finite(K, "K_ii", "n d d")
    limit = rounding(given.dtype.itemsize) if rcond is None else rcond
    symmetric = given.astype(np.float64)
    symmetric = (symmetric + symmetric.transpose(0, 2, 1)) / 2
    eigenvalues, vectors = np.linalg.eigh(symmetric)
    largest = eigenvalues[:, -1:]
    kept = (eigenvalues > limit * largest) & (eigenvalues > 0)
    roots = np.where(kept, 1 / np.sqrt(np.where(kept, eigenvalues, 1.0)), 0.0)
    return like(((vectors * roots[:, None, :]) @ vectors.transpose(0, 2, 1)).astype(given.dtype), K)


def rounding(itemsize: int) -> float:
    """Return the share of the largest eigenvalue below which one is rounding, for gradients of 4 or 8 bytes."""
    return _ROUNDING_UNITS * float(np.finfo(np.float32 if itemsize == 4 else np.float64).eps)


def normalise(K: ArrayT, K_aa: Array, K_bb: Array) -> ArrayT:
    """Normalise a block of the matrix kernel: K_aa^(-1/2) K_ab K_bb^(-1/2).

    Parameters
    ----------
    K : ndarray or Tensor, shape (n, m, d, d)
    K_aa : shape (n, d, d)
        Kernel of each row's sample with itself.
    K_bb : shape (m, d, d)
        Kernel of each column's sample with itself.

    Returns
    -------
    ndarray or Tensor (as K), shape (n, m, d, d)
        Singular values at most 1; the identity for a sample with itself, or a projection where its gradients are
        linearly dependent; 0 where one of the gradients is zero.

    Raises
    ------
    ShapeError, NetalikeError
        If the shapes do not fit, or an entry is not finite.
    """
    kernel, own_a, own_b = finite(K, "K", "n m d d"), finite(K_aa, "K_aa", "n d d"), finite(K_bb, "K_bb", "m d d")
    n, m, d, _ = kernel.shape
    if own_a.shape != (n, d, d) or own_b.shape != (m, d, d):
        raise ShapeError(
            f"a kernel of shape {kernel.shape} needs K_aa of shape {(n, d, d)} and K_bb of shape {(m, d, d)}; "
            f"got {own_a.shape} and {own_b.shape}."
        )
    return like(inverse_roots(own_a)[:, None] @ kernel @ inverse_roots(own_b)[None], K)


def scalar(K: ArrayT, kind: str = "trace") -> ArrayT:
    """Reduce each d x d block of a kernel to one number.

    Parameters
    ----------
    K : ndarray or Tensor, shape (..., d, d)
    kind : {"trace", "nuclear", "frobenius"}
        ``trace``: Tr(K) / d, the published choice. ``nuclear``: sum of the singular values / d, the largest trace over
        rotations of the outputs. ``frobenius``: |K|_F / sqrt(d). The last two do not change under a rotation of the
        outputs of one sample, and are never negative.

    Returns
    -------
    ndarray or Tensor (as K), shape (...)
        For a normalised kernel: trace <= nuclear <= frobenius <= 1.

    Raises
    ------
    UnknownNameError
        If there is no such scalar.
    ShapeError
        If the last two axes differ.
    """
    if kind not in SCALARS:
        raise unknown_name("scalar of a kernel", kind, SCALARS)
    blocks = to_numpy(K)
    if blocks.ndim < 2 or blocks.shape[-1] != blocks.shape[-2]:
        raise ShapeError(f"a kernel of blocks (..., d, d) is needed, got shape {blocks.shape}.")
    d = blocks.shape[-1]
    if kind == "trace":
        return like(np.trace(blocks, axis1=-2, axis2=-1) / d, K)
    if kind == "frobenius":
        return like(np.sqrt(np.square(blocks).sum((-2, -1)) / d), K)
    return like(_nuclear_norms(blocks) / d, K)


def _nuclear_norms(blocks: Floats) -> Floats:
    d = blocks.shape[-1]
    if d == 1:
        return np.asarray(np.abs(blocks[..., 0, 0]))
    if d == 2:  # (s1 + s2)^2 = |M|_F^2 + 2 |det M|; a thousand times faster than an SVD for each block
        determinants = blocks[..., 0, 0] * blocks[..., 1, 1] - blocks[..., 0, 1] * blocks[..., 1, 0]
        return np.asarray(np.sqrt(np.square(blocks).sum((-2, -1)) + 2 * np.abs(determinants)))
    return np.asarray(np.linalg.svd(blocks, compute_uv=False).sum(-1))


def similarity(X: ArrayT, Y: Array | None = None, kind: str = "trace") -> ArrayT:
    """Compute the similarity of all pairs of samples from their gradients.

    Parameters
    ----------
    X : ndarray or Tensor, shape (n, p, d)
    Y : ndarray or Tensor, shape (m, p, d), optional
        Default: X.
    kind : {"trace", "nuclear", "frobenius"}
        See `scalar`.

    Returns
    -------
    ndarray or Tensor (as X), shape (n, m)
        Scalar of the normalised kernel, in [-1, 1]; the cosine for d = 1 and ``trace``.

    Notes
    -----
    O(n m p d^2) time; for gradients that do not fit in memory see `netalike.gradients.sources`.
    """
    x = as_gradients(X, "X")
    y = x if Y is None else as_gradients(Y, "Y")
    roots_x = gradient_roots(x)
    roots_y = roots_x if y is x else gradient_roots(y)
    return like(scalar(roots_x[:, None] @ kernel_matrix(x, y) @ roots_y[None], kind), X)


def gradient_roots(gradients: Floats) -> Floats:
    """Compute the inverse square root of each sample's own kernel from its gradient.

    Parameters
    ----------
    gradients : ndarray, shape (n, p, d)

    Returns
    -------
    ndarray (in the dtype of the gradients), shape (n, d, d)

    Notes
    -----
    K_ii is formed in float64, sample by sample, since its rounding grows with p and with its condition number.
    O(n p d^2).
    """
    own = np.stack([one.T @ one for one in (x.astype(np.float64) for x in gradients)])
    roots: Floats = np.asarray(inverse_roots(own, rounding(gradients.dtype.itemsize)), dtype=gradients.dtype)
    return roots


def whiten(gradients: Floats) -> Floats:
    """Normalise gradients: A_i = X_i K_ii^(-1/2), so that A_i' A_j is the normalised kernel.

    Parameters
    ----------
    gradients : ndarray, shape (n, p, d)

    Returns
    -------
    ndarray, shape (n, p, d)
        A new array; 0 for a zero gradient.
    """
    roots = gradient_roots(gradients)
    return gradients * roots if gradients.shape[2] == 1 else gradients @ roots
