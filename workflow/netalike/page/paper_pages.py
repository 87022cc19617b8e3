"""What the page of one paper shows: its claims, figures, rows, and where the run differs from the paper."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd
import yaml

from netalike.configuration.differences import ABSENT, Difference
from netalike.page.claims import ShownClaim, Verdict, verdict_counts
from netalike.page.encoding import as_text
from netalike.page.papers import PAPERS, Paper
from netalike.page.sections import Group, Picture
from netalike.page.selection import link_to_rows

_LONG = 64  # characters: a longer value is folded


@dataclass(frozen=True)
class Value:
    """A value of the configuration: `short` is its beginning where `text` is folded, else all of it."""

    short: str
    text: str
    folded: bool
    absent: bool


@dataclass(frozen=True)
class ShownDifference:
    """One setting that differs; `path` is within its section."""

    path: str
    ours: Value
    theirs: Value


@dataclass(frozen=True)
class DifferenceGroup:
    """The settings of one section of the configuration that differ."""

    section: str
    differences: list[ShownDifference]


@dataclass(frozen=True)
class PaperPage:
    """What the page of one paper shows; `differences` is None where the run was not compared with the paper preset."""

    paper: Paper
    claims: list[ShownClaim]
    verdicts: list[tuple[Verdict, int]]
    pictures: list[Picture]
    n_rows: int
    rows: str
    differences: list[DifferenceGroup] | None

    @property
    def path(self) -> str:
        """Of the page, from the folder of the index."""
        return f"papers/{self.paper.key}.html"

    @property
    def n_differences(self) -> int:
        """How many settings differ; 0 where the run was not compared."""
        return sum(len(group.differences) for group in self.differences or [])


def paper_pages(
    claims: Sequence[ShownClaim],
    groups: Sequence[Group],
    measurements: pd.DataFrame,
    differences: Sequence[Difference] | None,
) -> list[PaperPage]:
    """Return a page for each paper that has claims, figures or rows, in the order of the papers."""
    n_rows = measurements["paper"].map(as_text).value_counts()
    pages = [_page(paper, claims, groups, int(n_rows.get(paper.key, 0)), differences) for paper in PAPERS]
    return [page for page in pages if page.claims or page.pictures or page.n_rows]


def _page(
    paper: Paper,
    claims: Sequence[ShownClaim],
    groups: Sequence[Group],
    n_rows: int,
    differences: Sequence[Difference] | None,
) -> PaperPage:
    own = [claim for claim in claims if claim.paper == paper.key]
    return PaperPage(
        paper=paper,
        claims=own,
        verdicts=verdict_counts(own),
        pictures=[picture for group in groups if group.paper == paper for picture in group.pictures],
        n_rows=n_rows,
        rows=link_to_rows({"paper": paper.key}),
        differences=None if differences is None else grouped_differences(differences, paper.key),
    )


def grouped_differences(differences: Sequence[Difference], paper: str) -> list[DifferenceGroup]:
    """Group what concerns a paper by section of the configuration; sections of other papers are left out.

    Parameters
    ----------
    differences : sequence of Difference
        As `configuration.explain` returns them: all of a section together.
    paper : str
        Key of the paper. A section that bears no paper's key, such as `networks`, concerns all of them.
    """
    others = {other.key for other in PAPERS} - {paper}
    sections = groupby(differences, key=lambda difference: difference.path.partition(".")[0])
    return [DifferenceGroup(name, [_shown(d) for d in found]) for name, found in sections if name not in others]


def _shown(difference: Difference) -> ShownDifference:
    section, _, inner = difference.path.partition(".")
    return ShownDifference(inner or section, _value(difference.ours), _value(difference.theirs))


def _value(value: Any) -> Value:
    line = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(line) <= _LONG:
        return Value(line, line, folded=False, absent=value == ABSENT)
    text = (
        yaml.safe_dump(value, default_flow_style=None, sort_keys=False, allow_unicode=True)
        if isinstance(value, Mapping)
        else line
    )
    return Value(_summary(value, line), text.rstrip(), folded=True, absent=False)


def _summary(value: Any, line: str) -> str:
    """Return how a folded value begins; of a mapping, its words and numbers, such as a network's architecture."""
    if isinstance(value, Mapping):
        told = {key: entry for key, entry in value.items() if isinstance(entry, str | int | float)}
        flow = yaml.safe_dump(told, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
        line = flow.strip("{}\n") + ", \N{HORIZONTAL ELLIPSIS}"
    return line if len(line) <= _LONG else line[:_LONG].rsplit(" ", 1)[0].rstrip(",") + " \N{HORIZONTAL ELLIPSIS}"
