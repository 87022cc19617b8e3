"""The toy problem: counts of similar samples by position and curvature, by frequency, and by number of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]

from netalike.plots.intervals import interval_note, mean_interval
from netalike.plots.stitching import draw_line
from netalike.plots.studies import (
    Look,
    handle_of,
    level,
    require,
    shared_legend,
    stacked_axes,
    undefined_note,
    with_factors,
)
from netalike.plots.theme import GREY, marker, new_figure, palette, theme

SOFT, LESS_SOFT, HARD = "soft_count", "less_soft_count", "hard_count"
_LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
_ALPHA = "position alpha (turns)"
_CURVATURE = "log(1 + curvature of the target)"
_SOFT_LABEL = "soft count, samples"


@theme()
def toy_curvature(rows: pd.DataFrame) -> Figure:
    """Draw soft counts over position and curvature by frequency: as published in 3-D, and once more to be read.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``toy_<study>``: ``soft_count`` and ``curvature`` with the estimator ``by_position``. Of
        several numbers of samples the largest is drawn.

    Returns
    -------
    Figure
        (a) soft count over position and log(1 + curvature), a curve per frequency; (b) over position, with the range
        over runs; (c) over log(1 + curvature), a point per bin.

    Raises
    ------
    NetalikeError
        If no row is of a bin.
    """
    points = positions(rows, SOFT, "curvature")
    figure, _ = new_figure(13.0, 4.8, 0, 0)
    [axes] = stacked_axes(figure, [(1.0, [1.25, 1.0, 1.0])])
    solid = _three_dimensional(figure, axes[0])
    for frequency, look in frequency_looks(points).items():
        own = points[points["frequency"] == frequency].sort_values("alpha")
        curvature = np.log1p(own["curvature"])
        solid.plot(own["alpha"], curvature, own[SOFT], color=look.colour, linestyle=look.line, linewidth=1)
        axes[1].fill_between(own["alpha"], own["low"], own["high"], color=look.colour, alpha=0.18, linewidth=0)
        axes[1].plot(own["alpha"], own[SOFT], color=look.colour, linestyle=look.line, linewidth=1)
        axes[2].plot(curvature, own[SOFT], look.marker, color=look.colour, alpha=0.5, markersize=3.5, mew=0)
    solid.set_title("(a) As published", loc="left")
    for axis, name in zip("xyz", ("position", "log(1 +\ncurvature)", "soft count"), strict=True):
        getattr(solid, f"{axis}axis").set_rotate_label(False)
        getattr(solid, f"set_{axis}label")(name, labelpad=12, rotation=90 if axis == "z" else 0)
    axes[1].set(xlabel=_ALPHA, ylabel=_SOFT_LABEL, title="(b) By position", ylim=(0, None), xlim=(0, 1))
    axes[2].set(xlabel=_CURVATURE, ylabel=_SOFT_LABEL, title="(c) By curvature", ylim=(0, None))
    for ax in axes[1:]:
        ax.grid(axis="y")
    n = int(points["n_samples"].iloc[0])
    shared_legend(figure, frequency_handles(points), [f"{n:,} training samples; bands: range over runs"], 5)
    return figure


@theme()
def toy_measures(rows: pd.DataFrame) -> Figure:
    """Draw the mean of every measure by frequency, and how alike the measures order the samples.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``toy_<study>``: the counts with the estimator ``corrected``, a row per run, and
        ``rank_correlation_with_soft`` over samples. Of several numbers of samples the largest is drawn.

    Returns
    -------
    Figure
        (a) means over samples and runs with 95 % intervals over runs; (b) Spearman's correlation of each measure with
        the soft count, over the samples of a run.

    Raises
    ------
    NetalikeError
        If no row is of a count.
    """
    counts = largest(_counts(rows))
    require(counts, "measures of the toy problem", "rows of soft_count with the estimator corrected")
    figure, axes = new_figure(10.5, 4.6, columns=2)
    looks = _measure_looks(counts)
    for measure, look in looks.items():
        own = counts[counts["measure"] == measure]
        frequencies = sorted(own["frequency"].unique())
        points = [mean_interval(own[own["frequency"] == frequency]) for frequency in frequencies]
        draw_line(axes[0], frequencies, points, look)
    _name_powers(axes[0], sorted(counts["frequency"].unique()))
    axes[0].set_yscale("log")
    axes[0].set(xlabel="frequency f", ylabel="mean count, samples", title="(a) Mean of each measure")
    axes[0].grid(axis="y")
    found = _draw_agreement(axes[1], rows, [measure for measure in looks if measure != SOFT])
    handles = [handle_of(look) for look in looks.values()]
    notes = [f"means over runs; {interval_note(counts)}".replace("\n", " "), *undefined_note(found)]
    figure.legend(handles=handles, loc="outside right upper", title="(a) measure", handlelength=3.2)
    shared_legend(figure, frequency_handles(found, "(b) "), notes, 5)
    return figure


@theme()
def toy_sizes(rows: pd.DataFrame) -> Figure:
    """Draw the mean of every measure by number of training samples.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``toy_<study>``: the counts with the estimator ``corrected``, for several `n_samples`,
        and ``count_exponent``.

    Returns
    -------
    Figure
        A panel per frequency: means over samples and runs, with 95 % intervals over runs; the grey line is
        proportional to the number of samples. The last panel has the exponent of each measure.

    Raises
    ------
    NetalikeError
        If there are not two numbers of samples.
    """
    counts = _counts(rows)
    several = counts if counts["n_samples"].nunique() > 1 else counts.iloc[:0]
    require(several, "counts by number of samples", "counts with at least two values of n_samples")
    frequencies = sorted(counts["frequency"].unique())
    figure, axes = new_figure(3.4 * len(frequencies) + 4.2, 4.6, columns=len(frequencies) + 1)
    looks = _measure_looks(counts)
    for ax, frequency in zip(axes, frequencies, strict=False):
        _draw_sizes(ax, counts[counts["frequency"] == frequency], looks)
        ax.set(title=f"Frequency {frequency:g}", xlabel="training samples n")
    axes[0].set_ylabel("mean count, samples")
    exponents = with_factors(rows[rows["quantity"] == "count_exponent"], "measure", "frequency")
    _draw_exponents(axes[-1], exponents, looks)
    handles = [handle_of(look) for look in looks.values()]
    figure.legend(handles=handles, loc="outside right upper", title="measure", handlelength=3.2)
    notes = [f"means over runs; {interval_note(counts)}; grey: proportional to n".replace("\n", " ")]
    shared_legend(figure, frequency_handles(numbered(exponents, "frequency"), "exponents, "), notes, 5)
    return figure


# ---- rows ------------------------------------------------------------------------------------------------------------


def numbered(rows: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Turn columns of texts into numbers."""
    return rows.assign(**{name: pd.to_numeric(rows[name]) for name in names})


