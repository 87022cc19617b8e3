"""Rows of one layer at one epoch of an alignment; `shared_response` says what the quantities are.

Needs numpy and the measurement table alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.evidence.measurements import OK, condition
from netalike.experiments.shared_geometry import (
    Side,
    Similarity,
    between_sides,
    block_contrast,
    class_similarity,
    correlations,
    mean_interval,
    second_order,
    smoothed,
    trajectory_distances,
    triangles,
    within_sides,
)
from netalike.experiments.shared_study import Epoch

Row = dict[str, Any]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Finals = dict[tuple[str, str], list[Floats]]
"""Entries of the native RSMs of the last epoch, by center and kind."""

FINAL_STEP = 0  # of networks that have one epoch, whatever it is called


@dataclass(frozen=True, eq=False)
class Cell:
    """One layer at one epoch.

    Attributes
    ----------
    networks : tuple of str
    layer : str
    depth : float
        0 is the first layer, 1 the last.
    units : {"hidden", "classes"}
    epoch : int or str
    epochs : list
        All of them.
    labels : ndarray, shape (n,)
        Of the evaluation half.
    draws : ndarray, shape (draws, N)
        Of networks.
    seed : int
    """

    networks: tuple[str, ...]
    layer: str
    depth: float
    units: str
    epoch: Epoch
    epochs: list[Epoch]
    labels: NDArray[Any]
    draws: Doubles
    seed: int

    @property
    def is_last(self) -> bool:
        """Whether this is the last epoch, or the only one."""
        return self.epoch == self.epochs[-1]

    @property
    def is_end(self) -> bool:
        """Whether this is the first or the last epoch."""
        return self.epoch in (self.epochs[0], self.epochs[-1])

    @property
    def is_untrained(self) -> bool:
        """Whether this is epoch 0 of a training that was recorded later too."""
        return len(self.epochs) > 1 and self.step == 0 and not isinstance(self.epoch, str)

    @property
    def step(self) -> int:
        """The epoch as the measurement table has it."""
        return FINAL_STEP if isinstance(self.epoch, str) else int(self.epoch)

    def row(self, quantity: str, estimator: str, found: Similarity | float, **given: Any) -> Row:
        """Make a row; what is not a column is a factor of the condition."""
        found = found if isinstance(found, Similarity) else Similarity(float(found))
        columns: Row = {name: given.pop(name) for name in ("network_a", "network_b", "status") if name in given}
        missing = not math.isfinite(found.value)
        return {
            "split": "test",
            "n_samples": len(self.labels),
            "layer_a": self.layer,
            "layer_b": self.layer if "network_b" in columns else "",
            "quantity": quantity,
            "estimator": estimator,
            "condition": condition(depth=f"{self.depth:.3f}", units=self.units, **given),
            "seed": self.seed,
            "step": self.step,
            "value": math.nan if missing else found.value,
            "low": found.low,
            "high": found.high,
            "status": f"undefined: no variance in layer {self.layer}" if missing else OK,
            **columns,
        }


def undefined_rows(cell: Cell, center: str, kinds: Sequence[str], problem: str) -> Iterator[Row]:
    """Yield rows without a number, that say why a layer could not be aligned.

    Parameters
    ----------
    cell : Cell
    center : str
    kinds : sequence of str
        Of RSMs.
    problem : str
    """
    told = {"status": f"undefined: {problem}"}
    for name in cell.networks:
        for estimator in ("published", "leave_one_out"):
            factors = {"center": center, "control": "none", "network_a": name}
            yield cell.row("variance_explained", estimator, math.nan, **factors, **told)
    for kind in kinds:
        for reference in _references(cell):
            factors = {"center": center, "rsm": kind, "space": "shared", "reference": reference}
            yield cell.row("second_order_similarity", "pearson", math.nan, **factors, **told)


def variance_rows(
    cell: Cell, center: str, estimator: str, control: str, values: Doubles, chosen: Iterable[int] | None = None
) -> Iterator[Row]:
    """Yield the share of variance explained of each network, or of the chosen ones.

    Parameters
    ----------
    cell : Cell
    center, estimator, control : str
    values : ndarray, shape (N,)
    chosen : iterable of int, optional
    """
    for i in range(len(values)) if chosen is None else chosen:
        factors = {"center": center, "control": control}
        yield cell.row("variance_explained", estimator, values[i], network_a=cell.networks[i], **factors)


def _references(cell: Cell) -> tuple[str, ...]:
    return ("final", "same_epoch") if len(cell.epochs) > 1 else ("same_epoch",)


def _matched(networks: Sequence[Floats]) -> bool:
    return len({one.shape[1] for one in networks}) == 1


# ---- second-order similarity -----------------------------------------------------------------------------------------


def second_order_rows(
    cell: Cell,
    center: str,
    kind: str,
    native: Sequence[Floats],
    shared: Sequence[Floats],
    finals: Finals,
    alternatives: bool = True,
) -> Iterator[Row]:
    """Yield how similar RSMs between networks are to those within networks, and those within two networks.

    Parameters
    ----------
    cell : Cell
    center, kind : str
    native, shared : sequence of ndarray, shapes (n, p_i) and (n, k)
    finals : dict
        The last epoch puts the entries of its native RSMs in; the others read them.
    alternatives : bool
        Whether the other means of N11 are computed too, for Pearson at the last epoch.

    Yields
    ------
    dict
        ``second_order_similarity``, ``second_order_of_network``, ``consistency``; at the last epoch also
        ``within_similarity``.
    """
    count = len(native)
    spaces = {"shared": shared} | ({"native": native} if _matched(native) else {})
    parts = {space: slice((i + 1) * count, (i + 2) * count) for i, space in enumerate(spaces)}
    sides = within_sides(native, kind) + [side for one in spaces.values() for side in between_sides(one, kind)]
    if cell.is_last:
        sides += within_sides(shared, kind)
    own, keeps = slice(0, count), cell.is_last and len(cell.epochs) > 1
    joined = [] if cell.is_last else finals.get((center, kind), [])
    found = triangles(sides, joined, own if keeps else None)
    if keeps:
        finals[center, kind] = found.kept
    references = {"same_epoch": own}
    if keeps or joined:
        references["final"] = own if keeps else slice(len(sides), len(sides) + count)
    factors = {"center": center, "rsm": kind}
    for space, part in parts.items():
        for reference, other in references.items():
            told = {**factors, "space": space, "reference": reference}
            yield from _compared(cell, found.covariance, part, other, told)
    yield from _consistency(cell, found.covariance[own, own], factors)
    if not _matched(native):
        yield _unmatched(cell, factors)
    if cell.is_last:
        last = slice(len(sides) - count, len(sides))
        yield cell.row("within_similarity", "pearson", second_order(found.covariance, last, own, cell.draws), **factors)
        if kind == "pearson" and alternatives:
            yield from _alternatives(cell, sides[: 3 * count] if "native" in parts else sides[: 2 * count], factors)


def _compared(cell: Cell, covariance: Doubles, between: slice, within: slice, factors: dict[str, str]) -> Iterator[Row]:
    mean = second_order(covariance, between, within, cell.draws)
    yield cell.row("second_order_similarity", "pearson", mean, **factors)
    variance = covariance[within, within].mean()
    for i, name in enumerate(cell.networks):
        place = between.start + i
        size = covariance[place, place] * variance
        value = covariance[place, within].mean() / math.sqrt(size) if size > 0 else math.nan
        yield cell.row("second_order_of_network", "pearson", value, network_a=name, **factors)


def _consistency(cell: Cell, covariance: Doubles, factors: dict[str, str]) -> Iterator[Row]:
    found = correlations(covariance)
    for i, j in zip(*np.triu_indices(len(found), 1), strict=True):
        names = {"network_a": cell.networks[i], "network_b": cell.networks[j]}
        yield cell.row("consistency", "pearson", found[i, j], **names, **factors)


def _unmatched(cell: Cell, factors: dict[str, str]) -> Row:
    why = f"undefined: networks differ in the number of units of layer {cell.layer}"
    told = {**factors, "space": "native", "reference": "same_epoch"}
    return cell.row("second_order_similarity", "pearson", math.nan, status=why, **told)


def _alternatives(cell: Cell, sides: Sequence[Side], factors: dict[str, str]) -> Iterator[Row]:
    """What N11 leaves open: means of Fisher's z, and both triangles of the RSMs between networks."""
    count = len(cell.networks)
    between = [_symmetric(side) for side in sides[count : 2 * count]]
    told = {**factors, "space": "shared", "reference": "same_epoch"}
    for estimator, chosen, fisher in (
        ("pearson_fisher_z", sides[: 2 * count], True),
        ("pearson_symmetric", [*sides[:count], *between], False),
    ):
        found = triangles(chosen, fisher=fisher)
        value = second_order(found.covariance, slice(count, 2 * count), slice(0, count), cell.draws)
        yield cell.row("second_order_similarity", estimator, value, **told)


