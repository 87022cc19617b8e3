"""Bring groups of rows into the arrays that a statistic and its resampling work on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from netalike.evidence.claims.keys import PAIR, PAIR_COLUMNS, keys, levels
from netalike.evidence.claims.schema import Statistic
from netalike.evidence.claims.statistics import Floats, Indices
from netalike.evidence.measurements import COLUMNS, OK

_X, _Y = "value_x", "value_y"
# What a row measures; rows that agree in all of it are repetitions.
_IDENTITY = [name for name in COLUMNS if name not in ("split", "n_samples", "seed", "step", "value", "low", "high")]


@dataclass(frozen=True)
class Rows:
    """Rows, or matched pairs of rows.

    Attributes
    ----------
    values : tuple of array, shape (rows,)
        One array, or two where rows are matched.
    levels : tuple of array, shape (rows, places)
        For each factor, the levels that a row belongs to; the number of levels stands for none.
    """

    values: tuple[Floats, ...]
    levels: tuple[Indices, ...]


@dataclass(frozen=True)
class Cell:
    """The rows within one value of `by`.

    Attributes
    ----------
    name : str
        ``corruption=blur, severity=2``; empty without `by`.
    terms : tuple of tuple of Rows
        What `of` names, then what `minus` names.
    constant : tuple of array, shape (levels,)
        For each factor, the levels to which all rows belong: the cell weighs as often as those were drawn.
    """

    name: str
    terms: tuple[tuple[Rows, ...], ...]
    constant: tuple[Indices, ...]


@dataclass(frozen=True)
class Arrangement:
    """Everything that a statistic works on; without cells where it cannot be computed.

    Attributes
    ----------
    cells : tuple of Cell
    n_levels : tuple of int
        For each resampled factor.
    n_rows : int
        Rows, or matched pairs of rows, of the groups in `of`.
    notes : tuple of str
        What was left out, and why.
    """

    cells: tuple[Cell, ...]
    n_levels: tuple[int, ...]
    n_rows: int
    notes: tuple[str, ...]


def arrange(groups: Mapping[str, pd.DataFrame], statistic: Statistic) -> Arrangement:
    """Match, split and order the rows of all groups.

    Parameters
    ----------
    groups : mapping of str to DataFrame
        Rows of the measurement table by the name of their group.
    statistic : Statistic

    Returns
    -------
    Arrangement
        Independent of the order of the rows.
    """
    notes: list[str] = []
    names = dict.fromkeys((*statistic.of, *statistic.minus))
    keyed = {name: _keyed(name, groups[name].reset_index(drop=True), statistic, notes) for name in names}
    named = [statistic.of, statistic.minus] if statistic.minus else [statistic.of]
    terms = [_term(names, keyed, statistic, notes) for names in named]
    frames, common = _in_common_cells([frame for frames in terms for frame in frames], statistic, notes)
    known = [_known_levels(factor, frames) for factor in statistic.over]
    rows = [_rows_by_cell(frame, statistic, known) for frame in frames]
    size = len(terms[0])
    cells = tuple(_cell(cell, [found[cell] for found in rows], size, statistic) for cell in common)
    return Arrangement(cells, tuple(map(len, known)), sum(map(len, frames[:size])), tuple(dict.fromkeys(notes)))


def _keyed(name: str, rows: pd.DataFrame, statistic: Statistic, notes: list[str]) -> pd.DataFrame:
    """Keep the rows that have a number, with their keys beside it."""
    known = rows[rows["status"] == OK]
    _note_missing(name, rows, notes)
    columns = {_X: known["value"]} | {column: known[column] for column in _IDENTITY if statistic.matches}
    for key in statistic.join:
        columns |= _pair_keys(known) if key == PAIR else {f"join:{key}": keys(known, key)}
    if statistic.along:
        columns |= {_Y: pd.to_numeric(keys(known, statistic.along), errors="coerce").astype(float)}
    columns |= {f"by:{key}": keys(known, key) for key in statistic.by}
    for factor in statistic.over:
        columns |= {f"over:{factor}:{place}": level for place, level in enumerate(levels(known, factor))}
    frame = pd.DataFrame(columns, index=known.index)
    if statistic.along:
        frame = _having(frame, _Y, f"number {statistic.along}", name, notes)
    for key in statistic.join:
        if key != PAIR:
            frame = _having(frame, f"join:{key}", key, name, notes)
    return frame


def _pair_keys(rows: pd.DataFrame) -> dict[str, pd.Series]:
    return {f"join:{PAIR}:{column}": rows[column] for column in PAIR_COLUMNS}


def _note_missing(name: str, rows: pd.DataFrame, notes: list[str]) -> None:
    missing = rows.loc[rows["status"] != OK, "status"]
    if rows.empty:
        notes.append(f"no rows of {name}")
    if missing.empty:
        return
    reasons = sorted(Counter(missing).items(), key=lambda found: (-found[1], found[0]))
    more = f" (and {len(reasons) - 1} other reasons)" if len(reasons) > 1 else ""
    notes.append(f"{len(missing)} of {len(rows)} rows of {name} have no value: {reasons[0][0]}{more}")


def _having(frame: pd.DataFrame, column: str, key: str, name: str, notes: list[str]) -> pd.DataFrame:
    """Leave out the rows that lack a key."""
    lacking = frame[column].isna()
    if lacking.any():
        notes.append(f"{int(lacking.sum())} of {len(frame)} rows of {name} have no {key}")
    return frame[~lacking]


def _term(
    names: Sequence[str], keyed: Mapping[str, pd.DataFrame], statistic: Statistic, notes: list[str]
) -> list[pd.DataFrame]:
    frames = [keyed[name] for name in names]
    if statistic.matches:
        frames = [_matched(names, frames[0], _without_repetitions(frames[1], statistic), notes)]
    for key in statistic.by:
        frames = [_having(frame, f"by:{key}", key, " and ".join(names), notes) for frame in frames]
    return frames


def _without_repetitions(frame: pd.DataFrame, statistic: Statistic) -> pd.DataFrame:
    """Average rows that measure the same with other seeds, unless a key tells them apart."""
    same = [*_IDENTITY, *(column for column in frame if ":" in str(column))]
    if not frame.duplicated(same).any():
        return frame
    return frame.sort_values(_X).groupby(same, dropna=False, as_index=False, sort=False)[[_X]].mean()


def _matched(names: Sequence[str], left: pd.DataFrame, right: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Match the rows of two groups by their keys, and by each key of `by` that both have."""
    on = [str(column) for column in left if str(column).startswith("join:")]
    for column in [str(column) for column in left if str(column).startswith("by:")]:
        if left[column].notna().any() and right[column].notna().any():
            on.append(column)
        elif right[column].notna().any():
            left = left.drop(columns=column)
        else:
            right = right.drop(columns=column)
    if ambiguous := _ambiguous(left, right, on):
        notes.append(f"several rows of {names[0]} match several of {names[1]} ({ambiguous}): `join` needs another key")
        right = right.iloc[:0]
    right = right.drop(columns=_IDENTITY).rename(columns={_X: _Y})
    pairs = left.drop(columns=_IDENTITY).merge(right, on=on, suffixes=("", ":right"))
    unmatched = len(left) - int(left.set_index(on).index.isin(right.set_index(on).index).sum())
    if unmatched:
        notes.append(f"{unmatched} of {len(left)} rows of {names[0]} have no match in {names[1]}")
    return pairs


