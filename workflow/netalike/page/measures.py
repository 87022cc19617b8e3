"""The measures of a panel as the pages show them: names, families, ranges, and what each costs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from netalike.experiments.panel_measures import DISTANCE, FAMILIES, PANEL_MEASURES
from netalike.page.encoding import as_text
from netalike.plots.comparison_cost import measure_costs


@dataclass(frozen=True)
class ShownMeasure:
    """A measure; `low` and `high` are its range, infinite where it has no end, and NaN where it is not known."""

    key: str
    label: str
    family: str
    distance: bool
    low: float
    high: float


@dataclass(frozen=True)
class MeasureCost:
    """What a measure took on a panel.

    Attributes
    ----------
    seconds : float
        To compare two networks: what is done for both, and for their pair.
    per_pair, per_network : float
        Seconds of what is done for each pair, and for each network.
    memory : float
        Peak beyond what was in use before, in MB.
    """

    seconds: float
    per_pair: float
    per_network: float
    memory: float


def shown_measure(key: str) -> ShownMeasure:
    """Return a measure by its key ``quantity/estimator``; one that is not registered is shown by its key."""
    known = PANEL_MEASURES.get(key)
    if known is None:
        return ShownMeasure(key, key.replace("_", " ").replace("/", ", "), "other", False, math.nan, math.nan)
    return ShownMeasure(key, known.label, FAMILIES[known.family], known.direction == DISTANCE, known.low, known.high)


def in_order(keys: Iterable[str]) -> list[ShownMeasure]:
    """Return measures, each once, in the order of the registry; those that it lacks come last."""
    places = {key: place for place, key in enumerate(PANEL_MEASURES)}
    wanted = sorted(set(keys), key=lambda key: (places.get(key, len(places)), key))
    return [shown_measure(key) for key in wanted]


def costs_of(table: pd.DataFrame | None) -> dict[str, MeasureCost]:
    """Return the cost of each measure.

    Parameters
    ----------
    table : DataFrame, optional
        As `evidence.metering` writes it; the rows of one measure (of several jobs) are added up, of their memory the
        largest is taken.

    Returns
    -------
    dict of key to MeasureCost
    """
    if table is None or table.empty:
        return {}
    whole = measure_costs(table)
    counted = ["networks", "pairs", "seconds_networks", "seconds_pairs"]
    single = table.assign(measure=table["measure"].str.split("+")).explode("measure")
    sums = {as_text(key): row for key, row in single.groupby("measure")[counted].sum().iterrows()}
    return {key: _cost(row, sums[key]) for key, row in ((as_text(key), row) for key, row in whole.iterrows())}


def read_costs(paths: Iterable[str | Path]) -> dict[str, pd.DataFrame]:
    """Read what the measures of each panel took.

    Parameters
    ----------
    paths : iterable of path
        Files of costs, as `costs_of` takes them; the panel is the name of the folder that a file lies in.

    Returns
    -------
    dict of panel to DataFrame
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    for path in map(Path, paths):
        tables.setdefault(path.parent.name, []).append(pd.read_csv(path))
    return {panel: pd.concat(found, ignore_index=True) for panel, found in tables.items()}


def _cost(whole: pd.Series, sums: pd.Series) -> MeasureCost:
    return MeasureCost(
        seconds=float(whole["seconds"]),
        per_pair=_share(float(sums["seconds_pairs"]), float(sums["pairs"])),
        per_network=_share(float(sums["seconds_networks"]), float(sums["networks"])),
        memory=float(whole["peak_mb"]),
    )


def _share(total: float, count: float) -> float:
    return total / count if count else math.nan
