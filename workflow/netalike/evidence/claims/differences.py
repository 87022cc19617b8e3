"""What changed between the claims of two runs: verdicts, values outside the other's interval, what is new or gone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from netalike.errors import BadFileError
from netalike.evidence.claims.tables import CLAIM_COLUMNS, or_none

_TABLES = ("tables/claims.parquet", "tables/claims.csv", "claims.parquet", "claims.csv")
_WRITTEN = ("statement", "paper_value", "statistic", "tolerance", "needs")  # of a claim file
_ROUNDING = 1e-9  # relative: two machines add in different orders
NO_COMPARISON = "configuration"


@dataclass(frozen=True)
class Judged:
    """A claim as one run judged it.

    Attributes
    ----------
    verdict : str
    value, low, high : float or None
        None where there is none.
    on : str
        The data it was judged on.
    reason : str
        Of the verdict, where it has one.
    """

    verdict: str
    value: float | None
    low: float | None
    high: float | None
    on: str
    reason: str


@dataclass(frozen=True)
class ClaimChange:
    """One claim that two runs judge differently.

    Attributes
    ----------
    id, paper : str
    reference, results : Judged
    outside : tuple of str
        For a value that moved: ``results`` where that of the results lies outside the interval of the reference,
        ``reference`` where it is the other way round, both, or ``missing`` where one of them has no value.
    """

    id: str
    paper: str
    reference: Judged
    results: Judged
    outside: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClaimsDifference:
    """What changed from a reference to other results.

    Attributes
    ----------
    verdicts : list of ClaimChange
        Claims whose verdict changed.
    moved : list of ClaimChange
        Claims of which a value lies outside the interval of the other; some of them are in `verdicts` as well.
    redefined : dict of str to list of str
        Claims that were written otherwise, and the fields that differ.
    new, gone : list of str
        Ids that only the results, or only the reference, have.
    same : int
        Claims with the same verdict, and values within each other's intervals.
    configuration : dict of str to (reference, results)
        Settings that can change a result, by their dotted paths; where the two cannot be compared, one entry
        ``configuration`` that says why.
    """

    verdicts: list[ClaimChange]
    moved: list[ClaimChange]
    redefined: dict[str, list[str]]
    new: list[str]
    gone: list[str]
    same: int
    configuration: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def fails(self) -> bool:
        """Whether a verdict changed, a value moved, or a claim is gone."""
        return bool(self.verdicts or self.moved or self.gone)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; a number that is missing is None."""
        return asdict(self)


def read_claims(folder: str | Path) -> pd.DataFrame:
    """Read the claims table of a run.

    Parameters
    ----------
    folder : path
        That of the results; ``tables/claims.parquet`` or ``.csv`` is read, or the same in the folder itself.

    Returns
    -------
    DataFrame
        See `netalike.evidence.claims.judge_all`.

    Raises
    ------
    BadFileError
        If there is no such file, or it is no claims table.
    """
    path = next((place for name in _TABLES if (place := Path(folder) / name).is_file()), None)
    if path is None:
        raise BadFileError(
            f"{folder} holds no claims: expected {_TABLES[0]} or {_TABLES[1]}. Name a folder of results, or make one "
            "with `snakemake`."
        )
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise BadFileError(f"{path} is no claims table: {error}") from error
    missing = [name for name in CLAIM_COLUMNS if name not in frame]
    if missing:
        raise BadFileError(f"{path} is no claims table: it has no column {missing[0]!r}. Run `snakemake` again.")
    numbers = {name: pd.to_numeric(frame[name], errors="coerce") for name in ("value", "low", "high")}
    return frame.assign(**numbers)


