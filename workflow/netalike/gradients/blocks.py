"""Passes over blocks of normalised gradients: what the back ends of arrays have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from netalike.errors import NetalikeError, ShapeError
from netalike.gradients.arrays import Array, Floats

# Columns that are cast to float64 at a time, for sums over millions of parameters.
_COLUMNS = 8192
Blocks = Iterable[Array]


class BlockSource:
    """What the back ends of arrays have in common: passes over blocks of normalised gradients."""

    def _passes(self) -> Iterator[tuple[int, Floats]]:
        """Iterate over (first position, normalised gradients (b, p, d))."""
        raise NotImplementedError

    def soft_counts(self, include_self: bool = True) -> Floats:
        """Return N_S(i) = sum_j k_ij, shape (n,)."""
        total: Floats | None = None
        d = 1
        for _, block in self._passes():
            d = block.shape[2]
            part = (np.ones(len(block), block.dtype) @ block.reshape(len(block), -1)).astype(np.float64)
            total = part if total is None else total + part
        assert total is not None
        counts = []
        for _, block in self._passes():
            rows = block.reshape(len(block), -1)
            own = 0.0 if include_self else _inner(rows, None)
            counts.append((_inner(rows, total) - own) / d)
        return np.concatenate(counts)

    def similarities_to(self, indices: Sequence[int] | NDArray[np.integer]) -> Floats:
        """Return the similarity of some samples with all, shape (len(indices), n)."""
        wanted = np.asarray(indices, dtype=np.int64).ravel()
        chosen: dict[int, Floats] = {}
        n = d = 0
        for start, block in self._passes():
            n, d = start + len(block), block.shape[2]
            inside = np.unique(wanted[(wanted >= start) & (wanted < n)])
            chosen.update((int(i), block[i - start].ravel().copy()) for i in inside)
        check_indices(wanted, n)
        rows = np.stack([chosen[int(i)] for i in wanted])
        return np.concatenate([rows @ block.reshape(len(block), -1).T / d for _, block in self._passes()], axis=1)


def _inner(rows: Floats, total: Floats | None) -> Floats:
    """Inner products of rows with a vector, or each with itself, summed in float64."""
    products = np.zeros(len(rows))
    for start in range(0, rows.shape[1], _COLUMNS):
        part = rows[:, start : start + _COLUMNS].astype(np.float64)
        products += np.square(part).sum(1) if total is None else part @ total[start : start + _COLUMNS]
    return products


def check_indices(indices: NDArray[np.int64], n: int) -> None:
    """Raise `NetalikeError` unless there is an index, and all are positions of n samples."""
    bad = indices[(indices < 0) | (indices >= n)]
    if len(bad) or not len(indices):
        got = f"got {bad[0]}" if len(bad) else "got none"
        raise NetalikeError(f"indices of samples: expected positions from 0 to {n - 1}, {got}.")


def same_shape(shape: tuple[int, int] | None, block: Floats, start: int) -> tuple[int, int]:
    """Return (p, d) of a block; raise `ShapeError` unless it is that of the blocks before."""
    found = (block.shape[1], block.shape[2])
    if shape not in (None, found):
        raise ShapeError(f"gradients from sample {start} have shape (p, d) {found}, those before {shape}.")
    return found
