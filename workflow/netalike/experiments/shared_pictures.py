"""What the figures of aligned networks need beside rows: averaged RSMs and smoothed trajectories. Needs numpy alone.

Arrays of the file, all of them small:

``format``, ``networks``, ``layers``, ``epochs``, ``center``, ``window``
    What was aligned; `networks` in the order of the recordings.
``panel/<pair>_<space>``
    Mean RSM over networks, deepest hidden layer, last epoch, images sorted by class and averaged to at most 200 x 200:
    ``within_native``, ``within_shared``, ``between_native``, ``between_shared``.
``panel/labels``, ``panel/layer``
    Class of each of its lines, and the layer.
``trajectory/<space>/<layer>/<epoch>``
    Positions in `layers` and `epochs`; shape (networks, points, 3): projections on three principal components that are
    common to all networks.
``trajectory/<space>/<layer>/<epoch>/explained``
    Share of variance of the three, shape (3,).
``trajectory/labels``
    Class of the image in the middle of each point's window.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from netalike.errors import BadFileError
from netalike.experiments.shared_geometry import between_sides, smoothed, within_sides
from netalike.experiments.shared_study import AlignmentStudy, Epoch

Floats = NDArray[np.float32]
Pictures = dict[str, NDArray[Any]]

FORMAT = "netalike shared responses 1"
PANEL_LINES = 200
TRAJECTORY_POINTS = 2000
_DIMENSIONS = 3


def picture_head(
    networks: Sequence[str],
    layers: Sequence[str],
    epochs: Sequence[Epoch],
    labels: NDArray[Any],
    study: AlignmentStudy,
) -> Pictures:
    """Say what the pictures are of.

    Parameters
    ----------
    networks, layers : sequence of str
    epochs : sequence of int or str
    labels : ndarray, shape (n,)
        Sorted.
    study : AlignmentStudy

    Returns
    -------
    dict of ndarray
    """
    count = len(labels) - study.window + 1
    middles = _thinned(np.arange(max(count, 0))) + study.window // 2
    return {
        "format": np.array(FORMAT),
        "networks": np.array(list(networks), dtype=np.str_),
        "layers": np.array(list(layers), dtype=np.str_),
        "epochs": np.array([str(epoch) for epoch in epochs], dtype=np.str_),
        "center": np.array(study.centers[0]),
        "window": np.array(study.window),
        "trajectory/labels": labels[middles] if len(middles) else labels[:0],
    }


def _thinned(values: NDArray[Any]) -> NDArray[Any]:
    """Take at most `TRAJECTORY_POINTS` along the first axis, at even steps."""
    return values[:: max(1, -(-len(values) // TRAJECTORY_POINTS))]


# ---- RSMs ------------------------------------------------------------------------------------------------------------


def panel_pictures(native: Sequence[Floats], shared: Sequence[Floats], labels: NDArray[Any]) -> Pictures:
    """Average the RSMs of one layer over networks and over neighbouring images.

    Parameters
    ----------
    native, shared : sequence of ndarray, shapes (n, p_i) and (n, k)
        Sorted by class.
    labels : ndarray, shape (n,)

    Returns
    -------
    dict of ndarray
        Pearson's correlations, without the images' correlations with themselves within a network; native RSMs between
        networks are missing where the numbers of units differ.

    Notes
    -----
    The mean over a block of an RSM is the product of mean patterns: no RSM of all images is made.
    """
    bins = _bins(len(labels))
    found: Pictures = {"panel/labels": np.array([labels[part[len(part) // 2]] for part in bins])}
    for space, patterns in (("native", native), ("shared", shared)):
        within = [_averaged(side.left, side.right, bins, own=True) for side in within_sides(patterns, "pearson")]
        found[f"panel/within_{space}"] = np.mean(within, axis=0).astype(np.float32)
        if len({one.shape[1] for one in patterns}) == 1:
            between = [_averaged(side.left, side.right, bins, own=False) for side in between_sides(patterns, "pearson")]
            found[f"panel/between_{space}"] = np.mean(between, axis=0).astype(np.float32)
    return found


def _bins(n: int) -> list[NDArray[np.int64]]:
    return [part.astype(np.int64) for part in np.array_split(np.arange(n), min(n, PANEL_LINES))]


def _averaged(left: Floats, right: Floats, bins: Sequence[NDArray[np.int64]], own: bool) -> NDArray[np.float64]:
    rows, columns = (np.stack([part[b].mean(axis=0, dtype=np.float64) for b in bins]) for part in (left, right))
    found = rows @ columns.T
    if own:  # of a bin of m images, m of the m x m entries are 1 whatever the network does
        sizes = np.array([len(b) for b in bins])
        selves = np.array([np.einsum("ij,ij->", left[b], right[b], dtype=np.float64) for b in bins])
        several = np.flatnonzero(sizes > 1)
        m = sizes[several]
        found[several, several] = (found[several, several] * m**2 - selves[several]) / (m * (m - 1))
    return np.asarray(found)


# ---- trajectories ----------------------------------------------------------------------------------------------------


def trajectory_pictures(
    native: Sequence[Floats], shared: Sequence[Floats], place: tuple[int, int], window: int
) -> Pictures:
    """Smooth the patterns over label-sorted images, and project them on components common to all networks.

    Parameters
    ----------
    native, shared : sequence of ndarray, shapes (n, p_i) and (n, k)
    place : tuple of int
        Positions of the layer and of the epoch.
    window : int
        Images that are averaged.

    Returns
    -------
    dict of ndarray
        Empty for as many images as the window, or fewer.
    """
    found: Pictures = {}
    for space, patterns in (("native", native), ("shared", shared)):
        if len(patterns[0]) <= window or len({one.shape[1] for one in patterns}) > 1:
            continue
        paths = np.stack([_thinned(smoothed(one, window)) for one in patterns])  # (networks, points, k)
        name = f"trajectory/{space}/{place[0]}/{place[1]}"
        found[name], found[f"{name}/explained"] = _projected(paths)
    return found


def _projected(paths: Floats) -> tuple[Floats, NDArray[np.float64]]:
    flat = paths.reshape(-1, paths.shape[-1]).astype(np.float64)
    flat -= flat.mean(axis=0)
    values, vectors = np.linalg.eigh(flat.T @ flat)
    axes = vectors[:, ::-1][:, :_DIMENSIONS]
    # the sign of an axis is arbitrary: fixed, for the same picture
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    points = np.zeros((len(flat), _DIMENSIONS))
    points[:, : axes.shape[1]] = flat @ axes
    share = np.zeros(_DIMENSIONS)
    share[: axes.shape[1]] = values[::-1][:_DIMENSIONS] / max(float(values.sum()), np.finfo(float).tiny)
    return points.reshape(*paths.shape[:2], _DIMENSIONS).astype(np.float32), share


# ---- files -----------------------------------------------------------------------------------------------------------


def write_pictures(pictures: Mapping[str, NDArray[Any]], path: str | Path) -> None:
    """Write pictures as one .npz file, without pickles, all of it or nothing.

    Parameters
    ----------
    pictures : mapping
    path : path
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    with partial.open("wb") as file:
        np.savez_compressed(file, **pictures)  # type: ignore[arg-type]
    os.replace(partial, path)


def read_pictures(path: str | Path) -> Pictures:
    """Read what `write_pictures` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict of ndarray

    Raises
    ------
    BadFileError
        If the file is missing, damaged or of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            found = dict(stored)
        if str(found["format"]) != FORMAT:
            raise ValueError(f"its format is {found['format']}")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise BadFileError(f"{path} holds no pictures of aligned networks ({error}): make it again.") from error
    return found
