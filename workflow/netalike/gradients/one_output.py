"""Soft counts of any number of samples, without storing gradients or forming a kernel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from tqdm import tqdm

from netalike.gradients.factors import Factors
from netalike.gradients.inputs import InputsLike, OutputsLike
from netalike.gradients.products import LayerProducts
from netalike.progress import progress


def soft_counts_streamed(
    model: nn.Module,
    inputs: InputsLike,
    outputs: OutputsLike = "sum",
    labels: object = None,
    chunk: int | None = None,
    include_self: bool = True,
    memory_gb: float = 0.25,
    shown: bool | None = False,
) -> Tensor:
    """Count the neighbours of every sample softly: N_S(i) = sum_j k_ij, in O(n p).

    Parameters
    ----------
    model : nn.Module
        In eval mode where that makes a difference.
    inputs : Tensor or ndarray, shape (n, ...), or ImageSet
    outputs : {"sum", "true-class", "logits"} or callable
        See `per_sample_gradients`. Meant for one output; d outputs cost d times as much.
    labels : sequence of int, optional
    chunk : int, optional
        Samples per batch; default: what fits in `memory_gb`.
    include_self : bool
        Whether a sample counts itself: 1, or less where its kernel with itself is singular (0 for a zero gradient).
    memory_gb : float
        Limit of what is held at a time. Factors of layers are kept from the first pass to the second where they fit.
    shown : bool or None
        Whether to show a progress bar; None: on a terminal only.

    Returns
    -------
    Tensor, shape (n,)
        In samples.

    Raises
    ------
    NetalikeError, UnknownNameError, ShapeError
        As `per_sample_gradients`.

    Notes
    -----
    For one output: the first pass finds each norm from products of layers, and adds up the gradients weighted by
    1/norm in the same backward pass; the second takes the inner product of each gradient with that sum, as the change
    of the output under a step along it. Exact (specification, claim P7). No gradient of the whole network is stored
    per sample; memory does not grow with n beyond `memory_gb` and the d^2 numbers of each sample's normalisation.
    """
    return streamed(LayerProducts(model, inputs, outputs, labels), chunk, include_self, memory_gb, shown)


def streamed(
    products: LayerProducts,
    chunk: int | None,
    include_self: bool,
    memory_gb: float,
    shown: bool | None,
    keep: bool = True,
) -> Tensor:
    """Count as `soft_counts_streamed`, for products that are prepared already.

    Without `keep`, all factors are computed anew in the second pass: memory is the same for any number of samples, but
    for the d^2 numbers of each one's normalisation.
    """
    size = min(products.chunk(memory_gb / 2), products.cached_chunk()) if chunk is None else chunk
    # a quarter: blocks that are kept leave gaps between those that are freed, about as large as themselves
    room = keep * int(memory_gb / 4 * 1e9 / next(products.model.parameters()).element_size())
    kept: dict[int, Factors] = {}
    roots: list[Tensor] = []
    own: list[Tensor] = []
    sums: list[Tensor] = []
    bar: tqdm[None]
    with progress([], "gradients", total=2 * products.n, shown=shown, unit="sample") as bar:
        for start, factors in products.batches(size):
            ready = factors.expanded()
            roots.append(ready.roots())
            if not include_self:
                own.append(ready.own_similarities(roots[-1]))
            parts = ready.total(roots[-1])
            sums = [a.add_(b) for a, b in zip(sums, parts, strict=True)] if sums else parts
            if room > 0 and (small := ready.smaller(factors)).numbers <= room:
                kept[start] = small
                room -= small.numbers
            bar.update(factors.n)
        counts: list[Tensor] = []
        for start, weights in zip(range(0, products.n, size), roots, strict=True):
            found = kept.pop(start, None)
            factors = products.factors(start, min(start + size, products.n)) if found is None else found
            # Tr(W_i X_i' V) / d, with W_i symmetric
            counts.append((weights * factors.projected(sums)).sum((1, 2)) / products.d)
            bar.update(factors.n)
    total = torch.cat(counts)
    return total if include_self else total - torch.cat(own)
