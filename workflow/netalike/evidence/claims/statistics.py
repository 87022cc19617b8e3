"""Statistics under integer weights, for many resamples at once: each equals that of the sample written out in full.

Every function takes weights of shape (draws, rows), how often each row was drawn, beside the rows' values of shape
(rows,), and returns one number per draw, shape (draws,); NaN where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_ROUNDING = 1e-12  # a spread this small beside the values is rounding


@dataclass(frozen=True)
class Kind:
    """What a statistic needs, and how it is computed.

    Attributes
    ----------
    words : str
        For a person, with ``{0}`` and ``{1}`` for the groups.
    n_groups : int
        How many groups of rows it takes.
    matched : bool
        Whether the rows of the two groups are matched by a key; the function then takes one array of weights for both.
    compute : callable
        ``(weights, values)`` or ``(weights, x, y)`` where matched, else ``(weights_a, a, weights_b, b)``.
    """

    words: str
    n_groups: int
    matched: bool
    compute: Callable[..., Floats]


def mean(weights: Floats, values: Floats) -> Floats:
    """Average the values."""
    return _ratio(weights @ values, weights.sum(axis=1))


def difference(weights: Floats, a: Floats, b: Floats) -> Floats:
    """Average a - b over matched rows."""
    return mean(weights, a - b)


def maximum(weights: Floats, values: Floats) -> Floats:
    """Return the largest absolute value among the rows that were drawn."""
    largest = np.where(weights > 0, np.abs(values), -np.inf).max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(largest), largest, np.nan)


def gap(weights_a: Floats, a: Floats, weights_b: Floats, b: Floats) -> Floats:
    """Return the mean of a less the mean of b; no row of a belongs to one of b."""
    return mean(weights_a, a) - mean(weights_b, b)


def standardised_gap(weights_a: Floats, a: Floats, weights_b: Floats, b: Floats) -> Floats:
    """Return the gap in units of the pooled standard deviation (Cohen's d; n - 1 in each group's variance)."""
    squares = _squared_deviations(weights_a, a) + _squared_deviations(weights_b, b)
    freedom = weights_a.sum(axis=1) + weights_b.sum(axis=1) - 2
    pooled = np.sqrt(_ratio(squares, freedom))
    size = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return _ratio(gap(weights_a, a, weights_b, b), np.where(pooled > _ROUNDING * size, pooled, 0))


def auc(weights_a: Floats, a: Floats, weights_b: Floats, b: Floats) -> Floats:
    """Return P(a > b) + P(a = b) / 2 over all pairs of a row of a and a row of b (area under the ROC curve)."""
    order = np.argsort(b, kind="stable")
    counts = _cumulated(weights_b[:, order])  # (draws, rows of b + 1)
    below, through = (np.searchsorted(b[order], a, side) for side in ("left", "right"))
    wins = (counts[:, below] + counts[:, through]) / 2
    return _ratio(_inner(weights_a, wins), weights_a.sum(axis=1) * weights_b.sum(axis=1))


def spearman(weights: Floats, x: Floats, y: Floats) -> Floats:
    """Return Spearman's rank correlation, ties at their mid-ranks."""
    centre = (weights.sum(axis=1, keepdims=True) + 1) / 2  # the mean of all ranks, exactly
    ranks_x, ranks_y = _midranks(weights, x) - centre, _midranks(weights, y) - centre
    spread = _inner(weights, ranks_x**2) * _inner(weights, ranks_y**2)
    return _ratio(_inner(weights, ranks_x * ranks_y), np.sqrt(spread))


def kendall(weights: Floats, x: Floats, y: Floats) -> Floats:
    """Return Kendall's tau-b.

    Notes
    -----
    Rows of different x part at the highest bit in which the ranks of their x differ; for each bit, the rows above are
    compared with those below by cumulative sums in the order of y. O(draws * rows * log rows) time.
    """
    by_row = np.ascontiguousarray(weights.T)  # (rows, draws): rows are taken in another order for each bit
    rank_x, rank_y = (np.unique(values, return_inverse=True)[1] for values in (x, y))
    balance = np.zeros(len(weights))
    for bit in range(int(rank_x.max(initial=0)).bit_length()):
        upper = (rank_x >> bit) % 2 == 1
        balance += _balance(by_row, rank_x >> (bit + 1), rank_y, upper)
    return _ratio(balance, np.sqrt(_untied_pairs(weights, x) * _untied_pairs(weights, y)) / 2)


def _balance(by_row: Floats, block: Indices, rank_y: Indices, upper: NDArray[np.bool_]) -> Floats:
    """Sum the signs of y_i - y_j over all rows i above and j below in one block, shape (draws,)."""
    size = int(rank_y.max(initial=0)) + 1
    place = block * size + rank_y  # sorts by block, and within it by y
    below = np.flatnonzero(~upper)
    below = below[np.argsort(place[below], kind="stable")]
    counts = np.pad(by_row[below].cumsum(axis=0), ((1, 0), (0, 0)))
    smaller = np.searchsorted(place[below], place[upper], "left")
    not_larger = np.searchsorted(place[below], place[upper], "right")
    start, end = (np.searchsorted(place[below], (block[upper] + step) * size) for step in (0, 1))
    wins = counts[smaller] + counts[not_larger] - counts[start] - counts[end]
    return np.asarray(np.einsum("rd,rd->d", by_row[upper], wins))


def _untied_pairs(weights: Floats, values: Floats) -> Floats:
    """Twice the number of pairs of different values: n^2 less the squared sizes of the groups of equal values."""
    order = np.argsort(values, kind="stable")
    starts = np.unique(values[order], return_index=True)[1]
    sizes = np.add.reduceat(weights[:, order], starts, axis=1) if len(starts) else weights
    return np.asarray(weights.sum(axis=1) ** 2 - (sizes**2).sum(axis=1))


def _midranks(weights: Floats, values: Floats) -> Floats:
    """Rank the sample written out in full, shape (draws, rows); rows that were not drawn get a rank nobody uses."""
    order = np.argsort(values, kind="stable")
    counts = _cumulated(weights[:, order])
    before, through = (np.searchsorted(values[order], values, side) for side in ("left", "right"))
    return np.asarray((counts[:, before] + counts[:, through] + 1) / 2)


def _squared_deviations(weights: Floats, values: Floats) -> Floats:
    means = mean(weights, values)
    return _inner(weights, (values - means[:, None]) ** 2)


def _cumulated(weights: Floats) -> Floats:
    """Cumulative sums along the rows, beginning with 0."""
    return np.pad(weights.cumsum(axis=1), ((0, 0), (1, 0)))


def _inner(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("dr,dr->d", a, b))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


STATISTICS: dict[str, Kind] = {
    "mean": Kind("mean of {0}", 1, False, mean),
    "difference": Kind("mean of {0} minus {1}", 2, True, difference),
    "gap": Kind("mean of {0} minus mean of {1}", 2, False, gap),
    "auc": Kind("AUC of {0} over {1} (the probability that one exceeds the other, ties count half)", 2, False, auc),
    "standardised_gap": Kind(
        "mean of {0} minus mean of {1}, in pooled standard deviations", 2, False, standardised_gap
    ),
    "spearman": Kind("Spearman correlation of {0} and {1}", 2, True, spearman),
    "kendall": Kind("Kendall's tau-b of {0} and {1}", 2, True, kendall),
    "maximum": Kind("largest absolute value of {0}", 1, False, maximum),
}
"""All statistics by name."""
