"""Counts and similarities of samples whose gradients are in memory, on disk, or computed anew in each pass.

All back ends hold A_i = X_i K_ii^(-1/2), whitened once, so that the normalised kernel is A_i' A_j and the soft count is
Tr(A_i' sum_j A_j) / d: two passes, O(n p d) (Charpiat et al. 2019; the sum over samples is one p x d matrix). They
agree to 1e-5. Memory does not grow with n for `DiskSource`, `StreamingSource` and `ModelSource`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.gradients.arrays import Array, Floats, as_gradients
from netalike.gradients.blocks import Blocks, BlockSource, check_indices, same_shape
from netalike.gradients.kernel import whiten
from netalike.gradients.shards import DiskSource

if TYPE_CHECKING:
    from torch import nn

    from netalike.gradients.inputs import InputsLike, OutputsLike
    from netalike.gradients.products import LayerProducts

__all__ = [
    "STORES",
    "DiskSource",
    "MemorySource",
    "ModelSource",
    "Source",
    "StreamingSource",
    "model_source",
    "similarities_to",
    "soft_counts_of",
]

STORES = ("streaming", "memory", "disk")


class Source(Protocol):
    """The normalised gradients of n samples.

    Attributes
    ----------
    n, d : int
        Numbers of samples and outputs.
    """

    @property
    def n(self) -> int:
        """Number of samples."""
        ...

    @property
    def d(self) -> int:
        """Number of outputs."""
        ...

    def soft_counts(self, include_self: bool = True) -> Floats:
        """Return N_S(i) = sum_j k_ij, shape (n,)."""
        ...

    def similarities_to(self, indices: Sequence[int] | NDArray[np.integer]) -> Floats:
        """Return the similarity of some samples with all, shape (len(indices), n)."""
        ...


def soft_counts_of(source: Source, include_self: bool = True) -> Floats:
    """Count the neighbours of every sample of a source softly: N_S(i) = sum_j k_ij.

    Parameters
    ----------
    source : Source
    include_self : bool
        Whether a sample counts itself.

    Returns
    -------
    ndarray, shape (n,)
        In samples.

    Notes
    -----
    Two passes over the source, O(n p d).
    """
    return source.soft_counts(include_self)


def similarities_to(source: Source, indices: Sequence[int] | NDArray[np.integer]) -> Floats:
    """Compare some samples of a source with all of them.

    Parameters
    ----------
    source : Source
    indices : sequence of int
        Positions of s samples, from 0 to n - 1.

    Returns
    -------
    ndarray, shape (s, n)
        Tr(K_ii^(-1/2) K_ij K_jj^(-1/2)) / d, in [-1, 1].

    Raises
    ------
    NetalikeError
        If an index is out of range.

    Notes
    -----
    Two passes over the source, O(s n p d); the gradients of the s samples are held.
    """
    return source.similarities_to(indices)


class MemorySource(BlockSource):
    """Gradients that are held in memory.

    Parameters
    ----------
    gradients : ndarray or Tensor, shape (n, p, d)
        float32 or float64; (n, p) stands for one output. Copied, and whitened once: n p d numbers.

    Raises
    ------
    ShapeError, NetalikeError
        If the shape is another one, or an entry is not finite.
    """

    def __init__(self, gradients: Array) -> None:
        self._whitened = whiten(as_gradients(gradients))
        self.n, self.p, self.d = self._whitened.shape

    @classmethod
    def of_blocks(cls, blocks: Blocks, n: int) -> MemorySource:
        """Hold gradients that come in blocks, without a second copy of them all.

        Parameters
        ----------
        blocks : iterable of ndarray or Tensor, shape (b, p, d)
        n : int
            Number of samples in all.

        Returns
        -------
        MemorySource
        """
        source = cls.__new__(cls)
        start, shape = 0, None
        for block in blocks:
            gradients = as_gradients(block, f"gradients from sample {start}")
            if shape is None:
                source._whitened = np.empty((n, *gradients.shape[1:]), gradients.dtype)
            shape = same_shape(shape, gradients, start)
            source._whitened[start : start + len(gradients)] = whiten(gradients)
            start += len(gradients)
        if start != n or shape is None:
            raise ShapeError(f"gradients of {n} samples were expected, got {start}.")
        source.n, source.p, source.d = source._whitened.shape
        return source

    def _passes(self) -> Iterator[tuple[int, Floats]]:
        yield 0, self._whitened


class StreamingSource(BlockSource):
    """Gradients that are made anew in each pass, and never kept.

    Parameters
    ----------
    blocks : callable
        Returns an iterable over gradients (b, p, d), in the order of the samples; called once per pass, and must give
        the same each time. For a PyTorch model, `ModelSource` is faster.

    Raises
    ------
    ShapeError
        If a later block has another number of parameters or outputs, there is none, or passes differ in length.

    Notes
    -----
    Holds one block, and one p x d matrix. Each of the two passes makes all gradients.
    """

    def __init__(self, blocks: Callable[[], Blocks]) -> None:
        self._blocks = blocks
        self._shape: tuple[int, int, int] | None = None

    @property
    def n(self) -> int:
        """Number of samples; costs a pass before the first count."""
        return self._size()[0]

    @property
    def p(self) -> int:
        """Number of parameters."""
        return self._size()[1]

    @property
    def d(self) -> int:
        """Number of outputs."""
        return self._size()[2]

    def _size(self) -> tuple[int, int, int]:
        if self._shape is None:
            for _ in self._passes():
                pass
        assert self._shape is not None
        return self._shape

    def _passes(self) -> Iterator[tuple[int, Floats]]:
        start, shape = 0, None
        for block in self._blocks():
            gradients = as_gradients(block, f"gradients from sample {start}")
            shape = same_shape(shape, gradients, start)
            yield start, whiten(gradients)
            start += len(gradients)
        if shape is None:
            raise ShapeError("a streaming source gave no gradients: its function has to return new ones at each call.")
        if self._shape not in (None, (start, *shape)):
            raise ShapeError(
                f"a streaming source gave gradients {self._shape} in one pass and {(start, *shape)} later."
            )
        self._shape = (start, *shape)


class ModelSource:
    """Gradients of a PyTorch model on samples, computed anew in each pass, as products of layers.

    Parameters
    ----------
    products : LayerProducts
    chunk : int, optional
        Samples per batch; default: what fits in `memory_gb`.
    memory_gb : float
        Limit of what is held at a time.
    shown : bool or None
        Whether to show a progress bar; None: on a terminal only.
    """

    def __init__(
        self, products: LayerProducts, chunk: int | None = None, memory_gb: float = 0.25, shown: bool | None = False
    ) -> None:
        self.products, self.n, self.p, self.d = products, products.n, products.p, products.d
        self._chunk, self._memory_gb, self._shown = chunk, memory_gb, shown

    def soft_counts(self, include_self: bool = True) -> Floats:
        """Return N_S(i) = sum_j k_ij, shape (n,)."""
        from netalike.gradients.one_output import streamed

        counts = streamed(self.products, self._chunk, include_self, self._memory_gb, self._shown, keep=False)
        return np.asarray(counts.cpu().numpy())

    def similarities_to(self, indices: Sequence[int] | NDArray[np.integer]) -> Floats:
        """Return the similarity of some samples with all, shape (len(indices), n)."""
        wanted = np.asarray(indices, dtype=np.int64).ravel()
        check_indices(wanted, self.n)
        size = self.products.chunk(self._memory_gb / 2) if self._chunk is None else self._chunk
        chosen = []
        for start in range(0, len(wanted), size):
            factors = self.products.take(wanted[start : start + size]).expanded()
            chosen.append(factors.weighted(factors.roots()))
        columns = []
        for _, factors in self.products.batches(size):
            ready = factors.expanded()
            ready = ready.weighted(ready.roots())
            columns.append(np.concatenate([(rows.traces(ready) / self.d).cpu().numpy() for rows in chosen]))
        return np.concatenate(columns, axis=1)


def model_source(
    model: nn.Module,
    inputs: InputsLike,
    outputs: OutputsLike = "logits",
    labels: object = None,
    store: str = "streaming",
    folder: str | Path | None = None,
    chunk: int | None = None,
    memory_gb: float = 0.25,
) -> MemorySource | DiskSource | ModelSource:
    """Make the source of a PyTorch model's gradients.

    Parameters
    ----------
    model : nn.Module
    inputs : Tensor or ndarray, shape (n, ...), or ImageSet
    outputs : {"logits", "true-class", "sum"} or callable
        See `per_sample_gradients`.
    labels : sequence of int, optional
    store : {"streaming", "memory", "disk"}
        Recomputed in each pass as products of layers; n p d numbers in memory; or in float32 on disk.
    folder : path, optional
        For ``disk``; an unfinished folder of the same model, samples and outputs is continued.
    chunk : int, optional
        Samples per batch and per shard; default: what fits in `memory_gb`.
    memory_gb : float

    Returns
    -------
    MemorySource, DiskSource or ModelSource
        With equal results to 1e-5.

    Raises
    ------
    UnknownNameError
        If there is no such store.
    NetalikeError, ShapeError
        As `per_sample_gradients`; or if ``disk`` has no folder.
    """
    from netalike.gradients.products import LayerProducts

    if store not in STORES:
        raise unknown_name("store of gradients", store, STORES)
    if store == "disk" and folder is None:
        raise NetalikeError("store='disk' needs a folder: folder='gradients/'.")
    products = LayerProducts(model, inputs, outputs, labels)
    if store == "streaming":
        return ModelSource(products, chunk, memory_gb)
    size = products.chunk(memory_gb, formed=True) if chunk is None else chunk

    def blocks(first: int) -> Iterator[Array]:
        for start in range(first, products.n, size):
            yield products.gradients(start, min(start + size, products.n))

    if store == "disk":
        return DiskSource.write(str(folder), blocks, products.fingerprint())
    return MemorySource.of_blocks(blocks(0), products.n)
