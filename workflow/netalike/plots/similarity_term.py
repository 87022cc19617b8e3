"""Training with a similarity term: accuracy along training, paired differences, and steps to an accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from netalike.experiments import similarity_term_published as published
from netalike.plots.intervals import mean_interval
from netalike.plots.studies import Look, handle_of, level, name_lines, require, shared_legend, span, with_factors
from netalike.plots.theme import GREY, new_figure, palette, theme

_COLOURS = palette(10)
SIGNS: Mapping[str, Look] = {
    "baseline": Look("no term (baseline)", _COLOURS[0], "o", "-"),
    "plus": Look("loss + cosine (the published code)", _COLOURS[1], "s", "--"),
    "minus": Look("loss \N{MINUS SIGN} cosine (the paper's text)", _COLOURS[2], "^", "-."),
}
_SHORT = {"plus": "+", "minus": "\N{MINUS SIGN}"}
_PAIRS = {"same_class": ("same class", "-"), "different_class": ("different classes", ":")}
_DRAWS = 1000
_STEPS = "training step (one pair of images each)"


class StepsToReach(NamedTuple):
    """First step at which a mean curve reaches an accuracy, with its interval; NaN where it does not."""

    step: float
    low: float
    high: float


@theme()
def similarity_term_curves(rows: pd.DataFrame) -> Figure:
    """Draw accuracy along training beside the published curves, and how similar images become to the network.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``similarity_term_<study>``: ``validation_accuracy`` and ``gradient_cosine``.

    Returns
    -------
    Figure
        (a) mean accuracy on the held-out images with 95 % intervals over seeds, and for MNIST the published means; (b)
        mean cosine of the gradients of pairs of held-out images, within a class and between classes.

    Raises
    ------
    NetalikeError
        If there are no rows of accuracy.
    """
    found = main_rows(rows, "validation_accuracy")
    figure, axes = new_figure(10.0, 4.6, columns=2)
    for sign, look in SIGNS.items():
        _draw_curve(axes[0], found[found["estimator"] == sign], look)
    compared = set(found["dataset"]) == {"mnist"}
    if compared:
        _draw_published(axes[0])
    _draw_cosines(axes[1], main_rows(rows, "gradient_cosine"))
    axes[0].set(title="(a) Accuracy", xlabel=_STEPS, ylabel="accuracy on held-out images")
    axes[1].set(title="(b) Similarity of held-out images", xlabel=_STEPS, ylabel="mean cosine of the gradients")
    handles = [handle_of(look) for sign, look in SIGNS.items() if (found["estimator"] == sign).any()]
    handles += [_published_handle()] * compared
    handles += [handle_of(Look(f"(b) {words}", GREY, "", line)) for words, line in _PAIRS.values()]
    shared_legend(figure, handles, [_note(found)])
    return figure


@theme()
def similarity_term_differences(rows: pd.DataFrame) -> Figure:
    """Draw what the term changes: paired differences to the baseline, and the steps that an accuracy takes.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``similarity_term_<study>``: ``validation_accuracy``.

    Returns
    -------
    Figure
        (a) accuracy less the baseline's of the same seed, by step; (b) the same averaged over all evaluated steps, for
        every variant; (c) the first step at which the mean curve reaches an accuracy, for MNIST beside the published.

    Raises
    ------
    NetalikeError
        If there are no rows of accuracy.
    """
    everything = with_factors(rows[rows["quantity"] == "validation_accuracy"], *_FACTORS)
    found = main_rows(rows, "validation_accuracy")
    figure, axes = new_figure(12.5, 4.6, columns=3)
    for sign in _SHORT:
        _draw_curve(axes[0], paired_differences(found, sign), SIGNS[sign])
    level(axes[0], 0)
    axes[0].set(title="(a) Paired difference by step", xlabel=_STEPS, ylabel="accuracy less the baseline's")
    _draw_variants(axes[1], everything)
    compared = set(found["dataset"]) == {"mnist"}
    is_open = _draw_steps(axes[2], found, compared)
    handles = [handle_of(look) for sign, look in SIGNS.items() if (found["estimator"] == sign).any()]
    handles += [_published_handle()] * compared
    notes = [
        _note(found),
        *["(c) arrow: not reached by the last step, or not in some resamples (where a bar ends in it)"] * is_open,
    ]
    shared_legend(figure, handles, notes, columns=4)
    return figure


# ---- rows ------------------------------------------------------------------------------------------------------------

_FACTORS = ("weight", "mask", "partner")


def main_rows(rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Take the rows of a quantity for the variants that were trained with the most seeds.

    Parameters
    ----------
    rows : DataFrame
    quantity : str

    Returns
    -------
    DataFrame
        Of the baseline, and of one variant of each sign; of several with as many seeds the first. With the columns
        `weight`, `mask`, `partner` and `between`.

    Raises
    ------
    NetalikeError
        If there are none.
    """
    found = with_factors(rows[rows["quantity"] == quantity], *_FACTORS, "between")
    found = found[found["partner"] != "different_class"]
    require(found, "training with a similarity term", f"rows of {quantity}")
    chosen = []
    for _, own in found.groupby("estimator", sort=False):
        variants = [variant for _, variant in own.groupby(["weight", "mask"], sort=False)]
        chosen.append(max(variants, key=lambda variant: variant["seed"].nunique()))
    return pd.concat(chosen)