def largest(rows: pd.DataFrame) -> pd.DataFrame:
    """Take the rows of the largest number of samples."""
    found: pd.DataFrame = rows[rows["n_samples"] == rows["n_samples"].max()]
    return found


def positions(rows: pd.DataFrame, *quantities: str, estimator: str = "by_position") -> pd.DataFrame:
    """One row per run, frequency and bin, with a column per quantity, and the interval of the first."""
    found = largest(rows[(rows["estimator"] == estimator) & rows["quantity"].isin(quantities)])
    require(found, "counts by position", f"rows of {quantities[0]} with the estimator {estimator}")
    keys = ["network_a", "n_samples", "frequency", "bin", "alpha"]
    found = numbered(with_factors(found, "frequency", "bin", "alpha"), "frequency", "bin", "alpha")
    tables = [found[found["quantity"] == quantity].set_index(keys)[["value", "low", "high"]] for quantity in quantities]
    table: pd.DataFrame = tables[0].rename(columns={"value": quantities[0]})
    for quantity, other in zip(quantities[1:], tables[1:], strict=True):
        table[quantity] = other["value"]
    joined: pd.DataFrame = table.reset_index()
    return joined


def _counts(rows: pd.DataFrame) -> pd.DataFrame:
    """The counts of every run, with the columns frequency and measure."""
    chosen = rows["quantity"].isin([SOFT, LESS_SOFT, HARD]) & (rows["estimator"] == "corrected")
    found = numbered(with_factors(rows[chosen], "frequency", "exponent", "threshold"), "frequency")
    return found.assign(measure=_measure_of(found))


def _measure_of(rows: pd.DataFrame) -> pd.Series:
    factor = rows["exponent"] + rows["threshold"]
    return rows["quantity"] + np.where(factor != "", "_" + factor, "")


# ---- looks -----------------------------------------------------------------------------------------------------------


def frequency_looks(rows: pd.DataFrame) -> dict[float, Look]:
    """Return the look of each frequency of the column of that name."""
    frequencies = sorted(rows["frequency"].unique())
    colours = palette(len(frequencies))
    return {
        frequency: Look(f"f = {frequency:g}", colours[i], marker(i), _LINES[i % len(_LINES)])  # type: ignore[arg-type]
        for i, frequency in enumerate(frequencies)
    }


