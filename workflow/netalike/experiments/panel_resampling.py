"""What the families of a panel that resample images have in common: rows of pairs, with intervals by bootstrap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.evidence.measurements import OK, condition
from netalike.evidence.metering import Meter
from netalike.evidence.rows import relation

Row = dict[str, Any]
Floats = NDArray[np.float64]
Pairs = Sequence[tuple[str, str]]

_ENDS = (0.025, 0.975)


def related_pairs(pairs: Pairs, members: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield each pair that answers a question, with its relation.

    Parameters
    ----------
    pairs : sequence of (str, str)
    members : mapping of str to str
        Family of every trained network.

    Yields
    ------
    network_a, network_b, relation : str
        See `netalike.evidence.rows.relation`; pairs without one are left out.
    """
    for a, b in pairs:
        found = relation(a, b, members)
        if found is not None:
            yield a, b, found


def pair_row(a: str, b: str, pair: str, key: str, drawn: Floats, reason: str, n_samples: int) -> Row:
    """Make the row of a measure on two networks.

    Parameters
    ----------
    a, b : str
    pair : str
        Their relation.
    key : str
        ``quantity/estimator``.
    drawn : array, shape (n_boot + 1,)
        The value, then its resamples; see `interval`.
    reason : str
        Why there is no value, where it is NaN.
    n_samples : int
        Number of images.

    Returns
    -------
    dict
    """
    quantity, _, estimator = key.partition("/")
    named = {"network_a": a, "network_b": b, "quantity": quantity, "estimator": estimator}
    status = f"undefined: {reason}" if np.isnan(drawn[0]) else OK
    return {**named, "condition": condition(pair=pair), **interval(drawn), "status": status, "n_samples": n_samples}


def interval(drawn: Floats) -> dict[str, float]:
    """Return a value with its 95 % percentile interval.

    Parameters
    ----------
    drawn : array, shape (n_boot + 1,)
        The value, then its resamples. A resample without a value, such as one without any error, is left out.

    Returns
    -------
    dict
        ``value``, ``low`` and ``high``; the interval holds the value. All NaN where there is no value; an interval is
        also NaN without resamples.
    """
    value, resamples = float(drawn[0]), drawn[1:]
    resamples = resamples[np.isfinite(resamples)]
    if np.isnan(value) or not len(resamples):
        return {"value": value, "low": np.nan, "high": np.nan}
    low, high = np.quantile(resamples, _ENDS)
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def metered_networks(meter: Meter | None, measures: Sequence[str], n: int) -> AbstractContextManager[None]:
    """Measure what is done once per network for measures that share it; without a meter, nothing."""
    return nullcontext() if meter is None else meter.networks("+".join(measures), n)


def metered_pairs(meter: Meter | None, measures: Sequence[str], n: int) -> AbstractContextManager[None]:
    """Measure what is done for each pair; see `metered_networks`."""
    return nullcontext() if meter is None else meter.pairs("+".join(measures), n)
