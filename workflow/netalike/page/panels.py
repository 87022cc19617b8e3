"""What the page of a panel shows: every pair of its networks under every measure, and what each measure tells apart."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from urllib.parse import quote

import pandas as pd

from netalike.experiments.panel_questions import QUESTIONS
from netalike.page.encoding import as_text
from netalike.page.intervals import Share, draw_share, number_text
from netalike.page.measures import MeasureCost, ShownMeasure, costs_of, in_order
from netalike.page.panel_data import Grouped, Row, encode_panel, networks_in_order, reason, rows_by_measure
from netalike.page.papers import COMPARISON
from netalike.page.sections import Group, Picture
from netalike.page.selection import link_to_rows
from netalike.page.words import AskedQuestion, asked_question

PREFIX = "comparison_"
"""What the experiments begin with whose rows compare the measures on a panel."""

CHANCE = {"auc": 0.5, "spearman": 0.0, "conformity": 0.5}
"""What a measure has that tells nothing."""

_ENDS = {"spearman": (-1.0, 1.0)}


@dataclass(frozen=True)
class Cell:
    """A number of a table as texts; `why` says why there is none, `key` is what it is sorted by."""

    value: float
    low: float
    high: float
    text: str
    interval: str
    why: str
    drawing: Share | None
    link: str

    @property
    def key(self) -> str:
        """What a table is sorted by, empty where there is no number."""
        return repr(self.value) if math.isfinite(self.value) else ""


@dataclass(frozen=True)
class ControlCell:
    """The value of a measure on a control, and whether it sits where it must; None where nothing is known."""

    text: str
    holds: bool | None
    why: str


@dataclass(frozen=True)
class MeasureRow:
    """A measure of a panel: what it tells apart, what it says of the controls, and what it costs."""

    measure: ShownMeasure
    cells: list[Cell | None]
    controls: list[ControlCell | None]
    cost: MeasureCost | None


@dataclass(frozen=True)
class PanelPage:
    """What the page of one panel shows.

    Attributes
    ----------
    name, experiment : str
        ``digits``, ``comparison_digits``.
    path : str
        Of the page, from the folder of the index; `link` is the same for an address.
    data : dict
        For the interactive figures.
    """

    name: str
    experiment: str
    path: str
    link: str
    dataset: str
    split: str
    n_samples: str
    trained: list[str]
    controls: list[str]
    n_pairs: int
    rows: list[MeasureRow]
    asked: list[AskedQuestion]
    unanswered: list[AskedQuestion]
    control_names: list[str]
    pictures: list[Picture]
    table: str
    n_rows: int
    data: dict[str, Any]

    @property
    def correlations(self) -> list[float]:
        """The rank correlations of two different measures."""
        return [c[2] for c in self.data["correlations"] if c[0] != c[1] and c[2] is not None]

    @property
    def typical_correlation(self) -> float:
        """Their median; NaN without any."""
        return median(self.correlations) if self.correlations else math.nan

    @property
    def families(self) -> list[str]:
        """The kinds of measures, each once."""
        return list(dict.fromkeys(row.measure.family for row in self.rows))

    def cells_of(self, key: str) -> dict[str, Cell]:
        """Return what each measure answers to a question, by the measure's key; undefined answers are left out."""
        for i, asked in enumerate(self.asked):
            if asked.key == key:
                return {row.measure.key: cell for row in self.rows if (cell := row.cells[i]) and not cell.why}
        return {}

    @property
    def checks(self) -> tuple[int, int]:
        """How many checks of controls hold, and how many there are."""
        known = [cell.holds for row in self.rows for cell in row.controls if cell and cell.holds is not None]
        return sum(known), len(known)

    @property
    def missing_answers(self) -> list[tuple[str, list[str]]]:
        """Why answers have no number: each reason with the measures and questions that it concerns."""
        names = [asked.words for asked in self.asked]
        return _reasons(
            (row.measure.label, name, c) for row in self.rows for name, c in zip(names, row.cells, strict=True)
        )

    @property
    def missing_controls(self) -> list[tuple[str, list[str]]]:
        """Why controls have no number: each reason with the measures and controls that it concerns."""
        names = [name.replace("_", " ") for name in self.control_names]
        cells = ((row, zip(names, row.controls, strict=True)) for row in self.rows)
        return _reasons((row.measure.label, name, c) for row, found in cells for name, c in found if c and not c.text)

    @property
    def checked_controls(self) -> list[str]:
        """The controls that some measure must hold on."""
        places = {i for row in self.rows for i, cell in enumerate(row.controls) if cell and cell.holds is not None}
        return [name for i, name in enumerate(self.control_names) if i in places]


