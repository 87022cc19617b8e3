"""The toy problem with noisy labels: the denoising factor, its bounds, and the identity behind it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netalike.plots.intervals import interval_note, mean_interval
from netalike.plots.stitching import draw_line
from netalike.plots.studies import (
    Look,
    handle_of,
    name_lines,
    require,
    shared_legend,
    undefined_note,
    with_factors,
)
from netalike.plots.theme import GREY, new_figure, theme
from netalike.plots.toy import draw_dot, frequency_looks, largest, numbered, positions

# quantity and estimator -> what the list of errors calls it
_ERRORS = {
    ("identity_residual", "unnormalised"): "identity residual\nEₖ[ŷ] - Eₖ[y]",
    ("averaged_noise", "unnormalised"): "noise in the average\nEₖ[noise]",
    ("denoising_factor", "unnormalised"): "predicted: factor",
    ("noisy_error", "prediction"): "error of prediction\nŷ - truth",
    ("consistency_shift", "unnormalised"): "shift of the average\nŷ - Eₖ[ŷ]",
}
_SERIES = {
    ("averaged_noise", "unnormalised"): ("noise in the kernel average", "--"),
    ("identity_residual", "unnormalised"): ("identity residual", "-"),
    ("relative_gradient_norm", "l2"): ("relative gradient norm", ":"),
}


@theme()
def toy_denoising(rows: pd.DataFrame) -> Figure:
    """Draw the denoising factor between its bounds, the identity along training, and what the factor does not bound.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``toy_<study>`` that was trained on noisy labels. Of several numbers of samples the
        largest is drawn.

    Returns
    -------
    Figure
        (a) factor of the normalised kernel over its upper bound, a point per bin and run; (b) identity residual, noise
        in the average and relative gradient norm by step; (c) at the end, root mean squares in units of the noise.

    Raises
    ------
    NetalikeError
        If no row has a denoising factor.
    """
    points = positions(rows, "denoising_factor", "denoising_upper_bound")
    found = largest(rows[rows["estimator"] != "by_position"])
    found = numbered(with_factors(found[found["condition"].str.contains("noise=")], "frequency"), "frequency")
    require(found, "denoising on the toy problem", "rows of denoising_factor")
    figure, axes = new_figure(12.0, 4.4, columns=3)
    _draw_bounds(axes[0], points)
    _draw_steps(axes[1], found)
    _draw_errors(axes[2], found[found["step"] == found["step"].max()])
    handles = [handle_of(Look(words, "black", "", line)) for words, line in _SERIES.values()]
    frequencies = [handle_of(look._replace(line="")) for look in frequency_looks(found).values()]
    note = f"means over runs; {interval_note(found)}".replace("\n", " ")
    notes = [f"{note}, in (b) of the identity residual", *undefined_note(found)]
    shared_legend(figure, [*frequencies, *handles], notes, 5)
    return figure


def _draw_bounds(ax: Axes, points: pd.DataFrame) -> None:
    lower = 1 / np.sqrt(float(points["n_samples"].iloc[0]))
    for frequency, look in frequency_looks(points).items():
        own = points[points["frequency"] == frequency]
        x, y = own["denoising_upper_bound"], own["denoising_factor"]
        ax.plot(x, y, look.marker, color=look.colour, alpha=0.4, markersize=3.5, markeredgewidth=0)
    ends = np.array([lower, float(points["denoising_upper_bound"].max())])
    ax.plot(ends, ends, color="black", linewidth=0.9)
    ax.plot(ends, [lower, lower], color=GREY, linestyle=(0, (4, 2)), linewidth=0.9)
    middle = float(ends.mean())
    size: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "fontsize": 8}
    ax.annotate("upper bound", (middle, middle), (-8, 6), va="bottom", **size)
    ax.annotate("lower bound, 1/√n", (ends[1], lower), (0, -4), va="top", **size)
    ax.set(title="(a) Factor and its bounds", xlabel="1/√soft count", ylabel="denoising factor, normalised kernel")
    ax.margins(0.08, 0.12)
    ax.grid()


def _draw_steps(ax: Axes, rows: pd.DataFrame) -> None:
    for frequency, look in frequency_looks(rows).items():
        for (quantity, estimator), (_, line) in _SERIES.items():
            own = rows[(rows["quantity"] == quantity) & (rows["estimator"] == estimator)]
            own = own[own["frequency"] == frequency]
            steps = sorted(int(step) for step in own["step"].unique())
            points = [mean_interval(own[own["step"] == step]) for step in steps]
            if quantity != "identity_residual":  # three bands for each frequency would hide the lines
                points = [point._replace(low=math.nan, high=math.nan) for point in points]
            draw_line(ax, steps, points, look._replace(line=line))
    ax.set(xscale="log", yscale="log", title="(b) The identity along training", xlabel="training steps")
    steps = sorted(int(step) for step in rows["step"].unique())
    ax.set_xticks(steps, labels=[f"{step:,}" for step in steps], rotation=60, ha="right")
    ax.minorticks_off()
    ax.set_ylabel("root mean square, units of the noise\n(gradient norm: share of its largest value)")
    ax.grid(axis="y")


def _draw_errors(ax: Axes, rows: pd.DataFrame) -> None:
    looks = frequency_looks(rows)
    for position, (frequency, look) in enumerate(looks.items()):
        own = rows[rows["frequency"] == frequency]
        for line, (quantity, estimator) in enumerate(_ERRORS):
            chosen = own[(own["quantity"] == quantity) & (own["estimator"] == estimator)]
            draw_dot(ax, chosen, look, line + 0.6 * ((position + 0.5) / len(looks) - 0.5))
    name_lines(ax, list(_ERRORS.values()))
    ax.set(xscale="log", title="(c) At the end of training", xlabel="root mean square, units of the noise")
    ax.grid(axis="x")