def paired_differences(rows: pd.DataFrame, sign: str) -> pd.DataFrame:
    """Subtract from each value of a sign the baseline's of the same seed and step.

    Parameters
    ----------
    rows : DataFrame
        Of one quantity.
    sign : str

    Returns
    -------
    DataFrame
        The rows of the sign that have a baseline, with the differences as values.
    """
    keys = ["network_a", "step"]
    baseline = rows[rows["estimator"] == "baseline"].set_index(keys)["value"]
    own = rows[rows["estimator"] == sign]
    wanted = pd.MultiIndex.from_frame(own[keys])
    differences = own["value"].to_numpy(float) - baseline.reindex(wanted).to_numpy(float)
    return own.assign(value=differences).dropna(subset=["value"])


def steps_to_reach(rows: pd.DataFrame, accuracy: float, seed: int = 0) -> StepsToReach:
    """Find the step at which the mean curve over seeds reaches an accuracy.

    Parameters
    ----------
    rows : DataFrame
        Accuracies of one variant, by `seed` and `step`.
    accuracy : float
    seed : int
        Of the bootstrap.

    Returns
    -------
    StepsToReach
        Interpolated between evaluated steps; the 95 % interval resamples seeds, and ends at infinity where more than
        2.5 % of the resamples do not reach the accuracy. No interval with fewer than three seeds.
    """
    curves = rows.pivot_table(index="seed", columns="step", values="value")
    steps, values = curves.columns.to_numpy(float), curves.to_numpy(float)
    step = _crossing(steps, values.mean(0, keepdims=True), accuracy)[0]
    if len(values) < 3:
        return StepsToReach(step, np.nan, np.nan)
    n = len(values)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_DRAWS) / n
    drawn = np.nan_to_num(_crossing(steps, weights @ values, accuracy), nan=np.inf)
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")
    return StepsToReach(step, float(low), float(high))


def _crossing(steps: np.ndarray, curves: np.ndarray, accuracy: float) -> np.ndarray:
    """First step at which each curve (a row) reaches an accuracy, linear between steps; NaN where it does not."""
    reached = curves >= accuracy
    first = reached.argmax(1)
    before = np.maximum(first - 1, 0)
    rows = np.arange(len(curves))
    rise = curves[rows, first] - curves[rows, before]
    share = np.divide(accuracy - curves[rows, before], rise, out=np.zeros(len(curves)), where=(rise > 0) & (first > 0))
    return np.where(reached.any(1), steps[before] + share * (steps[first] - steps[before]), np.nan)


# ---- drawing ---------------------------------------------------------------------------------------------------------


