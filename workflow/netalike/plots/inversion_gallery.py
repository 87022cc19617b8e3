"""Pictures of inversion: seeds, targets, and what networks make of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from netalike.errors import NetalikeError
from netalike.plots.inversion_rows import architecture_word, eps_word
from netalike.plots.theme import new_figure, theme

_KEYS = ("seeds", "targets", "inverted", "losses", "architectures", "eps", "seed_classes", "target_classes")


@theme()
def inversion_gallery(pictures: Mapping[str, NDArray[Any]]) -> Figure:
    """Draw pairs of a seed and a target, and the images inverted through some networks.

    Parameters
    ----------
    pictures : mapping of str to array
        As `netalike.experiments.inversion_pictures` makes it.

    Returns
    -------
    Figure
        A column per pair: seed, target, then a line per network. Below each inverted image its relative loss.

    Raises
    ------
    NetalikeError
        If an array is missing.
    """
    missing = [key for key in _KEYS if key not in pictures]
    if missing:
        raise NetalikeError(f"nothing to draw for inversion_gallery: missing {missing}, got {sorted(pictures)}.")
    networks, pairs = pictures["losses"].shape
    figure, axes = new_figure(0.86 * pairs + 1.7, 0.98 * (networks + 2) + 0.4, rows=networks + 2, columns=pairs)
    grid = np.array(axes, dtype=object).reshape(networks + 2, pairs)
    for column in range(pairs):
        _draw(grid[0, column], pictures["seeds"][column], str(pictures["seed_classes"][column]))
        _draw(grid[1, column], pictures["targets"][column], str(pictures["target_classes"][column]))
        for row in range(networks):
            words = f"{float(pictures['losses'][row, column]):.2g}"
            _draw(grid[row + 2, column], pictures["inverted"][row, column], words)
    names = zip(pictures["architectures"], pictures["eps"], strict=True)
    labels = ["seed", "target", *(f"{architecture_word(str(a))},\n{eps_word(str(eps))}" for a, eps in names)]
    for ax, label in zip(grid[:, 0], labels, strict=True):
        ax.set_ylabel(label, rotation=0, ha="right", va="center")
    note = "below seeds and targets: their class; below inverted images: loss relative to the target's representation"
    figure.text(0.01, 0.0, note, fontsize=8, ha="left", va="bottom")
    figure.get_layout_engine().set(rect=(0, 0.035, 1, 0.965))  # type: ignore[union-attr,call-arg]
    return figure


def _draw(ax: Axes, image: NDArray[np.float32], words: str) -> None:
    shown = image[0] if image.shape[0] == 1 else np.moveaxis(image, 0, -1)
    ax.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(words, fontsize=7, labelpad=1.5)
    for spine in ax.spines.values():
        spine.set_visible(False)
