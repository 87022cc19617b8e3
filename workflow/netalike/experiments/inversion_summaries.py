"""Means over pairs of networks of what `inversion_comparison` measures, with the images resampled for all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netalike.evidence.measurements import condition
from netalike.experiments.inversion_roles import Role, pair_condition, pair_kind
from netalike.inversion.estimates import estimates

if TYPE_CHECKING:
    from netalike.experiments.inversion_comparison import Compared

Row = dict[str, Any]
Floats = NDArray[np.float64]
Pair = tuple[str, str]
Cell = tuple[str, str, str]
"""What two networks are to each other, and what each was trained against."""

_ASYMMETRIC = ("self", "trained_untrained", "untrained")
"""Kinds of pairs whose asymmetry says nothing of training."""


def summary_rows(found: Compared, roles: Mapping[str, Role], on_targets: Compared | None = None) -> Iterator[Row]:
    """Average over the pairs of each kind and of each two sizes of attack.

    Parameters
    ----------
    found : Compared
    roles : mapping of network to Role
    on_targets : Compared, optional
        The same pairs on the targets: then rows of differences and of asymmetries follow.

    Yields
    ------
    dict
        Rows of the measurement table; their intervals are over pairs of images, not over networks.
    """
    for cell, pairs in cells_of(found.samples, roles).items():
        told = _words(cell, found.images, found.seeds)
        for measure in found.samples[pairs[0]]:
            quantity, estimator = measure.split("/")
            plain = {
                "quantity": f"mean_{quantity}",
                "estimator": estimator,
                "condition": condition(control="none", **told),
            }
            yield {**plain, **_mean([found.samples[pair][measure] for pair in pairs])}
            nulls = [found.nulls[pair][measure] for pair in pairs if measure in found.nulls.get(pair, {})]
            if nulls:
                yield {
                    **plain,
                    "condition": condition(control="shuffled", **told),
                    **_mean([n.mean()[None] for n in nulls]),
                }
            if on_targets is not None:
                lost = [found.samples[pair][measure] - on_targets.samples[pair][measure] for pair in pairs]
                yield {**plain, "quantity": f"{quantity}_difference", **_mean(lost)}
    if on_targets is not None:
        yield from _asymmetry_rows(found, roles)


def cells_of(pairs: Mapping[Pair, object], roles: Mapping[str, Role]) -> dict[Cell, list[Pair]]:
    """Group ordered pairs of networks by what they are to each other, and by what each was trained against."""
    cells: dict[Cell, list[Pair]] = {}
    for pair in pairs:
        a, b = roles[pair[0]], roles[pair[1]]
        cells.setdefault((pair_kind(a, b), a.eps, b.eps), []).append(pair)
    return cells


def with_interval(drawn: Floats, reason: str = "") -> Row:
    """Return value, interval and status of a number with its resamples.

    Parameters
    ----------
    drawn : array, shape (n_boot + 1,)
        Entry 0 is the number itself.
    reason : str
        Why there is none.

    Returns
    -------
    dict
        A percentile interval of 95 %, widened to hold the value: few resamples may all lie on one side of it. None
        without resamples.
    """
    found = estimates(drawn)
    value, low, high = float(found.value), float(found.low), float(found.high)
    if np.isnan(value):
        return {"value": np.nan, "status": f"undefined: {reason or 'no pair of networks has a value'}"}
    return {"value": value} if np.isnan(low) else {"value": value, "low": min(low, value), "high": max(high, value)}


def _asymmetry_rows(found: Compared, roles: Mapping[str, Role]) -> Iterator[Row]:
    """Entry (a, b) less entry (b, a), for one order of each two networks, and the means of these."""
    taken: dict[Cell, list[Pair]] = {}
    for cell, pairs in cells_of(found.samples, roles).items():
        chosen = [(a, b) for a, b in pairs if cell[0] not in _ASYMMETRIC and _comes_first(roles[a], roles[b])]
        if chosen:
            taken[cell] = chosen
    for cell, pairs in taken.items():
        for measure in found.samples[pairs[0]]:
            quantity, estimator = measure.split("/")
            lost = {(a, b): found.samples[a, b][measure] - found.samples[b, a][measure] for a, b in pairs}
            told = {"estimator": estimator, "quantity": f"{quantity}_asymmetry"}
            for (a, b), drawn in lost.items():
                words = pair_condition(roles[a], roles[b], images=found.images, seeds=found.seeds, control="none")
                named = {"network_a": a, "network_b": b, "condition": words}
                yield {**told, **named, **with_interval(drawn, "a value of the two is undefined")}
            words = condition(control="none", **_words(cell, found.images, found.seeds))
            yield {**told, "quantity": f"mean_{quantity}_asymmetry", "condition": words, **_mean(list(lost.values()))}


def _comes_first(a: Role, b: Role) -> bool:
    return (-float(a.eps), a.name) < (-float(b.eps), b.name)


def _words(cell: Cell, images: str, seeds: str) -> dict[str, str]:
    pair, eps_a, eps_b = cell
    same = "yes" if eps_a == eps_b else "no"
    return {"images": images, "seeds": seeds, "pair": pair, "eps_a": eps_a, "eps_b": eps_b, "same_eps": same}


def _mean(drawn: Sequence[Floats]) -> Row:
    """The mean of the numbers that are defined; a resample without one of them has no mean of the same networks."""
    known = [values for values in drawn if not np.isnan(values[0])]
    return with_interval(np.mean(known, axis=0) if known else np.full(1, np.nan))
