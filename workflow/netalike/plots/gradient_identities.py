"""Exact identities of gradients and counts: how far rounding, or a finite step, takes each from 0."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from netalike.plots.studies import Look, handle_of, name_lines, require, shared_legend, with_factors
from netalike.plots.theme import marker, new_figure, palette, theme

# identity -> in words, and the tolerance of its claim
_LINES: Mapping[str, tuple[str, float]] = {
    "step_influence": ("a step's influence is the kernel's, one output", 1e-6),
    "step_influence_outputs": ("a step's influence is the kernel's, three outputs", 1e-6),
    "own_kernel": ("normalised kernel with itself is the identity", 1e-10),
    "order_of_scalars": ("|trace| ≤ nuclear ≤ Frobenius ≤ 1", 1e-10),
    "rotation": ("nuclear, Frobenius unchanged by rotations", 1e-10),
    "layer_products": ("products of layers are products of gradients", 1e-5),
    "layer_products_float32": ("the same in single precision", 1e-5),
    "fast_count": ("fast soft count is the sum over pairs", 1e-10),
    "stores": ("memory, disk and streaming agree (single precision)", 1e-5),
    "denoising_trace": ("published denoising matrix has the right trace", 1e-10),
    "equal_neighbours": ("factor of N equal neighbours is 1/√N", 1e-10),
    "stationary_point": ("averages of predictions and labels agree", 1e-6),
}


@theme()
def gradient_identities(rows: pd.DataFrame) -> Figure:
    """Draw how far each identity is from exact.

    Parameters
    ----------
    rows : DataFrame
        Rows ``largest_difference`` of an experiment ``gradient_identities_<study>``, with the factor `identity`.

    Returns
    -------
    Figure
        The largest difference of each network and seed on a logarithmic scale, with the tolerances. An exact 0 is
        drawn at the left edge.

    Raises
    ------
    NetalikeError
        If there are no such rows.
    """
    found = with_factors(rows[rows["quantity"] == "largest_difference"], "identity")
    require(found, "gradient identities", "rows of largest_difference with the factor identity")
    names = [name for name in _LINES if name in set(found["identity"])]
    figure, (ax,) = new_figure(8.5, 1.5 + 0.34 * max(len(names), 5), 1, 1)
    edge = 1e-18
    kinds = found["network_a"].str.replace(r"-s\d+$", "", regex=True)
    handles: list[Line2D] = []
    for i, kind in enumerate(sorted(set(kinds))):
        look = Look(kind.replace("_", " ").replace("-d", ", outputs: "), palette(3)[i], marker(i), "")
        own = found[kinds == kind]
        heights = own["identity"].map(names.index) + 0.22 * (i - 1)
        ax.plot(own["value"].clip(lower=edge), heights, look.marker, color=look.colour, markersize=5, alpha=0.8)
        handles.append(handle_of(look))
    for height, name in enumerate(names):
        ax.plot([_LINES[name][1]] * 2, [height - 0.42, height + 0.42], color="black", linewidth=1)
    handles.append(Line2D([], [], color="black", linewidth=1, label="tolerance"))
    ax.set_xscale("log")
    ax.set_xlim(edge / 3, max(1e-4, 10 * float(found["value"].max())))
    powers = range(-16, -3, 2)
    ax.set_xticks([edge, *(10.0**power for power in powers)], labels=["0", *(f"$10^{{{power}}}$" for power in powers)])
    ax.minorticks_off()
    name_lines(ax, [_LINES[name][0] for name in names])
    ax.set_xlabel("largest absolute difference (0 = exact); a mark for each network and seed")
    shared_legend(figure, handles, [])
    return figure
