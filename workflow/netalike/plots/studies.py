"""What the figures of the studies share: the look of each series, means over depths, dots and lines with intervals."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from netalike.errors import NetalikeError
from netalike.evidence.measurements import OK, parse_condition
from netalike.plots.intervals import mean_interval
from netalike.plots.theme import GREY, direction_label, measure_label, palette

if TYPE_CHECKING:
    from netalike.evidence.claims import Estimate

DEPTH_LABEL = "relative depth (0 = first layer, 1 = last)"
_COLOURS = palette(10)
_FEW_REASONS = 3
_ONE_VALUE = ["network_a", "network_b", "quantity", "estimator", "condition"]


class Look(NamedTuple):
    """How a series is told from the others: by colour, by marker and by line style, in every figure the same."""

    label: str
    colour: Any
    marker: str
    line: str


# factor `pair` of a comparison -> its look, from the most alike to the least
KINDS: Mapping[str, Look] = {
    "same_task": Look("trained on the same task", _COLOURS[0], "o", "-"),
    "other_task": Look("trained on another task", _COLOURS[1], "s", "--"),
    "trained_untrained": Look("trained and untrained", _COLOURS[2], "^", "-."),
    "untrained": Look("both untrained", _COLOURS[3], "D", (0, (6, 1, 1, 1, 1, 1))),  # type: ignore[arg-type]
    "permuted_samples": Look("permuted samples", _COLOURS[4], "v", ":"),
    "noise": Look("independent noise", GREY, "X", (0, (1, 3))),  # type: ignore[arg-type]
}
# quantity and estimator -> the look of a measure
MEASURES: Mapping[tuple[str, str], Look] = {
    ("cka", "published"): Look(measure_label("cka", "published"), _COLOURS[0], "o", "-"),
    ("cka", "unbiased"): Look(measure_label("cka", "unbiased"), _COLOURS[9], "^", "--"),
    ("deconfounded_cka", "published"): Look(measure_label("deconfounded_cka"), _COLOURS[3], "s", "-."),
}


def require(rows: pd.DataFrame, figure: str, expected: str) -> None:
    """Refuse to draw nothing.

    Raises
    ------
    NetalikeError
        If there are no rows; says what the figure needs.
    """
    if rows.empty:
        raise NetalikeError(f"nothing to draw for {figure}: expected {expected}; the selection has none.")


def similarities(rows: pd.DataFrame) -> pd.DataFrame:
    """Take the rows of the measures that the figures of the studies compare, see `MEASURES`."""
    measured = pd.MultiIndex.from_frame(rows[["quantity", "estimator"]])
    return rows[measured.isin(list(MEASURES))]


def by_measure(rows: pd.DataFrame) -> Iterator[tuple[Look, pd.DataFrame]]:
    """Yield the look and the rows of each measure that has rows, CKA first."""
    for (quantity, estimator), look in MEASURES.items():
        chosen = rows[(rows["quantity"] == quantity) & (rows["estimator"] == estimator)]
        if len(chosen):
            yield look, chosen


def with_factors(rows: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Add a column for each named factor of the condition; "" where a row does not have it.

    Parameters
    ----------
    rows : DataFrame
        Of the measurement table.
    *names : str
        For example ``"pair"``. ``"depth"`` becomes a number, NaN where absent.

    Returns
    -------
    DataFrame
    """
    parsed = {text: parse_condition(text) for text in rows["condition"].unique()}
    columns = {name: rows["condition"].map(lambda text, name=name: parsed[text].get(name, "")) for name in names}
    if "depth" in columns:
        columns["depth"] = pd.to_numeric(columns["depth"], errors="coerce")
    return rows.assign(**columns)


