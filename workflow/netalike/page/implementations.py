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
_NAMED = ("peer", "version", "on")


@dataclass(frozen=True)
class Agreement:
    """A measure beside another implementation of it.

    Attributes
    ----------
    difference : str
        The largest, empty where there is none.
    on : str
        What both were computed on, with other facts of the comparison.
    reason : str
        Why they differ, or why there is no number; empty where they were meant to agree.
    """

    measure: ShownMeasure
    peer: str
    version: str
    on: str
    difference: str
    reason: str
    link: str


def agreements(measurements: pd.DataFrame) -> list[Agreement]:
    """Return the comparisons with other implementations, in the order of the rows of experiment `implementations`."""
    chosen = (measurements["experiment"] == EXPERIMENT) & (measurements["quantity"] == "largest_difference")
    return [_agreement({str(k): v for k, v in row.items()}) for row in measurements[chosen].to_dict("records")]


def _agreement(row: Mapping[str, Any]) -> Agreement:
    condition, key, status = (as_text(row[column]) for column in ("condition", "estimator", "status"))
    factors = parse_condition(condition)
    others = [f"{name.replace('_', ' ')}: {text}" for name, text in factors.items() if name not in _NAMED]
    return Agreement(
        measure=shown_measure(key),
        peer=factors.get("peer", ""),
        version=factors.get("version", ""),
        on=" · ".join(filter(None, [factors.get("on", ""), *others])),
        difference=number_text(float(row["value"])),
        reason="" if status == OK else status,
        link=link_to_rows({"experiment": EXPERIMENT, "estimator": key, "condition": condition}),
    )
