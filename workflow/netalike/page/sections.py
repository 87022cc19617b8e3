"""What each section of the page shows, as plain values for the template."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from netalike.errors import BadFileError
from netalike.page.encoding import as_text
from netalike.page.papers import PAPERS, Paper, heading, order
from netalike.page.selection import link_to_rows, rows_of_figure
from netalike.plots.cards import FigureCard, load_card

_ON_CARDS = {"architecture": "architecture", "source": "source", "weights": "weights_sha256", "data": "data_sha256"}

ACCURACIES = "networks"
"""The experiment whose rows are the networks' own accuracies."""


@dataclass(frozen=True)
class DataSet:
    """A data set as it was used."""

    name: str
    split: str
    n: str
    fingerprint: str


@dataclass(frozen=True)
class Network:
    """A network with its test accuracy as a text: a share, or why there is none; the rest is from its card."""

    name: str
    accuracy: str
    dataset: str
    architecture: str = ""
    source: str = ""
    weights: str = ""
    data: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure with links relative to the page, and the size of its picture in CSS pixels.

    `name` is its path in the folder of figures, such as ``deconfounded_cka/digits/pair``.
    """

    name: str
    card: FigureCard
    anchor: str
    png: str
    svg: str
    width: int
    height: int
    n_rows: int
    rows: str
    configuration: str
    facts: str
    moving: str = ""
    """Link to the same as a moving picture, where there is one beside it."""


@dataclass(frozen=True)
class Group:
    """The figures of one paper, or of the comparison; `key` is its anchor."""

    key: str
    category: str
    heading: str
    paper: Paper | None
    pictures: list[Picture]


@dataclass(frozen=True)
class RuleCost:
    """Time and memory of all jobs of a rule; `share` is the rule's part of the longest rule's seconds, in percent."""

    paper: str
    rule: str
    jobs: int
    seconds: float
    longest: float
    memory: float
    cpu: float
    share: float


def datasets_used(measurements: pd.DataFrame, fingerprints: Mapping[str, str]) -> list[DataSet]:
    """List each data set and split in the table with all its sample counts, and its fingerprint where one is known."""
    used = measurements[measurements["dataset"].map(as_text) != ""]
    found = []
    for (name, split), rows in used.groupby(["dataset", "split"], sort=False, dropna=False, observed=True):
        counts = sorted({int(n) for n in rows["n_samples"].dropna()})
        key = f"{as_text(name)}/{as_text(split)}"
        sizes = ", ".join(f"{n:,}" for n in counts) or "not stated"
        found.append(DataSet(as_text(name), as_text(split), sizes, fingerprints.get(key, "")))
    return found


def networks_used(measurements: pd.DataFrame, cards: Iterable[str | Path] = ()) -> list[Network]:
    """List each network in the table, controls left out, with its accuracy on the test images as they are.

    Parameters
    ----------
    measurements : DataFrame
    cards : iterable of path
        Cards of networks, ``<id>.json``; what they say of architecture, origin and hashes is shown.
    """
    known = {Path(path).stem: _card(path) for path in cards}
    named = pd.concat([measurements["network_a"], measurements["network_b"]]).map(as_text)
    names = [name for name in dict.fromkeys(named) if name not in ("", "noise") and "@" not in name]
    # other experiments have accuracies too: on corrupted or shifted images
    tested = (measurements["quantity"] == "accuracy") & (measurements["experiment"] == ACCURACIES)
    alone = measurements[tested & (measurements["network_b"].map(as_text) == "")]
    accuracy = {as_text(row["network_a"]): row for _, row in alone.iterrows()}
    return [_network(name, accuracy.get(name), known.get(name, {})) for name in sorted(names, key=_by_number)]


def _card(path: str | Path) -> dict[str, str]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        given = {name: as_text(content.get(key)) for name, key in _ON_CARDS.items()}
    except (OSError, ValueError, AttributeError):
        return {}  # the page then says that nothing is recorded of this network
    return given


def _network(name: str, row: pd.Series | None, card: Mapping[str, str]) -> Network:
    if row is None:
        return Network(name, "not measured", "", **card)
    accuracy = as_text(row["status"]) if pd.isna(row["value"]) else f"{100 * row['value']:.1f} %"
    return Network(name, accuracy, as_text(row["dataset"]), **card)


def _by_number(name: str) -> tuple[str, int]:
    """Sort s2 before s10."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)