def at_common_depths(rows: pd.DataFrame) -> pd.DataFrame:
    """Take each comparison at the depths of the one with the fewest layers, so that all count at each depth.

    Parameters
    ----------
    rows : DataFrame
        With the column `depth`.

    Returns
    -------
    DataFrame
        Rows whose depth is nearest to a common one, which `depth` then holds.
    """
    number = rows.groupby(["network_a", "network_b", "quantity", "estimator"], sort=False).ngroup()
    ladders = {i: np.unique(depths) for i, depths in rows["depth"].groupby(number)}
    common = min(ladders.values(), key=lambda ladder: (len(ladder), *ladder))
    taken = {i: _nearest(ladder, common) for i, ladder in ladders.items()}
    depths = [taken[i].get(depth, np.nan) for i, depth in zip(number, rows["depth"], strict=True)]
    return rows.assign(depth=depths).dropna(subset=["depth"])


def _nearest(ladder: np.ndarray, common: np.ndarray) -> dict[float, float]:
    """Own depth of a comparison -> the common depth that it stands for."""
    return {float(ladder[np.abs(ladder - depth).argmin()]): float(depth) for depth in common}


def mean_over_depths(rows: pd.DataFrame) -> pd.DataFrame:
    """Average each comparison over its depths.

    Parameters
    ----------
    rows : DataFrame
        Of the measurement table, with the factor `depth`.

    Returns
    -------
    DataFrame
        One row per pair of networks, quantity, estimator and rest of the condition, in the order of the rows. A
        comparison without a value at one depth has none: its mean would be of other layers than the others'.
    """
    rest = {text: re.sub(r"(^|;)depth=[^;]*", "", text).lstrip(";") for text in rows["condition"].unique()}
    groups = rows.assign(condition=rows["condition"].map(rest)).groupby(_ONE_VALUE, sort=False)["value"]
    means = groups.agg(lambda values: values.mean(skipna=False)).reset_index()
    status = np.where(means["value"].notna(), OK, "undefined: a layer has no value")
    return means.assign(layer_a="", layer_b="", low=np.nan, high=np.nan, status=status)


def draw_by_depth(ax: Axes, rows: pd.DataFrame, look: Look, label: str | None = None) -> None:
    """Draw the mean of rows at each depth as a line, with the band of its 95 % interval.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        With the column `depth`.
    look : Look
    label : str, optional
        For the legend; that of the look when left out.
    """
    depths = np.sort(rows["depth"].unique())
    points = [mean_interval(rows[rows["depth"] == depth]) for depth in depths]
    low, high = ([getattr(point, end) for point in points] for end in ("low", "high"))
    ax.fill_between(depths, low, high, color=look.colour, alpha=0.18, linewidth=0)
    ax.plot(depths, [point.mean for point in points], label=label or look.label, **_line(look))


def draw_estimates_by_depth(ax: Axes, depths: Sequence[float], estimates: Sequence[Estimate], look: Look) -> None:
    """Draw a statistic computed at each depth, with the band of its interval."""
    low, high = ([getattr(estimate, end) for estimate in estimates] for end in ("low", "high"))
    ax.fill_between(depths, low, high, color=look.colour, alpha=0.18, linewidth=0)
    ax.plot(depths, [estimate.value for estimate in estimates], **_line(look))


def _line(look: Look) -> dict[str, Any]:
    return {"color": look.colour, "marker": look.marker, "linestyle": look.line, "markeredgecolor": "white"}


def draw_estimates(ax: Axes, estimates: Sequence[Estimate], look: Look, position: int, total: int) -> None:
    """Draw one statistic for each line of a list as a dot with its interval, the first line at the top.

    Parameters
    ----------
    ax : Axes
    estimates : sequence of Estimate
        One per line; no bar where there is no interval.
    look : Look
    position, total : int
        Of this series among those that share the lines.
    """
    for line, estimate in enumerate(estimates):
        draw_estimate(ax, estimate, look, line + 0.6 * ((position + 0.5) / total - 0.5))


def draw_estimate(ax: Axes, estimate: Estimate, look: Look, height: float) -> None:
    """Draw one dot with its interval at a height."""
    ax.plot([estimate.low, estimate.high], [height, height], color=look.colour, linewidth=1.8, zorder=3)
    ax.plot(estimate.value, height, look.marker, color=look.colour, markeredgecolor="white", markersize=6, zorder=4)


def handle_of(look: Look, label: str | None = None) -> Line2D:
    """Return the entry of a legend for a look."""
    return Line2D([], [], label=label or look.label, **_line(look))


