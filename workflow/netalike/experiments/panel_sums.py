"""Normal equations of many pairs of representations from common sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from netalike.errors import NetalikeError
from netalike.experiments.panel_fronts import Representation
from netalike.stitching.least_squares import NormalEquations

Pairs = Iterable[tuple[Representation, Representation]]

_CHUNK = 2**20  # numbers of float64 that activations are converted to at a time (8 MiB)


class _Assembled(NormalEquations):
    """Normal equations whose sums were made elsewhere.

    Parameters
    ----------
    positions, inputs : int
    shift : Tensor, shape (inputs + outputs,)
        What was subtracted of each channel.
    sums : Tensor, shape (inputs + outputs + 1, inputs + outputs + 1)
        Of [X Y 1]'[X Y 1].
    """

    def __init__(self, positions: int, inputs: int, shift: Tensor, sums: Tensor) -> None:
        super().__init__()
        self.positions, self._inputs, self._shift, self._sums = positions, inputs, shift, sums


class SharedSums:
    """Sums of products of all channels of many representations of one height and width.

    Each image and position is one observation. Of [X_1 ... X_R 1]'[X_1 ... X_R 1] only the blocks are made that a pair
    needs, and each once: X'X of a representation serves all its pairs, and X'Y serves both directions.

    Parameters
    ----------
    pairs : iterable of (Representation, Representation)
        From which to which; of one height and width.

    Notes
    -----
    As `NormalEquations`, in float64 and about the means of the first images. Memory: (sum of channels)^2 numbers, and
    8 MiB. Time: a representation is multiplied with all up to its last partner in order, in one product,
    so that pairs that are listed together cost least.
    """

    def __init__(self, pairs: Pairs) -> None:
        pairs = list(pairs)
        self._order = list(dict.fromkeys(found for pair in pairs for found in pair))
        self._place = {found: i for i, found in enumerate(self._order)}
        ends = list(accumulate(found.shape[0] for found in self._order))
        self._slices = [slice(end - found.shape[0], end) for found, end in zip(self._order, ends, strict=True)]
        self._last = list(range(len(self._order)))
        for x, y in pairs:
            first, last = sorted((self._place[x], self._place[y]))
            self._last[first] = max(self._last[first], last)
        self._positions, width = 0, ends[-1] if ends else 0
        self._shift = torch.zeros(width, dtype=torch.float64)
        self._products = torch.zeros(width, width, dtype=torch.float64)
        self._totals = torch.zeros(width, dtype=torch.float64)

    def update(self, activations: Mapping[Representation, Tensor]) -> None:
        """Add a batch.

        Parameters
        ----------
        activations : mapping of Representation to Tensor, shape (n, *shape)
            With all representations of the pairs, of the same images.
        """
        given = [activations[found] for found in self._order]
        # mps has no float64
        given = [values.cpu() if values.device.type == "mps" else values for values in given]
        per_image = len(self._shift) * given[0][0, :1].numel()
        for start in range(0, len(given[0]), max(1, _CHUNK // per_image)):
            self._add(self._rows([values[start : start + max(1, _CHUNK // per_image)] for values in given]))

    def _add(self, rows: Tensor) -> None:
        """Add observations, which are changed; shape (positions, channels), float64."""
        if self._positions == 0:
            # rounded to float32: a constant channel of float32 activations is then exactly zero
            self._shift = rows.mean(0).float().double().cpu()
        rows -= self._shift.to(rows.device)
        for place, own in enumerate(self._slices):
            others = slice(own.start, self._slices[self._last[place]].stop)
            self._products[own, others] += (rows[:, own].T @ rows[:, others]).cpu()
        self._totals += rows.sum(0).cpu()
        self._positions += len(rows)

    def equations(self, x: Representation, y: Representation) -> NormalEquations:
        """Return what determines the least-squares maps from one representation to another.

        Raises
        ------
        NetalikeError
            If an activation is not finite.
        """
        one, two = (self._slices[self._place[found]] for found in (x, y))
        totals = torch.cat([self._totals[one], self._totals[two]])
        count = torch.tensor([[float(self._positions)]], dtype=torch.float64)
        products = torch.cat(
            [
                torch.cat([self._block(x, x), self._block(x, y)], 1),
                torch.cat([self._block(y, x), self._block(y, y)], 1),
            ]
        )
        sums = torch.cat([torch.cat([products, totals[:, None]], 1), torch.cat([totals[None], count], 1)])
        if not bool(torch.isfinite(sums).all()):
            raise NetalikeError("the activations hold values that are not finite")
        shift = torch.cat([self._shift[one], self._shift[two]])
        return _Assembled(self._positions, x.shape[0], shift, sums)

    def _block(self, x: Representation, y: Representation) -> Tensor:
        i, j = self._place[x], self._place[y]
        first, last = self._slices[min(i, j)], self._slices[max(i, j)]
        block = self._products[first, last]
        return block if i <= j else block.T

    def _rows(self, given: Sequence[Tensor]) -> Tensor:
        first = given[0]
        rows = torch.empty(first[:, 0].numel(), len(self._shift), dtype=torch.float64, device=first.device)
        for values, own in zip(given, self._slices, strict=True):
            rows[:, own] = values.movedim(1, -1).reshape(-1, values.shape[1])
        return rows
