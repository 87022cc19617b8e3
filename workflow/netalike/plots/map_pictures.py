"""Pictures of map alignment: scenes with their polygons before and after, and patches by input similarity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from netalike.data.polygons import overlapping, rms, vertex_errors
from netalike.errors import NetalikeError
from netalike.experiments.map_pictures import MapPictures, Overlay, PatchPictures
from netalike.gradients.counts import nearest, soft_counts
from netalike.plots.input_similarity import count_histogram, nearest_sheet, representatives
from netalike.plots.map_alignment import NOISES
from netalike.plots.studies import shared_legend
from netalike.plots.theme import new_figure, palette, theme

_COLOURS = palette(10)
_TRUTH, _LABEL, _CORRECTED = "white", _COLOURS[1], _COLOURS[9]
_CROP = 160  # pixels
_BINS = 8
_NEIGHBOURS = 8


@theme()
def map_alignment_overlay(pictures: Sequence[MapPictures], crop: int = _CROP) -> Figure:
    """Draw a part of a test scene with its true, noisy and corrected polygons.

    Parameters
    ----------
    pictures : sequence of MapPictures
        One per kind of label noise.
    crop : int
        Side of the part in pixels; the one that holds most polygons is taken.

    Returns
    -------
    Figure
        A row per kind of noise: the labels as given, and aligned in the last round; the truth (of real images: the
        map's own polygons) beneath, in white. Above each picture the root mean square error of the polygons in it.

    Raises
    ------
    NetalikeError
        If there is no scene.
    """
    shown = [(own.noise, own.overlays[0]) for own in _in_order(pictures) if own.overlays]
    if not shown:
        raise NetalikeError("nothing to draw for map_alignment_overlay: expected a test scene; there is none.")
    figure, axes = new_figure(7.4, 3.5 * len(shown) + 0.6, rows=len(shown), columns=2)
    for row, (noise, overlay) in enumerate(shown):
        corner = fullest_corner(overlay, crop)
        before, after = axes[2 * row : 2 * row + 2]
        _draw_scene(before, overlay, overlay.labels, corner, crop, _LABEL)
        _draw_scene(after, overlay, overlay.aligned[-1], corner, crop, _CORRECTED)
        before.set_title(f"{NOISES[noise].label}: labels, {_error_in(overlay, overlay.labels, corner, crop)}")
        words = f"aligned in round {len(overlay.aligned)}"
        after.set_title(f"{words}, {_error_in(overlay, overlay.aligned[-1], corner, crop)}")
    handles = [
        Line2D([], [], color=_TRUTH, label="truth", path_effects=None, linewidth=2.2),
        Line2D([], [], color=_LABEL, label="label", linewidth=1.6),
        Line2D([], [], color=_CORRECTED, label="aligned label", linewidth=1.6),
    ]
    legend = shared_legend(figure, handles, ["errors: root mean square distance of the vertices shown, in pixels"])
    legend.get_frame().set_visible(True)
    legend.get_frame().set(facecolor="#9ca3af", edgecolor="none")
    return figure


@theme()
def map_alignment_counts(pictures: MapPictures) -> Figure:
    """Draw how many similar patches the patches have, with a representative of each bin.

    Parameters
    ----------
    pictures : MapPictures
        Of one kind of label noise.

    Returns
    -------
    Figure
        See `netalike.plots.input_similarity.count_histogram`.

    Raises
    ------
    NetalikeError
        If similarity was not measured.
    """
    patches = _patches_of(pictures)
    title = f"Soft count of neighbours, {NOISES[pictures.noise].label}"
    images, counts = patches.images, _counts(patches)
    return count_histogram(counts, images, min(_BINS, len(images)), outlines=patches.polygons, title=title)


@theme()
def map_alignment_neighbours(pictures: MapPictures) -> Figure:
    """Draw the nearest neighbours of the representatives of the histogram of counts.

    Parameters
    ----------
    pictures : MapPictures
        Of one kind of label noise.

    Returns
    -------
    Figure
        See `netalike.plots.input_similarity.nearest_sheet`.

    Raises
    ------
    NetalikeError
        If similarity was not measured.
    """
    patches = _patches_of(pictures)
    counts = _counts(patches)
    edges = np.histogram(counts, min(_BINS, len(counts)))[1]
    sources = [source for source in representatives(counts, edges) if source is not None]
    k = min(_NEIGHBOURS, len(counts) - 1)
    near, values = (np.asarray(found)[sources] for found in nearest(patches.similarity, k))
    title = f"Nearest neighbours by input similarity, {NOISES[pictures.noise].label}"
    return nearest_sheet(patches.images, sources, near, values, outlines=patches.polygons, title=title)


def fullest_corner(overlay: Overlay, crop: int) -> tuple[int, int]:
    """Return the upper left pixel of the part of a scene that most polygons touch, near its middle if several do.

    Parameters
    ----------
    overlay : Overlay
    crop : int
        Side of the part in pixels.

    Returns
    -------
    tuple of int
    """
    height, width = overlay.image.shape[:2]
    rows, columns = (range(0, max(1, side - crop + 1), 16) for side in (height, width))
    places = [(row, column) for row in rows for column in columns]
    middle = np.array([height - crop, width - crop]) / 2

    def worth(place: tuple[int, int]) -> tuple[int, float]:
        return int(overlapping(overlay.truth, *place, crop, crop).sum()), -float(np.linalg.norm(place - middle))

    return max(places, key=worth)


def _draw_scene(
    ax: Axes,
    overlay: Overlay,
    polygons: Sequence[NDArray[np.float64]],
    corner: tuple[int, int],
    crop: int,
    colour: object,
) -> None:
    row, column = corner
    part = overlay.image[row : row + crop, column : column + crop]
    # pixel (i, j) covers [i, i + 1): its corner, not its centre, is a whole number
    ax.imshow(part, extent=(column, column + part.shape[1], row + part.shape[0], row), interpolation="nearest")
    for outlines, edge, width in ((overlay.truth, _TRUTH, 2.2), (polygons, colour, 1.4)):
        points = [polygon[:, ::-1] for polygon in outlines]
        ax.add_collection(PolyCollection(points, facecolors="none", edgecolors=edge, linewidths=width))
    ax.set(xlim=(column, column + part.shape[1]), ylim=(row + part.shape[0], row), xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _error_in(overlay: Overlay, polygons: Sequence[NDArray[np.float64]], corner: tuple[int, int], crop: int) -> str:
    seen = np.flatnonzero(overlapping(overlay.truth, *corner, crop, crop)).tolist()
    errors = vertex_errors([polygons[i] for i in seen], [overlay.truth[i] for i in seen])
    return f"{rms(errors):.2f} px"


def _in_order(pictures: Sequence[MapPictures]) -> list[MapPictures]:
    order = list(NOISES)
    return sorted(pictures, key=lambda own: order.index(own.noise))


def _patches_of(pictures: MapPictures) -> PatchPictures:
    if pictures.patches is None:
        raise NetalikeError(
            "nothing to draw: the similarity of patches was not measured; set `patches` of the study above 0."
        )
    return pictures.patches


def _counts(patches: PatchPictures) -> NDArray[np.float64]:
    return np.asarray(soft_counts(patches.similarity))
