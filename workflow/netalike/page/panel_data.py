"""What the interactive figures of a panel's page are drawn from, as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from netalike.evidence.measurements import OK, parse_condition
from netalike.page.encoding import as_text, rounded
from netalike.page.measures import ShownMeasure
from netalike.page.words import RELATIONS

_DIGITS = 5
_CONTROLS = ("untrained", "permuted_units", "permuted_samples")
_NO_NUMBER = "undefined: no number, and no reason was given"

Row = Mapping[str, Any]
Pair = tuple[int, int]
Grouped = Mapping[str, Mapping[str, Sequence[Row]]]


def rows_by_measure(rows: pd.DataFrame) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Group the rows of a comparison by quantity and estimator, each row with its condition read into `factors`."""
    read = {text: parse_condition(as_text(text)) for text in rows["condition"].unique()}
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows.to_dict("records"):
        named = {str(key): value for key, value in row.items()}
        measures = found.setdefault(as_text(named["quantity"]), {})
        measures.setdefault(as_text(named["estimator"]), []).append({**named, "factors": read[named["condition"]]})
    return found


def reason(row: Row) -> str:
    """Return why a row has no number; empty where it has one."""
    if math.isfinite(float(row["value"])):
        return ""
    status = as_text(row["status"])
    return _NO_NUMBER if status in (OK, "") else status


def networks_in_order(names: Iterable[str]) -> list[str]:
    """Return networks, each once: the trained ones by name, s2 before s10, then the controls, kind by kind."""
    return sorted(set(names) - {""}, key=lambda name: (_kind(name), *_by_number(name)))


def _kind(name: str) -> int:
    _, at, suffix = name.rpartition("@")
    if at and suffix in _CONTROLS:
        return 1 + _CONTROLS.index(suffix)
    return len(_CONTROLS) + 1 if name == "noise" else 0


def _by_number(name: str) -> tuple[str, int]:
    bare = name.partition("@")[0]
    stem = bare.rstrip("0123456789")
    return stem, int(bare[len(stem) :] or 0)


def encode_panel(grouped: Grouped, networks: Sequence[str], measures: Sequence[ShownMeasure]) -> dict[str, Any]:
    """Pack a comparison for its interactive figures.

    Parameters
    ----------
    grouped : mapping
        Rows of the experiment ``comparison_<panel>``, as `rows_by_measure` groups them.
    networks : sequence of str
    measures : sequence of ShownMeasure

    Returns
    -------
    dict
        ``networks``; ``relations``, what the pages call them; ``pairs``, a list of places of two networks and of their
        relation; ``measures``, each with a list of ``value``, ``low``, ``high``, ``standardised`` and ``n`` along the
        pairs, null where there is none, ``over``, what the intervals resample, ``why`` by place of a pair, and its
        ``map``; ``correlations``, a list of places of two measures with value, low, high, number of pairs and reason.
    """
    place = {name: i for i, name in enumerate(networks)}
    similarities = grouped.get("pair_similarity", {})
    pairs: dict[Pair, str] = {}
    for own in similarities.values():
        for row in own:
            pairs.setdefault(_pair(row, place), row["factors"].get("pair", ""))
    relations = list(dict.fromkeys(pairs.values()))
    along = _Along({pair: i for i, pair in enumerate(pairs)}, place)
    return {
        "networks": list(networks),
        "relations": [RELATIONS.get(relation, relation.replace("_", " ")) for relation in relations],
        "pairs": [[i, j, relations.index(relation)] for (i, j), relation in pairs.items()],
        "measures": [_measure(one, grouped, along) for one in measures],
        "correlations": _correlations(grouped, measures),
    }


@dataclass(frozen=True)
class _Along:
    """Lists along the pairs of a panel: `numbers` says where a pair stands, `place` where a network stands."""

    numbers: Mapping[Pair, int]
    place: Mapping[str, int]

    def where(self, row: Row) -> int | None:
        return self.numbers.get(_pair(row, self.place))

    def take(self, rows: Sequence[Row], read: Callable[[Row], Any]) -> list[Any]:
        items: list[Any] = [None] * len(self.numbers)
        for row in rows:
            if (at := self.where(row)) is not None:
                items[at] = read(row)
        return items


def _pair(row: Row, place: Mapping[str, int]) -> Pair:
    i, j = sorted(place[as_text(row[side])] for side in ("network_a", "network_b"))
    return i, j


def _number(column: str) -> Callable[[Row], float | None]:
    return lambda row: rounded(float(row[column]), _DIGITS)


def _measure(measure: ShownMeasure, grouped: Grouped, along: _Along) -> dict[str, Any]:
    own = grouped["pair_similarity"].get(measure.key, [])
    return {
        "key": measure.key,
        "label": measure.label,
        "family": measure.family,
        "distance": measure.distance,
        "range": [rounded(measure.low), rounded(measure.high)],
        **{column: along.take(own, _number(column)) for column in ("value", "low", "high")},
        "standardised": along.take(grouped.get("pair_standardised", {}).get(measure.key, []), _number("value")),
        "n": along.take(own, _layers),
        "over": next((over for row in own if (over := row["factors"].get("interval", "none")) != "none"), ""),
        "why": {str(along.where(row)): reason(row) for row in own if reason(row)},
        "map": _map(measure.key, grouped, along.place),
    }


def _layers(row: Row) -> int | None:
    text = row["factors"].get("layers", "")
    return int(text) if text.isdigit() and int(text) else None


def _map(key: str, grouped: Grouped, place: Mapping[str, int]) -> dict[str, Any] | None:
    """Return the position of each network, as its place, x, y and group, and the stress; None without positions."""
    positions: dict[int, dict[str, Any]] = {}
    for row in grouped.get("map_position", {}).get(key, []):
        if (network := place.get(as_text(row["network_a"]))) is not None:
            at = positions.setdefault(network, {"group": row["factors"].get("group", "")})
            at[row["factors"].get("axis", "")] = _number("value")(row)
    points = [[i, at.get("x"), at.get("y"), at["group"]] for i, at in sorted(positions.items())]
    points = [point for point in points if None not in point]
    stress = [_number("value")(row) for row in grouped.get("map_stress", {}).get(key, [])]
    return {"points": points, "stress": stress[0] if stress else None} if points else None


def _correlations(grouped: Grouped, measures: Sequence[ShownMeasure]) -> list[list[Any]]:
    place = {measure.key: i for i, measure in enumerate(measures)}
    found = []
    for row in (row for rows in grouped.get("rank_correlation", {}).values() for row in rows):
        names = [row["factors"].get(side, "") for side in ("measure_a", "measure_b")]
        if set(names) <= set(place):
            numbers = [_number(column)(row) for column in ("value", "low", "high")]
            found.append([*(place[name] for name in names), *numbers, row["factors"].get("n_pairs", ""), reason(row)])
    return found
