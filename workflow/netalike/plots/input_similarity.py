"""Input similarity for a reader: counts of neighbours with an example of each, and the nearest neighbours as pictures.

Images are (n, height, width) or (n, height, width, 1 or 3), uint8 or floats in [0, 1]. Outlines are polygons in
(row, column) pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from netalike.errors import NetalikeError, ShapeError
from netalike.plots.theme import GREY, UNDEFINED_GREY, new_figure, palette, theme

# per image: its polygons, each (vertices, 2)
Outlines = Sequence[Sequence[NDArray[np.floating[Any]]]]

_COLOURS = palette(10)
_BAR, _OUTLINE = _COLOURS[0], _COLOURS[3]
_PICTURE_SHARE = 0.3  # of the height of a histogram, for the picture above the highest bar
# Of a sheet, in inches: a picture, the space beside it, a line of text, the heading.
_CELL, _GAP, _LINE, _HEADING = 0.82, 0.12, 0.125, 0.55
_LONGEST = 16  # letters of a name that fit beneath a picture
_LINE_OF_POLYGON: dict[str, Any] = {"facecolor": "none", "edgecolor": _OUTLINE, "linewidth": 0.7}


def representatives(counts: ArrayLike, edges: ArrayLike) -> list[int | None]:
    """Choose the sample of each bin whose count is nearest to the middle of the bin.

    Parameters
    ----------
    counts : array, shape (n,)
    edges : array, shape (bins + 1,)
        As `numpy.histogram` returns them.

    Returns
    -------
    list of int or None
        A position in `counts` per bin (the first of several that are as near), None for an empty bin.
    """
    values, borders = np.asarray(counts, float), np.asarray(edges, float)
    place = np.clip(np.searchsorted(borders, values, side="right") - 1, 0, len(borders) - 2)
    centres = (borders[:-1] + borders[1:]) / 2
    distance = np.abs(values - centres[place])
    own = [np.flatnonzero(place == i) for i in range(len(centres))]
    return [int(rows[distance[rows].argmin()]) if len(rows) else None for rows in own]


@theme()
def count_histogram(
    counts: ArrayLike,
    images: NDArray[Any],
    bins: int = 10,
    include_self: bool = True,
    outlines: Outlines | None = None,
    title: str = "Soft count of neighbours",
) -> Figure:
    """Draw how many similar samples the samples have, with an example above each bar.

    Parameters
    ----------
    counts : array, shape (n,)
        Soft counts: a sum of similarities per sample, in samples.
    images : array
        Of the same n samples.
    bins : int
        Of equal width, between the smallest and the largest count.
    include_self : bool
        Whether `counts` count the sample itself; the axis says so.
    outlines : sequence, optional
        Polygons to be drawn on each image.
    title : str

    Returns
    -------
    Figure
        Bars stand between the edges of their bins. The picture above a bar is the sample of that bin whose count is
        nearest to its middle, see `representatives`.

    Raises
    ------
    ShapeError
        If there are not as many images as counts, or the images are none.
    NetalikeError
        If a count is not finite.
    """
    values = _checked_counts(counts)
    pictures = as_pictures(images, len(values))
    numbers, edges = np.histogram(values, bins)
    shares = numbers / len(values)
    figure, (ax,) = new_figure(7.2, 4.2)
    # The middle of a bin, and not its right edge, is where its bar belongs.
    ax.bar((edges[:-1] + edges[1:]) / 2, shares, width=np.diff(edges), color=_BAR, edgecolor="white")
    top = shares.max() / (1 - _PICTURE_SHARE)
    ax.set(xlim=(edges[0], edges[-1]), ylim=(0, top), title=f"{title} ({len(values):,} images)")
    ax.set_xlabel(f"soft count of neighbours ({'with' if include_self else 'without'} the image itself), in images")
    ax.set_ylabel("share of the images (above a bar: one of its images)")
    for i, chosen in enumerate(representatives(values, edges)):
        if chosen is not None:
            width = edges[i + 1] - edges[i]
            place = (edges[i] + 0.04 * width, shares[i] + 0.02 * top, 0.92 * width, 0.94 * _PICTURE_SHARE * top)
            _show(ax.inset_axes(place, transform=ax.transData), pictures[chosen], _of(outlines, chosen), anchor="S")
    return figure


@theme()
def nearest_sheet(
    images: NDArray[Any],
    sources: Sequence[int],
    neighbours: ArrayLike,
    similarities: ArrayLike,
    include_self: bool = False,
    names: Sequence[str] | None = None,
    outlines: Outlines | None = None,
    title: str = "Nearest neighbours by input similarity",
) -> Figure:
    """Draw each source beside the samples that are most similar to it.

    Parameters
    ----------
    images : array
        Of all samples.
    sources : sequence of int
        Positions of the samples whose neighbours are shown, a row each.
    neighbours : int array, shape (len(sources), k)
        Positions of the neighbours, the most similar first.
    similarities : array, shape (len(sources), k)
        Beneath each neighbour, to 3 digits.
    include_self : bool
        Whether the source may be its own neighbour; the title says so, and such a neighbour is marked.
    names : sequence of str, optional
        Of each sample, for example its class; cut after 16 letters.
    outlines : sequence, optional
        Polygons to be drawn on each image.
    title : str

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If sources, neighbours and similarities do not fit each other, or one is no image.
    """
    near, values = np.asarray(neighbours), np.asarray(similarities, float)
    pictures = as_pictures(images)
    _check_sheet(len(pictures), sources, near, values)
    lines = 1 if names is None else 2
    width = max((_CELL + _GAP) * (near.shape[1] + 1) + _GAP, 5.6)
    step = _CELL + _LINE * lines + 0.12
    figure, ax = _sheet(width, _HEADING + step * len(sources), f"{title}\n{_said_of_self(include_self)}")
    for row, source in enumerate(sources):
        for column, sample in enumerate([int(source), *map(int, near[row])]):
            corner = _GAP + column * (_CELL + _GAP), _HEADING + row * step
            _place(ax, pictures[sample], corner, _of(outlines, sample), is_source=column == 0)
            below = "source" if column == 0 else f"{values[row, column - 1]:.3f}"
            mark = " (self)" if column and sample == source else ""
            text = "\n".join([below + mark, *([_short(names[sample])] if names is not None else [])])
            ax.text(corner[0] + _CELL / 2, corner[1] + _CELL + 0.04, text, ha="center", va="top", fontsize=7)
    return figure


def _sheet(width: float, height: float, heading: str) -> tuple[Figure, Axes]:
    """Make one axes that is measured in inches, from the top left: a hundred small ones take seconds to draw."""
    figure, _ = new_figure(width, height, 0, 0)
    figure.set_layout_engine("none")
    figure.suppressComposite = True  # in an SVG, each picture as it is and not all in one at 300 dpi
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    ax.text(_GAP, 0.1, heading, va="top", fontsize=9, linespacing=1.4)
    return figure, ax


def _place(
    ax: Axes, picture: NDArray[Any], corner: tuple[float, float], polygons: Sequence[NDArray[Any]], is_source: bool
) -> None:
    """Draw a picture into the cell at a corner, in inches."""
    height, width = picture.shape[:2]
    scale = _CELL / max(height, width)
    left = corner[0] + (_CELL - scale * width) / 2
    top = corner[1] + (_CELL - scale * height) / 2
    extent = (left, left + scale * width, top + scale * height, top)
    ax.imshow(picture, extent=extent, aspect="auto", **_grey(picture))
    frame = Rectangle((left, top), scale * width, scale * height, transform=ax.transData)
    for polygon in polygons:
        for drawn in ax.fill(left + scale * polygon[:, 1], top + scale * polygon[:, 0], **_LINE_OF_POLYGON):
            drawn.set_clip_path(frame)  # all cells are in one axes: a polygon may reach past its picture
    look: dict[str, Any] = {"edgecolor": "black" if is_source else GREY, "linewidth": 1.6 if is_source else 0.5}
    ax.add_patch(Rectangle((left, top), scale * width, scale * height, facecolor="none", **look))


@theme()
def similarity_histograms(
    similarities: ArrayLike,
    sources: Sequence[int],
    images: NDArray[Any],
    counts: ArrayLike | None = None,
    bins: int = 100,
    outlines: Outlines | None = None,
) -> Figure:
    """Draw how similar all samples are to each source, with the source in the corner.

    Parameters
    ----------
    similarities : array, shape (len(sources), n)
        Between -1 and 1.
    sources : sequence of int
        Positions of the sources, a panel each.
    images : array
        Of all n samples.
    counts : array, shape (n,), optional
        Soft counts, for the titles; the row sums unless given.
    bins : int
        Of equal width from the least similarity (0 where none is below) to 1, the same in all panels.
    outlines : sequence, optional
        Polygons to be drawn on each image.

    Returns
    -------
    Figure

    Raises
    ------
    ShapeError
        If the shapes do not fit each other.
    """
    values = np.asarray(similarities, float)
    pictures = as_pictures(images)
    if values.shape != (len(sources), len(pictures)):
        raise ShapeError(
            f"similarities of {len(sources)} sources to {len(pictures)} images have the shape "
            f"({len(sources)}, {len(pictures)}), got {values.shape}."
        )
    totals = values.sum(1) if counts is None else np.asarray(counts, float)[list(sources)]
    columns = min(len(sources), 5)
    figure, axes = new_figure(2.6 * columns, 2.3 * -(-len(sources) // columns), -(-len(sources) // columns), columns)
    edges = np.linspace(min(0.0, float(values.min())), 1.0, bins + 1)
    tallest = 0.0
    for ax, row, source, total in zip(axes, values, sources, totals, strict=False):
        numbers, _ = np.histogram(np.minimum(row, 1.0), edges)
        ax.stairs(numbers / len(row), edges, fill=True, color=_BAR)
        tallest = max(tallest, float(numbers.max()) / len(row))
        ax.set(xlim=(edges[0], 1), title=f"soft count {total:.1f}", xlabel="similarity to the source")
        _show(ax.inset_axes((0.6, 0.58, 0.4, 0.42)), pictures[source], _of(outlines, source), anchor="NE")
    for position, ax in enumerate(axes):
        ax.set_visible(position < len(sources))
        ax.set_ylim(0, tallest / 0.57)  # the bars stay below the picture
        ax.set_ylabel("share of the images" if position % columns == 0 else "")
        ax.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def as_pictures(images: NDArray[Any], expected: int | None = None) -> NDArray[Any]:
    """Check that an array holds images that can be drawn.

    Parameters
    ----------
    images : array
        (n, height, width) or (n, height, width, 1 or 3).
    expected : int, optional
        The number of images that there have to be.

    Returns
    -------
    array, shape (n, height, width) or (n, height, width, 3)

    Raises
    ------
    ShapeError
    """
    found = np.asarray(images)
    if found.ndim == 4 and found.shape[3] == 1:
        found = found[..., 0]
    if found.ndim not in (3, 4) or (found.ndim == 4 and found.shape[3] != 3) or 0 in found.shape:
        raise ShapeError(
            f"images to be drawn have the shape (n, height, width) or (n, height, width, 1 or 3), got "
            f"{np.shape(images)}: move the channels to the end."
        )
    if expected is not None and len(found) != expected:
        raise ShapeError(f"expected as many images as counts, got {len(found)} images and {expected} counts.")
    return found


def _checked_counts(counts: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(counts, np.float64)
    if values.ndim != 1 or not len(values):
        raise ShapeError(f"counts have the shape (n,) with n of at least 1, got {values.shape}.")
    if not np.isfinite(values).all():
        first = int(np.flatnonzero(~np.isfinite(values))[0])
        raise NetalikeError(f"counts have to be finite, but that of sample {first} is {values[first]}.")
    return values


def _check_sheet(n: int, sources: Sequence[int], near: NDArray[Any], values: NDArray[Any]) -> None:
    if near.ndim != 2 or near.shape != values.shape or len(near) != len(sources) or not near.size:
        raise ShapeError(
            f"neighbours and similarities have the shape (sources, k), got {near.shape} and {values.shape} for "
            f"{len(sources)} sources."
        )
    worst = int(max(near.max(), *sources))
    if worst >= n or min(near.min(), *sources) < 0:
        raise ShapeError(f"there are {n} images, 0 to {n - 1}; a source or neighbour is outside (up to {worst}).")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _said_of_self(include_self: bool) -> str:
    if include_self:
        return "beneath: similarity (1 = the same to the network); the image itself is counted, marked (self)"
    return "beneath: similarity (1 = the same to the network); the image itself is left out"


def _of(outlines: Outlines | None, sample: int) -> Sequence[NDArray[Any]]:
    return () if outlines is None else outlines[sample]


def _grey(picture: NDArray[Any]) -> dict[str, Any]:
    return {"cmap": "gray", "vmin": 0, "vmax": 255 if picture.dtype == np.uint8 else 1, "interpolation": "nearest"}


def _show(ax: Axes, picture: NDArray[Any], polygons: Sequence[NDArray[Any]], anchor: str) -> None:
    """Draw a picture into axes of its own, in pixels: (0, 0) is the corner of the first pixel."""
    height, width = picture.shape[:2]
    ax.imshow(picture, extent=(0, width, height, 0), **_grey(picture))
    for polygon in polygons:
        ax.fill(polygon[:, 1], polygon[:, 0], **_LINE_OF_POLYGON)
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    ax.set_anchor(anchor)
    for spine in ax.spines.values():
        spine.set(visible=True, color=UNDEFINED_GREY, linewidth=0.5)
