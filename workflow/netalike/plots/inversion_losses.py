"""How well representations are inverted, and how well networks stand attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netalike.plots.inversion_rows import (
    SEED_WORDS,
    architecture_word,
    architectures_of,
    eps_levels,
    eps_looks,
    network_labels,
)
from netalike.plots.studies import Look, handle_of, require, shared_legend, undefined_note, with_factors
from netalike.plots.theme import GREY, new_figure, theme

_QUANTILES = ("q05", "q25", "q50", "q75", "q95")


@theme()
def inversion_losses(rows: pd.DataFrame) -> Figure:
    """Draw how the loss of inversions falls, and what it ends at.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``inversion_<study>``: ``inversion_loss_curve`` and ``inversion_loss``.

    Returns
    -------
    Figure
        A column for each kind of seeds. Above: the mean over pairs of the smallest loss so far, a thin line per network
        and a thick one for the mean of those trained alike. Below: the losses of the inverted images, network by
        network.

    Raises
    ------
    NetalikeError
        If no loss was measured.
    """
    curves = with_factors(rows[rows["quantity"] == "inversion_loss_curve"], "seeds", "eps")
    curves = curves[(curves["estimator"] == "best") & curves["value"].notna()]
    final = with_factors(rows[rows["quantity"] == "inversion_loss"], "seeds", "eps", "statistic")
    final = final[final["value"].notna()]
    require(curves, "inversion_losses", "rows of inversion_loss_curve")
    require(final, "inversion_losses", "rows of inversion_loss")
    kinds = [kind for kind in SEED_WORDS if kind in set(curves["seeds"])]
    looks, labels = eps_looks(curves["eps"]), _labels(final, architectures_of(rows))
    width = max(3.6, 0.14 * len(labels) + 0.9)
    figure, axes = new_figure(max(6.0, width * len(kinds)), 6.6, rows=2, columns=len(kinds))
    for i, kind in enumerate(kinds):
        _draw_curves(axes[i], curves[curves["seeds"] == kind], looks)
        _draw_final(axes[len(kinds) + i], final[final["seeds"] == kind], looks, labels)
        axes[i].set_title(SEED_WORDS[kind].removeprefix("seeds: ").capitalize())
    for group in (axes[: len(kinds)], axes[len(kinds) :]):
        _same_scale(group)
    axes[0].set_ylabel("smallest relative loss so far")
    axes[len(kinds)].set_ylabel("relative loss of inverted images")
    notes = [
        "loss: distance of the representations of image and target, relative to the target's",
        "below: median (mark), middle half (thick) and 90 % (thin) of the pairs; grey bars: median of the seed images",
    ]
    shared_legend(figure, [handle_of(look) for look in looks.values()], [*notes, *undefined_note(rows)], columns=4)
    return figure


@theme()
def inversion_accuracy(rows: pd.DataFrame) -> Figure:
    """Draw the accuracy of networks under attacks of growing size.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``inversion_<study>``: ``accuracy`` with the factors `eps_test` and `eps`.

    Returns
    -------
    Figure
        A panel per architecture, a line per training; 0 are the images as they are.

    Raises
    ------
    NetalikeError
        If no accuracy was measured.
    """
    found = with_factors(rows[rows["quantity"] == "accuracy"], "eps_test", "eps", "architecture")
    found = found[found["eps_test"] != ""]
    require(found, "inversion_accuracy", "rows of accuracy with the factor eps_test")
    looks, architectures = eps_looks(found["eps"]), list(dict.fromkeys(found["architecture"]))
    columns = min(3, len(architectures))
    lines = -(-len(architectures) // columns)
    table = _accuracy_table(found)
    height = max(2.6 * lines, 0.2 * len(table) + 0.9) + 0.9
    figure, _ = new_figure(2.7 * columns + 0.42 * table.shape[1] + 2.4, height, 0, 0)
    grid = figure.add_gridspec(1, 2, width_ratios=[2.7 * columns, 0.42 * table.shape[1] + 1.6])
    panels = grid[0, 0].subgridspec(lines, columns)
    for i, architecture in enumerate(architectures):
        ax = figure.add_subplot(panels[i // columns, i % columns])
        _draw_accuracy(ax, found[found["architecture"] == architecture], looks)
        ax.set_title(architecture_word(architecture))
        ax.set_xlabel("size of the attack (L2; 0: none)")
        ax.set_ylabel("accuracy" if i % columns == 0 else "")
    _draw_table(figure.add_subplot(grid[0, 1]), table)
    steps = ", ".join(sorted({name.removeprefix("pgd") for name in found["estimator"] if name.startswith("pgd")}))
    n = ", ".join(f"{count:,}" for count in sorted(set(found["n_samples"].dropna())))
    notes = [f"projected gradient descent, {steps} steps; {n} test images; bars: 95 % (Wilson)"]
    shared_legend(figure, [handle_of(look) for look in looks.values()], notes, columns=4)
    return figure


def _accuracy_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Networks by sizes of the attack, in per cent."""
    labels = network_labels(dict(zip(rows["network_a"], rows["eps"], strict=True)), architectures_of(rows))
    sizes = sorted(set(rows["eps_test"]), key=float)
    table = rows.pivot_table(index="network_a", columns="eps_test", values="value").reindex(list(labels))[sizes]
    return (100 * table.set_axis(list(labels.values()))).rename(columns={"0": "none"})


