"""Whether pairs with a known answer sit where they must: a network with itself, its permuted twin, noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from netalike.evidence.measurements import OK, condition
from netalike.experiments.panel_measures import PANEL_MEASURES, PanelMeasure

Row = dict[str, Any]

CONTROLS = ("self", "permuted_units", "noise")
"""The factor ``pair`` of pairs whose value is known before it is measured."""

NOISE_TOLERANCE = 0.1
"""How far from 0 an unbiased measure may be on independent noise: a few standard errors at a hundred samples."""

_NAN = float("nan")


def control_rows(pairs: pd.DataFrame) -> Iterator[Row]:
    """Yield what each measure gives for each control, and whether that is what it must.

    Parameters
    ----------
    pairs : DataFrame
        As `panel_pairs.pair_table` makes it.

    Yields
    ------
    dict
        For each measure and control (`CONTROLS`) a row ``control_check``, whose value is that of the pair farthest
        from the expected one (with its networks; the mean over pairs where no value is expected), and a row
        ``control_holds`` of 1 or 0. The estimator is the measure's key; condition ``control``, ``expected`` (``none``
        where noise has no fixed value) and ``tolerance``. NaN with a status where the panel lacks the control, or
        nothing is expected.
    """
    for key in (key for key in PANEL_MEASURES if (pairs["measure"] == key).any()):
        of_measure = pairs[pairs["measure"] == key]
        for control in CONTROLS:
            yield from _control(PANEL_MEASURES[key], control, of_measure[of_measure["pair"] == control])


def _control(measure: PanelMeasure, control: str, pairs: pd.DataFrame) -> Iterator[Row]:
    expected = measure.unrelated if control == "noise" else measure.identical
    tolerance = NOISE_TOLERANCE if control == "noise" else measure.tolerance
    factors = {"control": control, "expected": "none" if expected is None else f"{expected:g}"}
    told = {"estimator": measure.key, "condition": condition(**factors, tolerance=f"{tolerance:g}")}
    checked = _checked(pairs, expected)
    yield {"quantity": "control_check", **told, **checked}
    holds = {"value": _NAN, "status": checked["status"]}
    if expected is None:
        holds["status"] = f"undefined: {measure.label} has no fixed value for this control"
    elif checked["status"] == OK:
        holds = {"value": float(abs(checked["value"] - expected) <= tolerance), "status": OK}
    yield {"quantity": "control_holds", **told, **holds}


def _checked(pairs: pd.DataFrame, expected: float | None) -> Row:
    defined = pairs[pairs["value"].notna()]
    if pairs.empty:
        return {"value": _NAN, "status": "undefined: the panel has no such pair under this measure"}
    if defined.empty:
        return {"value": _NAN, "status": str(pairs["status"].iloc[0])}
    if expected is None:
        return {"value": float(defined["value"].mean()), "status": OK}
    worst = defined.iloc[int((defined["value"] - expected).abs().to_numpy().argmax())]
    return {name: worst[name] for name in ("network_a", "network_b", "value", "low", "high", "status")}