def _symmetric(side: Side) -> Side:
    """The mean of an RSM and its transpose, as one product."""
    left, right = np.hstack(side), np.hstack(side[::-1])
    return Side(left * np.float32(0.5), right)


# ---- classes and trajectories ----------------------------------------------------------------------------------------


def contrast_rows(
    cell: Cell, center: str, kind: str, native: Sequence[Floats], shared: Sequence[Floats]
) -> Iterator[Row]:
    """Yield how much more similar images of one class are, by network, space, and within or between networks.

    Parameters
    ----------
    cell : Cell
    center, kind : str
    native, shared : sequence of ndarray, shapes (n, p_i) and (n, k)
    """
    for space, patterns in (("native", native), ("shared", shared)):
        found = {"within": within_sides(patterns, kind)}
        if _matched(patterns):
            found["between"] = between_sides(patterns, kind)
        for pair, sides in found.items():
            factors = {"center": center, "rsm": kind, "space": space, "pair": pair}
            for name, side in zip(cell.networks, sides, strict=True):
                value = block_contrast(side, cell.labels)
                status = {} if math.isfinite(value) else {"status": "undefined: one class, or no class of two images"}
                yield cell.row("block_contrast", "mean", value, network_a=name, **factors, **status)


def class_rows(cell: Cell, center: str, native: Sequence[Floats], shared: Sequence[Floats]) -> Iterator[Row]:
    """Yield the similarity of every two classes within networks, averaged over networks.

    Parameters
    ----------
    cell : Cell
    center : str
    native, shared : sequence of ndarray, shapes (n, p_i) and (n, k)
    """
    names = np.unique(cell.labels)
    for space, patterns in (("native", native), ("shared", shared)):
        found = np.stack([class_similarity(one, cell.labels) for one in patterns])  # (N, classes, classes)
        for a, b in zip(*np.triu_indices(len(names), 1), strict=True):
            factors = {"center": center, "space": space, "class_a": names[a], "class_b": names[b]}
            yield cell.row("class_rsm", "pearson", mean_interval(found[:, a, b], cell.draws), **factors)


def distance_rows(
    cell: Cell, center: str, native: Sequence[Floats], shared: Sequence[Floats], window: int
) -> Iterator[Row]:
    """Yield how far each network's smoothed trajectory is from the mean of the others'.

    Parameters
    ----------
    cell : Cell
    center : str
    native, shared : sequence of ndarray, shapes (n, p_i) and (n, k)
    window : int
        Images that are averaged; nothing is yielded for as many images or fewer.
    """
    if len(cell.labels) <= window:
        return
    for space, patterns in (("native", native), ("shared", shared)):
        if not _matched(patterns):
            continue
        distances = trajectory_distances([smoothed(one, window) for one in patterns])
        for name, value in zip(cell.networks, distances, strict=True):
            yield cell.row("trajectory_distance", "rms", value, network_a=name, center=center, space=space)
