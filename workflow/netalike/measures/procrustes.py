"""Procrustes distance between representations of any width."""

from __future__ import annotations

import torch
from torch import Tensor

from netalike.measures.gram import centred_gram
from netalike.measures.registry import Measure, register
from netalike.measures.undefined import UndefinedMeasureError


def gram_factor(gram: Tensor) -> Tensor:
    """Factor a positive semi-definite matrix: K = F F'.

    Parameters
    ----------
    gram : Tensor, shape (n, n), float64
        A centred Gram matrix.

    Returns
    -------
    Tensor, shape (n, r)
        r is the numerical rank; columns are the eigenvectors times the roots of their eigenvalues.

    Notes
    -----
    O(n^3), once for each representation.
    """
    eigenvalues, vectors = torch.linalg.eigh(gram)
    kept = eigenvalues > eigenvalues[-1] * len(gram) * torch.finfo(gram.dtype).eps
    factor: Tensor = vectors[:, kept] * eigenvalues[kept].sqrt()
    return factor


def _prepare(x: Tensor) -> Tensor:
    factor = x - x.mean(0)
    if len(x) < x.shape[1]:  # the n x n form: the same singular values from n columns
        factor = gram_factor(centred_gram(x))
    norm = torch.linalg.norm(factor)
    if not norm > 1e-12 * torch.linalg.norm(x):
        raise UndefinedMeasureError("zero variance over the samples")
    return torch.div(factor, norm)


def _distance(a: Tensor, b: Tensor) -> float:
    # rounding can put the nuclear norm above 1 by an ulp; the distance of equal representations is 0
    return max(0.0, 1.0 - float(torch.linalg.svdvals(a.T @ b).sum()))


PROCRUSTES = register(
    Measure(
        quantity="procrustes",
        estimator="published",
        low=0.0,
        high=1.0,
        direction="distance",
        identical=0.0,
        symmetric=True,
        invariances=frozenset({"permutation", "orthogonal", "isotropic_scaling", "translation"}),
        prepare=_prepare,
        compare=_distance,
        source="1 - ||X'Y||_* of centred, norm-one features, as simtorch (half of the squared Procrustes distance); "
        "from n x n factors where the width exceeds n",
    )
)
