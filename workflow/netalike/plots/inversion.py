"""Similarity on inverted images: matrices as published, similarity against robustness, and asymmetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from netalike.experiments.inversion_published import INVERTED, NETWORKS, TARGETS, off_diagonal_mean
from netalike.plots.inversion_rows import (
    SEED_WORDS,
    UNTRAINED_EPS,
    architectures_of,
    eps_levels,
    eps_looks,
    eps_word,
    first_seeds,
    network_labels,
    pair_rows,
)
from netalike.plots.studies import Look, handle_of, level, require, shared_legend, with_factors
from netalike.plots.theme import GREY, direction_label, new_figure, palette, theme

_COLOURS = palette(10)
_ANNOTATED_UP_TO = 14  # networks: beyond, numbers no longer fit into the cells
_IMAGES = "intervals: 95 %, bootstrap over pairs of images; the networks stay the same"
_ON_TARGETS = Look("on the target images", _COLOURS[0], "o", "-")
_ON_INVERTED = Look("on images inverted through the first network", _COLOURS[3], "s", "--")
_SETS = {"targets": _ON_TARGETS, "inverted": _ON_INVERTED}
# quantity and estimator -> its title
_MEASURES = {
    ("cka", "published"): "Linear CKA",
    ("cka", "unbiased"): "Linear CKA, unbiased",
    ("deconfounded_cka", "published"): "Deconfounded CKA",
    ("procrustes", "published"): "Procrustes (1 - distance)",
    ("stir", "published"): "STIR of the second network",
}
_HEADS = {
    "own_heads": Look("agreement, layers as trained", _COLOURS[2], "^", "-"),
    "refitted_heads": Look("agreement, refitted classification layers", _COLOURS[4], "v", "--"),
}


@theme()
def inversion_similarity(rows: pd.DataFrame) -> Figure:
    """Draw the two matrices of a study in the published layout.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``inversion_<study>``: ``cka``, estimator ``published``.

    Returns
    -------
    Figure
        CKA on the targets (left) and on the images inverted through the network of the row (right), from 0 to 1; rows
        from the bottom to the top. Numbers in the cells where they fit. Standard networks come first, untrained last.

    Raises
    ------
    NetalikeError
        If there are no such rows.
    """
    seeds = first_seeds(rows)
    found = pair_rows(rows[rows["estimator"] == "published"], "cka", seeds)
    require(found, "inversion_similarity", "rows of cka, published, on targets and on inverted images")
    trained_against = dict(zip(found["network_a"], found["eps_a"], strict=True))
    labels = network_labels(trained_against, architectures_of(rows))
    matrices = {name: _matrix(found[found["images"] == name], labels) for name in _SETS}
    undefined = "; grey: undefined" if found["value"].isna().any() else ""
    notes = [f"{SEED_WORDS[seeds]}; rows from bottom to top, as published{undefined}"]
    notes += _mean_notes(found)
    return _matrices(matrices["targets"], matrices["inverted"], list(labels.values()), notes)


@theme()
def inversion_published() -> Figure:
    """Draw the published matrices of nine ImageNet networks, in their layout.

    Returns
    -------
    Figure
        See `inversion_similarity`.
    """
    said = f"{off_diagonal_mean(TARGETS):.3f} on the targets, {off_diagonal_mean(INVERTED):.3f} on the inverted images"
    notes = [
        "Jones et al. (2022), non-robust ImageNet networks, read off the published figure",
        f"mean over pairs of networks: {said}",
    ]
    return _matrices(TARGETS, INVERTED, list(NETWORKS), notes)


@theme()
def inversion_robustness(rows: pd.DataFrame) -> Figure:
    """Draw how alike networks of different architectures are, by the attacks that both were trained against.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``inversion_<study>``: ``mean_cka`` and the like, and ``cka`` and the like.

    Returns
    -------
    Figure
        A panel per measure: means on the targets and on inverted images with intervals, thin lines for the network that
        the images were inverted through, and the level of shuffled images. Untrained networks stand apart. The last
        panel shows how often two networks predict one class for the targets.

    Raises
    ------
    NetalikeError
        If there are no such rows.
    """
    seeds = first_seeds(rows)
    means = with_factors(rows, "images", "seeds", "control", "pair", "eps_a", "same_eps")
    means = means[(means["same_eps"] == "yes") & means["pair"].isin(["other_architecture", "untrained"])]
    means = means[means["seeds"].isin(["none", seeds])]
    single = pair_rows(rows, [quantity for quantity, _ in _MEASURES], seeds)
    single = single[(single["pair"] == "other_architecture") & (single["same_eps"] == "yes")]
    single = single.assign(architecture_a=single["network_a"].replace(architectures_of(rows)))
    shown = [
        key for key in _MEASURES if ((means["quantity"] == f"mean_{key[0]}") & (means["estimator"] == key[1])).any()
    ]
    require(means[means["quantity"].str.startswith("mean_")], "inversion_robustness", "rows of mean_cka")
    levels = eps_levels(means["eps_a"])
    panels = (len(shown) + 2) // 2
    figure, axes = new_figure(8.4, 2.7 * panels + 1.0, rows=panels, columns=2)
    for ax in axes[len(shown) + 1 :]:
        ax.set_axis_off()
    for ax, (quantity, estimator) in zip(axes, shown, strict=False):
        own = means[(means["quantity"] == f"mean_{quantity}") & (means["estimator"] == estimator)]
        each = single[(single["quantity"] == quantity) & (single["estimator"] == estimator)]
        _draw_robustness(ax, own, each, levels, is_distance=quantity == "procrustes")
        ax.set_title(_MEASURES[quantity, estimator])
        ax.set_ylabel(direction_label())
    _draw_agreement(axes[len(shown)], means[means["quantity"] == "mean_agreement"], levels)
    handles = [
        *(handle_of(look) for look in _SETS.values()),
        *(handle_of(look) for look in _HEADS.values()),
        Line2D([], [], color=GREY, linewidth=0.7, label="one architecture"),
        Line2D([], [], color=GREY, linestyle=":", linewidth=1.2, label="other images of the second network (shuffled)"),
    ]
    notes = [f"pairs of two architectures, trained alike; {SEED_WORDS[seeds]}", _IMAGES]
    shared_legend(figure, handles, notes, columns=2)
    return figure


@theme()
def inversion_asymmetry(rows: pd.DataFrame) -> Figure:
    """Draw similarity on a robust network's inverted images against that on a standard network's, pair by pair.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``inversion_<study>``: ``cka``, ``mean_cka_asymmetry`` and the like.

    Returns
    -------
    Figure
        Left: a point per pair of a robust and a standard network, with intervals; above the diagonal, the standard
        network says of the robust one's images what the robust one says, but not the other way round. Right: the mean
        differences by measure.

    Raises
    ------
    NetalikeError
        If there is no robust network beside standard ones.
    """
    seeds = first_seeds(rows)
    found = pair_rows(rows[rows["estimator"] == "published"], "cka", seeds)
    both = _both_ways(found[(found["images"] == "inverted") & found["value"].notna()])
    require(both, "inversion_asymmetry", "rows of cka between robust and standard networks, both ways")
    figure, (left, right) = new_figure(9.4, 4.6, columns=2)
    looks = eps_looks([*both["eps_a"], "0"])
    _draw_both_ways(left, both, looks)
    means = with_factors(rows, "images", "seeds", "pair", "eps_a", "eps_b", "same_eps")
    means = means[(means["seeds"] == seeds) & (means["pair"] == "other_architecture") & (means["eps_b"] == "0")]
    _draw_asymmetries(right, means, looks)
    present = eps_levels(both["eps_a"])
    handles = [handle_of(looks[eps]._replace(line="none")) for eps in present]
    if (both["pair"] == "same_architecture").any():
        handles.append(
            Line2D([], [], color=GREY, marker="o", markerfacecolor="none", linestyle="none", label="same architecture")
        )
    shared_legend(figure, handles, [f"{SEED_WORDS[seeds]}; {_IMAGES}"], columns=4)
    return figure


# ---- matrices --------------------------------------------------------------------------------------------------------


def _matrix(rows: pd.DataFrame, labels: Mapping[str, str]) -> np.ndarray:
    table = rows.pivot_table(index="network_a", columns="network_b", values="value", dropna=False)
    return table.reindex(index=list(labels), columns=list(labels)).to_numpy(float)


def _mean_notes(rows: pd.DataFrame) -> list[str]:
    """Say the means over pairs of two architectures that were trained alike."""
    alike = rows[(rows["pair"].isin(["other_architecture", "untrained"])) & (rows["same_eps"] == "yes")]
    means = alike.groupby(["eps_a", "images"])["value"].mean().to_dict()
    levels = [eps for eps in eps_levels(alike["eps_a"]) if all((eps, images) in means for images in _SETS)]
    said = [f"{eps_word(eps)} {means[eps, 'targets']:.2f} and {means[eps, 'inverted']:.2f}" for eps in levels]
    if not said:
        return []
    return [f"means over pairs of two architectures, on targets and on inverted images: {'; '.join(said)}"]


def _matrices(targets: np.ndarray, inverted: np.ndarray, names: Sequence[str], notes: Sequence[str]) -> Figure:
    n = len(names)
    cell = 0.46 if n <= 9 else max(0.19, 4.6 / n)
    side = cell * n + 0.07 * max(len(name) for name in names)
    figure, axes = new_figure(2 * side + 1.6, side + 1.5, columns=2)
    numbers = n <= _ANNOTATED_UP_TO
    titles = ("On the target images", "On images inverted through the row")
    for ax, matrix, title in zip(axes, (targets, inverted), titles, strict=True):
        ax.set_facecolor("#d1d5db")
        sns.heatmap(
            pd.DataFrame(matrix, index=list(names), columns=list(names)),
            ax=ax, vmin=0, vmax=1, cmap="rocket", annot=numbers, fmt=".2f", cbar=False, square=True,
            annot_kws={"fontsize": 7 if n <= 9 else 6}, xticklabels=True, yticklabels=True,
        )  # fmt: skip
        ax.invert_yaxis()  # the first row at the bottom, as published
        ax.tick_params(length=0, labelsize=8 if n <= 9 else 7 if n <= 18 else 6)
        ax.tick_params(axis="x", rotation=90)
        ax.tick_params(axis="y", rotation=0)
        ax.set_title(title)
    axes[0].set_ylabel("network that images are inverted through")
    bar = figure.colorbar(axes[1].collections[0], ax=axes, shrink=0.7, aspect=25, pad=0.02)
    bar.set_label(f"linear CKA ({direction_label()})")
    bar.outline.set_visible(False)
    shared_legend(figure, [], notes)
    return figure


# ---- similarity against robustness -----------------------------------------------------------------------------------


def _draw_robustness(
    ax: Axes, means: pd.DataFrame, single: pd.DataFrame, levels: Sequence[str], is_distance: bool
) -> None:
    place = _places(levels)
    for shift, (images, look) in zip((-0.05, 0.05), _SETS.items(), strict=True):
        own = _as_similarity(means[means["images"] == images], is_distance)
        for _, line in single[single["images"] == images].groupby("architecture_a"):
            each = _as_similarity(line, is_distance).groupby("eps_a")["value"].mean()
            _draw_line(ax, each, place, shift, color=look.colour, linewidth=0.6, alpha=0.45)
        _draw_means(ax, own[own["control"] == "none"], place, shift, look)
        null = own[own["control"] == "shuffled"].groupby("eps_a")["value"].mean()
        _draw_line(
            ax, null.drop(UNTRAINED_EPS, errors="ignore"), place, color=look.colour, linestyle=":", linewidth=1.2
        )
    _name_levels(ax, place)


def _draw_agreement(ax: Axes, means: pd.DataFrame, levels: Sequence[str]) -> None:
    place = _places(levels)
    for shift, (estimator, look) in zip((-0.05, 0.05), _HEADS.items(), strict=True):
        _draw_means(ax, means[means["estimator"] == estimator], place, shift, look)
    _name_levels(ax, place)
    ax.set_title("Agreement of predictions, targets")
    ax.set_ylabel("share of images with one prediction")


def _draw_means(ax: Axes, means: pd.DataFrame, place: Mapping[str, float], shift: float, look: Look) -> None:
    plain = means[means["value"].notna()].set_index("eps_a")
    for eps, value, low, high in plain[["value", "low", "high"]].itertuples():
        x = place[eps] + shift
        ax.plot([x, x], [low, high], color=look.colour, linewidth=1.8, zorder=3)
        ax.plot(x, value, look.marker, color=look.colour, markeredgecolor="white", zorder=4)
    trained = plain["value"].drop(UNTRAINED_EPS, errors="ignore")
    _draw_line(ax, trained, place, shift, color=look.colour, linestyle=look.line, zorder=2)


def _draw_line(ax: Axes, values: pd.Series, place: Mapping[str, float], shift: float = 0.0, **style: Any) -> None:
    x = [place[eps] + shift for eps in place if eps in values.index]
    ax.plot(x, [values[eps] for eps in place if eps in values.index], **style)


def _places(levels: Sequence[str]) -> dict[str, float]:
    return {eps: i + (0.15 if eps == UNTRAINED_EPS else 0.0) for i, eps in enumerate(levels)}


def _name_levels(ax: Axes, place: Mapping[str, float]) -> None:
    ax.set_xticks(list(place.values()), labels=[eps_word(eps) for eps in place])
    ax.set_xlim(-0.3, max(place.values()) + 0.3)
    ax.set_ylim(min(-0.04, ax.get_ylim()[0]), 1.04)
    ax.set_xlabel("training of both networks")


def _as_similarity(rows: pd.DataFrame, is_distance: bool) -> pd.DataFrame:
    return rows.assign(value=1 - rows["value"], low=1 - rows["high"], high=1 - rows["low"]) if is_distance else rows


# ---- asymmetry -------------------------------------------------------------------------------------------------------


def _both_ways(rows: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a robust network (a) and a standard one (b), with the values of both orders side by side."""
    robust = rows[~rows["eps_a"].isin(["0", UNTRAINED_EPS]) & (rows["eps_b"] == "0")]
    standard = rows[(rows["eps_a"] == "0")][["network_a", "network_b", "value", "low", "high"]]
    turned = standard.rename(columns={"network_a": "network_b", "network_b": "network_a"})
    return robust.merge(turned, on=["network_a", "network_b"], suffixes=("", "_standard"))


