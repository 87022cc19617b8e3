"""Names beside points, placed so that none lies on another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from netalike.plots.theme import GREY, figure_of

_Place = tuple[tuple[float, float], Bbox]  # offset in points, and the box that is filled

_DISTANCES = (7, 12, 18, 26, 36, 48, 62)  # points
_DIRECTIONS = 16
_POINT = 3.5  # points: half a marker
_GAP = 1.0  # points between two names
_LEADER_FROM = 12  # points: farther labels get a line to their point


def label_points(ax: Axes, x: Sequence[float], y: Sequence[float], labels: Sequence[str], size: float = 7) -> None:
    """Write a name beside each point, on no other name and no point, with a line to the point where it is far.

    Parameters
    ----------
    ax : Axes
        With its final scale: call this last. The layout of its figure stays as it is from now on.
    x, y : sequence of float
    labels : sequence of str
    size : float
        Of the letters, in points.

    Notes
    -----
    Greedy: each name takes the nearest free place, from the left of the axes to the right; one without a free place
    takes the place that covers least.
    """
    _fix_layout(figure_of(ax))
    points = ax.transData.transform(np.column_stack([x, y]))
    pixels = figure_of(ax).dpi / 72
    taken = [Bbox(np.array([point - _POINT * pixels, point + _POINT * pixels])) for point in points]
    for i in np.lexsort(points.T[::-1]):
        annotation = _write(ax, (x[i], y[i]), labels[i], size)
        extent = Text.get_window_extent(annotation).padded(_GAP * pixels)
        offset, box = _best(_places(points[i], extent, pixels), taken, ax.bbox)
        annotation.set_position(offset)
        if np.hypot(*offset) >= _LEADER_FROM and annotation.arrow_patch is not None:
            annotation.arrow_patch.set_visible(True)
        taken.append(box)


def _fix_layout(figure: Figure) -> None:
    """Lay the figure out once: the places of names are good for one layout only."""
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def _write(ax: Axes, point: tuple[float, float], label: str, size: float) -> Annotation:
    annotation = ax.annotate(
        label,
        point,
        (0, 0),
        textcoords="offset points",
        fontsize=size,
        ha="center",
        va="center",
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3},
        zorder=6,
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )
    if annotation.arrow_patch is not None:
        annotation.arrow_patch.set_visible(False)
    return annotation


def _places(point: np.ndarray, extent: Bbox, pixels: float) -> Iterator[_Place]:
    """Offsets of a name's middle in points, the nearest first, and the box that the name would fill."""
    for distance, step in itertools.product(_DISTANCES, range(_DIRECTIONS)):
        angle = 2 * np.pi * step / _DIRECTIONS
        right, up = np.cos(angle), np.sin(angle)
        # the nearer edge of the name, not its middle, keeps the distance
        offset = np.array(
            [right * (distance + extent.width / pixels / 2), up * (distance + extent.height / pixels / 2)]
        )
        corner = point + offset * pixels - [extent.width / 2, extent.height / 2]
        yield (float(offset[0]), float(offset[1])), Bbox(np.array([corner, corner + extent.size]))


def _best(places: Iterator[_Place], taken: Sequence[Bbox], inside: Bbox) -> _Place:
    """The first free place, or the one that covers least."""
    tried = []
    for place in places:
        tried.append((_covered(place[1], taken, inside), place))
        if tried[-1][0] <= 0:
            return place
    return min(tried, key=lambda found: found[0])[1]


def _covered(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """Area of a box that lies on others or outside the axes, to a millionth of a pixel."""
    low, high = box.get_points()
    others = np.array([[*other.get_points(), *inside.get_points()] for other in taken])  # (boxes, 4 corners, 2)
    shared = np.clip(np.minimum(high, others[:, 1::2]) - np.maximum(low, others[:, ::2]), 0, None).prod(axis=-1)
    return round(float(shared[:, 0].sum() + box.width * box.height - shared[0, 1]), 6)
