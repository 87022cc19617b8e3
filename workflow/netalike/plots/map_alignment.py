"""Map alignment: errors by kind of label noise and round, accuracy, training curves, and denoising."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from netalike.plots.studies import (
    Look,
    handle_of,
    level,
    require,
    shared_legend,
    span,
    undefined_note,
    with_factors,
)
from netalike.plots.theme import GREY, name_ticks, new_figure, palette, theme

_COLOURS = palette(10)
# kind of label noise -> its look
NOISES: Mapping[str, Look] = {
    "independent": Look("independent noise", _COLOURS[0], "o", "-"),
    "smooth": Look("smooth noise", _COLOURS[2], "s", "--"),
    "bias": Look("constant bias", _COLOURS[3], "^", "-."),
    "clean": Look("no noise added", GREY, "D", ":"),
}
_ROUND_COLOURS = ("black", _COLOURS[0], _COLOURS[1], _COLOURS[2], _COLOURS[4])
_ROUND_LINES = (":", "--", "-", "-.", (0, (6, 1, 1, 1)))
_SPLITS = {"test": "test scenes", "train": "training scenes"}
_FACTS = {
    "buildings": "number of buildings",
    "size": "size of the building",
    "angle": "angle modulo 90°",
    "palette": "palette",
}
_INTERVALS = "intervals: 95 %, bootstrap over scenes or parts of scenes"


@theme()
def map_alignment_error(rows: pd.DataFrame) -> Figure:
    """Draw how far polygons are from the truth, before and after alignment, by kind of label noise and round.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``map_alignment_<study>``: ``vertex_error`` with the factors `noise`, `round` and
        `passes`.

    Returns
    -------
    Figure
        A panel for the test scenes and one for the training scenes, on one scale. Round 0 are the labels as given. With
        several seeds, their mean, and thin lines for each.

    Raises
    ------
    NetalikeError
        If no error was measured.
    """
    found = _last_pass(_of_rounds(rows, "vertex_error"))
    require(found, "map_alignment_error", "rows of vertex_error")
    figure, axes = new_figure(8.6, 4.4, columns=2)
    for ax, (split, words) in zip(axes, _SPLITS.items(), strict=True):
        own = found[found["split"] == split]
        for position, (noise, look) in enumerate(_noises(own)):
            _draw_rounds(ax, own[own["noise"] == noise], look, 0.06 * (position - 1.5))
        ax.set_title(words)
        _name_rounds(ax, found)
        ax.set_ylabel("distance of vertices from the truth\n(root mean square, pixels)")
    span(axes, 0, 0.5)
    notes = [f"{_INTERVALS}; labels are aligned {_passes_said(found)}", *undefined_note(found)]
    shared_legend(figure, [handle_of(look) for _, look in _noises(found)], notes, columns=4)
    return figure


@theme()
def map_alignment_accuracy(rows: pd.DataFrame) -> Figure:
    """Draw the share of vertices that are at most so far from the truth.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``map_alignment_<study>``: ``accuracy`` of the split "test".

    Returns
    -------
    Figure
        A panel per kind of label noise, a line per round.

    Raises
    ------
    NetalikeError
        If no accuracy was measured.
    """
    found = _of_rounds(rows[rows["split"] == "test"], "accuracy", "threshold")
    require(found, "map_alignment_accuracy", "rows of accuracy on the test scenes")
    kinds = list(_noises(found))
    figure, axes = new_figure(max(5.2, 2.7 * len(kinds)), 3.9, columns=len(kinds))
    rounds = sorted(found["round"].unique())
    for ax, (noise, look) in zip(axes, kinds, strict=True):
        for number in rounds:
            own = found[(found["noise"] == noise) & (found["round"] == number)]
            _draw_curve(ax, own.assign(x=own["threshold"].astype(float)), number)
        ax.set(title=look.label, xlabel="distance from the truth (pixels)", xlim=(0, 8), ylim=(0, 1.02))
    axes[0].set_ylabel("share of vertices within the distance")
    shared_legend(figure, [_round_handle(number) for number in rounds], [_INTERVALS.replace("intervals", "bands")], 4)
    return figure


@theme()
def map_alignment_training(rows: pd.DataFrame) -> Figure:
    """Draw what is left of the displacements along the training.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``map_alignment_<study>``: ``training_loss``, estimators ``displacement`` and
        ``zero_displacement``, by `step`.

    Returns
    -------
    Figure
        A panel per kind of label noise, a line per round; the displacements themselves are the dotted level.

    Raises
    ------
    NetalikeError
        If no loss was recorded.
    """
    found = _of_rounds(rows, "training_loss")
    require(found, "map_alignment_training", "rows of training_loss")
    kinds = list(_noises(found))
    figure, axes = new_figure(max(5.2, 2.7 * len(kinds)), 3.9, columns=len(kinds))
    rounds = sorted(found["round"].unique())
    for ax, (noise, look) in zip(axes, kinds, strict=True):
        own = found[found["noise"] == noise]
        level(ax, own.loc[own["estimator"] == "zero_displacement", "value"].mean())
        for number in rounds:
            of_round = own[(own["round"] == number) & (own["estimator"] == "displacement")]
            _draw_curve(ax, of_round.assign(x=of_round["step"].astype(float)), number)
        ax.set(title=look.label, xlabel="training step")
    span(axes, 0, 1)
    axes[0].set_ylabel("error of the displacement in training\n(root mean square, pixels)")
    notes = ["means over fortieths of the training; the error cannot fall to 0, as the labels are noisy"]
    still = Line2D([], [], color=GREY, linestyle=(0, (4, 2)), linewidth=0.9, label="of no displacement at all")
    shared_legend(figure, [*(_round_handle(number) for number in rounds), still], notes, 4)
    return figure


@theme()
def map_alignment_denoising(rows: pd.DataFrame) -> Figure:
    """Draw the denoising that the kernel predicts against what happens to the known noise.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``map_alignment_<study>``: ``averaged_noise`` (estimators ``predicted`` and ``true``),
        ``label_noise`` and ``prediction_error``, by the factor `patch`.

    Returns
    -------
    Figure
        Above, a panel per kind of noise: patches of round 1, the length of the kernel average of the known noise
        against its predicted root mean square. Below, root mean squares over patches: of the labels' noise, of its
        kernel average, predicted and true, and of what the network's prediction leaves.

    Raises
    ------
    NetalikeError
        If denoising was not measured, or no label is noisy.
    """
    found = _of_rounds(rows, ["averaged_noise", "label_noise", "prediction_error"], "patch")
    found = found[found["round"] == found["round"].min()]
    noisy = [noise for noise in NOISES if _root_mean_square(found, noise, "label_noise", "true") > 0]
    require(found[found["noise"].isin(noisy)], "map_alignment_denoising", "rows of averaged_noise of noisy labels")
    figure, axes = new_figure(max(6.4, 2.9 * len(noisy)), 6.6, rows=2, columns=len(noisy))
    upper, lower = axes[: len(noisy)], axes[len(noisy) :]
    for ax, noise in zip(upper, noisy, strict=True):
        _draw_patches(ax, found[found["noise"] == noise], NOISES[noise])
        ax.set_title(NOISES[noise].label)
    for ax, noise in zip(lower, noisy, strict=True):
        _draw_bars(ax, found, noise)
    upper[0].set_ylabel("kernel average of the known noise\n(length, pixels)")
    lower[0].set_ylabel("root mean square over patches (pixels)")
    ends = [end for ax in upper for end in ax.dataLim.get_points().max(0)]
    for ax in upper:
        ax.plot([0, max(ends)], [0, max(ends)], color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    span(upper, 0, max(ends))
    span(upper, 0, max(ends), "x")
    span(lower, 0, 1)
    line = Line2D([], [], color=GREY, linestyle=(0, (4, 2)), linewidth=0.9, label="predicted = true")
    note = "each point: a patch of the training scenes, round 1; predicted: denoising factor times the labels' noise"
    shared_legend(figure, [line], [note])
    return figure


@theme()
def map_alignment_facts(rows: pd.DataFrame) -> Figure:
    """Draw whether patches that are similar to the network share what is known of their scenes.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``map_alignment_<study>``: ``fact_agreement``, estimators ``nearest`` and ``random``.

    Returns
    -------
    Figure
        A panel per kind of label noise: mean agreement of nearest neighbours and of random pairs, by fact, with 95 %
        bootstrap intervals over patches; the last round.

    Raises
    ------
    NetalikeError
        If it was not measured.
    """
    found = _of_rounds(rows, "fact_agreement", "fact")
    require(found, "map_alignment_facts", "rows of fact_agreement")
    found = found[found["round"] == found["round"].max()]
    kinds = list(_noises(found))
    figure, axes = new_figure(max(6.4, 1.4 + 2.2 * len(kinds)), 3.6, columns=len(kinds))
    looks = {
        "nearest": Look("nearest neighbours", _COLOURS[0], "o", "-"),
        "random": Look("random pairs", GREY, "s", "--"),
    }
    for ax, (noise, look) in zip(axes, kinds, strict=True):
        own = found[found["noise"] == noise]
        for position, (estimator, dot) in enumerate(looks.items()):
            for line, fact in enumerate(_FACTS):
                values = own.loc[(own["estimator"] == estimator) & (own["fact"] == fact), "value"].to_numpy(float)
                _draw_mean(ax, values, dot, line + 0.3 * (position - 0.5))
        ax.set(title=look.label, xlabel="agreement (1 = the same)", ylim=(len(_FACTS) - 0.5, -0.5))
        names = list(_FACTS.values()) if ax is axes[0] else [""] * len(_FACTS)
        ax.set_yticks(range(len(_FACTS)), labels=names)
        ax.tick_params(axis="y", length=0)
    span(axes, 0, 1, "x")
    notes = ["means over patches, last round; intervals: 95 %, bootstrap over patches"]
    shared_legend(figure, [handle_of(look) for look in looks.values()], notes)
    return figure


# ---- parts -----------------------------------------------------------------------------------------------------------


def _of_rounds(rows: pd.DataFrame, quantity: str | Sequence[str], *factors: str) -> pd.DataFrame:
    """Take the rows of quantities, with the kind of noise and the round as columns."""
    wanted = [quantity] if isinstance(quantity, str) else list(quantity)
    found = with_factors(rows[rows["quantity"].isin(wanted)], "noise", "round", "passes", *factors)
    return found.assign(round=pd.to_numeric(found["round"]), passes=pd.to_numeric(found["passes"]))


def _last_pass(rows: pd.DataFrame) -> pd.DataFrame:
    last = rows.groupby(["noise", "split", "round", "seed"])["passes"].transform("max")
    return rows[rows["passes"] == last]


def _noises(rows: pd.DataFrame) -> Iterator[tuple[str, Look]]:
    for noise, look in NOISES.items():
        if (rows["noise"] == noise).any():
            yield noise, look


def _passes_said(rows: pd.DataFrame) -> str:
    counts = sorted({int(count) for count in rows["passes"] if count > 0})
    return f"in {', '.join(map(str, counts))} pass{'es' if counts != [1] else ''}"


def _draw_rounds(ax: Axes, rows: pd.DataFrame, look: Look, shift: float) -> None:
    for _, own in rows.groupby("seed"):
        ordered = own.sort_values("round")
        ax.plot(ordered["round"] + shift, ordered["value"], color=look.colour, linewidth=0.6, alpha=0.6)
    means = rows.groupby("round")[["value", "low", "high"]].mean()
    places = means.index.to_numpy(float) + shift
    ax.vlines(places, means["low"], means["high"], color=look.colour, linewidth=1.6)
    style = {"color": look.colour, "marker": look.marker, "linestyle": look.line, "markeredgecolor": "white"}
    ax.plot(places, means["value"], **style)


def _name_rounds(ax: Axes, rows: pd.DataFrame) -> None:
    rounds = range(int(rows["round"].max()) + 1)
    name_ticks(ax, ["labels" if number == 0 else f"round {number}" for number in rounds])
    ax.set_xlim(-0.4, len(rounds) - 0.6)


def _draw_curve(ax: Axes, rows: pd.DataFrame, number: int) -> None:
    """Draw the mean over seeds as a line over the column `x`, with the band of the intervals."""
    means = rows.groupby("x")[["value", "low", "high"]].mean()
    if means["low"].notna().any():
        ax.fill_between(means.index, means["low"], means["high"], color=_round_colour(number), alpha=0.18, linewidth=0)
    ax.plot(means.index, means["value"], color=_round_colour(number), linestyle=_ROUND_LINES[number % 5])


def _round_colour(number: int) -> object:
    return _ROUND_COLOURS[number % 5]


def _round_handle(number: int) -> Line2D:
    label = "labels as given" if number == 0 else f"round {number}"
    return Line2D([], [], color=_round_colour(number), linestyle=_ROUND_LINES[number % 5], label=label)  # type: ignore[arg-type]


def _values(rows: pd.DataFrame, noise: str, quantity: str, estimator: str) -> np.ndarray:
    chosen = (rows["noise"] == noise) & (rows["quantity"] == quantity) & (rows["estimator"] == estimator)
    return rows.loc[chosen].sort_values(["seed", "patch"])["value"].to_numpy(float)


def _root_mean_square(rows: pd.DataFrame, noise: str, quantity: str, estimator: str) -> float:
    values = _values(rows, noise, quantity, estimator)
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0


def _draw_patches(ax: Axes, rows: pd.DataFrame, look: Look) -> None:
    noise = rows["noise"].iloc[0]
    # predicted: of both directions together, as the true one is
    predicted, true = (_values(rows, noise, "averaged_noise", estimator) for estimator in ("predicted", "true"))
    ax.plot(predicted, true, look.marker, color=look.colour, alpha=0.5, markersize=4, markeredgewidth=0)
    ax.set_xlabel("predicted, if the noise is\nindependent (pixels)")


def _draw_bars(ax: Axes, rows: pd.DataFrame, noise: str) -> None:
    bars = {
        "labels": ("label_noise", "true", "black"),
        "average,\npredicted": ("averaged_noise", "predicted", _COLOURS[1]),
        "average,\ntrue": ("averaged_noise", "true", _COLOURS[2]),
        "left after\nprediction": ("prediction_error", "true", _COLOURS[0]),
    }
    for place, (quantity, estimator, colour) in enumerate(bars.values()):
        height = _root_mean_square(rows, noise, quantity, estimator)
        ax.bar(place, height, color=colour, width=0.7)
        ax.annotate(f"{height:.2f}", (place, height), (0, 2), textcoords="offset points", ha="center", fontsize=7)
    ax.set_xticks(range(len(bars)), labels=list(bars), fontsize=7)


def _draw_mean(ax: Axes, values: np.ndarray, look: Look, height: float) -> None:
    if not len(values):
        return
    drawn = np.random.default_rng(0).integers(0, len(values), size=(1000, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    ax.plot([low, high], [height, height], color=look.colour, linewidth=1.8)
    ax.plot(values.mean(), height, look.marker, color=look.colour, markeredgecolor="white", markersize=6)