def _draw_both_ways(ax: Axes, both: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    columns = ["eps_a", "pair", "value_standard", "low_standard", "high_standard", "value", "low", "high"]
    for eps, pair, x, left, right, y, low, high in both[columns].itertuples(index=False, name=None):
        look, same = looks[eps], pair == "same_architecture"
        ax.plot([left, right], [y, y], color=look.colour, linewidth=0.8, alpha=0.5, zorder=2)
        ax.plot([x, x], [low, high], color=look.colour, linewidth=0.8, alpha=0.5, zorder=2)
        face, edge = ("white", look.colour) if same else (look.colour, "white")
        ax.plot(x, y, look.marker, color=look.colour, markerfacecolor=face, markeredgecolor=edge, zorder=3)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal", title="Robust and standard network, both ways")
    ax.set_xlabel("CKA, images through the standard network")
    ax.set_ylabel("CKA, images through the robust network")


def _draw_asymmetries(ax: Axes, means: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    shown = [
        (quantity, estimator, eps)
        for quantity, estimator in _MEASURES
        for eps in eps_levels(means["eps_a"])
        if eps not in ("0", UNTRAINED_EPS)
    ]
    level(ax, 0.0, axis="x")
    names: list[str] = []
    for quantity, estimator, eps in shown:
        chosen = means["quantity"] == f"mean_{quantity}_asymmetry"
        own = means[chosen & (means["estimator"] == estimator) & (means["eps_a"] == eps) & means["value"].notna()]
        if own.empty:
            continue
        sign = -1 if quantity == "procrustes" else 1
        value, ends = sign * own["value"].iloc[0], sorted(sign * own[end].iloc[0] for end in ("low", "high"))
        ax.plot(ends, [len(names)] * 2, color=looks[eps].colour, linewidth=1.8)
        ax.plot(value, len(names), looks[eps].marker, color=looks[eps].colour, markeredgecolor="white", markersize=6)
        names.append(_MEASURES[quantity, estimator])
    ax.set_yticks(range(len(names)), labels=[name if names.index(name) == i else "" for i, name in enumerate(names)])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_title("Robust less standard row, mean")
    ax.set_xlabel("difference of similarity, two architectures\n(above 0: the robust network's images are seen alike)")
