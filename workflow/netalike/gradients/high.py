"""The input similarity of anyone's network, in three lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from netalike.errors import NetalikeError, unknown_name
from netalike.gradients.arrays import Floats
from netalike.gradients.blocks import check_indices
from netalike.gradients.counts import (
    EXPONENTS,
    THRESHOLDS,
    check_exponents,
    hard_counts_of_rows,
    less_soft_counts_of_rows,
    nearest_columns,
    row_blocks,
)
from netalike.gradients.factors import Factors
from netalike.gradients.inputs import InputsLike, OutputsLike
from netalike.gradients.kernel import SCALARS, scalar
from netalike.gradients.one_output import streamed
from netalike.gradients.products import LayerProducts
from netalike.progress import progress


@dataclass(frozen=True, eq=False)
class GradientKernel:
    """The similarity of samples to a network; each part is computed when it is first asked for.

    Attributes
    ----------
    products : LayerProducts
        The gradients of the samples.
    kind : {"trace", "nuclear", "frobenius"}
        Scalar of the normalised kernel; see `netalike.gradients.scalar`.
    memory_gb : float
        Limit of what is held at a time, in units of 10^9 bytes.
    shown : bool or None
        Whether progress is shown; None: on a terminal only.
    """

    products: LayerProducts
    kind: str = "trace"
    memory_gb: float = 1.0
    shown: bool | None = None
    _kept: dict[int, Factors] = field(default_factory=dict, repr=False)

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.products.n

    @property
    def d(self) -> int:
        """Number of outputs."""
        return self.products.d

    @property
    def p(self) -> int:
        """Number of parameters."""
        return self.products.p

    @property
    def outputs(self) -> str:
        """Which outputs are differentiated."""
        return self.products.select.name

    @cached_property
    def soft_counts(self) -> Floats:
        """Soft number of neighbours of each sample, itself included, shape (n,); O(n p) for ``trace``, no kernel."""
        if self.kind != "trace":
            return np.concatenate([rows.sum(1) for _, rows in self._rows()])
        counts = streamed(self.products, None, True, self.memory_gb, self.shown)
        return np.asarray(counts.cpu().numpy())

    @cached_property
    def kernel(self) -> Floats:
        """Similarity of all pairs of samples, shape (n, n), symmetric.

        Raises
        ------
        NetalikeError
            If it does not fit in half of the memory limit; `soft_counts`, `nearest` and `similarities_to` need less.
        """
        if not self._fits:
            needed = self.n**2 * self._itemsize / 1e9
            raise NetalikeError(
                f"the kernel of {self.n} samples takes {needed:.2g} GB, more than half of the limit of "
                f"{self.memory_gb:.2g} GB. Use .soft_counts, .hard_counts(), .nearest(k) or .similarities_to(indices), "
                f"which do not hold it, fewer samples, or memory_gb={2 * needed:.2g}."
            )
        result = np.empty((self.n, self.n), np.float32 if self._itemsize == 4 else np.float64)
        bar: tqdm[None]
        with progress([], "kernel", total=self.n, shown=self.shown, unit="sample") as bar:
            for first in range(0, self.n, self._group):
                rows = np.arange(first, min(first + self._group, self.n))
                for start, block in self._blocks(rows, first):
                    above = slice(first, first + len(block))
                    result[above, start : start + block.shape[1]] = block
                    result[start : start + block.shape[1], above] = block.T
                bar.update(len(rows))
        return result

    def similarities_to(self, indices: Sequence[int] | NDArray[np.integer]) -> Floats:
        """Compare some samples with all.

        Parameters
        ----------
        indices : sequence of int
            Positions of s samples.

        Returns
        -------
        ndarray, shape (s, n)
            The rows of the kernel, without computing the others.

        Raises
        ------
        NetalikeError
            If an index is out of range.
        """
        wanted = np.asarray(indices, dtype=np.int64).ravel()
        check_indices(wanted, self.n)
        if "kernel" in self.__dict__:
            return np.asarray(self.kernel[wanted])
        rows = np.empty((len(wanted), self.n), np.float32 if self._itemsize == 4 else np.float64)
        for first, group in self._groups(wanted):
            self._fill(rows[first : first + len(group)], group)
        return rows

    def nearest(self, k: int, include_self: bool = False) -> tuple[NDArray[np.int64], Floats]:
        """Find the k most similar samples of each sample, without holding the kernel.

        Parameters
        ----------
        k : int
        include_self : bool
            Whether a sample may be among its own neighbours.

        Returns
        -------
        indices : ndarray of int64, shape (n, k)
            Most similar first, ties by index.
        similarities : ndarray, shape (n, k)

        Raises
        ------
        NetalikeError
            If there are not so many other samples.
        """
        nearest_columns(np.zeros((1, self.n)), k, None if include_self else np.zeros(1, np.int64))  # checks k
        found = [nearest_columns(rows, k, None if include_self else own) for own, rows in self._rows()]
        return np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found])

    def hard_counts(self, thresholds: Sequence[float] = THRESHOLDS, include_self: bool = True) -> NDArray[np.int64]:
        """Count the neighbours above each threshold, shape (thresholds, n), without holding the kernel.

        See `netalike.gradients.hard_counts`.
        """
        counts = [hard_counts_of_rows(rows, thresholds, None if include_self else own) for own, rows in self._rows()]
        return np.concatenate(counts, axis=1)

    def less_soft_counts(self, exponents: Sequence[float] = EXPONENTS, include_self: bool = True) -> Floats:
        """Count with powers, shape (exponents, n), without holding the kernel.

        See `netalike.gradients.less_soft_counts`.
        """
        check_exponents(exponents)
        counts = [
            less_soft_counts_of_rows(rows, exponents, None if include_self else own) for own, rows in self._rows()
        ]
        return np.concatenate(counts, axis=1)

    def _rows(self) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Iterate over (samples, their similarities with all): views of the kernel where it fits, else computed."""
        if self._fits:  # symmetric: half the work of its rows
            for part in row_blocks((self.n, self.n)):
                yield np.arange(part.start, part.stop), self.kernel[part]
            return
        for _, group in self._groups(np.arange(self.n)):
            rows = np.empty((len(group), self.n), np.float32 if self._itemsize == 4 else np.float64)
            self._fill(rows, group)
            yield group, rows

    def _groups(self, samples: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Split samples into groups that fit in the limit: (position of the first, samples); shows how far it is."""
        bar: tqdm[None]
        with progress([], "similarities", total=len(samples), shown=self.shown, unit="sample") as bar:
            for first in range(0, len(samples), self._group):
                group = samples[first : first + self._group]
                yield first, group
                bar.update(len(group))

    def _fill(self, rows: Floats, group: NDArray[np.int64]) -> None:
        for start, block in self._blocks(group):
            rows[:, start : start + block.shape[1]] = block

    @property
    def _itemsize(self) -> int:
        return next(self.products.model.parameters()).element_size()

    @property
    def _fits(self) -> bool:
        return self.n**2 * self._itemsize <= self.memory_gb / 2 * 1e9

    @cached_property
    def _chunk(self) -> int:
        """Samples whose gradients are computed at a time, within an eighth of the limit."""
        return self.products.chunk(self.memory_gb / 8)

    @cached_property
    def _group(self) -> int:
        """Samples of a block of rows, within an eighth of the limit, for one pass over all columns."""
        numbers = self.products.factors(0, 1).expanded().numbers + self.n
        chunks = int(self.memory_gb / 8 * 1e9 / (numbers * self._itemsize * self._chunk))
        return self._chunk * max(1, chunks)

    def _blocks(self, rows: NDArray[np.int64], first: int | None = None) -> Iterator[tuple[int, Floats]]:
        """Compare some samples with all, a chunk of columns at a time: (first column, similarities).

        Where the rows are consecutive from `first` on, only columns from there, and of each only the rows that are not
        below its chunk: the rest is symmetric.
        """
        size = self._chunk
        parts = [
            _normalised(self.products.take(rows[start : start + size])).expanded()
            for start in range(0, len(rows), size)
        ]
        for start in range(first or 0, self.n, size):
            columns = self._normalised(start).expanded()
            above = parts if first is None else parts[: (start - first) // size + 1]
            yield start, np.concatenate([self._multiplied(part, columns) for part in above])

    def _normalised(self, start: int) -> Factors:
        """Return the normalised factors of a chunk, kept from before where they fit."""
        if start in self._kept:
            return self._kept[start]
        factors = _normalised(self.products.factors(start, min(start + self._chunk, self.n)))
        held = sum(chunk.numbers for chunk in self._kept.values())
        if (held + factors.numbers) * self._itemsize <= self.memory_gb / 8 * 1e9:
            self._kept[start] = factors
        return factors

    def _multiplied(self, rows: Factors, columns: Factors) -> Floats:
        if self.kind == "trace":
            return np.asarray((rows.traces(columns) / self.d).cpu().numpy())
        blocks: Tensor = rows.kernels(columns)
        return np.asarray(scalar(blocks, self.kind))


def _normalised(factors: Factors) -> Factors:
    return factors.weighted(factors.expanded().roots())


def gradient_kernel(
    model: nn.Module,
    images: InputsLike,
    outputs: OutputsLike = "logits",
    labels: object = None,
    memory_gb: float = 1.0,
    progress: bool | None = None,
    kind: str = "trace",
    device: str | torch.device | None = None,
) -> GradientKernel:
    """Ask a network which inputs are alike to it.

    Parameters
    ----------
    model : nn.Module
        In eval mode where that makes a difference (batch norm, dropout).
    images : Tensor or ndarray, shape (n, ...), or ImageSet
    outputs : {"logits", "true-class", "sum"} or callable
        What is differentiated; see `per_sample_gradients`.
    labels : sequence of int, optional
        For ``true-class``; those of an ImageSet by default.
    memory_gb : float
        Limit of the memory for gradients, beside network and images.
    progress : bool or None
        Whether to show progress bars; None: on a terminal only.
    kind : {"trace", "nuclear", "frobenius"}
        How a d x d block of the normalised kernel becomes one number.
    device : str or torch.device, optional
        To move the model to; default: where it is.

    Returns
    -------
    GradientKernel
        With ``.soft_counts``, ``.kernel``, ``.nearest(k)``, ``.similarities_to(indices)``, ``.hard_counts()`` and
        ``.less_soft_counts()``, each computed when it is asked for.

    Raises
    ------
    NetalikeError
        If batch norm or dropout is in training mode, or one sample needs more than the memory limit.
    UnknownNameError
        If there is no such choice of outputs, or kind.
    ShapeError
        If images, labels and the network's outputs do not fit.

    Examples
    --------
    >>> similarity = netalike.gradient_kernel(model, images, outputs="true-class", labels=labels)
    >>> counts = similarity.soft_counts  # how many training images look the same to the network
    >>> neighbours, similarities = similarity.nearest(5)
    """
    if kind not in SCALARS:
        raise unknown_name("scalar of a kernel", kind, SCALARS)
    if not memory_gb > 0:
        raise NetalikeError(f"memory_gb: expected a limit above 0, got {memory_gb}.")
    if device is not None:
        model.to(device)
    kernel = GradientKernel(LayerProducts(model, images, outputs, labels), kind, memory_gb, progress)
    kernel.products.chunk(memory_gb / 8)  # refuses here, and not after an hour, what cannot fit
    return kernel
