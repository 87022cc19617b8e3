"""The pictures of one inversion: a grid of seeds, targets and inverted images, and how the loss fell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from netalike.errors import ShapeError
from netalike.inversion.curves import LossCurve
from netalike.plots.theme import new_figure, palette, theme

_PER_LINE = 8
_ROWS = ("seed", "target", "inverted")


@theme()
def inversion_grid(
    seeds: NDArray[np.floating],
    targets: NDArray[np.floating],
    inverted: NDArray[np.floating],
    losses: NDArray[np.floating],
    seed_classes: Sequence[str],
    target_classes: Sequence[str],
) -> Figure:
    """Draw pairs of a seed and a target above the image inverted from them, eight to a line.

    Parameters
    ----------
    seeds, targets, inverted : arrays, shape (n, height, width, channels)
        In [0, 1], with 1 channel or 3.
    losses : array, shape (n,)
        Relative; NaN where there is none.
    seed_classes, target_classes : sequences of str, length n

    Returns
    -------
    Figure
        Below seeds and targets their class, below inverted images the relative loss.

    Raises
    ------
    ShapeError
        If there are no pairs, or not as many of each.
    """
    sizes = [len(part) for part in (seeds, targets, inverted, losses, seed_classes, target_classes)]
    if len(set(sizes)) > 1 or not sizes[0]:
        raise ShapeError(f"a grid of inverted images needs n > 0 of everything, got {sizes}.")
    columns, lines = min(sizes[0], _PER_LINE), math.ceil(sizes[0] / _PER_LINE)
    figure, axes = new_figure(0.86 * columns + 0.9, 2.94 * lines + 0.35, rows=3 * lines, columns=columns)
    for ax in axes:
        ax.set_axis_off()
    words = [seed_classes, target_classes, ["no loss" if np.isnan(loss) else f"{loss:.2g}" for loss in losses]]
    for pair in range(sizes[0]):
        line, column = divmod(pair, _PER_LINE)
        for row, images in enumerate((seeds, targets, inverted)):
            ax = axes[(3 * line + row) * columns + column]
            _draw(ax, images[pair], words[row][pair])
            if column == 0:
                ax.set_ylabel(_ROWS[row], rotation=0, ha="right", va="center")
    figure.supxlabel("below seeds and targets: class; below inverted images: relative loss", fontsize=8)
    return figure


def _draw(ax: Axes, image: NDArray[np.floating], words: str) -> None:
    ax.set_axis_on()
    ax.imshow(image[..., 0] if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(words if len(words) <= 14 else f"{words[:13]}…", fontsize=7, labelpad=1.5)
    for spine in ax.spines.values():
        spine.set_visible(False)


@theme()
def loss_curve(curve: LossCurve) -> Figure:
    """Draw the smallest loss so far against the steps taken.

    Parameters
    ----------
    curve : LossCurve

    Returns
    -------
    Figure
        The median over the pairs, with bands of the middle half and of 5 to 95 %; logarithmic.
    """
    figure, (ax,) = new_figure(5.2, 3.4)
    steps, (low, q25, median, q75, high) = range(len(curve.mean)), curve.best_quantiles
    colour = palette(1)[0]
    ax.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0, label="5 to 95 % of the pairs")
    ax.fill_between(steps, q25, q75, color=colour, alpha=0.3, linewidth=0, label="middle half")
    ax.plot(steps, median, color=colour, label="median")
    # A loss of 0 has no place on a logarithmic axis.
    if low.min() > 0:
        ax.set_yscale("log")
    ax.set(xlabel="step", ylabel="smallest relative loss so far", xlim=(0, len(curve.mean) - 1))
    ax.legend()
    return figure
