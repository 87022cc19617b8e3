"""Soft counts of any number of samples, without storing gradients or forming a kernel."""

from __future__ import annotations

from torch import Tensor, nn
from tqdm import tqdm

from netalike.gradients.factors import Factors
from netalike.gradients.inputs import InputsLike, OutputsLike, check_chunk
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
    check_chunk(size)
    # a quarter: blocks that are kept leave gaps between those that are freed, about as large as themselves
    room = keep * int(memory_gb / 4 * 1e9 / next(products.model.parameters()).element_size())
    passes = _Passes(products, include_self, room)
    starts = range(0, products.n, size)
    bar: tqdm[None]
    with progress([], "gradients", total=2 * products.n, shown=shown, unit="sample") as bar:
        for step in (passes.add, passes.count):
            for start in starts:
                rows = slice(start, min(start + size, products.n))
                step(rows)
                bar.update(rows.stop - rows.start)
    return passes.counts


class _Passes:
    """The two passes over all samples, a batch of rows at a time.

    Results of all samples are allocated before, since small ones that stay between large ones that are freed would
    leave gaps, more of them for more samples.
    """

    def __init__(self, products: LayerProducts, include_self: bool, room: int) -> None:
        like = next(products.model.parameters()).detach()
        self.products, self.include_self, self.room = products, include_self, room
        self.roots = like.new_empty(products.n, products.d, products.d)
        self.counts = like.new_empty(products.n)
        self.sums: list[Tensor] = []
        self.kept: dict[int, Factors] = {}

    def add(self, rows: slice) -> None:
        """Add the normalised gradients of some samples to the sum over all."""
        factors = self.products.factors(rows.start, rows.stop)
        ready = factors.expanded()
        self.roots[rows] = roots = ready.roots()
        self.counts[rows] = 0.0 if self.include_self else -ready.own_similarities(roots)
        parts = ready.total(roots)
        self.sums = [a.add_(b) for a, b in zip(self.sums, parts, strict=True)] if self.sums else parts
        if self.room > 0 and (small := ready.smaller(factors)).numbers <= self.room:
            self.kept[rows.start] = small
            self.room -= small.numbers

    def count(self, rows: slice) -> None:
        """Compare some samples with the sum."""
        kept = self.kept.pop(rows.start, None)
        factors = self.products.factors(rows.start, rows.stop) if kept is None else kept
        # Tr(W_i X_i' V) / d, with W_i symmetric
        self.counts[rows] += (self.roots[rows] * factors.projected(self.sums)).sum((1, 2)) / self.products.d
