"""Stitched networks by layer: relative accuracy, agreement, and how like the activations are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from netalike.plots.intervals import MeanInterval, interval_note, mean_interval
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
from netalike.plots.theme import GREY, direction_label, name_ticks, new_figure, palette, theme

_COLOURS = palette(10)
# how a stitching layer was found -> its look, from the most to the least restricted
METHODS: Mapping[str, Look] = {
    "identity": Look("identity (no stitching layer)", _COLOURS[4], "v", ":"),
    "procrustes": Look("Procrustes (orthogonal)", _COLOURS[1], "s", "-."),
    "least_squares": Look("least squares", _COLOURS[0], "o", "--"),
    "task_loss": Look("task loss, from least squares", _COLOURS[2], "^", "-"),
    "task_loss_random": Look("task loss, from random weights", _COLOURS[3], "D", (0, (6, 1, 1, 1))),  # type: ignore[arg-type]
}
FRONT = Look("front network by itself", "black", "X", (0, (4, 2)))  # type: ignore[arg-type]
RELATIVE = "relative accuracy (1 = the end network's)"
_PAIRS = {
    "same_family": "trained networks",
    "untrained": "untrained front network",
    "permuted_twin": "twin with permuted channels",
    "self": "a network with itself",
}


@theme()
def stitching_layers(rows: pd.DataFrame) -> Figure:
    """Draw the relative accuracy of stitched networks by layer: trained pairs, and each control.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``layers_<study>``; those of ``relative_accuracy`` with the factors `pair` and `depth`.

    Returns
    -------
    Figure
        One panel per kind of pair, on one scale: means over pairs with 95 % intervals over networks, thin lines for
        the single pairs.

    Raises
    ------
    NetalikeError
        If no row is of a stitched pair.
    """
    found = by_layer(rows, "relative_accuracy")
    kinds = [kind for kind in _PAIRS if (found["pair"] == kind).any()]
    figure, axes = new_figure(3.1 * max(len(kinds), 2), 4.4, columns=len(kinds))
    for ax, kind in zip(axes, kinds, strict=True):
        group = found[found["pair"] == kind]
        draw_methods(ax, group)
        count = len(group[["network_a", "network_b"]].drop_duplicates())
        ax.set_title(f"{_PAIRS[kind]}\n{count} pair{'s' * (count != 1)}")
        level(ax, 1)
    axes[0].set_ylabel(RELATIVE)
    span(axes, 0, 1)
    _legend(figure, found)
    return figure


@theme()
def stitching_agreement(rows: pd.DataFrame) -> Figure:
    """Draw how often stitched networks say what their end network says, and how often both are wrong.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``layers_<study>``: ``agreement`` and ``shared_errors`` of trained pairs, with the
        estimator ``front_network`` for the front network by itself.

    Returns
    -------
    Figure
        Two panels by layer; the front network by itself is a level.

    Raises
    ------
    NetalikeError
        If no row is of a stitched pair.
    """
    words = {
        "agreement": "share of images on which the\nend network says the same",
        "shared_errors": "share of images that both\nhave wrong",
    }
    figure, axes = new_figure(9.0, 4.2, columns=2)
    trained = {quantity: by_layer(rows, quantity, "same_family") for quantity in words}
    for ax, (quantity, found) in zip(axes, trained.items(), strict=True):
        methods = found[found["estimator"] != "identity"] if quantity == "shared_errors" else found
        draw_methods(ax, methods)
        _draw_front(ax, rows, quantity)
        ax.set_ylabel(words[quantity])
        ax.set_title({"agreement": "(a) Agreement", "shared_errors": "(b) Errors in common"}[quantity])
    span(axes[:1], 0, 1)
    span(axes[1:], 0, 0)
    _legend(figure, trained["agreement"], [handle_of(FRONT)])
    return figure


@theme()
def stitching_similarity(rows: pd.DataFrame) -> Figure:
    """Draw how like stitched activations are to the end network's own, beside the accuracy of the stitch.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``layers_<study>``: ``cka``, ``cka_unbiased``, ``fit_error`` and ``relative_accuracy`` of
        trained pairs.

    Returns
    -------
    Figure
        (a) unbiased CKA by layer, (b) the mean squared error on the images of the fit by layer, (c) CKA against
        relative accuracy, a point per pair, layer and method.

    Raises
    ------
    NetalikeError
        If no row is of a stitched pair.
    """
    figure, axes = new_figure(10.5, 4.4, columns=3)
    similarity = by_layer(rows, "cka_unbiased", "same_family")
    draw_methods(axes[0], similarity)
    axes[0].set(title="(a) Similarity", ylabel=f"CKA, unbiased\n({direction_label()})")
    draw_methods(axes[1], by_layer(rows, "fit_error", "same_family"))
    axes[1].set(
        title="(b) Error on the images of the fit", ylabel="mean squared error\n(0 = same, lower is more alike)"
    )
    _draw_scatter(axes[2], rows)
    span(axes[:1], 0, 1)
    span(axes[1:2], 0, 0)
    _legend(figure, similarity)
    return figure


def by_layer(rows: pd.DataFrame, quantity: str, pair: str | None = None) -> pd.DataFrame:
    """Take the rows of stitched pairs for one quantity.

    Parameters
    ----------
    rows : DataFrame
    quantity : str
    pair : str, optional
        Only this kind of pair.

    Returns
    -------
    DataFrame
        With the columns `pair` and `depth`.

    Raises
    ------
    NetalikeError
        If there are none.
    """
    found = with_factors(rows[rows["quantity"] == quantity], "pair", "depth")
    found = found[found["depth"].notna() & found["estimator"].isin(list(METHODS))]
    found = found[found["pair"] == pair] if pair else found
    require(found, "stitching by layer", f"rows of {quantity} with the factors pair and depth")
    return found


def draw_methods(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw each method as a line along the layers, with the band of its interval and thin lines for single pairs."""
    depths = np.sort(rows["depth"].unique())
    for method, look in METHODS.items():
        own = rows[rows["estimator"] == method]
        if own.empty:
            continue
        points = [mean_interval(own[own["depth"] == depth]) for depth in depths]
        draw_line(ax, list(range(len(depths))), points, look)
        if look.label == METHODS["task_loss"].label:
            _draw_single_pairs(ax, own, depths, look)
    _name_layers(ax, rows, depths)
    ax.grid(axis="y")


