"""How far independent implementations of a measure are from ours, as a table of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from netalike.evidence.measurements import OK, parse_condition
from netalike.page.encoding import as_text
from netalike.page.intervals import number_text
from netalike.page.measures import ShownMeasure, shown_measure
from netalike.page.selection import link_to_rows

EXPERIMENT = "implementations"
AGREES, DIFFERS = "largest_difference", "difference_by_definition"
_NAMED = ("peer", "version", "on", "reason", "how")


@dataclass(frozen=True)
class Agreement:
    """A measure beside another implementation of it.

    Attributes
    ----------
    how : str
        How the other was called, where that is not the measure alone.
    on : str
        What both were computed on, with other facts of the comparison.
    difference : str
        The largest, empty where there is none.
    agrees : bool
        Whether the two are meant to agree.
    reason : str
        Why they differ by definition, or why there is no number; else empty.
    """

    measure: ShownMeasure
    how: str
    peer: str
    version: str
    on: str
    difference: str
    agrees: bool
    reason: str
    link: str


def agreements(measurements: pd.DataFrame) -> list[Agreement]:
    """Return the comparisons with other implementations: those that are meant to agree, then those that are not."""
    chosen = measurements[measurements["experiment"] == EXPERIMENT]
    rows = [{str(k): v for k, v in row.items()} for row in chosen.to_dict("records")]
    return [_agreement(row) for quantity in (AGREES, DIFFERS) for row in rows if row["quantity"] == quantity]


def _agreement(row: Mapping[str, Any]) -> Agreement:
    condition, key, status = (as_text(row[column]) for column in ("condition", "estimator", "status"))
    factors = parse_condition(condition)
    others = [f"{name.replace('_', ' ')}: {text}" for name, text in factors.items() if name not in _NAMED]
    return Agreement(
        measure=shown_measure(key),
        how=factors.get("how", ""),
        peer=factors.get("peer", ""),
        version=factors.get("version", ""),
        on=" · ".join(filter(None, [factors.get("on", ""), *others])),
        difference=number_text(float(row["value"])),
        agrees=row["quantity"] == AGREES,
        reason=". ".join(filter(None, [factors.get("reason", ""), "" if status == OK else status])),
        link=link_to_rows({"experiment": EXPERIMENT, "estimator": key, "condition": condition}),
    )
