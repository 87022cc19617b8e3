"""All pairs of a panel under all measures, on one standardised scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netalike.plots.comparison_common import (
    colour_strip,
    empty_patch,
    family_of,
    family_patches,
    family_starts,
    hatch_empty,
    in_order,
    label_of,
    reasons,
    saying,
)
from netalike.plots.studies import with_factors
from netalike.plots.theme import new_figure, theme

RELATIONS: Mapping[str, str] = {
    "self": "a network with itself",
    "permuted_units": "itself, units permuted",
    "same_family": "same family, other seed",
    "other_family": "other family",
    "trained_untrained": "trained and untrained",
    "untrained": "both untrained",
    "permuted_samples": "itself, images permuted",
    "noise": "independent noise",
}
"""Relation of a pair -> in words, from the most alike to the least."""

_TITLE = "All pairs of networks under all measures"
_FAR = 3.0  # standard deviations: beyond them the colour says no more
_NAMED_ROW, _LEAST_ROW, _MOST_HEIGHT = 0.125, 0.022, 11.0  # inches
_LEAST_GROUP = 0.16  # inches: its name has the room
_RUN = 0.13  # inches that the name of a run of rows takes
_COLUMN = 0.3
_LETTER = 0.058  # of a name
_RIGHT = 2.8  # the names of the groups, and the colour bar


@theme()
def pair_heatmap(rows: pd.DataFrame, members: Mapping[str, str] | None = None) -> Figure:
    """Draw every pair of networks under every measure, standardised, grouped by what the two networks are.

    Parameters
    ----------
    rows : DataFrame
        Summary rows of a panel; those of ``pair_standardised`` are drawn (estimator the measure, factor `pair`).
    members : mapping of network to family, optional
        Names the runs of pairs of two families; the ids without their seeds do so without it.

    Returns
    -------
    Figure
        One column per measure, one row per pair; 0 is the mean and 1 the standard deviation over the panel's trained
        pairs, larger is more alike. Rows are named where they have the room, else runs of pairs of the same two
        families are. A figure that says so if no pair has a number.
    """
    found = with_factors(rows[rows["quantity"] == "pair_standardised"], "pair")
    if not found["value"].notna().any():
        why = f"Undefined: {reasons(found)[0]}." if reasons(found) else "A panel needs two trained networks for them."
        return saying(_TITLE, f"No pair of networks has a standardised value here. {why}")
    groups = pair_matrices(found, members)
    columns = list(next(iter(groups.values())).columns)
    heights = _heights(groups)
    width = _names_width(groups, members) + _COLUMN * len(columns) + _RIGHT
    figure, _ = new_figure(max(width, 6.4), sum(heights) + 0.1 * len(heights) + 3.0, 0, 0)
    figure.get_layout_engine().set(hspace=0.0, h_pad=0.03)  # type: ignore[union-attr, call-arg]
    grid = figure.add_gridspec(len(groups) + 1, 1, height_ratios=[0.12, *heights])
    strip = figure.add_subplot(grid[0, 0])
    colour_strip(strip, columns)
    figure.suptitle(f"{_TITLE}\n", x=0.01, ha="left", fontsize=10, fontweight="bold")
    axes = [figure.add_subplot(grid[i + 1, 0]) for i in range(len(groups))]
    for ax, height, (relation, matrix) in zip(axes, heights, groups.items(), strict=True):
        _draw_group(ax, matrix, relation, height, members)
    _finish(figure, axes, columns, groups)
    return figure


def pair_matrices(rows: pd.DataFrame, members: Mapping[str, str] | None = None) -> dict[str, pd.DataFrame]:
    """Arrange standardised values as one matrix of pairs by measures for each relation.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``pair_standardised``, with the column `pair`.
    members : mapping of network to family, optional

    Returns
    -------
    dict of relation to DataFrame, shape (pairs, measures)
        Indexed by the two networks: families together, in each the most alike first. The same columns in all.
    """
    keys = in_order(rows["estimator"])
    known = [relation for relation in RELATIONS if (rows["pair"] == relation).any()]
    names = known + sorted(set(rows["pair"]) - set(known))
    return {name: _sorted(_matrix(rows[rows["pair"] == name], keys), members) for name in names}


def _matrix(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    means = rows.groupby(["network_a", "network_b", "estimator"], sort=False)["value"].mean()
    return means.unstack().reindex(columns=keys)


def _sorted(matrix: pd.DataFrame, members: Mapping[str, str] | None) -> pd.DataFrame:
    means = matrix.clip(-_FAR, _FAR).mean(axis=1).fillna(-np.inf)
    runs = _runs(matrix, members)
    order = sorted(range(len(matrix)), key=lambda i: (runs[i], -means.iloc[i], matrix.index[i]))
    return matrix.iloc[order]


def _runs(matrix: pd.DataFrame, members: Mapping[str, str] | None) -> list[str]:
    """The two families of each pair in words, the same for both directions; one name where they are the same."""
    return [" \N{MULTIPLICATION SIGN} ".join(dict.fromkeys(sorted(_families(p, members)))) for p in matrix.index]


def _families(pair: tuple[str, str], members: Mapping[str, str] | None) -> list[str]:
    return [family_of(network, members) for network in pair if network != "noise"]


def _has_names(groups: Mapping[str, pd.DataFrame]) -> bool:
    return sum(map(len, groups.values())) * _NAMED_ROW <= _MOST_HEIGHT


def _names_width(groups: Mapping[str, pd.DataFrame], members: Mapping[str, str] | None) -> float:
    if _has_names(groups):
        names = [_pair_name(*pair) for matrix in groups.values() for pair in matrix.index]
    else:
        names = [run for matrix in groups.values() for run in _runs(matrix, members)]
    return _LETTER * max(map(len, names), default=0)


def _heights(groups: Mapping[str, pd.DataFrame]) -> list[float]:
    total = sum(map(len, groups.values()))
    per_row = _NAMED_ROW if _has_names(groups) else max(_LEAST_ROW, _MOST_HEIGHT / total)
    return [max(_LEAST_GROUP, per_row * len(matrix)) for matrix in groups.values()]


def _draw_group(
    ax: Axes, matrix: pd.DataFrame, relation: str, height: float, members: Mapping[str, str] | None
) -> None:
    hatch_empty(ax)
    sns.heatmap(
        matrix.astype(float),
        ax=ax,
        vmin=-_FAR,
        vmax=_FAR,
        cmap="vlag",
        cbar=False,
        xticklabels=False,
        yticklabels=False,
        rasterized=True,
    )
    for place in family_starts(list(matrix.columns)):
        ax.axvline(place, color="white", linewidth=2.5)
    words = RELATIONS.get(relation, relation.replace("_", " "))
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center"}
    ax.annotate(f"{words} ({len(matrix)})", (1, 0.5), (6, 0), fontsize=8, fontweight="bold", **style)
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0)
    if height / len(matrix) >= _NAMED_ROW - 1e-9:
        names = [_pair_name(*pair) for pair in matrix.index]
        ax.set_yticks(np.arange(len(names)) + 0.5, labels=names, rotation=0, fontsize=7)
    else:
        _name_runs(ax, _runs(matrix, members), height)


def _pair_name(network_a: str, network_b: str) -> str:
    """One name for a network with itself or with a control of its own: the group says which."""
    alone = network_b in (network_a, "noise") or network_b.startswith(f"{network_a}@permuted")
    return network_a if alone else f"{network_a} \N{EN DASH} {network_b}"


def _name_runs(ax: Axes, runs: Sequence[str], height: float) -> None:
    """Name the runs that are high enough for their names, and rule between all of them."""
    starts = [i for i in range(len(runs)) if i == 0 or runs[i] != runs[i - 1]]
    ends = [*starts[1:], len(runs)]
    for start in starts[1:] if height / len(starts) >= _RUN else []:  # else the rules would hide the rows
        ax.axhline(start, color="white", linewidth=0.8)
    roomy = [(a + b) / 2 for a, b in zip(starts, ends, strict=True) if (b - a) * height / len(runs) >= _RUN]
    ax.set_yticks(roomy, labels=[runs[int(middle)] for middle in roomy], rotation=0, fontsize=7)


def _finish(figure: Figure, axes: list[Axes], columns: list[str], groups: Mapping[str, pd.DataFrame]) -> None:
    axes[-1].set_xticks(np.arange(len(columns)) + 0.5, labels=[label_of(key) for key in columns], rotation=90)
    bar = figure.colorbar(axes[0].collections[0], ax=axes, location="right", extend="both", aspect=30, shrink=0.6)
    bar.set_label("standard deviations of the trained pairs\n(0 = their mean, higher is more alike)")
    bar.outline.set_visible(False)
    cells = sum(matrix.size for matrix in groups.values())
    missing = sum(int(matrix.isna().to_numpy().sum()) for matrix in groups.values())
    undefined: list[Any] = [empty_patch(f"{missing:,} of {cells:,} undefined or not measured")] if missing else []
    handles = [*family_patches(columns), *undefined]
    figure.legend(handles=handles, loc="outside lower left", ncols=4 if len(columns) > 12 else 2)
