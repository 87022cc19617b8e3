"""What is declared of a panel's measures agrees with the registry of measures, with itself, and with the page."""

import math
import re
from pathlib import Path

import pytest

from netalike import measures
from netalike.configuration import load, parse
from netalike.errors import UnknownNameError
from netalike.experiments.panel_measures import (
    FAMILIES,
    PANEL_MEASURES,
    PanelMeasure,
    measure_of,
    measures_of,
    panel_measure,
)
from netalike.experiments.panel_questions import QUESTIONS

PAGE = Path(__file__).resolve().parents[3] / "docs/comparison.md"
COLUMNS = ["measure", "what figures call it", "range", "direction", "identical", "independent noise", "symmetric", "of"]


def table(text: str, first: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    start = next(place for place, row in enumerate(rows) if row[0] == first and len(row) == len(rows[place + 1]))
    end = next((i for i in range(start + 2, len(rows)) if not rows[i][0].startswith("`")), len(rows))
    return [rows[start], *rows[start + 2 : end]]


def number(value: float | None) -> str:
    return "not fixed" if value is None else f"{value:g}"


def span(measure: PanelMeasure) -> str:
    if math.isinf(measure.low):
        return f"at most {measure.high:g}"
    return f"from {measure.low:g}" if math.isinf(measure.high) else f"{measure.low:g} to {measure.high:g}"


def declared(measure: PanelMeasure) -> list[str]:
    """The row of docs/comparison.md."""
    return [
        f"`{measure.key}`",
        measure.label,
        span(measure),
        measure.direction,
        number(measure.identical),
        number(measure.unrelated),
        "yes" if measure.symmetric else "no",
        "layers" if measure.layerwise else "networks",
    ]


def test_the_page_lists_what_is_declared():
    found = [row for part in re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:] for row in tables(part)]
    assert found == [declared(measure) for measure in PANEL_MEASURES.values()]


def tables(part: str) -> list[list[str]]:
    header, *rows = table(part, "measure")
    assert header == COLUMNS
    return rows


def test_the_page_lists_the_questions():
    rows = table(PAGE.read_text(), "question")[1:]
    assert [row[0] for row in rows] == [f"`{key}`" for key in QUESTIONS]
    assert [row[-1] for row in rows] == [
        f"test {question.resi}" if question.resi else "our own" for question in QUESTIONS.values()
    ]


def test_the_example_of_the_page_is_accepted():
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert load(parse(example), PAGE.parents[1]).panels["mine"].networks == ("mine", "tiny10-digits")


def test_keys_are_quantity_and_estimator():
    assert all(
        key == measure.key == f"{measure.quantity}/{measure.estimator}" for key, measure in PANEL_MEASURES.items()
    )


def test_families_come_one_after_the_other_in_their_order():
    assert list(dict.fromkeys(measure.family for measure in PANEL_MEASURES.values())) == list(FAMILIES)
    assert sum(len(measures_of(family)) for family in FAMILIES) == len(PANEL_MEASURES) == 31


def test_labels_are_short_and_their_own():
    labels = [measure.label for measure in PANEL_MEASURES.values()]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= 28


@pytest.mark.parametrize("registered", measures.all_measures(), ids=lambda measure: measure.key)
def test_representation_measures_are_those_of_the_registry(registered):
    ours = PANEL_MEASURES[registered.key]
    for name in ("low", "high", "direction", "identical", "symmetric"):
        assert getattr(ours, name) == getattr(registered, name), name


@pytest.mark.parametrize("measure", PANEL_MEASURES.values(), ids=lambda measure: measure.key)
def test_what_is_declared_lies_in_the_range(measure):
    for value in (measure.identical, measure.unrelated):
        assert value is None or measure.low <= value <= measure.high
    assert measure.sign == (1 if measure.direction == "similarity" else -1)
    if measure.direction == "distance":
        assert measure.identical == measure.low == 0


def test_a_row_finds_its_measure_or_none():
    assert measure_of({"quantity": "stir", "estimator": "cka"}) is PANEL_MEASURES["stir/cka"]
    assert measure_of({"quantity": "accuracy", "estimator": "test"}) is None


def test_unknown_names_are_met_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'cka/unbiased'"):
        panel_measure("cka/unbiassed")
    with pytest.raises(UnknownNameError, match="Did you mean 'behaviour'"):
        measures_of("behavior")