def claims_difference(reference: pd.DataFrame, results: pd.DataFrame) -> ClaimsDifference:
    """Compare two claims tables.

    Parameters
    ----------
    reference, results : DataFrame
        See `read_claims`.

    Returns
    -------
    ClaimsDifference
        In the order of the results; without the configuration.
    """
    theirs, ours = ({row["id"]: row for row in frame.to_dict("records")} for frame in (reference, results))
    changes = [_change(theirs[name], row) for name, row in ours.items() if name in theirs]
    redefined = {name: _rewritten(theirs[name], row) for name, row in ours.items() if name in theirs}
    return ClaimsDifference(
        verdicts=[one for one in changes if one.reference.verdict != one.results.verdict],
        moved=[one for one in changes if one.outside],
        redefined={name: fields for name, fields in redefined.items() if fields},
        new=[name for name in ours if name not in theirs],
        gone=[name for name in theirs if name not in ours],
        same=sum(one.reference.verdict == one.results.verdict and not one.outside for one in changes),
    )


def _change(theirs: Mapping[Any, Any], ours: Mapping[Any, Any]) -> ClaimChange:
    reference, results = _judged(theirs), _judged(ours)
    return ClaimChange(ours["id"], ours["paper"], reference, results, _outside(reference, results))


def _judged(row: Mapping[Any, Any]) -> Judged:
    value, low, high = (or_none(float(row[name])) for name in ("value", "low", "high"))
    return Judged(row["verdict"], value, low, high, row["on"], row["reason"])


def _outside(reference: Judged, results: Judged) -> tuple[str, ...]:
    if reference.value is None or results.value is None:
        return ("missing",) if (reference.value is None) != (results.value is None) else ()
    found = []
    if not _within(results.value, reference):
        found.append("results")
    if not _within(reference.value, results):
        found.append("reference")
    return tuple(found)


def _within(value: float, judged: Judged) -> bool:
    """Say whether a value lies in an interval; where there is none, whether it is the value, but for rounding."""
    assert judged.value is not None
    low, high = (judged.value if end is None else end for end in (judged.low, judged.high))
    slack = _ROUNDING * max(abs(value), abs(judged.value))
    return low - slack <= value <= high + slack


def _rewritten(theirs: Mapping[Any, Any], ours: Mapping[Any, Any]) -> list[str]:
    return [name for name in _WRITTEN if str(theirs[name]) != str(ours[name])]


# ---- configuration ---------------------------------------------------------------------------------------------------


def configuration_difference(reference: str | Path, results: str | Path) -> dict[str, tuple[Any, Any]]:
    """Compare the configurations of two runs in what can change a result.

    Parameters
    ----------
    reference, results : path
        Folders of results; ``tables/configuration.json``, or the same in the folder itself, is read.

    Returns
    -------
    dict of str to (reference, results)
        By dotted path; ``absent`` where one has no such network, panel or study. Where a file is missing, or of another
        version, one entry ``configuration`` with what is there and what is not.
    """
    from netalike.configuration.differences import explain
    from netalike.configuration.models import Configuration

    values, told = zip(*(_read_configuration(Path(folder)) for folder in (reference, results)), strict=True)
    if None in values:
        return {NO_COMPARISON: told}
    preset = (
        {} if values[0].get("preset") == values[1].get("preset") else {"preset": tuple(v["preset"] for v in values)}
    )
    try:
        theirs, ours = (Configuration.model_validate(one) for one in values)
    except ValidationError as error:
        return {**preset, NO_COMPARISON: ("of another version", error.errors()[0]["msg"])}
    return preset | {one.path: (one.theirs, one.ours) for one in explain(ours, theirs)}


def _read_configuration(folder: Path) -> tuple[dict[str, Any] | None, str]:
    for path in (folder / "tables" / "configuration.json", folder / "configuration.json"):
        if path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return None, "cannot be read"
            return (found, "there") if isinstance(found, dict) and "preset" in found else (None, "names no preset")
    return None, "missing"


def interval_text(judged: Judged) -> str:
    """Write a value with its interval.

    Parameters
    ----------
    judged : Judged

    Returns
    -------
    str
        Such as ``"0.81 [0.77, 0.84]"``; ``"no value"`` where there is none.
    """
    if judged.value is None:
        return "no value"
    if judged.low is None or judged.high is None or math.isclose(judged.low, judged.high):
        return f"{judged.value:.4g}"
    return f"{judged.value:.4g} [{judged.low:.4g}, {judged.high:.4g}]"