def frequency_handles(rows: pd.DataFrame, before: str = "") -> list[Any]:
    """Return the entries of a legend for the frequencies."""
    return [handle_of(look, before + look.label) for look in frequency_looks(rows).values()]


def _measure_looks(counts: pd.DataFrame) -> dict[str, Look]:
    """The soft count in black, less soft counts and hard counts each in shades that grow darker."""
    found = {SOFT: Look("soft", "black", "o", "-")}
    for quantity, factor, shades, mark, line, word in (
        (LESS_SOFT, "exponent", "flare", "s", ":", "less soft, power "),
        (HARD, "threshold", "crest", "^", "--", "hard, above "),
    ):
        values = sorted(counts.loc[counts["quantity"] == quantity, factor].unique(), key=float)
        colours = sns.color_palette(shades, len(values))
        for value, colour in zip(values, colours, strict=True):
            found[f"{quantity}_{value}"] = Look(f"{word}{value}", colour, mark, line)
    return found


def _short(measure: str) -> str:
    quantity, value = measure.rsplit("_", 1)
    return f"power {value}" if quantity == LESS_SOFT else f"> {value}"


# ---- panels ----------------------------------------------------------------------------------------------------------


def _three_dimensional(figure: Figure, ax: Axes) -> Axes3D:
    """Put axes with three dimensions into the place of others."""
    place = ax.get_subplotspec()
    assert place is not None, "axes outside a grid"
    ax.remove()
    solid: Axes3D = figure.add_subplot(place, projection="3d")
    solid.view_init(elev=24, azim=-58)
    solid.set_box_aspect((1.2, 1, 0.8), zoom=0.88)
    return solid


def _name_powers(ax: Axes, values: Sequence[float]) -> None:
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(values), labels=[f"{value:g}" for value in values])
    ax.minorticks_off()


def _draw_agreement(ax: Axes, rows: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Draw the rank correlation of each measure with the soft count, a line per frequency."""
    chosen = rows["quantity"] == "rank_correlation_with_soft"
    found = with_factors(largest(rows[chosen]), "frequency", "measure", "scope")
    found = numbered(found[(found["scope"] == "samples") & found["measure"].isin(measures)], "frequency")
    places = list(range(len(measures)))
    for frequency, look in frequency_looks(found).items():
        own = found[found["frequency"] == frequency]
        draw_line(ax, places, [mean_interval(own[own["measure"] == measure]) for measure in measures], look)
    ax.set_xticks(places, labels=[_short(measure) for measure in measures], rotation=90)
    ax.set(title="(b) Order of the samples", xlabel="measure", ylabel="rank correlation with the soft count")
    ax.grid(axis="y")
    level(ax, 0)
    return found


def _draw_sizes(ax: Axes, counts: pd.DataFrame, looks: dict[str, Look]) -> None:
    sizes = sorted(int(n) for n in counts["n_samples"].unique())
    for measure, look in looks.items():
        own = counts[counts["measure"] == measure]
        points = [mean_interval(own[own["n_samples"] == n]) for n in sizes]
        draw_line(ax, sizes, points, look)
        if measure == SOFT:
            first = points[0].mean / sizes[0]
            ax.plot(sizes, [first * n for n in sizes], color=GREY, linestyle=(0, (4, 2)), linewidth=0.9, zorder=1)
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(sizes, labels=[f"{n:,}" for n in sizes])
    ax.minorticks_off()
    ax.grid(axis="y")


def _draw_exponents(ax: Axes, rows: pd.DataFrame, looks: dict[str, Look]) -> None:
    measures = [measure for measure in looks if (rows["measure"] == measure).any()]
    found = numbered(rows, "frequency")
    frequencies = frequency_looks(found)
    for position, (frequency, look) in enumerate(frequencies.items()):
        for line, measure in enumerate(measures):
            own = found[(found["frequency"] == frequency) & (found["measure"] == measure)]
            draw_dot(ax, own, look, line + 0.6 * ((position + 0.5) / len(frequencies) - 0.5))
    ax.set_yticks(range(len(measures)), labels=[looks[measure].label for measure in measures])
    ax.set_ylim(len(measures) - 0.5, -0.5)
    ax.set(title="Exponent", xlabel="slope of log count over log n\n(1 = proportional)")
    ax.grid(axis="x")
    level(ax, 1, "x")


def draw_dot(ax: Axes, rows: pd.DataFrame, look: Look, height: float) -> None:
    """Draw the mean of rows as a dot with its interval at a height."""
    mean, low, high, _ = mean_interval(rows)
    ax.plot([low, high], [height, height], color=look.colour, linewidth=1.8, zorder=3)
    ax.plot(mean, height, look.marker, color=look.colour, markeredgecolor="white", markersize=6, zorder=4)