def _draw_curve(ax: Axes, rows: pd.DataFrame, look: Look, line: str | None = None) -> None:
    if rows.empty:
        return
    steps = np.sort(rows["step"].unique()).astype(int)
    points = [mean_interval(rows[rows["step"] == step]) for step in steps]
    low, high = ([getattr(point, end) for point in points] for end in ("low", "high"))
    ax.fill_between(steps, low, high, color=look.colour, alpha=0.18, linewidth=0)
    style = {"color": look.colour, "marker": look.marker, "linestyle": line or look.line, "markeredgecolor": "white"}
    ax.plot(steps, [point.mean for point in points], markevery=max(1, len(steps) // 10), **style)
    ax.grid(axis="y")
    ax.set_xlim(0, None)


def _draw_published(ax: Axes) -> None:
    for sign, values in published.CURVES.items():
        look = SIGNS[sign]
        ax.errorbar(
            published.STEPS,
            values,
            published.READING_ERROR,
            color=look.colour,
            marker=look.marker,
            markerfacecolor="white",
            linestyle="none",
            zorder=5,
        )


def _published_handle() -> Line2D:
    style = {"marker": "o", "markerfacecolor": "white", "linestyle": "none", "color": "black"}
    return Line2D([], [], label="published: mean of 60 runs, \N{PLUS-MINUS SIGN} reading error", **style)  # type: ignore[arg-type]


def _draw_cosines(ax: Axes, rows: pd.DataFrame) -> None:
    known = rows[rows["value"].notna()]
    for between, (_, line) in _PAIRS.items():
        for sign, look in SIGNS.items():
            _draw_curve(ax, known[(known["between"] == between) & (known["estimator"] == sign)], look, line)
    level(ax, 0)


def _draw_variants(ax: Axes, rows: pd.DataFrame) -> None:
    """Mean paired differences over the steps after the first, a line per variant."""
    after = rows[rows["step"] > 0]
    baseline = after[after["estimator"] == "baseline"]
    names = []
    variants = after[after["estimator"] != "baseline"].groupby([*_FACTORS, "estimator"], sort=False)
    for line, ((weight, mask, partner, sign), own) in enumerate(variants):
        paired = paired_differences(pd.concat([baseline, own]), str(sign))
        mean, low, high, _ = mean_interval(paired)
        look = SIGNS[str(sign)]
        ax.plot([low, high], [line, line], color=look.colour, linewidth=1.8, zorder=3)
        ax.plot(mean, line, look.marker, color=look.colour, markeredgecolor="white", markersize=6, zorder=4)
        told = {"different_class": ", other class", "same_class": ""}[str(partner)] + ", random mask" * (
            mask == "random"
        )
        seeds = own["seed"].nunique()
        names.append(f"{_SHORT[str(sign)]} {weight}{told} ({seeds} seed{'s' * (seeds != 1)})")
    name_lines(ax, names)
    level(ax, 0, "x")
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set(title="(b) By sign and weight", xlabel="accuracy less the baseline's,\nmean over all evaluated steps")


def _draw_steps(ax: Axes, rows: pd.DataFrame, compared: bool) -> bool:
    """Draw the steps that each accuracy takes; return whether one has no end."""
    present = [sign for sign in SIGNS if (rows["estimator"] == sign).any()]
    last, is_open = float(rows["step"].max()), False
    for position, sign in enumerate(present):
        look, own = SIGNS[sign], rows[rows["estimator"] == sign]
        for line, accuracy in enumerate(published.ACCURACIES):
            height = line + 0.6 * ((position + 0.5) / len(present) - 0.5)
            is_open |= _draw_reached(ax, steps_to_reach(own, accuracy), height, look, last)
            if compared and sign in published.FIRST_STEPS:
                step = published.FIRST_STEPS[sign][accuracy]
                ax.plot(step, height, look.marker, color=look.colour, markerfacecolor="white", markersize=9, zorder=3.5)
    name_lines(ax, [f"{accuracy:.0%}" for accuracy in published.ACCURACIES])
    span([ax], 0, last, "x")
    ax.set(title="(c) Steps to an accuracy", xlabel="step at which the mean curve reaches it", ylabel="accuracy")
    return is_open


def _draw_reached(ax: Axes, found: StepsToReach, height: float, look: Look, last: float) -> bool:
    """Draw a dot with its interval, or an arrow at the last step where the mean curve falls short."""
    is_reached, is_open = bool(np.isfinite(found.step)), not found.high <= last and not np.isnan(found.high)
    if is_reached and np.isfinite(found.low):
        ax.plot([found.low, min(found.high, last)], [height] * 2, color=look.colour, linewidth=1.8, zorder=3)
    if is_reached:
        ax.plot(found.step, height, look.marker, color=look.colour, markeredgecolor="white", markersize=6, zorder=4)
    if is_open or not is_reached:
        ax.plot(last, height, ">", color=look.colour, markersize=4, zorder=3)
    return is_open or not is_reached


def _note(rows: pd.DataFrame) -> str:
    counts: Sequence[int] = sorted({own["seed"].nunique() for _, own in rows.groupby("estimator")})
    seeds = counts[0] if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    drawn = "95 % intervals, bootstrap over seeds" if counts[-1] >= 3 else "too few seeds for intervals"
    return f"means over {seeds} seeds; {drawn}; all variants of a seed share initialisation and pairs"
