"""What a claim is, field by field."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from netalike.configuration.reading import PRESETS
from netalike.errors import nearest
from netalike.evidence.claims.filters import ON, Group, is_number
from netalike.evidence.claims.mistakes import Part, mistake
from netalike.evidence.claims.statistics import STATISTICS

Text = Annotated[str, Field(min_length=1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Kind = Literal["value", "order", "sign", "trend", "identity"]
EvidenceKind = Literal["printed", "digitised", "code", "abstract", "hypothesis"]
Paper = Literal["input_similarity", "stitching", "deconfounded_cka", "shared_response", "inversion"]
PAPERS: tuple[str, ...] = get_args(Paper)

_CORRELATIONS = ("spearman", "kendall")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_SUFFIXES = (".svg", ".png", ".json", ".pdf")
_FIGURES = "results/figures/"
# tolerance -> kinds of claim that it can judge
_KINDS = {
    "within": ("value", "identity"),
    "above": ("order", "sign", "trend"),
    "below": ("order", "sign", "trend"),
}


class Statistic(Part):
    """How one number, with its interval, comes out of groups of rows.

    Attributes
    ----------
    name : str
        A key of `statistics.STATISTICS`.
    along : str
        A column or condition factor with numbers, such as ``depth``: takes the place of the second group of a rank
        correlation.
    of : tuple of str
        The groups, in the order in which the statistic takes them.
    minus : tuple of str
        Other groups, whose statistic is subtracted under the same resampling.
    by : tuple of str
        Columns or condition factors: computed within each of their values, then averaged.
    join : tuple of str
        Columns or condition factors by which rows of the two groups are matched; ``pair`` is the four columns of
        networks and layers.
    over : tuple of str
        Factors that are resampled with replacement; ``networks`` is the base networks of both. Empty: no interval.
    """

    name: str
    along: str = ""
    of: tuple[Text, ...]
    minus: tuple[Text, ...] = ()
    by: tuple[Text, ...] = ()
    join: tuple[Text, ...] = ()
    over: tuple[Text, ...] = ("networks",)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in STATISTICS:
            raise mistake(f"unknown statistic {name!r}", f"one of {', '.join(STATISTICS)}", nearest(name, STATISTICS))
        return name

    @field_validator("along")
    @classmethod
    def _only_for_a_rank_correlation(cls, along: str, info: ValidationInfo) -> str:
        name = info.data.get("name", along and _CORRELATIONS[0])
        if along and name not in _CORRELATIONS:
            raise mistake(f"{name} along {along}", f"along with {' or '.join(_CORRELATIONS)} only")
        return along

    @field_validator("of", "minus")
    @classmethod
    def _as_many_groups_as_needed(cls, groups: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        kind, along = STATISTICS.get(info.data.get("name", "")), info.data.get("along", "")
        absent = info.field_name == "minus" and not groups
        if kind is None or absent:
            return groups
        needed = kind.n_groups - bool(along)
        if len(groups) != needed:
            what = f"{info.data['name']} along {along}" if along else info.data["name"]
            raise mistake(_count(len(groups), "group"), f"{_count(needed, 'group')} for {what}")
        return groups

    @field_validator("join")
    @classmethod
    def _only_where_rows_are_matched(cls, join: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        kind, along = STATISTICS.get(info.data.get("name", "")), info.data.get("along", "")
        if kind is None or (kind.matched and not along) == bool(join):
            return join
        name = info.data["name"]
        if along:
            raise mistake(f"{name} along {along} matches no rows", "no join; leave it out")
        if kind.matched:
            raise mistake("missing", f"the columns or factors by which {name} matches rows, such as [pair]")
        raise mistake(f"{name} matches no rows", "no join; leave it out")

    @field_validator("by", "join", "over")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(names)

    @property
    def matches(self) -> bool:
        """Whether rows of two groups are matched."""
        return bool(self.join)

    @property
    def has_interval(self) -> bool:
        """Whether factors are resampled."""
        return bool(self.over) and self.name != "maximum"

    def in_words(self) -> str:
        """Say what is computed, in one sentence."""
        along = (self.along,) if self.along else ()
        parts = [STATISTICS[self.name].words.format(*self.of, *along)]
        if self.minus:
            parts.append(f"minus the same of {' and '.join((*self.minus, *along))}")
        if self.join:
            parts.append(f"rows matched by {', '.join(self.join)}")
        if self.by:
            parts.append(f"within each value of {' and '.join(self.by)}, then averaged")
        parts.append(f"interval over {' and '.join(self.over)}" if self.has_interval else "no interval")
        return "; ".join(parts)


class Evidence(Part):
    """How we know the paper's value.

    Attributes
    ----------
    kind : str
        ``printed``, ``digitised`` (read off a figure), ``code``, ``abstract`` or ``hypothesis`` (our own).
    note : str
        How the value was read, or what is known about it.
    reading_error : float, optional
        By how much the reading may be off; required where it was digitised.
    """

    kind: EvidenceKind
    note: str = ""
    reading_error: Annotated[Number, Field(ge=0)] | None = None

    @field_validator("reading_error")
    @classmethod
    def _given_where_digitised(cls, error: float | None, info: ValidationInfo) -> float | None:
        if error is None and info.data.get("kind") == "digitised":
            raise mistake("missing", "a number: by how much the digitised value may be off")
        return error


class Tolerance(Part):
    """How far off we may be: exactly one of three bands.

    Attributes
    ----------
    within : float, optional
        Largest distance from the paper's value, inclusive.
    above, below : float, optional
        Bound that is not itself allowed.
    reason : str
        Why this much.
    """

    within: Annotated[Number, Field(ge=0)] | None = None
    above: Number | None = None
    below: Number | None = None
    reason: Text

    @property
    def form(self) -> str:
        """Which of the three is given; the first, where several are."""
        return next((name for name in _KINDS if getattr(self, name) is not None), "")

    @property
    def bound(self) -> float:
        """The number that is given."""
        return float(getattr(self, self.form))

    def given(self) -> dict[str, float]:
        """Return what is given, without the reason."""
        return {name: value for name in _KINDS if (value := getattr(self, name)) is not None}

    def in_words(self, paper_value: float | str | None) -> str:
        """Write the band: ``above 0``, ``within 0.005 of 1.11``."""
        centre = f" of {paper_value:g}" if self.form == "within" and is_number(paper_value) else ""
        return f"{self.form} {self.bound:g}{centre}"


class Change(Part):
    """A change of a claim after its first run.

    Attributes
    ----------
    date : date
    field : str
        As in ``tolerance.within``.
    was : object
        What stood there.
    reason : str
    """

    date: datetime.date
    field: Text
    was: Any
    reason: Text


def _number_or_text(value: Any) -> float | str | None:
    if value is None or is_number(value) or (isinstance(value, str) and value):
        return value
    raise mistake(f"{value!r} is not valid", "a number, a text, or null where the paper states none")


class Claim(Part):
    """One statement of a paper, and how it is tested.

    Attributes
    ----------
    paper, file : str
        Key of the paper, and the file that the claim stands in.
    id : str
        Permanent.
    statement, source : str
        What is claimed, in our words, and where.
    evidence : Evidence
    kind : str
        ``value``, ``order``, ``sign``, ``trend`` or ``identity``.
    paper_value : float, str or None
    on : tuple of str
        What takes the place of ``{on}`` in `select` and `figure`.
    select : dict of str to Group
        Rows of the measurement table by the name of their group.
    statistic : Statistic
    tolerance : Tolerance
    needs : str
        The smallest preset that can test it.
    figure : str
        Path below results/figures, without suffix.
    changes : tuple of Change
    """

    paper: Paper
    file: str = ""
    id: str
    statement: Text
    source: Text
    evidence: Evidence
    kind: Kind
    paper_value: Annotated[float | str | None, BeforeValidator(_number_or_text)] = None
    on: tuple[Text, ...] = ()
    select: Annotated[dict[Text, Group], Field(min_length=1)]
    statistic: Statistic
    tolerance: Tolerance
    needs: str
    figure: Text
    changes: tuple[Change, ...] = ()

    @field_validator("id")
    @classmethod
    def _well_formed(cls, given: str) -> str:
        if not _ID.fullmatch(given):
            raise mistake(
                f"{given!r} is malformed", "words of small letters and digits joined by -, such as dcka-a5-ood"
            )
        return given

    @field_validator("paper_value")
    @classmethod
    def _absent_from_a_hypothesis(cls, value: float | str | None, info: ValidationInfo) -> float | str | None:
        evidence = info.data.get("evidence")
        if evidence is not None and evidence.kind == "hypothesis" and value is not None:
            raise mistake(f"a hypothesis of ours with the paper's value {value!r}", "null")
        return value

    @field_validator("on")
    @classmethod
    def _on_each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(names)

    @field_validator("select")
    @classmethod
    def _of_this_paper(cls, select: dict[str, Group], info: ValidationInfo) -> dict[str, Group]:
        for name, group in select.items():
            _check_placeholders(_texts_in(group.model_dump()), info, f"select.{name}")
        paper = (info.data.get("paper", ""),)
        return {
            name: group if group.paper else group.model_copy(update={"paper": paper}) for name, group in select.items()
        }

    @field_validator("statistic")
    @classmethod
    def _uses_the_groups(cls, statistic: Statistic, info: ValidationInfo) -> Statistic:
        select = info.data.get("select")
        if select is None:
            return statistic
        for field in ("of", "minus"):
            for name in getattr(statistic, field):
                if name not in select:
                    allowed = f"a group of select: {', '.join(select)}"
                    raise mistake(f"unknown group {name!r}", allowed, nearest(name, select), f"statistic.{field}")
        for name in select:
            if name not in (*statistic.of, *statistic.minus):
                raise mistake(
                    "a group that is never used", "it in statistic.of or statistic.minus", None, f"select.{name}"
                )
        return statistic

    @field_validator("tolerance")
    @classmethod
    def _one_that_fits(cls, tolerance: Tolerance, info: ValidationInfo) -> Tolerance:
        given = tolerance.given()
        if len(given) != 1:
            raise mistake(f"{' and '.join(given) or 'no band'} given", "exactly one of within, above, below")
        kind, kinds = info.data.get("kind"), _KINDS[tolerance.form]
        if kind is not None and kind not in kinds:
            forms = [form for form, fitting in _KINDS.items() if kind in fitting]
            raise mistake(f"{tolerance.form} does not fit the kind {kind}", " or ".join(forms))
        if tolerance.form == "within":
            _check_within(tolerance.bound, info)
        return tolerance

    @field_validator("needs")
    @classmethod
    def _a_preset(cls, preset: str) -> str:
        if preset not in PRESETS:
            raise mistake(f"unknown preset {preset!r}", f"one of {', '.join(PRESETS)}", nearest(preset, PRESETS))
        return preset

    @field_validator("figure")
    @classmethod
    def _a_path_without_suffix(cls, figure: str, info: ValidationInfo) -> str:
        path = PurePosixPath(figure)
        if path.suffix in _SUFFIXES:
            raise mistake(f"{figure!r} has a suffix", f"the path without it: {path.with_suffix('')}")
        if path.is_absolute() or figure.startswith(_FIGURES):
            raise mistake(
                f"{figure!r} is not below {_FIGURES}", f"the path from there: {figure.partition(_FIGURES)[2]}"
            )
        _check_placeholders([figure], info, "figure")
        _check_on_is_used(figure, info)
        return figure

    def groups(self, on: str = "") -> dict[str, Group]:
        """Return the groups of rows with the name of a data set or study in place of ``{on}``."""
        return {name: group.filled(on) for name, group in self.select.items()}

    def figure_on(self, on: str) -> str:
        """Return the path of the figure with the name of a data set or study in place of ``{on}``."""
        return self.figure.replace(ON, on)


def _check_within(within: float, info: ValidationInfo) -> None:
    value, evidence = info.data.get("paper_value"), info.data.get("evidence")
    if "paper_value" in info.data and not is_number(value):
        raise mistake(
            f"within {within:g} of paper_value {value!r}", "a number in paper_value", None, "tolerance.within"
        )
    error = evidence.reading_error if evidence is not None else None
    if error is not None and within < error:
        raise mistake(f"{within:g} is smaller than the reading error", f"at least {error:g}", None, "tolerance.within")


def _check_placeholders(found: Iterator[str] | list[str], info: ValidationInfo, field: str) -> None:
    for name in (name for text in found for name in _PLACEHOLDER.findall(text)):
        if name != "on":
            raise mistake(f"unknown placeholder {{{name}}}", "{on}", nearest(name, ["on"]), field)
        if not info.data.get("on", ("not known",)):
            raise mistake("{on} without `on`", "a list of names in `on`, such as [cifar10, digits]", None, field)


def _check_on_is_used(figure: str, info: ValidationInfo) -> None:
    select = info.data.get("select")
    if select is None or not info.data.get("on"):
        return
    if not any(ON in text for text in (figure, *_texts_in({name: g.model_dump() for name, g in select.items()}))):
        raise mistake("never used", "{on} in select or figure", None, "on")


def _texts_in(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _texts_in(value)
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _texts_in(value)


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise mistake(f"{twice[0]!r} stands twice", "each name once")
    return names


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
