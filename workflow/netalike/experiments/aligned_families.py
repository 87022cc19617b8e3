"""Trained PyTorch networks as the alignment of shared responses takes them: some units of some layers, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netalike.activations import Recorder
from netalike.comparison import Member
from netalike.data import ImageSet
from netalike.errors import ShapeError
from netalike.measures.panel import UNTRAINED
from netalike.progress import progress

UNTRAINED_EPOCH, TRAINED_EPOCH = 0, 1
"""What stands for the epochs of a training that nobody recorded: an untrained twin, and the trained network."""


@dataclass
class FamilyRecording:
    """Activations of a network, with the attributes that `align_recordings` reads.

    Attributes
    ----------
    name : str
        Id of the network.
    layers : tuple of str
    labels : ndarray, shape (n,)
    """

    name: str
    layers: tuple[str, ...]
    labels: NDArray[np.int64]
    _kept: dict[tuple[str, int], NDArray[np.float32]] = field(default_factory=dict, repr=False)
    _widths: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def epochs(self) -> tuple[int, ...]:
        """`TRAINED_EPOCH`, after `UNTRAINED_EPOCH` where there is a twin."""
        return tuple(sorted({epoch for _, epoch in self._kept}))

    def activations(self, layer: str, epoch: int = TRAINED_EPOCH) -> NDArray[np.float32]:
        """Return what was kept of a layer, shape (n, p) float32.

        Parameters
        ----------
        layer : str
        epoch : int

        Raises
        ------
        KeyError
            If the layer was not recorded.
        """
        return self._kept[layer, epoch]


def kept_units(width: int, max_units: int, seed: int) -> NDArray[np.int64]:
    """Choose units of a layer, the same for every network of this width.

    Parameters
    ----------
    width, max_units : int
    seed : int

    Returns
    -------
    ndarray, shape (min(width, max_units),)
        Sorted; a uniform random subset, without repetition.
    """
    if width <= max_units:
        return np.arange(width)
    drawn = np.random.default_rng([seed, width]).choice(width, max_units, replace=False)
    return np.sort(drawn).astype(np.int64)


def record_family(
    members: Sequence[Member],
    images: ImageSet,
    max_units: int,
    seed: int,
    batch_size: int = 250,
    device: str | torch.device = "cpu",
) -> list[FamilyRecording]:
    """Run networks over images, and keep some units of each of their layers.

    Parameters
    ----------
    members : sequence of Member
        Networks of one architecture; a twin, ``<id>@untrained``, is recorded as `UNTRAINED_EPOCH` of its network.
    images : ImageSet
        n of them.
    max_units : int
        Of a layer with more units, so many are kept: a random choice that all networks share.
    seed : int
        Of that choice.
    batch_size : int
    device : str or torch.device

    Returns
    -------
    list of FamilyRecording
        One per network, in their order.

    Raises
    ------
    ShapeError
        If a layer has not as many units in every network.

    Notes
    -----
    Memory: 4 bytes per network, twin, layer, image and kept unit.
    """
    labels = np.asarray(images.labels, dtype=np.int64)
    found: dict[str, FamilyRecording] = {}
    for member in progress(members, "recording", shown=None):
        name = member.name.removesuffix(UNTRAINED)
        recording = found.setdefault(name, FamilyRecording(name, tuple(member.layers), labels))
        epoch = TRAINED_EPOCH if name == member.name else UNTRAINED_EPOCH
        for layer, (width, kept) in _record(member, images, (max_units, seed, batch_size), device).items():
            recording._kept[layer, epoch] = kept
            recording._widths[layer] = width
        _check_widths(recording, next(iter(found.values())))
    return list(found.values())


def _record(
    member: Member, images: ImageSet, sizes: tuple[int, int, int], device: str | torch.device
) -> dict[str, tuple[int, NDArray[np.float32]]]:
    max_units, seed, batch_size = sizes
    found: dict[str, tuple[int, NDArray[np.float32]]] = {}
    start = 0

    def keep(layer: str, output: Tensor) -> None:
        flat = output.flatten(1)
        units = kept_units(flat.shape[1], max_units, seed)
        if layer not in found:
            found[layer] = (flat.shape[1], np.empty((len(images), len(units)), np.float32))
        chosen = flat[:, torch.from_numpy(units).to(flat.device)]
        found[layer][1][start : start + len(flat)] = chosen.float().cpu().numpy()

    with Recorder(member.model.to(device), member.layers, keep) as recorder:
        for start in range(0, len(images), batch_size):
            recorder.forward(images.inputs(start, min(start + batch_size, len(images))).to(device))
    return found


def _check_widths(ours: FamilyRecording, first: FamilyRecording) -> None:
    for layer, width in ours._widths.items():
        if first._widths[layer] != width:
            raise ShapeError(
                f"layer {layer!r} has {first._widths[layer]} units in {first.name} and {width} in {ours.name}: "
                "networks of one architecture are expected."
            )
