"""Rows about the other rows of an alignment: when a layer develops, and how values run over depth."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netalike.evidence.measurements import OK, condition, parse_condition

Row = dict[str, Any]
Series = dict[tuple[str, ...], list[Row]]

_DONE = 0.9
_LEAST_RISE = 0.05  # a smaller one is no development to be timed
_FEWEST_EPOCHS = _FEWEST_LAYERS = 3


def summary_rows(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield `development_epoch` and `ends_minus_middle` of every network.

    Parameters
    ----------
    rows : sequence of dict
        Of all layers and epochs, in their order.

    Yields
    ------
    dict
        Nothing of fewer than three epochs, or of fewer than three hidden layers.
    """
    told = [(row, parse_condition(row["condition"])) for row in rows if row["value"] == row["value"]]
    yield from _developments(told)
    yield from _depths(told)


# ---- development -----------------------------------------------------------------------------------------------------


def _developments(told: Sequence[tuple[Row, Mapping[str, str]]]) -> Iterator[Row]:
    series: Series = defaultdict(list)
    for row, factors in told:
        wanted = row["quantity"] == "second_order_of_network" and factors["space"] == "shared"
        if wanted and factors["reference"] == "final":
            key = (row["network_a"], row["layer_a"], factors["center"], factors["rsm"], factors["depth"])
            series[*key, factors["units"]].append(row)
    most = max(map(len, series.values()), default=0)  # companions of the first kind of RSM have the ends alone
    for (_, _, center, kind, depth, units), found in series.items():
        if len(found) == most >= _FEWEST_EPOCHS:
            yield _development(found, condition(center=center, rsm=kind, depth=depth, units=units))


def _development(found: Sequence[Row], factors: str) -> Row:
    first, last = found[0]["value"], found[-1]["value"]
    reached = [row["step"] for row in found if row["value"] >= first + _DONE * (last - first)]
    rises = last - first >= _LEAST_RISE
    return {
        **found[-1],
        "quantity": "development_epoch",
        "estimator": f"rise_{_DONE:g}",
        "condition": factors,
        "value": float(reached[0]) if rises else math.nan,
        "low": math.nan,
        "high": math.nan,
        "status": OK if rises else f"undefined: the similarity rises by less than {_LEAST_RISE}",
    }


# ---- depth -----------------------------------------------------------------------------------------------------------

_OVER_DEPTH = {
    "variance_explained": {"control": "none"},
    "second_order_of_network": {"space": "shared", "reference": "same_epoch"},
}


def _depths(told: Sequence[tuple[Row, Mapping[str, str]]]) -> Iterator[Row]:
    series: Series = defaultdict(list)
    last = max((row["step"] for row, _ in told), default=0)
    for row, factors in told:
        wanted = _OVER_DEPTH.get(row["quantity"])
        if wanted is None or row["step"] != last or factors["units"] == "classes":
            continue
        if any(factors[name] != value for name, value in wanted.items()):
            continue
        kind = {"rsm": factors["rsm"]} if "rsm" in factors else {}
        of = condition(of=row["quantity"], center=factors["center"], **kind)
        series[row["network_a"], row["estimator"], of].append(row)
    for (_, _, factors_of), found in series.items():
        if len(found) >= _FEWEST_LAYERS:
            yield _ends_minus_middle(found, factors_of)


def _ends_minus_middle(found: Sequence[Row], factors: str) -> Row:
    values = [row["value"] for row in found]
    value = min(values[0], values[-1]) - min(values[1:-1])
    changed = {"quantity": "ends_minus_middle", "condition": factors, "value": value, "low": math.nan, "high": math.nan}
    return {**found[-1], **changed, "layer_a": ""}
