"""Exact identities of shared response models: how far rounding takes each from 0, and what BrainIAK's way costs."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from netalike.plots.studies import Look, handle_of, name_lines, require, shared_legend, with_factors
from netalike.plots.theme import GREY, marker, new_figure, palette, theme

# identity/estimator -> in words, and the tolerance of its claim; None where nothing is claimed to be exact
_LINES: Mapping[str, tuple[str, float | None]] = {
    "rotation/netalike": ("known rotations found again", 1e-8),
    "permutation/netalike": ("known permutations found again", 1e-8),
    "held_out_rotation/netalike": ("rotations: held-out variance not explained", 1e-8),
    "held_out_permutation/netalike": ("permutations: held-out variance not explained", 1e-8),
    "mean_shift/netalike": ("constants added to units change nothing", 1e-8),
    "cross_products/netalike": ("from cross products as from images", 1e-10),
    "rsm_rotation/cosine": ("cosine RSM unchanged by rotations", 1e-10),
    "rsm_rotation/centred_kernel": ("centred kernel unchanged by rotations", 1e-10),
    "rsm_rotation/pearson": ("Pearson RSM, which rotations change", None),
    "brainiak_bases/netalike": ("bases as BrainIAK's", 1e-6),
    "brainiak_shared/netalike": ("shared response as BrainIAK's", 1e-6),
    "brainiak_objective/netalike": ("objective as BrainIAK's, relative", 1e-6),
}
_EDGE = 1e-18


@theme()
def alignment_identities(rows: pd.DataFrame) -> Figure:
    """Draw how far each identity is from exact.

    Parameters
    ----------
    rows : DataFrame
        Rows of `netalike.experiments.alignment_identities.identity_rows` as a measurement table.

    Returns
    -------
    Figure
        The largest difference by identity, method, centring and seed on a logarithmic scale, with the tolerances. An
        exact 0 is drawn at the left edge; what was skipped is said on its line.

    Raises
    ------
    NetalikeError
        If there are no such rows.
    """
    found = with_factors(rows[rows["quantity"] == "largest_difference"], "identity", "method", "center")
    found = found.assign(line=found["identity"] + "/" + found["estimator"])
    found = found[found["line"].isin(list(_LINES))]
    require(found, "alignment identities", "rows of largest_difference with the factor identity")
    lines = [line for line in _LINES if line in set(found["line"])]
    figure, (ax,) = new_figure(8.5, 1.5 + 0.34 * max(len(lines), 5), 1, 1)
    handles = _draw_marks(ax, found, lines)
    _draw_tolerances(ax, lines)
    _say_what_was_skipped(ax, found, lines)
    handles.append(Line2D([], [], color="black", linewidth=1, label="tolerance"))
    _scale(ax, float(found["value"].max()))
    name_lines(ax, [_LINES[line][0] for line in lines])
    ax.set_xlabel("largest absolute difference (0 = exact); a mark for each seed")
    shared_legend(figure, handles, [])
    return figure


_LOOKS: Mapping[tuple[str, str], str] = {
    ("probabilistic", "mean"): "probabilistic, centred",
    ("deterministic", "mean"): "deterministic, centred",
    ("probabilistic", "brainiak"): "probabilistic, BrainIAK's way",
    ("deterministic", "brainiak"): "deterministic, BrainIAK's way",
    ("", ""): "no model",
}


def _draw_marks(ax: Axes, found: pd.DataFrame, lines: list[str]) -> list[Line2D]:
    handles = []
    for i, ((method, center), label) in enumerate(_LOOKS.items()):
        own = found[(found["method"] == method) & (found["center"] == center) & (found["status"] == "ok")]
        if own.empty:
            continue
        look = Look(label, palette(5)[i], marker(i), "")
        heights = own["line"].map(lines.index) + (0.14 * (i - 1.5) if method else 0.0)
        ax.plot(own["value"].clip(lower=_EDGE), heights, look.marker, color=look.colour, markersize=5, alpha=0.8)
        handles.append(handle_of(look))
    return handles


def _draw_tolerances(ax: Axes, lines: list[str]) -> None:
    for height, line in enumerate(lines):
        tolerance = _LINES[line][1]
        if tolerance is not None:
            ax.plot([tolerance] * 2, [height - 0.42, height + 0.42], color="black", linewidth=1)


def _say_what_was_skipped(ax: Axes, found: pd.DataFrame, lines: list[str]) -> None:
    for line, status in found.loc[found["status"] != "ok", ["line", "status"]].drop_duplicates().to_numpy():
        ax.text(2 * _EDGE, lines.index(line), status, va="center", color=GREY, fontsize=8)


def _scale(ax: Axes, largest: float) -> None:
    powers = range(-16, 3, 2)
    ax.set_xscale("log")
    ax.set_xlim(_EDGE / 3, max(1e-4, 10 * largest))
    shown = [power for power in powers if 10.0**power < ax.get_xlim()[1]]
    ax.set_xticks([_EDGE, *(10.0**power for power in shown)], labels=["0", *(f"$10^{{{power}}}$" for power in shown)])
    ax.minorticks_off()
