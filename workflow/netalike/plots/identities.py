"""Exact identities: how far rounding takes each from 0, and what CKA says where there is nothing to find."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from netalike.evidence.claims import Estimate, Statistic, estimate
from netalike.plots.studies import (
    MEASURES,
    Look,
    draw_estimate,
    handle_of,
    interval_notes,
    level,
    name_lines,
    require,
    shared_legend,
    span,
    stacked_axes,
    undefined_note,
    with_factors,
)
from netalike.plots.theme import marker, new_figure, palette, theme

TOLERANCE = 1e-10
# identity -> in words
_WORDS: Mapping[str, str] = {
    "partial_correlation": "deconfounded CKA is a partial correlation",
    "explained_share": "share explained is CKA with the inputs, squared",
    "residual_with_inputs": "residuals are uncorrelated with the inputs",
    "diagonal": "deconfounded CKA of a layer with itself is 1",
    "symmetry": "deconfounded CKA is symmetric",
    "orthogonal_map": "deconfounded CKA is unchanged by orthogonal maps",
    "isotropic_scaling": "deconfounded CKA is unchanged by scaling",
    "cka_orthogonal_map": "CKA is unchanged by orthogonal maps",
    "cka_isotropic_scaling": "CKA is unchanged by scaling",
}
_LOOKS = {"biased": MEASURES["cka", "published"], "unbiased": MEASURES["cka", "unbiased"]}
_DASHED = Look("tolerance (1e-10), or theory", "black", "", (0, (4, 2)))  # type: ignore[arg-type]
_SAMPLES, _WIDTH = 40, 1000


def chance_level(samples: int, width_a: int, width_b: int) -> float:
    """Return the biased CKA of two unrelated representations.

    Parameters
    ----------
    samples, width_a, width_b : int
        Number of samples and units of independent Gaussian representations.

    Returns
    -------
    float
        sqrt(p1 p2 / ((n + p1) (n + p2))), for many samples or many units; that of unbiased CKA is 0.
    """
    return float(np.sqrt(width_a * width_b / ((samples + width_a) * (samples + width_b))))


@theme()
def identities(rows: pd.DataFrame, samples: int = _SAMPLES, width: int = _WIDTH) -> Figure:
    """Draw how far each identity is from exact, and the chance level of CKA.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``identities_<study>``: ``largest_difference`` with the factor `identity`,
        ``chance_level`` of biased and unbiased CKA, and the control ``constant_layer``, which has no number.
    samples, width : int
        Of the Gaussian representations whose chance level was measured.

    Returns
    -------
    Figure
        Left the largest difference of each identity and network on a logarithmic scale with the tolerance, right the
        chance levels beside theory.

    Raises
    ------
    NetalikeError
        If there are no differences.
    """
    found = with_factors(rows[rows["quantity"] == "largest_difference"], "identity")
    require(found, "identities", "rows of largest_difference with the factor identity")
    chance = rows[rows["quantity"] == "chance_level"]
    figure, _ = new_figure(10.5, 1.6 + 0.32 * max(found["identity"].nunique(), 5), 0, 0)
    ((left, right),) = stacked_axes(figure, [(1, [1.6, 1])])
    handles = _draw_differences(left, found)
    estimates = _draw_chance(right, chance, chance_level(samples, width, width))
    shared_legend(
        figure, handles, [*interval_notes(estimates, "seeds"), *undefined_note(found), *_constant_layer(rows)]
    )
    return figure


def _constant_layer(rows: pd.DataFrame) -> list[str]:
    control = rows[rows["condition"] == "control=constant_layer"]
    refused = int(control["value"].isna().sum())
    return [f"constant layer: no number in {refused} of {len(control)} cases, as it should be"] if len(control) else []


def _draw_differences(ax: Axes, rows: pd.DataFrame) -> list[Line2D]:
    names = [name for name in _WORDS if name in set(rows["identity"])]
    names += sorted(set(rows["identity"]) - set(names))
    networks = sorted(rows["network_a"].unique())
    positive = rows.loc[rows["value"] > 0, "value"]
    edge = min(float(positive.min()) if len(positive) else 1e-17, 1e-17) / 10
    looks = {name: Look(name, palette(len(networks))[i], marker(i), "") for i, name in enumerate(networks)}
    for i, (name, look) in enumerate(looks.items()):
        own = rows[rows["network_a"] == name]
        heights = own["identity"].map(names.index) + 0.6 * ((i + 0.5) / len(looks) - 0.5)
        _draw_logarithms(ax, own["value"], heights, look, edge)
    ax.set_xscale("log")
    powers = [
        power for power in range(-30, 1, 2) if 10 * edge < 10.0**power <= 10 * max(TOLERANCE, rows["value"].max())
    ]
    ax.set_xticks([edge, *(10.0**power for power in powers)], labels=["0", *(f"$10^{{{power}}}$" for power in powers)])
    ax.minorticks_off()
    level(ax, TOLERANCE, "x", color="black")
    name_lines(ax, [_WORDS.get(name, name.replace("_", " ")) for name in names])
    ax.set_xlim(edge / 3, max(10 * TOLERANCE, 10 * float(rows["value"].max())))
    ax.set_xlabel("largest absolute difference (0 = exact)")
    ax.set_title("Identities in double precision")
    exact = handle_of(Look("exactly 0, at the left edge", "black", "<", ""))
    return [*(handle_of(look) for look in looks.values()), exact, handle_of(_DASHED)]


def _draw_logarithms(ax: Axes, values: pd.Series, heights: pd.Series, look: Look, edge: float) -> None:
    """Draw the values that a logarithmic scale can show, and a mark at its left edge for those that are exactly 0."""
    shown, exact = values > 0, values == 0
    ax.plot(values[shown], heights[shown], look.marker, color=look.colour, markeredgecolor="white", markersize=6)
    ax.plot([edge] * int(exact.sum()), heights[exact], "<", color=look.colour, markeredgecolor="black", markersize=6)


def _draw_chance(ax: Axes, rows: pd.DataFrame, theory: float) -> list[Estimate]:
    present = [(name, rows[rows["estimator"] == name]) for name in _LOOKS if (rows["estimator"] == name).any()]
    estimates = []
    for line, (name, group) in enumerate(present):
        scatter = line + 0.5 * (np.random.default_rng(line).random(len(group)) - 0.5)
        ax.plot(group["value"], scatter, ".", color=_LOOKS[name].colour, alpha=0.5, markersize=5, markeredgewidth=0)
        estimates.append(estimate({"drawn": group}, Statistic(name="mean", of=("drawn",), over=("seed",))))
        draw_estimate(ax, estimates[-1], _LOOKS[name], line)
        expected = _theory(name, theory)
        ax.plot([expected] * 2, [line - 0.45, line + 0.45], color=_DASHED.colour, linestyle=_DASHED.line, linewidth=0.9)
    if present:
        name_lines(ax, [f"CKA, {name}\n(theory {_theory(name, theory):.4g})" for name, _ in present])
        span([ax], 0, 1, "x")
    ax.set_title("Chance level: unrelated noise")
    ax.set_xlabel("CKA (large: mean, small: single seeds)")
    return estimates


def _theory(estimator: str, biased: float) -> float:
    return biased if estimator == "biased" else 0.0
