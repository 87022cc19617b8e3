"""Biased CKA on a whole set of samples, in blocks of a Gram matrix that never exists as a whole."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from netalike.errors import ShapeError

_CHUNK = 1 << 16  # columns per float32 product: short sums, added up in float64


class WholeSetCKA:
    """Accumulate the inner products of whole Gram matrices, block by block.

    Parameters
    ----------
    representations : int
        R, the number of representations.

    Notes
    -----
    ``<HKH, HLH>`` is a sum over all pairs of samples.  A block holds the pairs of one set of rows with one set of
    columns for every representation, so that one matrix product serves all R^2 pairs; the blocks below the diagonal
    are those above it, transposed, and are counted by a weight of 2.  O(R^2 n^2) time in total; memory R b^2.
    """

    def __init__(self, representations: int) -> None:
        self._products = torch.zeros(representations, representations, dtype=torch.float64)

    def update(self, blocks: Tensor, diagonal: bool) -> None:
        """Add one block of every representation's Gram matrix.

        Parameters
        ----------
        blocks : Tensor, shape (representations, rows, columns)
            Of Gram matrices that are centred over the whole set.
        diagonal : bool
            Whether rows and columns are the same samples; otherwise the block counts twice.
        """
        if len(blocks) != len(self._products):
            raise ShapeError(f"blocks of {len(blocks)} representations, expected {len(self._products)}.")
        vectors = blocks.flatten(1)
        for start in range(0, vectors.shape[1], _CHUNK):
            chunk = vectors[:, start : start + _CHUNK].float()
            self._products += (1 if diagonal else 2) * (chunk @ chunk.T).double()

    def result(self) -> Tensor:
        """Return biased CKA of all pairs.

        Returns
        -------
        Tensor, shape (representations, representations), float64
            NaN for constant representations.
        """
        norms = self._products.diagonal().sqrt()
        return self._products / torch.outer(norms, norms)


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def block_size(
    samples: int, representations: int, units: int, multiple_of: int, memory: float, dtype: torch.dtype = torch.float32
) -> int:
    """Choose the number of samples in a block from the memory allowed.

    Parameters
    ----------
    samples : int
        n, the size of the whole set.
    representations : int
        R; their blocks take R b^2 numbers.
    units : int
        The summed width p of the layers of the widest network; its features of rows and columns take 2 b p numbers.
    multiple_of : int
        The batch size; blocks begin and end with batches.
    memory : float
        Bytes.
    dtype : torch.dtype
        Of the features and of the blocks.

    Returns
    -------
    int
        The largest such b, at least `multiple_of` and at most n rounded up; the blocks come out about equally large.
    """
    size = multiple_of
    while size < samples and _numbers(size + multiple_of, representations, units) * dtype.itemsize <= memory:
        size += multiple_of
    blocks = -(-samples // size)
    even = -(-samples // blocks)
    return min(size, -(-even // multiple_of) * multiple_of)


def _numbers(block: int, representations: int, units: int) -> int:
    return representations * block**2 + 2 * units * block


def block_pairs(samples: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Yield the blocks on and above the diagonal, row by row.

    Parameters
    ----------
    samples, size : int

    Yields
    ------
    tuple of slice
        Rows and columns.
    """
    slices = [slice(start, min(start + size, samples)) for start in range(0, samples, size)]
    for i, rows in enumerate(slices):
        for columns in slices[i:]:
            yield rows, columns
