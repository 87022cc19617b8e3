"""Aligned networks: RSMs, their development, variance explained by layer, consistency, and classes over depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from netalike.errors import NetalikeError
from netalike.experiments.shared_published import (
    CONSISTENCY,
    DEVELOPMENT,
    READING_ERROR,
    SECOND_ORDER,
    VARIANCE_EXPLAINED,
    is_published,
)
from netalike.plots.intervals import mean_interval
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
from netalike.plots.theme import GREY, MARKERS, name_ticks, new_figure, palette, theme

_COLOURS = palette(10)
_MAP = "RdBu_r"
# mode of the model -> what it does
CENTERS: Mapping[str, str] = {"mean": "means subtracted", "brainiak": "means left in, as published"}
_SPACES = {"native": "native units", "shared": "shared space"}
_PAIRS = {"within": "within networks", "between": "between networks"}
_OVER_NETWORKS = "95 %, bootstrap over networks"
# control and mode -> look
_VARIANCES: Mapping[tuple[str, str], Look] = {
    ("none", "mean"): Look("aligned, means subtracted", _COLOURS[0], "o", "-"),
    ("none", "brainiak"): Look("aligned, means left in (published)", _COLOURS[9], "s", "--"),
    ("untrained", "mean"): Look("untrained networks", _COLOURS[2], "^", "-."),
    ("noise", "mean"): Look("independent noise", GREY, "X", ":"),
    ("shuffled", "mean"): Look("network with shuffled images", _COLOURS[3], "D", "none"),
}


# ---- RSMs ------------------------------------------------------------------------------------------------------------


@theme()
def shared_panel(pictures: Mapping[str, NDArray[Any]]) -> Figure:
    """Draw the RSMs of the deepest layer, within and between networks, before and after alignment.

    Parameters
    ----------
    pictures : mapping of ndarray
        Of `netalike.experiments.shared_pictures`.

    Returns
    -------
    Figure
        Two by two heatmaps on one scale, images sorted by class.

    Raises
    ------
    NetalikeError
        If there are no RSMs in the pictures.
    """
    if "panel/labels" not in pictures:
        raise NetalikeError("nothing to draw for shared_panel: expected RSMs of the deepest layer; there are none.")
    figure, axes = new_figure(7.4, 7.2, rows=2, columns=2)
    matrices = {(p, s): pictures.get(f"panel/{p}_{s}") for p in _PAIRS for s in _SPACES}
    limit = _limit([matrix for matrix in matrices.values() if matrix is not None])
    image = None
    for ax, ((pair, space), matrix) in zip(axes, matrices.items(), strict=True):
        ax.set_title(f"{_SPACES[space]}\n{_PAIRS[pair]}")
        if matrix is None:
            _write_inside(ax, "undefined: networks differ\nin their number of units")
            continue
        image = ax.imshow(matrix, cmap=_MAP, vmin=-limit, vmax=limit, interpolation="nearest", rasterized=True)
        _name_classes(ax, pictures["panel/labels"])
    if image is not None:
        bar = figure.colorbar(image, ax=axes, shrink=0.5, extend="both")
        bar.set_label("correlation of patterns (1 = same)")
    figure.supxlabel(_panel_words(pictures), fontsize=8, color=GREY)
    return figure


def _limit(matrices: Sequence[NDArray[Any]]) -> float:
    """A scale for all matrices that outliers do not set."""
    return max(float(np.nanquantile(np.abs(matrix), 0.98)) for matrix in matrices)


def _write_inside(ax: Axes, words: str) -> None:
    ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes, color=GREY)
    ax.set(xticks=[], yticks=[])


def _name_classes(ax: Axes, labels: NDArray[Any]) -> None:
    names, starts, counts = np.unique(labels, return_index=True, return_counts=True)
    if len(names) <= 20:
        for edge in starts[1:]:
            ax.axhline(edge - 0.5, color="white", linewidth=0.5)
            ax.axvline(edge - 0.5, color="white", linewidth=0.5)
        middles = starts + (counts - 1) / 2
        ax.set_xticks(middles, labels=[str(name) for name in names])
        ax.set_yticks(middles, labels=[str(name) for name in names])
    else:
        ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.set(xlabel="class of the image", ylabel="class of the image")
    for spine in ax.spines.values():
        spine.set_visible(False)


def epoch_words(epochs: Sequence[Any] | NDArray[Any]) -> list[str]:
    """Say what recorded epochs are: of two, the first is of untrained networks if it is 0, the last of trained ones.

    Parameters
    ----------
    epochs : sequence of int or str

    Returns
    -------
    list of str
    """
    names = [str(epoch) for epoch in epochs]
    if len(names) == 2 and names[0] == "0":
        return ["untrained", "trained"]
    return [f"epoch {name}" if name.isdigit() else "trained" for name in names]


def _panel_words(pictures: Mapping[str, NDArray[Any]]) -> str:
    epoch = epoch_words(pictures["epochs"])[-1]
    count = len(pictures["networks"])
    told = f"layer {pictures['panel/layer']}, {epoch}; mean over {count} networks; {CENTERS[str(pictures['center'])]}"
    return f"{told}\nbetween networks: an image in a network (rows) with images in the mean of the others (columns)"


# ---- development -----------------------------------------------------------------------------------------------------


@theme()
def shared_development(rows: pd.DataFrame) -> Figure:
    """Draw how similar RSMs between networks are to those within them, over training.

    Parameters
    ----------
    rows : DataFrame
        Of an alignment: ``second_order_similarity``; of other rows the name of a network is read, which says whether
        the published values belong beside.

    Returns
    -------
    Figure
        (a) with the native RSM of the last epoch, (b) of the same epoch; a column per mode of the model, a line per
        layer. Where one epoch was recorded, (b) alone, by layer.

    Raises
    ------
    NetalikeError
        If it was not measured.
    """
    found = with_factors(rows[rows["quantity"] == "second_order_similarity"], *_FACTORS)
    found = found[(found["rsm"] == found["rsm"].iloc[0]) & (found["estimator"] == "pearson")] if len(found) else found
    require(found, "shared_development", "rows of second_order_similarity")
    centers = [center for center in CENTERS if (found["center"] == center).any()]
    if found["step"].nunique() == 1:
        return _similarity_by_layer(found, centers)
    figure, axes = new_figure(max(5.6, 4.2 * len(centers)), 6.6, rows=2, columns=len(centers))
    references = {"final": "(a) RSM of the last epoch", "same_epoch": "(b) RSM of the same epoch"}
    cells = [(reference, center) for reference in references for center in centers]
    for ax, (reference, center) in zip(axes, cells, strict=True):
        own = found[(found["reference"] == reference) & (found["center"] == center)]
        _draw_development(ax, own, found)
        ax.set_title(f"{references[reference]}\n{CENTERS[center]}")
        if center == centers[0]:
            ax.set_ylabel("correlation with native RSM\nwithin networks (1 = same)")
        if _of_published(rows):
            _published_development(ax, reference, found)
    span(axes, 0, 1)
    handles = [handle_of(look) for look in _layer_looks(found).values()]
    handles.append(Line2D([], [], color=GREY, linestyle=":", linewidth=1.1, label="native units, not aligned"))
    if _of_published(rows):
        handles.append(_published_handle())
    notes = [f"RSMs between networks in the shared space; bands: {_OVER_NETWORKS}", *undefined_note(found)]
    shared_legend(figure, handles, notes, columns=4)
    return figure


_FACTORS = ("center", "control", "space", "reference", "rsm", "depth")


def _layers(rows: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(rows.sort_values("depth", kind="stable")["layer_a"]))


def _layer_looks(rows: pd.DataFrame) -> dict[str, Look]:
    """Dark to light from the first layer to the last; markers tell them apart where the colours do not."""
    layers = _layers(rows)
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.88, len(layers)))
    return {
        layer: Look(layer, tuple(shade), MARKERS[i % len(MARKERS)], "-")
        for i, (layer, shade) in enumerate(zip(layers, shades, strict=True))
    }


def _draw_development(ax: Axes, own: pd.DataFrame, found: pd.DataFrame) -> None:
    epochs = sorted(found["step"].unique())
    places = {epoch: i for i, epoch in enumerate(epochs)}
    for layer, look in _layer_looks(found).items():
        for space in ("native", "shared"):
            line = own[(own["layer_a"] == layer) & (own["space"] == space)].sort_values("step")
            at = line["step"].map(places).to_numpy(float)
            if space == "native":
                ax.plot(at, line["value"], color=look.colour, linestyle=":", linewidth=1.1)
                continue
            low, high = (line[end].to_numpy(float) for end in ("low", "high"))
            ax.fill_between(at, low, high, color=look.colour, alpha=0.15, linewidth=0)
            ax.plot(at, line["value"], color=look.colour, marker=look.marker, markeredgecolor="white")
    name_ticks(ax, [str(epoch) for epoch in epochs])
    ax.set_xlabel("epoch (those that were recorded)")


def _of_published(rows: pd.DataFrame) -> bool:
    """Whether the published numbers are of these networks; needs a row that names one of them."""
    named = rows[rows["network_a"] != ""]
    if named.empty or named["dataset"].nunique() != 1:
        return False
    n_layers = rows.loc[rows["layer_a"] != "", "layer_a"].nunique()
    return is_published(named["dataset"].iloc[0], named["network_a"].iloc[0], n_layers)


def _published_handle() -> Line2D:
    label = f"published, digitised ±{READING_ERROR:g}"
    return Line2D([], [], color="black", marker="x", linestyle="none", markeredgewidth=1.6, label=label)


def _published_development(ax: Axes, reference: str, found: pd.DataFrame) -> None:
    epochs = sorted(found["step"].unique())
    looks = list(_layer_looks(found).values())
    if reference == "final":
        known = [(epochs.index(epoch), value, 8) for epoch, value in DEVELOPMENT.items() if epoch in epochs]
    else:
        known = [(len(epochs) - 1, value, position) for position, value in SECOND_ORDER.items()]
    for at, value, position in known:
        ax.plot(at + 0.12, value, "x", color="black", markeredgecolor=looks[position].colour, markeredgewidth=1.8)


def _similarity_by_layer(found: pd.DataFrame, centers: Sequence[str]) -> Figure:
    figure, (ax,) = new_figure(7.2, 3.9)
    layers = _layers(found)
    looks = {
        ("shared", center): Look(f"shared space, {CENTERS[center]}", _COLOURS[(0, 9)[i]], "os"[i], "-")
        for i, center in enumerate(centers)
    }
    looks["native", centers[0]] = Look("native units, not aligned", GREY, "^", ":")
    for position, ((space, center), look) in enumerate(looks.items()):
        own = found[(found["space"] == space) & (found["center"] == center)]
        _draw_layers(ax, own, layers, look, _shift(position, len(looks)))
    name_ticks(ax, layers)
    ax.set(ylabel="correlation with native RSM\nwithin networks (1 = same)", xlabel="layer")
    span([ax], 0, 1)
    notes = [f"RSMs between networks; intervals: {_OVER_NETWORKS}", *undefined_note(found)]
    shared_legend(figure, [handle_of(look) for look in looks.values()], notes, columns=2)
    return figure


def _shift(position: int, total: int) -> float:
    return 0.5 * ((position + 0.5) / total - 0.5)


def _draw_layers(ax: Axes, rows: pd.DataFrame, layers: Sequence[str], look: Look, shift: float) -> None:
    """Draw the mean of rows at each layer as a dot with its interval, joined by a line."""
    points = [mean_interval(rows[rows["layer_a"] == layer]) for layer in layers]
    known = [(i + shift, point) for i, point in enumerate(points) if point.n]
    places = [place for place, _ in known]
    ax.vlines(places, [p.low for _, p in known], [p.high for _, p in known], color=look.colour, linewidth=1.6)
    style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "linestyle": look.line}
    ax.plot(places, [p.mean for _, p in known], markeredgecolor="white", linewidth=1.0, **style)


# ---- variance explained ----------------------------------------------------------------------------------------------


@theme()
def shared_variance(rows: pd.DataFrame) -> Figure:
    """Draw how much of the held-out activity the shared response explains, by layer, with controls.

    Parameters
    ----------
    rows : DataFrame
        ``variance_explained`` of an alignment.

    Returns
    -------
    Figure
        Last epoch; left by the mean over all networks, as published, right by the mean over the other networks.
        Untrained networks are those of epoch 0. Published values are drawn where the networks are theirs.

    Raises
    ------
    NetalikeError
        If it was not measured.
    """
    found = with_factors(rows[rows["quantity"] == "variance_explained"], *_FACTORS)
    found = found[(found["step"] == found["step"].max()) | (found["control"] == "untrained")]
    require(found, "shared_variance", "rows of variance_explained")
    figure, axes = new_figure(9.2, 4.4, columns=2)
    layers, looks = _layers(found), _present(found)
    titles = {"published": "by the mean over all networks", "leave_one_out": "by the mean over the others"}
    for ax, (estimator, title) in zip(axes, titles.items(), strict=True):
        for position, ((control, center), look) in enumerate(looks.items()):
            chosen = (found["control"] == control) & (found["center"] == center) & (found["estimator"] == estimator)
            _draw_layers(ax, found[chosen], layers, look, _shift(position, len(looks)))
        name_ticks(ax, layers)
        ax.set(title=title, xlabel="layer")
        level(ax, 0)
    axes[0].set_ylabel("share of held-out variance explained\n(1 = all)")
    handles = [handle_of(look) for look in looks.values()]
    if _of_published(found):
        axes[0].plot(range(len(layers)), VARIANCE_EXPLAINED, "x", color="black", markeredgewidth=1.6, zorder=5)
        handles.append(_published_handle())
    span(axes, 0, 1)
    shared_legend(figure, handles, _variance_notes(found), columns=3)
    return figure


def _present(found: pd.DataFrame) -> dict[tuple[str, str], Look]:
    """The series that have rows; controls in the published mode where there is no other."""
    only = found["center"].iloc[0] if found["center"].nunique() == 1 else None
    looks = {
        (control, only or center): look for (control, center), look in _VARIANCES.items() if center != only or only
    }
    if only is not None:
        looks = {(control, only): _VARIANCES[control, "mean" if control != "none" else only] for control, _ in looks}
    present = set(zip(found["control"], found["center"], strict=True))
    return {key: look for key, look in looks.items() if key in present}


def _variance_notes(found: pd.DataFrame) -> list[str]:
    count = found.loc[found["control"] == "none", "network_a"].nunique()
    notes = [f"{count} networks; intervals: {_OVER_NETWORKS}; a mean that holds the network itself explains about"]
    notes.append(f"1/{count} of noise (left), the others' mean nothing (right, below 0: worse than no prediction)")
    return [*notes, *undefined_note(found)]


# ---- consistency -----------------------------------------------------------------------------------------------------


@theme()
def shared_consistency(rows: pd.DataFrame) -> Figure:
    """Draw how alike the native RSMs of two networks are, by layer.

    Parameters
    ----------
    rows : DataFrame
        ``consistency`` of an alignment.

    Returns
    -------
    Figure
        Pearson RSMs of the last and, if it is 0, the first epoch, and the kinds that a rotation leaves; small dots are
        pairs of networks. Published values are drawn where the networks are theirs.

    Raises
    ------
    NetalikeError
        If it was not measured.
    """
    found = with_factors(rows[rows["quantity"] == "consistency"], *_FACTORS)
    require(found, "shared_consistency", "rows of consistency")
    series = _consistency_series(found)
    figure, (ax,) = new_figure(7.2, 4.2)
    layers = _layers(found)
    for position, (look, own) in enumerate(series):
        shift = _shift(position, len(series))
        _draw_pairs(ax, own, layers, look, shift)
        _draw_layers(ax, own, layers, look, shift)
    handles = [handle_of(look) for look, _ in series]
    if _of_published(found):
        ax.plot(range(len(layers)), CONSISTENCY, "x", color="black", markeredgewidth=1.6, zorder=5)
        handles.append(_published_handle())
    name_ticks(ax, layers)
    ax.set(xlabel="layer", ylabel="correlation of the native RSMs\nof two networks (1 = same)")
    span([ax], 0, 1)
    pairs = len(series[0][1][["network_a", "network_b"]].drop_duplicates())
    notes = [f"means over {pairs} pairs of networks (small dots); intervals: {_OVER_NETWORKS}", *undefined_note(found)]
    shared_legend(figure, handles, notes, columns=2)
    return figure


def _consistency_series(found: pd.DataFrame) -> list[tuple[Look, pd.DataFrame]]:
    raw = "brainiak" if (found["center"] == "brainiak").any() else found["center"].iloc[0]
    last = found["step"].max()
    candidates = (
        (Look("trained, Pearson (as published)", _COLOURS[0], "o", "-"), "pearson", raw, True),
        (Look("trained, cosine less the mean pattern", _COLOURS[1], "s", "--"), "cosine", "mean", True),
        (Look("trained, centred kernel", _COLOURS[4], "D", "-."), "centred_kernel", "mean", True),
        (Look("untrained, Pearson", _COLOURS[2], "^", ":"), "pearson", raw, False),
    )
    untrained = (found["step"] == 0) & (last > 0)
    chosen = []
    for look, kind, center, of_trained in candidates:
        kept = (found["rsm"] == kind) & (found["center"] == center)
        own = found[kept & ((found["step"] == last) if of_trained else untrained)]
        if len(own):
            chosen.append((look, own))
    return chosen


def _draw_pairs(ax: Axes, rows: pd.DataFrame, layers: Sequence[str], look: Look, shift: float) -> None:
    places = rows["layer_a"].map({layer: i for i, layer in enumerate(layers)}).to_numpy(float) + shift + 0.04
    ax.plot(places, rows["value"], ".", color=look.colour, alpha=0.5, markersize=4, markeredgewidth=0)


# ---- classes ---------------------------------------------------------------------------------------------------------


@theme()
def shared_classes(rows: pd.DataFrame) -> Figure:
    """Draw the similarity of the mean patterns of classes, over depth and training.

    Parameters
    ----------
    rows : DataFrame
        ``class_rsm`` of an alignment.

    Returns
    -------
    Figure
        A row per layer, a column per epoch; within networks in native units, mean over networks.

    Raises
    ------
    NetalikeError
        If it was not measured.
    """
    found = with_factors(rows[rows["quantity"] == "class_rsm"], *_FACTORS, "class_a", "class_b")
    found = found[found["space"] == "native"]
    require(found, "shared_classes", "rows of class_rsm")
    layers, epochs = _layers(found), sorted(found["step"].unique())
    size = 0.85 if len(layers) * len(epochs) > 12 else 1.3
    figure, axes = new_figure(1.9 + size * len(epochs), 1.2 + size * len(layers), len(layers), len(epochs))
    names = sorted(set(found["class_a"]) | set(found["class_b"]), key=_number_first)
    image = None
    for number, ax in enumerate(axes):
        layer, epoch = layers[number // len(epochs)], epochs[number % len(epochs)]
        own = found[(found["layer_a"] == layer) & (found["step"] == epoch)]
        image = ax.imshow(_matrix(own, names), cmap=_MAP, vmin=-1, vmax=1, rasterized=True)
        ax.set(xticks=[], yticks=[])
        if number < len(epochs) and len(epochs) > 1:
            ax.set_title(epoch_words(epochs)[number], loc="center", fontsize=8, fontweight="normal")
        if number % len(epochs) == 0:
            ax.set_ylabel(layer, rotation=0, ha="right", va="center", fontsize=8)
    if image is not None:
        bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 1.6 / (size * len(layers))), aspect=12)
        bar.set_label("correlation\n(1 = same)")
    figure.supxlabel(f"each square: classes {names[0]} to {names[-1]}, mean patterns", fontsize=8, color=GREY)
    return figure


def _number_first(name: str) -> tuple[float, str]:
    return (float(name), name) if name.isdigit() else (np.inf, name)


def _matrix(rows: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    place = {name: i for i, name in enumerate(names)}
    matrix = np.eye(len(names))
    a, b = (rows[f"class_{side}"].map(place).to_numpy(int) for side in "ab")
    matrix[a, b] = matrix[b, a] = rows["value"].to_numpy(float)
    return matrix