def _reasons(cells: Iterable[tuple[str, str, Cell | ControlCell | None]]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for measure, name, cell in cells:
        if cell and cell.why:
            found.setdefault(cell.why, []).append(f"{measure} ({name})")
    return list(found.items())


def panel_pages(
    measurements: pd.DataFrame, groups: Sequence[Group], costs: Mapping[str, pd.DataFrame] | None = None
) -> list[PanelPage]:
    """Return a page for each panel whose measures were compared, the one with most pairs first.

    Parameters
    ----------
    measurements : DataFrame
        The measurement table.
    groups : sequence of Group
        The figures.
    costs : mapping of str to DataFrame, optional
        By panel, as `costs_of` takes them.
    """
    experiments = measurements["experiment"].map(as_text)
    compared = [name for name in experiments.unique() if name.startswith(PREFIX)]
    pictures = [picture for group in groups if group.category == COMPARISON for picture in group.pictures]
    pages = [_page(name, measurements[experiments == name], pictures, costs or {}) for name in compared]
    return sorted(pages, key=lambda page: (-page.n_pairs, page.name))


def _page(
    experiment: str, rows: pd.DataFrame, pictures: Iterable[Picture], costs: Mapping[str, pd.DataFrame]
) -> PanelPage:
    name = experiment.removeprefix(PREFIX)
    grouped = rows_by_measure(rows)
    measures = in_order([*grouped.get("pair_similarity", {}), *grouped.get("separation", {})])
    similarities = [row for own in grouped.get("pair_similarity", {}).values() for row in own]
    networks = networks_in_order(as_text(row[side]) for row in similarities for side in ("network_a", "network_b"))
    data = encode_panel(grouped, networks, measures)
    asked = _asked(grouped)
    controls = _control_names(grouped)
    file = re.sub(r"[^\w.-]", "_", name)
    return PanelPage(
        name=name,
        experiment=experiment,
        path=f"comparison/{file}.html",
        link=quote(f"comparison/{file}.html"),
        dataset=_first(rows, "dataset"),
        split=_first(rows, "split"),
        n_samples=_largest(rows["n_samples"]),
        trained=[name for name in networks if "@" not in name and name != "noise"],
        controls=[name for name in networks if "@" in name or name == "noise"],
        n_pairs=len(data["pairs"]),
        rows=_measure_rows(experiment, measures, grouped, asked, controls, costs_of(costs.get(name))),
        asked=[one for one in asked if not one.why],
        unanswered=[one for one in asked if one.why],
        control_names=controls,
        pictures=[picture for picture in pictures if picture.name.startswith(f"{COMPARISON}/{name}/")],
        table=link_to_rows({"experiment": experiment}),
        n_rows=len(rows),
        data=data,
    )


def _first(rows: pd.DataFrame, column: str) -> str:
    return next((as_text(cell) for cell in rows[column] if as_text(cell)), "")


def _largest(counts: pd.Series) -> str:
    known = counts.dropna()
    return f"{int(known.max()):,}" if len(known) else ""


def _asked(grouped: Grouped) -> list[AskedQuestion]:
    """Return the questions, ours first, each with the counts that most measures share."""
    found: dict[str, list[Row]] = {}
    for own in grouped.get("separation", {}).values():
        for row in own:
            found.setdefault(row["factors"].get("question", ""), []).append(row)
    known = [key for key in QUESTIONS if key in found]
    return [_one_asked(key, found[key]) for key in [*known, *sorted(set(found) - set(known))]]


def _one_asked(key: str, rows: Sequence[Row]) -> AskedQuestion:
    factors = max((row["factors"] for row in rows), key=_n_pairs)
    answered = any(not reason(row) for row in rows)
    return asked_question(key, factors, "" if answered else reason(rows[0]))


def _n_pairs(factors: Mapping[str, str]) -> int:
    return sum(int(text) for text in (factors.get("n_positive", ""), factors.get("n_negative", "")) if text.isdigit())


def _measure_rows(
    experiment: str,
    measures: Sequence[ShownMeasure],
    grouped: Grouped,
    asked: Sequence[AskedQuestion],
    controls: Sequence[str],
    costs: Mapping[str, MeasureCost],
) -> list[MeasureRow]:
    answered = [one.key for one in asked if not one.why]
    rows = []
    for measure in measures:
        answers = {
            row["factors"].get("question", ""): row for row in grouped.get("separation", {}).get(measure.key, [])
        }
        cells = [_cell(experiment, answers[key]) if key in answers else None for key in answered]
        checks = [_control(grouped, measure.key, control) for control in controls]
        rows.append(MeasureRow(measure, cells, checks, costs.get(measure.key)))
    return rows


def _cell(experiment: str, row: Row) -> Cell:
    value, low, high = (float(row[column]) for column in ("value", "low", "high"))
    statistic = row["factors"].get("statistic", "auc")
    has_interval = math.isfinite(low) and math.isfinite(high)
    wanted = {"quantity": "separation", "estimator": row["estimator"], "experiment": experiment}
    return Cell(
        value=value,
        low=low,
        high=high,
        text=_two_digits(value),
        interval=f"{_two_digits(low)} to {_two_digits(high)}" if has_interval else "",
        why=reason(row),
        drawing=draw_share(value, low, high, *_ENDS.get(statistic, (0.0, 1.0)), CHANCE.get(statistic, 0.5)),
        link=link_to_rows({**wanted, "condition": f"question={row['factors'].get('question', '')}"}),
    )


def _two_digits(number: float) -> str:
    return f"{number:.2f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(number) else ""


def _control_names(grouped: Grouped) -> list[str]:
    given = [
        row["factors"].get("control", "")
        for quantity in ("control_check", "control_holds")
        for own in grouped.get(quantity, {}).values()
        for row in own
    ]
    return list(dict.fromkeys(given))


def _control(grouped: Grouped, key: str, control: str) -> ControlCell | None:
    def find(quantity: str) -> Row | None:
        own = grouped.get(quantity, {}).get(key, [])
        return next((row for row in own if row["factors"].get("control", "") == control), None)

    check, holds = find("control_check"), find("control_holds")
    if check is None:
        return None
    known = holds is not None and not reason(holds)
    why = reason(check) or (reason(holds) if holds is not None else "")
    verdict = bool(holds["value"]) if holds is not None and known else None
    return ControlCell(number_text(float(check["value"])), verdict, why)