def _ambiguous(left: pd.DataFrame, right: pd.DataFrame, on: Sequence[str]) -> str:
    """Name a key that stands in several rows on both sides; empty if there is none."""
    repeated = [frame.loc[frame.duplicated(on), on].drop_duplicates() for frame in (left, right)]
    both = repeated[0].merge(repeated[1], on=list(on)).sort_values(list(on))
    return _name(on, both.iloc[0]) if len(both) else ""


def _positions(frame: pd.DataFrame, statistic: Statistic) -> dict[tuple[str, ...], Indices]:
    """Split rows by the values of `by`; cells without rows are not there."""
    columns = [f"by:{key}" for key in statistic.by]
    if not columns:
        return {(): np.arange(len(frame))} if len(frame) else {}
    found = frame.groupby(columns, sort=True).indices
    return {cell if isinstance(cell, tuple) else (cell,): np.asarray(rows) for cell, rows in found.items()}


def _in_common_cells(
    frames: Sequence[pd.DataFrame], statistic: Statistic, notes: list[str]
) -> tuple[list[pd.DataFrame], list[tuple[str, ...]]]:
    """Keep the rows in cells for which every group has rows, and name those cells in order."""
    split = [_positions(frame, statistic) for frame in frames]
    every = sorted({cell for cells in split for cell in cells})
    common = [cell for cell in every if all(cell in cells for cells in split)]
    lost = [cell for cell in every if cell not in common]
    if lost and statistic.by:
        named = _name(statistic.by, lost[0])
        notes.append(f"{len(lost)} of {len(every)} cells lack rows of a group, such as {named}")
    none = np.empty(0, dtype=np.intp)
    kept = [np.concatenate([none, *(cells[cell] for cell in common)]) for cells in split]
    return [frame.iloc[rows] for frame, rows in zip(frames, kept, strict=True)], common


