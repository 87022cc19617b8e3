"""Activations of a user's as the alignment of shared responses takes them: the same layers, the same images.

Needs numpy alone.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.activations.files import ActivationFile
from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.experiments.shared_study import chosen_units
from netalike.progress import progress

FINAL = "final"
"""The one epoch of activations that nobody recorded over a training."""
_ROWS = 512  # images at a time: feature maps are large, and most of their units may not be kept

Array = NDArray[Any]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GivenActivations:
    """The activations of one network, with the attributes that `align_recordings` reads.

    Attributes
    ----------
    name : str
    layers : tuple of str
    labels : ndarray, shape (n,)
        Class of each image; the same one for all where `has_labels` is False.
    has_labels : bool
    kept : mapping of str to ndarray, float32, shape (n, units kept)
    units : mapping of str to ndarray
        Positions, in each flattened layer, of the units that are kept.
    widths : mapping of str to int
        Units that each layer has.
    dataset, split : str
        Of the images; empty where nobody said.
    """

    name: str
    layers: tuple[str, ...]
    labels: Array
    has_labels: bool
    kept: Mapping[str, Floats]
    units: Mapping[str, Indices]
    widths: Mapping[str, int]
    dataset: str = ""
    split: str = ""

    @property
    def epochs(self) -> tuple[str, ...]:
        """`FINAL` alone."""
        return (FINAL,)

    def activations(self, layer: str, epoch: str = FINAL) -> Floats:
        """Return the units kept of a layer, shape (n, p) float32."""
        return self.kept[layer]


def read_activations(
    files: Sequence[ActivationFile],
    layers: Sequence[str] = (),
    labels: Array | None = None,
    max_units: int | None = None,
    seed: int = 0,
) -> list[GivenActivations]:
    """Read the activations of networks over the same images.

    Parameters
    ----------
    files : sequence of ActivationFile
        One per network; two or more.
    layers : sequence of str
        Exact names or globs; all that the networks have in common unless given. Where each network is left with one
        layer, they need not have the same name.
    labels : ndarray, shape (n,), optional
        Of the images; those of the first file that has some unless given.
    max_units : int, optional
        Of a layer with more units so many are kept, the same in all networks of that width.
    seed : int
        Of that choice.

    Returns
    -------
    list of GivenActivations
        Arrays with more than two axes are flattened to (n, units), in C order.

    Raises
    ------
    ShapeError
        If numbers of images or of labels differ, an array has one axis, or the layers differ.
    UnknownNameError
        If no network has such a layer; the nearest name is given.
    NetalikeError
        If there are fewer than two networks, their images differ, or there are numbers that are not finite.

    Notes
    -----
    Memory: 4 bytes per image and unit kept, and one layer of one network where the file cannot be memory-mapped.
    """
    refuse_one([str(file.path) for file in files])
    _check_ids(files)
    chosen, names = match_layers([file.name for file in files], [list(file.layers) for file in files], layers)
    counts: dict[str, int] = {}
    parts = [
        _read(file, dict(zip(names, own, strict=True)), counts, max_units, seed)
        for file, own in progress(list(zip(files, chosen, strict=True)), "reading", shown=None, unit="network")
    ]
    n = next(iter(counts.values()))
    found = next((file.labels for file in files if file.labels is not None), None) if labels is None else labels
    told = check_labels(found, n, files[0].name)
    where = next(((file.dataset, file.split) for file in files if file.dataset), ("", ""))
    return [
        GivenActivations(file.name, tuple(names), told, found is not None, *part, *where)
        for file, part in zip(files, parts, strict=True)
    ]


def refuse_one(given: Sequence[str]) -> None:
    """Refuse fewer than two networks.

    Parameters
    ----------
    given : sequence of str
        What the user named.

    Raises
    ------
    NetalikeError
    """
    if len(given) < 2:
        raise NetalikeError(
            f"{len(given)} network to align{f', {given[0]}' if given else ''}: expected at least 2, each in a file or "
            "folder of its own, over the same images in the same order."
        )


def check_labels(labels: Array | None, n: int, name: str) -> Array:
    """Check the classes of images; without any, put all in one.

    Parameters
    ----------
    labels : ndarray or None
    n : int
        Images that there are.
    name : str
        Of a network, for the message.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    ShapeError
        If there is not one label per image.
    """
    if labels is None:
        return np.zeros(n, dtype=np.int64)
    if len(labels) != n:
        raise ShapeError(f"{len(labels)} labels, and {n} images of {name}: expected one label per image, in order.")
    return labels


def match_layers(
    networks: Sequence[str], known: Sequence[Sequence[str]], patterns: Sequence[str]
) -> tuple[list[list[str]], list[str]]:
    """Choose the layers of several networks that are aligned with each other.

    Parameters
    ----------
    networks : sequence of str
        Their names, for messages.
    known : sequence of sequence of str
        Layers of each.
    patterns : sequence of str
        Exact names or globs; none takes all that they have in common.

    Returns
    -------
    chosen : list of list of str
        Of each network, in its own order.
    names : list of str
        What the layers are called: where each network has one, of another name, these joined by a bar.

    Raises
    ------
    UnknownNameError
        If a pattern matches in no network, or none of them matches in one.
    ShapeError
        If the networks are left with other layers.
    """
    chosen = [_chosen(own, patterns) for own in known]
    for pattern in patterns:
        if not any(_matches(pattern, own) for own in known):
            raise unknown_name("layer", pattern, dict.fromkeys(layer for own in known for layer in own))
    for name, own, found in zip(networks, known, chosen, strict=True):
        if not found:
            raise unknown_name(f"layer of {name}", patterns[0], own)
    if all(found == chosen[0] for found in chosen):
        return chosen, chosen[0]
    if all(len(found) == 1 for found in chosen):
        return chosen, ["|".join(dict.fromkeys(found[0] for found in chosen))]
    common = [layer for layer in chosen[0] if all(layer in found for found in chosen)]
    if patterns or not common:
        told = "; ".join(f"{name} has {', '.join(found)}" for name, found in zip(networks, chosen, strict=True))
        raise ShapeError(f"the networks have other layers ({told}): name with -l one of each, or some that all have.")
    return [common for _ in chosen], common


def _chosen(known: Sequence[str], patterns: Sequence[str]) -> list[str]:
    if not patterns:
        return list(known)
    wanted = {layer for pattern in patterns for layer in _matches(pattern, known)}
    return [layer for layer in known if layer in wanted]


def _matches(pattern: str, known: Sequence[str]) -> list[str]:
    return [pattern] if pattern in known else fnmatch.filter(known, pattern)


def _check_ids(files: Sequence[ActivationFile]) -> None:
    """Refuse recordings over other images, where they say over which."""
    known = [file for file in files if file.ids is not None]
    for file in known[1:]:
        first = known[0]
        ours, theirs = (file.dataset, file.split), (first.dataset, first.split)
        assert file.ids is not None
        assert first.ids is not None
        if ours != theirs or not np.array_equal(file.ids, first.ids):
            told = [f"{one.path} over {len(one.ids)} of {one.dataset} ({one.split})" for one in (first, file)]  # type: ignore[arg-type]
            raise NetalikeError(
                f"recorded over other images, or in another order: {'; '.join(told)}. Record both over the same."
            )


def _read(
    file: ActivationFile, layers: Mapping[str, str], counts: dict[str, int], max_units: int | None, seed: int
) -> tuple[dict[str, Floats], dict[str, Indices], dict[str, int]]:
    """Read what is kept of a network; `layers` is from common names to its own."""
    kept, units, widths = {}, {}, {}
    for name, own in layers.items():
        told = f"layer {own} of {file.path}" if len(file.layers) > 1 else str(file.path)
        array = _numbers(file.layers[own](), told)
        counts[told] = len(array)
        first, n = next(iter(counts.items()))
        if len(array) != n:
            raise ShapeError(
                f"{told} has {len(array)} images and {first} has {n}: give all networks the same images in the same "
                "order."
            )
        widths[name] = int(np.prod(array.shape[1:]))
        units[name] = kept_units(widths[name], max_units, seed, name)
        kept[name] = _keep(array, units[name])
        refuse_not_finite(kept[name], told)
    return kept, units, widths


def _numbers(array: Array, told: str) -> Array:
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
        raise NetalikeError(f"{told} holds {array.dtype}: expected real numbers.")
    if array.ndim < 2 or 0 in array.shape:
        raise ShapeError(
            f"{told} has shape {array.shape}: expected (n_images, n_units), or more axes, which are flattened. Where a "
            "file holds other arrays too, choose layers with -l."
        )
    return array


def kept_units(width: int, max_units: int | None, seed: int, layer: str) -> Indices:
    """Choose the units of a layer that are kept.

    Parameters
    ----------
    width : int
    max_units : int, optional
    seed : int
    layer : str

    Returns
    -------
    ndarray
        Ascending; the same for every network of this width.
    """
    if max_units is None or width <= max_units:
        return np.arange(width, dtype=np.int64)
    return chosen_units(width, max_units, "shared", seed, layer, 0, FINAL)


def _keep(array: Array, units: Indices) -> Floats:
    found = np.empty((len(array), len(units)), dtype=np.float32)
    for start in range(0, len(array), _ROWS):
        rows = np.asarray(array[start : start + _ROWS])
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            found[start : start + _ROWS] = rows.reshape(len(rows), -1)[:, units]
    return found


def refuse_not_finite(values: Floats, told: str) -> None:
    """Refuse activations with a NaN or an infinity.

    Parameters
    ----------
    values : ndarray
    told : str
        What they are, for the message.

    Raises
    ------
    NetalikeError
    """
    if not np.isfinite(values.sum(dtype=np.float64)) and (bad := int(np.count_nonzero(~np.isfinite(values)))):
        raise NetalikeError(
            f"{told} holds {bad:,} NaN or infinite numbers of {values.size:,}: leave the layer or the network out, or "
            "look for what diverged in its training."
        )
