"""Small panels whose answers are known by hand."""

from itertools import combinations
from typing import Any

import pandas as pd

from netalike.evidence import measurements
from netalike.evidence.measurements import OK, condition


def panel_of(*families: str, count: int = 3, **facts: dict[str, Any]) -> dict[str, Any]:
    """A panel of `count` networks of each family, called A0, A1, ...; facts by family."""
    members = {f"{family}{seed}": family for family in families for seed in range(count)}
    plain = {"task": "classes", "dataset": "digits", "training": "plain", "eps": 0.0, "augment": False}
    told = {name: {"architecture": family, **plain, **facts.get(family, {})} for name, family in members.items()}
    return {"members": members, "facts": told, "seed": 0, "name": "small"}


def row(a: str, b: str, pair: str, value: float, measure: str = "cka/unbiased", **columns: Any) -> dict[str, Any]:
    quantity, estimator = measure.split("/")
    told = {"network_a": a, "network_b": b, "quantity": quantity, "estimator": estimator, "value": value}
    return {**told, "experiment": "measures_small", "condition": condition(pair=pair), **columns}


def rows_of(*rows: dict[str, Any]) -> pd.DataFrame:
    return measurements.table(rows, paper="comparison", n_samples=100)


def pairs_of(panel: dict[str, Any], values: dict[str, Any], more: list[dict[str, Any]] | None = None) -> pd.DataFrame:
    """A table of pairs: `values` is, by measure, a function of two networks; `more` are pairs of controls."""
    found = []
    for measure, value in values.items():
        for a, b in combinations(panel["members"], 2):
            same = panel["members"][a] == panel["members"][b]
            pair = "same_family" if same else "other_family"
            found.append({"network_a": a, "network_b": b, "pair": pair, "measure": measure, "value": value(a, b)})
    frame = pd.DataFrame([*found, *(more or [])])
    frame["status"] = frame["value"].map(lambda value: OK if value == value else "undefined: told so")
    rest = {"panel": "small", "family": "representation", "n_layers": 1, "n_samples": 100, "interval": ""}
    return frame.assign(low=float("nan"), high=float("nan"), standardised=0.0, **rest)