def _name(columns: Iterable[str], values: Iterable[object]) -> str:
    return ", ".join(f"{str(key).rpartition(':')[2]}={value}" for key, value in zip(columns, values, strict=True))


def _places(frame: pd.DataFrame, factor: str) -> list[str]:
    return [str(column) for column in frame if str(column).startswith(f"over:{factor}:")]


def _known_levels(factor: str, frames: Iterable[pd.DataFrame]) -> list[str]:
    columns = [frame[place] for frame in frames for place in _places(frame, factor)]
    return sorted({level for column in columns for level in column.dropna().unique()})


def _rows_by_cell(
    frame: pd.DataFrame, statistic: Statistic, known: Sequence[Sequence[str]]
) -> dict[tuple[str, ...], Rows]:
    """Turn a frame into arrays, in an order that depends on their content alone."""
    values = [frame[column].to_numpy(float) for column in (_X, _Y) if column in frame]
    codes = [_codes(frame, factor, names) for factor, names in zip(statistic.over, known, strict=True)]
    found = {}
    for cell, rows in _positions(frame, statistic).items():
        keys_of_order = [*values, *(code for places in codes for code in places.T)]
        order = rows[np.lexsort([key[rows] for key in keys_of_order])]
        found[cell] = Rows(tuple(column[order] for column in values), tuple(places[order] for places in codes))
    return found


def _codes(frame: pd.DataFrame, factor: str, names: Sequence[str]) -> Indices:
    """Levels of each row, shape (rows, places), each level once."""
    index = {name: code for code, name in enumerate(names)}
    columns = [frame[place].map(index).fillna(len(names)).to_numpy(np.intp) for place in _places(frame, factor)]
    codes: Indices = np.stack(columns, axis=1)
    codes.sort(axis=1)
    codes[:, 1:][codes[:, 1:] == codes[:, :-1]] = len(names)  # a row weighs once for a level it belongs to twice
    return codes


def _cell(key: tuple[str, ...], rows: Sequence[Rows], size: int, statistic: Statistic) -> Cell:
    constant = tuple(_in_all_rows([one.levels[factor] for one in rows]) for factor in range(len(statistic.over)))
    terms = [tuple(rows[:size]), tuple(rows[size:])]
    return Cell(_name(statistic.by, key), tuple(term for term in terms if term), constant)


def _in_all_rows(codes: Sequence[Indices]) -> Indices:
    """Levels to which every row belongs; the index that stands for none weighs 1 and may be among them."""
    candidates: Indices = np.unique(codes[0][0])
    everywhere = [all((places == level).any(axis=1).all() for places in codes) for level in candidates]
    common: Indices = candidates[np.array(everywhere, dtype=bool)]
    return common