def draw_line(ax: Axes, x: Sequence[float], points: Sequence[MeanInterval], look: Look) -> None:
    """Draw means as a line with the band of their intervals."""
    low, high = ([getattr(point, end) for point in points] for end in ("low", "high"))
    ax.fill_between(x, low, high, color=look.colour, alpha=0.18, linewidth=0)
    style = {"color": look.colour, "marker": look.marker, "linestyle": look.line, "markeredgecolor": "white"}
    ax.plot(x, [point.mean for point in points], **style)


def _draw_single_pairs(ax: Axes, rows: pd.DataFrame, depths: np.ndarray, look: Look) -> None:
    places = {depth: i for i, depth in enumerate(depths)}
    for _, pair in rows.groupby(["network_a", "network_b"], sort=True):
        along = pair.sort_values("depth")
        ax.plot(along["depth"].map(places), along["value"], color=look.colour, alpha=0.25, linewidth=0.6)


def _name_layers(ax: Axes, rows: pd.DataFrame, depths: np.ndarray) -> None:
    """Name the layers where all pairs have the same ones; give their depths otherwise."""
    names = [sorted(rows.loc[rows["depth"] == depth, "layer_b"].unique()) for depth in depths]
    common = all(len(found) == 1 for found in names)
    labels = [found[0] for found in names] if common else [f"{depth:.2f}" for depth in depths]
    name_ticks(ax, labels)
    ax.set_xlim(-0.4, len(depths) - 0.6)
    ax.set_xlabel("layer, from the input" if common else "relative depth")


def _draw_front(ax: Axes, rows: pd.DataFrame, quantity: str) -> None:
    own = rows[(rows["quantity"] == quantity) & (rows["estimator"] == "front_network")]
    mean, low, high, _ = mean_interval(own)
    if mean == mean:
        level(ax, mean, color=FRONT.colour, linestyle=FRONT.line)
        ax.axhspan(low, high, color=GREY, alpha=0.15, linewidth=0)


def _draw_scatter(ax: Axes, rows: pd.DataFrame) -> None:
    keys = ["network_a", "network_b", "layer_b", "estimator"]
    similarity = by_layer(rows, "cka_unbiased", "same_family")[[*keys, "value"]]
    accuracy = by_layer(rows, "relative_accuracy", "same_family")[[*keys, "value"]]
    points = similarity.merge(accuracy, on=keys, suffixes=("_cka", "_accuracy"))
    for method, look in METHODS.items():
        own = points[points["estimator"] == method]
        ax.plot(own["value_cka"], own["value_accuracy"], look.marker, color=look.colour, alpha=0.55, markersize=4)
    level(ax, 1)
    ax.set(title="(c) Accuracy against similarity", xlabel="CKA, unbiased", ylabel=RELATIVE)
    span([ax], 0, 1)
    span([ax], 0, 1, "x")


def _legend(figure: Figure, rows: pd.DataFrame, more: Sequence[Line2D] = ()) -> None:
    present = set(rows["estimator"])
    handles = [handle_of(look, _label(rows, name)) for name, look in METHODS.items() if name in present]
    notes = [f"means over pairs; {interval_note(rows)}; thin lines: single pairs of the task loss".replace("\n", " ")]
    shared_legend(figure, [*handles, *more], [*notes, *undefined_note(rows)])


def _label(rows: pd.DataFrame, method: str) -> str:
    """Name a method, with the number of steps of what was trained."""
    steps = with_factors(rows[rows["estimator"] == method], "steps")["steps"]
    counts = sorted({int(count) for count in steps if count})
    told = f" ({', '.join(f'{count:,}' for count in counts)} steps)" if counts else ""
    return METHODS[method].label + told
