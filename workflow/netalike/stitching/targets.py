"""What the training of a stitching layer minimises: hard and soft targets, l1, and CKA as a regulariser."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from netalike.errors import ShapeError, unknown_name
from netalike.measures.gram import flatten_in_memory_order
from netalike.stitching.names import TARGETS

# Of the squared norm of the activations, as in netalike.measures.gram: what is left after centring is rounding.
_CONSTANT_SHARE = 1e-12
_FIRST, _SECOND = frozenset({"front"}), frozenset({"end"})
_NEEDED = {
    "hard": frozenset[str](),
    "soft_1": _FIRST,
    "soft_2": _SECOND,
    "soft_12": _FIRST | _SECOND,
    "soft_1_plus_2": _FIRST | _SECOND,
}


def needed(target: str) -> frozenset[str]:
    """Say whose own logits a target is made of.

    Parameters
    ----------
    target : {"hard", "soft_1", "soft_2", "soft_12", "soft_1_plus_2"}

    Returns
    -------
    frozenset of str
        A subset of ``{"front", "end"}``.

    Raises
    ------
    UnknownNameError
        If there is no such target.
    """
    if target not in _NEEDED:
        raise unknown_name("target", target, TARGETS)
    return _NEEDED[target]


def target_loss(
    logits: Tensor,
    labels: Tensor,
    target: str = "hard",
    temperature: float = 1.0,
    front: Tensor | None = None,
    end: Tensor | None = None,
) -> Tensor:
    """Compute the loss of a stitched network's logits.

    Parameters
    ----------
    logits : Tensor, shape (n, classes)
        Of the stitched network.
    labels : Tensor, int64, shape (n,)
        Used by the target "hard" alone.
    target : {"hard", "soft_1", "soft_2", "soft_12", "soft_1_plus_2"}
        The labels; the logits of the front network; those of the end network; the mean of these two losses; or the
        loss against the mean of the two networks' logits. (Help text and README of the published code call the last
        one a sum; its code takes the mean, which is the sum at twice the temperature of the target.)
    temperature : float
        Of the soft targets: divides the logits on both sides. There is no factor temperature^2, as published.
    front, end : Tensor, shape (n, classes), optional
        Logits of the two networks, where `needed` says so.

    Returns
    -------
    Tensor, scalar
        In nats, mean over the n images.

    Raises
    ------
    UnknownNameError
        If there is no such target.
    ShapeError
        If the logits that a soft target needs are missing, or of another number of classes.

    Notes
    -----
    Csiszarik et al. (2021), the published code: -sum softmax(target / T) log_softmax(logits / T).
    """
    wanted = needed(target)
    if not wanted:
        return functional.cross_entropy(logits, labels)
    given = {name: value for name, value in (("front", front), ("end", end)) if name in wanted}
    sources = [_fitting(name, value, logits) for name, value in given.items()]
    if target == "soft_1_plus_2":
        return soft_cross_entropy(logits, torch.stack(sources).mean(0), temperature)
    return torch.stack([soft_cross_entropy(logits, source, temperature) for source in sources]).mean()


def soft_cross_entropy(logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    """Compute the cross-entropy of logits with the class probabilities of other logits.

    Parameters
    ----------
    logits, target : Tensor, shape (n, classes)
    temperature : float
        Divides both.

    Returns
    -------
    Tensor, scalar
        In nats: the sum over the classes, the mean over the n images (not over n * classes).
    """
    probabilities = (target.to(logits.dtype) / temperature).softmax(1)
    return functional.cross_entropy(logits / temperature, probabilities)


def linear_cka(x: Tensor, y: Tensor) -> Tensor:
    """Compute biased linear CKA of one batch, differentiably.

    Parameters
    ----------
    x : Tensor, shape (n, ...)
    y : Tensor, shape (n, ...)
        Activations of the same n samples; everything after the first axis is a unit.

    Returns
    -------
    Tensor, scalar
        In [0, 1]; NaN if either is constant over the batch, up to rounding.

    Raises
    ------
    ShapeError
        If the numbers of samples differ.

    Notes
    -----
    Kornblith et al. (2019), eq. 2 and 3: |Yc'Xc|_F^2 / (|Xc'Xc|_F |Yc'Yc|_F) with centred columns, or the same from
    the n x n Gram matrices. The smaller matrices are used: O(n (p + q) min(n, p + q)).
    """
    if len(x) != len(y):
        raise ShapeError(f"CKA of different samples: {len(x)} and {len(y)}.")
    # Any order of the units gives the same value, so that neither is copied: see flatten_in_memory_order.
    (a, mean_a), (b, mean_b) = (_centred(flatten_in_memory_order(part)) for part in (x, y))
    if len(a) <= max(a.shape[1], b.shape[1]):
        k, l = a @ a.T, b @ b.T  # (n, n)
        shared = (k * l).sum()
    else:
        k, l = a.T @ a, b.T @ b  # (p, p), (q, q)
        shared = (b.T @ a).square().sum()
    return shared / (_norm(k, mean_a, len(a)) * _norm(l, mean_b, len(a)))


def _centred(features: Tensor) -> tuple[Tensor, Tensor]:
    mean = features.mean(0)
    return features - mean, mean


def _norm(product: Tensor, mean: Tensor, n: int) -> Tensor:
    norm = torch.linalg.vector_norm(product)
    is_constant = product.diagonal().sum() <= _CONSTANT_SHARE * n * (mean @ mean)
    return torch.where(is_constant, torch.nan, norm)


def _fitting(name: str, source: Tensor | None, logits: Tensor) -> Tensor:
    if source is None or source.shape != logits.shape:
        got = "none" if source is None else f"shape {tuple(source.shape)}"
        raise ShapeError(
            f"a soft target needs the {name} network's logits of shape {tuple(logits.shape)}, got {got}: "
            "both networks need the same classes; use the target 'hard' or 'soft_2' otherwise."
        )
    return source