def name_lines(ax: Axes, names: Sequence[str]) -> None:
    """Name the lines of a list of dots, the first at the top, and rule between them."""
    for edge in range(1, len(names)):
        ax.axhline(edge - 0.5, color="#e5e7eb", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(names)), labels=list(names))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def level(ax: Axes, value: float, axis: str = "y", **style: Any) -> None:
    """Draw a grey line at a value that has a meaning, such as chance."""
    line = ax.axhline if axis == "y" else ax.axvline
    line(value, **{"color": GREY, "linewidth": 0.9, "linestyle": (0, (4, 2)), "zorder": 1, **style})


def span(axes: Iterable[Axes], low: float, high: float, axis: str = "y") -> None:
    """Give axes one scale that spans at least low to high, and all that is drawn."""
    axes = list(axes)
    ends = [end for ax in axes for end in (ax.dataLim.intervaly if axis == "y" else ax.dataLim.intervalx)]
    finite = [float(end) for end in ends if np.isfinite(end)]
    low, high = min([low, *finite]), max([high, *finite])
    margin = 0.04 * (high - low)
    for ax in axes:
        (ax.set_ylim if axis == "y" else ax.set_xlim)(low - margin, high + margin)


def similarity_label() -> str:
    """Return the words for an axis of similarity."""
    return f"similarity ({direction_label()})"


def interval_notes(estimates: Iterable[Estimate], resampled: str = "networks") -> list[str]:
    """Say what the bars and bands of a figure are, and why some points have none.

    Parameters
    ----------
    estimates : iterable of Estimate
    resampled : str
        What the bootstrap draws.

    Returns
    -------
    list of str
        Lines for a legend.
    """
    found = list(estimates)
    lines = [f"intervals: 95 %, bootstrap over {resampled}"] if any(map(_has_interval, found)) else []
    without = [estimate for estimate in found if not _has_interval(estimate) and estimate.reason]
    reasons = dict.fromkeys(estimate.reason.partition("; ")[0] for estimate in without)
    lines += [f"no interval: {reason.removeprefix('no interval: ')}" for reason in list(reasons)[:_FEW_REASONS]]
    more = len(reasons) - _FEW_REASONS
    return lines + [f"and {more} more reasons"] * (more > 0)


def _has_interval(estimate: Estimate) -> bool:
    return bool(np.isfinite(estimate.low))


def stacked_axes(figure: Figure, rows: Sequence[tuple[float, Sequence[float]]]) -> list[list[Axes]]:
    """Divide a figure into rows of axes.

    Parameters
    ----------
    figure : Figure
    rows : sequence of (float, sequence of float)
        Relative height of each row, and relative widths of its axes.

    Returns
    -------
    list of list of Axes
        Row by row.
    """
    grid = figure.add_gridspec(len(rows), 1, height_ratios=[height for height, _ in rows])
    parts = [grid[i].subgridspec(1, len(widths), width_ratios=widths) for i, (_, widths) in enumerate(rows)]
    return [
        [figure.add_subplot(part[0, i]) for i in range(len(widths))]
        for part, (_, widths) in zip(parts, rows, strict=True)
    ]


def shared_legend(figure: Figure, handles: Sequence[Any], notes: Sequence[str] = (), columns: int = 3) -> Legend:
    """Put one legend below all axes of a figure, under notes on how to read it."""
    legend = figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=columns,
        title="\n".join(notes) or None,
        handlelength=3.2,
    )
    legend.set_alignment("left")
    return legend


def side_legend(ax: Axes, handles: Sequence[Any], notes: Sequence[str] = ()) -> Legend:
    """Put a legend to the right of axes, under notes on how to read it."""
    lines = [textwrap.fill(note, 30) for note in notes]
    legend = ax.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
        title="\n".join(lines) or None,
        handlelength=3.2,
    )
    legend.set_alignment("left")
    return legend


def undefined_note(rows: pd.DataFrame) -> list[str]:
    """Say how many values are missing, if any."""
    missing = int(rows["value"].isna().sum())
    return [f"{missing} of {len(rows)} values undefined, left out"] if missing else []