def figure_groups(figures: Sequence[str | Path], measurements: pd.DataFrame, folder: Path) -> list[Group]:
    """Group figures by paper, the comparison last; links are relative to the folder of the page."""
    cards = sorted(((load_card(path), Path(path)) for path in figures), key=lambda entry: order(entry[0].category))
    groups = []
    for i, (category, entries) in enumerate(groupby(cards, key=lambda entry: entry[0].category)):
        paper = next((paper for paper in PAPERS if paper.key == category), None)
        pictures = [
            _picture(card, path, measurements, folder, f"figure-{i + 1}-{j + 1}")
            for j, (card, path) in enumerate(entries)
        ]
        groups.append(Group(f"figures-{i + 1}", category, heading(category), paper, pictures))
    return groups


def _picture(card: FigureCard, path: Path, measurements: pd.DataFrame, folder: Path, anchor: str) -> Picture:
    links = {suffix: _link(path.with_suffix(suffix), path, folder) for suffix in (".png", ".svg")}
    width, height = _png_size(path.with_suffix(".png"))
    return Picture(
        name=_relative(path, folder / "figures").removesuffix(path.suffix),
        card=card,
        anchor=anchor,
        png=links[".png"],
        svg=links[".svg"],
        width=width,
        height=height,
        n_rows=len(rows_of_figure(measurements, card.rows)),
        rows=link_to_rows(card.rows),
        configuration=json.dumps(card.configuration, indent=2, ensure_ascii=False) if card.configuration else "",
        facts=_facts({**card.data, **card.labels}),
        moving=_link(moving, path, folder) if (moving := path.with_suffix(".gif")).is_file() else "",
    )


def _link(file: Path, card: Path, folder: Path) -> str:
    if not file.is_file():
        raise BadFileError(f"{card} names a figure whose picture {file.name} is missing: make the figure again.")
    return quote(_relative(file, folder))


def _relative(file: Path, folder: Path) -> str:
    return Path(os.path.relpath(file, folder)).as_posix()


def _png_size(path: Path) -> tuple[int, int]:
    """Return width and height in CSS pixels (96 an inch) of a PNG at 150 dots an inch."""
    head = path.read_bytes()[:24]
    if head[:8] != b"\x89PNG\r\n\x1a\n":
        raise BadFileError(f"{path} is not a PNG picture: make the figure again.")
    return tuple(round(int.from_bytes(head[i : i + 4], "big") * 96 / 150) for i in (16, 20))  # type: ignore[return-value]


def _facts(facts: Mapping[str, Any]) -> str:
    return " · ".join(f"{key.replace('_', ' ')}: {as_text(value)}" for key, value in facts.items())


def cost_by_rule(cost: pd.DataFrame) -> list[RuleCost]:
    """Sum the jobs of each rule, in the order of the papers, the longest rule of each first.

    Snakemake writes NA or - for what it could not measure, as in very short jobs. A sum over such a job is NaN: leaving
    it out would show too little.
    """
    if cost.empty:
        return []
    measured = {name: pd.to_numeric(cost[name], errors="coerce") for name in ("s", "max_rss", "cpu_time")}
    rules = cost.assign(**measured).groupby(["paper", "rule"], sort=False, dropna=False, observed=True)
    sums = rules.agg(
        jobs=("s", "size"),
        seconds=("s", _whole_sum),
        longest=("s", "max"),
        memory=("max_rss", "max"),
        cpu=("cpu_time", _whole_sum),
    ).reset_index()
    top = float(sums["seconds"].max())
    entries = [_rule_cost({str(key): value for key, value in row.items()}, top) for row in sums.to_dict("records")]
    return sorted(entries, key=lambda entry: (order(entry.paper), -entry.seconds, entry.rule))


def _whole_sum(numbers: pd.Series) -> float:
    return float(numbers.sum(skipna=False))


def _rule_cost(row: dict[str, Any], top: float) -> RuleCost:
    numbers = {name: float(row[name]) for name in ("seconds", "longest", "memory", "cpu")}
    share = round(100 * numbers["seconds"] / top, 1) if numbers["seconds"] > 0 else 0.0
    return RuleCost(
        paper=as_text(row["paper"]), rule=as_text(row["rule"]), jobs=int(row["jobs"]), share=share, **numbers
    )


def has_layer_pairs(measurements: pd.DataFrame) -> bool:
    """Say whether there is anything for the explorer of layer pairs."""
    sides = [measurements[name].map(as_text) != "" for name in ("layer_a", "layer_b", "network_b")]
    return bool((sides[0] & sides[1] & sides[2]).any())
