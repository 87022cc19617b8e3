"""The CKA family on all pairs of layers of all pairs of networks, from one pass per network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netalike.data import ImageSet
from netalike.errors import NetalikeError, unknown_name
from netalike.measures.cka import reason_of
from netalike.measures.gram import centred_gram, flatten
from netalike.measures.sources import Source, batch_permutation
from netalike.measures.streaming import ESTIMATORS, PairwiseCKA
from netalike.measures.whole_set import PRECISIONS, WholeSetCKA, block_pairs, block_size
from netalike.progress import progress as progress_bar

# How controls are named: a network's id with one of these behind it; `sources.NOISE` stands alone.
PERMUTED = "@permuted_samples"
PERMUTED_UNITS = "@permuted_units"
UNTRAINED = "@untrained"


@dataclass(frozen=True)
class PanelResult:
    """Every estimator on every pair of representations of a panel.

    Attributes
    ----------
    representations : list of (network, layer)
        Rows and columns of the matrices.
    values : dict of str to array, shape (representations, representations)
        By estimator; NaN where undefined.
    explained : array, shape (representations,) or None
        Share of variance explained by the input (PVE).
    negative_share : array or None
        Share of the adjusted Gram matrix's absolute eigenvalues that is negative (with ``deconfounded_psd``).
    reasons : dict of int to str
        Why a representation has no value.
    """

    representations: list[tuple[str, str]]
    values: dict[str, NDArray[np.float64]]
    explained: NDArray[np.float64] | None = None
    negative_share: NDArray[np.float64] | None = None
    reasons: dict[int, str] = field(default_factory=dict)

    def matrix(self, network_a: str, network_b: str, estimator: str) -> NDArray[np.float64]:
        """Return the layer-by-layer matrix of two networks.

        Parameters
        ----------
        network_a, network_b : str
        estimator : str

        Returns
        -------
        array, shape (layers of a, layers of b)

        Raises
        ------
        UnknownNameError
            If the panel has no such network or estimator.
        """
        if estimator not in self.values:
            raise unknown_name("estimator of this panel", estimator, self.values)
        return self.values[estimator][np.ix_(self._rows(network_a), self._rows(network_b))]

    def status(self, estimator: str, row: int, column: int) -> str:
        """Return ``ok``, or why the value of one pair of representations is missing."""
        if not np.isnan(self.values[estimator][row, column]):
            return "ok"
        for index in (row, column):
            if index in self.reasons:
                return f"undefined: {self.reasons[index]} in layer {self.representations[index][1]}"
        return f"undefined: {reason_of(estimator)}"

    def _rows(self, network: str) -> list[int]:
        rows = [i for i, (name, _) in enumerate(self.representations) if name == network]
        if not rows:
            raise unknown_name("network of this panel", network, dict(self.representations))
        return rows


def compare_networks(
    sources: Sequence[Source],
    images: ImageSet,
    estimators: Sequence[str] = ("published", "biased", "unbiased", "deconfounded"),
    batch_size: int = 128,
    permuted: Sequence[str] = (),
    seed: int = 0,
    memory_gb: float = 3.0,
    precision: str = "float32",
    progress: bool = True,
) -> PanelResult:
    """Compare all layers of all sources on the same images.

    Parameters
    ----------
    sources : sequence of Source
        Networks (`sources.NetworkSource`) and matrices (`sources.noise`).
    images : ImageSet
        n images; all sources must have been made for them.
    estimators : sequence of {"published", "biased", "unbiased", "deconfounded", "deconfounded_psd"}
    batch_size : int
        Of every estimator but ``biased``, which is of the whole set.
    permuted : sequence of str
        Names of sources that take part a second time with their samples permuted within each batch, as a control.
    seed : int
        Of the permutation.
    memory_gb : float
        Bound on the blocks of the ``biased`` estimator, in 10^9 bytes.
    precision : {"float32", "bfloat16"}
        Of the features and blocks of the ``biased`` estimator, for sets so large that its O(n^2 p) counts: bfloat16
        halves the memory and is several times faster on processors with matrix units.  The rounding is independent
        from entry to entry and mostly averages out over the n^2 entries: CKA moves by less than 1e-4 (a test holds
        it to that at n = 300), on trained Tiny10 and 4000 images by less than 1e-5.
    progress : bool

    Returns
    -------
    PanelResult

    Raises
    ------
    UnknownNameError
        For an estimator or a permuted source that does not exist.
    ShapeError
        If a batch, also the last, has fewer than 4 images.

    Notes
    -----
    One forward pass per network and one Gram matrix per layer and batch, O(n b p); then one matrix product for all
    pairs, O(n b R^2).  ``biased`` needs all n^2 pairs of images: O(n^2 p) once per layer, and, where the blocks are
    smaller than the set, about n / b_block further forward passes.  Memory: one network's batch and R b^2 numbers.
    """
    for name in estimators:
        if name not in ESTIMATORS:
            raise unknown_name("CKA estimator", name, ESTIMATORS)
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    order = _Order(sources, permuted, len(images), batch_size, seed)
    streaming = [name for name in estimators if name != "biased"]
    pairwise = PairwiseCKA(streaming)
    steps = progress_bar(list(range(0, len(images), batch_size)), "CKA by batch", shown=progress)
    for start in steps:
        stop = min(start + batch_size, len(images))
        confounder = centred_gram(flatten(images.inputs(start, stop)))
        pairwise.update(order.stack(start, stop), confounder)
    result = pairwise.result()
    values = {name: value.numpy() for name, value in result.values.items()}
    if "biased" in estimators:
        values["biased"] = _whole_set(order, len(images), batch_size, memory_gb, PRECISIONS[precision], progress)
    return PanelResult(
        representations=order.representations,
        values={name: values[name] for name in estimators},
        explained=None if result.explained is None else result.explained.numpy(),
        negative_share=None if result.negative_share is None else result.negative_share.numpy(),
        reasons=result.reasons,
    )


class _Order:
    """The representations of a panel in a fixed order: all sources, then the permuted twins."""

    def __init__(self, sources: Sequence[Source], permuted: Sequence[str], n: int, batch_size: int, seed: int) -> None:
        names = [source.name for source in sources]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise NetalikeError(f"a panel names each network once; more than once: {', '.join(sorted(doubled))}.")
        for name in permuted:
            if name not in names:
                raise unknown_name("network to permute", name, names)
        self.sources = list(sources)
        self.representations = [(source.name, layer) for source in sources for layer in source.layers]
        self._twins = [i for i, (name, _) in enumerate(self.representations) if name in permuted]
        twins = [(name + PERMUTED, layer) for name, layer in (self.representations[i] for i in self._twins)]
        self.representations += twins
        self._permutation = batch_permutation(n, batch_size, seed)

    def stack(self, start: int, stop: int) -> Tensor:
        """Centred Gram matrices of a batch, shape (representations, n, n)."""
        grams = torch.cat([source.grams(start, stop) for source in self.sources])
        order = self._permutation[start:stop] - start
        return torch.cat([grams, grams[self._twins][:, order][:, :, order]])

    def blocks(self, rows: slice, columns: slice, out: Tensor) -> Tensor:
        """Fill `out` with the blocks of all representations."""
        filled = 0
        for source in self.sources:
            for block in source.blocks(rows, columns, out.dtype):
                out[filled] = block
                filled += 1
        down = self._permutation[rows] - rows.start
        across = self._permutation[columns] - columns.start
        for twin in self._twins:
            out[filled] = out[twin][down][:, across]
            filled += 1
        return out

    def widest(self) -> int:
        """Summed layer width of the widest source."""
        return max(source.units() for source in self.sources)


def _whole_set(
    order: _Order, samples: int, batch_size: int, memory_gb: float, dtype: torch.dtype, progress: bool
) -> NDArray[np.float64]:
    count = len(order.representations)
    size = block_size(samples, count, order.widest(), batch_size, memory_gb * 1e9, dtype)
    whole = WholeSetCKA(count)
    store = torch.empty(count * size * size, dtype=dtype)
    for rows, columns in progress_bar(list(block_pairs(samples, size)), "biased CKA by block", shown=progress):
        shape = (count, rows.stop - rows.start, columns.stop - columns.start)
        out = store[: count * shape[1] * shape[2]].view(shape)
        whole.update(order.blocks(rows, columns, out), diagonal=rows == columns)
    return whole.result().numpy()