def _draw_table(ax: Axes, table: pd.DataFrame) -> None:
    sns.heatmap(
        table, ax=ax, vmin=0, vmax=100, cmap="cividis", annot=True, fmt=".0f", cbar=False, annot_kws={"fontsize": 7},
        xticklabels=True, yticklabels=True, linewidths=0.5,
    )  # fmt: skip
    ax.tick_params(length=0, labelsize=7)
    ax.tick_params(axis="x", rotation=0)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="size of the attack", ylabel="", title="Accuracy (%)")


def _labels(final: pd.DataFrame, architectures: Mapping[str, str]) -> dict[str, str]:
    """Networks by training, in words: the colour says how one was trained."""
    labels = network_labels(dict(zip(final["network_a"], final["eps"], strict=True)), architectures)
    return {name: architecture_word(architectures.get(name, name)) for name in labels}


def _draw_curves(ax: Axes, curves: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    for eps, look in looks.items():
        own = curves[curves["eps"] == eps]
        for _, line in own.groupby("network_a", sort=False):
            line = line.sort_values("step")
            ax.plot(line["step"].astype(float), line["value"], color=look.colour, linewidth=0.6, alpha=0.5)
        mean = own.groupby("step")["value"].mean()
        ax.plot(mean.index.astype(float), mean, color=look.colour, linestyle=look.line, linewidth=2)
    ax.set(yscale="log", xlabel="iteration")


def _draw_final(ax: Axes, losses: pd.DataFrame, looks: Mapping[str, Look], labels: Mapping[str, str]) -> None:
    present = [name for name in labels if name in set(losses["network_a"])]
    for x, name in enumerate(present):
        own = losses[(losses["network_a"] == name)]
        eps = own["eps"].iloc[0]
        levels = own[own["estimator"] == "final"].set_index("statistic")["value"]
        start = own[own["estimator"] == "start"].set_index("statistic")["value"]
        low, lower, middle, upper, high = (levels[key] for key in _QUANTILES)
        colour = looks[eps].colour
        ax.plot([x, x], [low, high], color=colour, linewidth=0.9)
        ax.plot([x, x], [lower, upper], color=colour, linewidth=3.2, solid_capstyle="butt")
        ax.plot(x, middle, looks[eps].marker, color=colour, markeredgecolor="white", markersize=6)
        ax.plot([x - 0.35, x + 0.35], [start["q50"]] * 2, color=GREY, linewidth=1.2)
    ax.set(yscale="log", xlim=(-0.7, len(present) - 0.3))
    ax.set_xticks(range(len(present)), labels=[labels[name] for name in present], rotation=90, fontsize=7)


def _draw_accuracy(ax: Axes, rows: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    for shift, eps in enumerate(eps_levels(rows["eps"])):
        own = rows[rows["eps"] == eps]
        tested = np.sort(own["eps_test"].astype(float).unique())
        spread = 0.012 * tested.max() * (shift - 1)
        look, means = looks[eps], []
        for size in tested:
            there = own[own["eps_test"].astype(float) == size]
            means.append(float(there["value"].mean()))
            for row in there.itertuples(index=False):
                ax.plot([size + spread] * 2, [row.low, row.high], color=look.colour, linewidth=1.2, alpha=0.8)
        style = {"color": look.colour, "marker": look.marker, "linestyle": look.line, "markeredgecolor": "white"}
        ax.plot(tested + spread, means, **style)
    ax.set_ylim(-0.03, 1.03)


def _same_scale(axes: Sequence[Axes]) -> None:
    ends = [ax.get_ylim() for ax in axes]
    for ax in axes:
        ax.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
