"""Average linkage of a few dozen things, in numpy alone: the environment of the figures has no scipy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Merge(NamedTuple):
    """Two clusters that become one: leaves of each, in order, and their mean distance."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    height: float


def average_linkage(distances: NDArray[np.float64]) -> list[Merge]:
    """Cluster things by the mean distance between their clusters (UPGMA; Sokal and Michener 1958).

    Parameters
    ----------
    distances : array, shape (n, n)
        Symmetric and finite; the diagonal is not read.

    Returns
    -------
    list of Merge
        The n - 1 merges, the nearest two first; of equal distances, that of the first things. O(n^3).
    """
    clusters: list[tuple[int, ...]] = [(i,) for i in range(len(distances))]
    merges: list[Merge] = []
    while len(clusters) > 1:
        height, i, j = min(
            (float(distances[np.ix_(clusters[i], clusters[j])].mean()), i, j)
            for i in range(len(clusters))
            for j in range(i + 1, len(clusters))
        )
        merges.append(Merge(clusters[i], clusters[j], height))
        clusters[i] = clusters[i] + clusters.pop(j)
    return merges


def leaf_order(merges: list[Merge], n: int) -> list[int]:
    """Return the things in the order of the tree, so that no two of its branches cross.

    Parameters
    ----------
    merges : list of Merge
        As `average_linkage` returns them.
    n : int
        How many things there are.
    """
    return list(merges[-1].left + merges[-1].right) if merges else list(range(n))


def branches(merges: list[Merge], n: int) -> list[NDArray[np.float64]]:
    """Return the branches of the tree as lines.

    Parameters
    ----------
    merges : list of Merge
    n : int

    Returns
    -------
    list of array, shape (4, 2)
        Height and place of the corners of each merge; thing i of `leaf_order` stands at i + 0.5.
    """
    order = leaf_order(merges, n)
    tops: dict[tuple[int, ...], tuple[float, float]] = {(leaf,): (order.index(leaf) + 0.5, 0.0) for leaf in order}
    lines = []
    for left, right, height in merges:
        (place_a, below_a), (place_b, below_b) = tops[left], tops[right]
        lines.append(np.array([[below_a, place_a], [height, place_a], [height, place_b], [below_b, place_b]]))
        tops[left + right] = ((place_a + place_b) / 2, height)
    return lines
