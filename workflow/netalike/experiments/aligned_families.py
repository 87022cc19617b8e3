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
from netalike.progress import progress

FINAL = "final"
"""The one epoch of networks that were trained elsewhere."""


@dataclass
class FamilyRecording:
    """Activations of a network, with the attributes that `align_recordings` reads.

    Attributes
    ----------
    name : str
        Id of the network.
    layers : tuple of str
    epochs : tuple
        `FINAL` alone.
    labels : ndarray, shape (n,)
    """

    name: str
    layers: tuple[str, ...]
    labels: NDArray[np.int64]
    epochs: tuple[str, ...] = (FINAL,)
    _kept: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def activations(self, layer: str, epoch: str = FINAL) -> NDArray[np.float32]:
        """Return what was kept of a layer, shape (n, p) float32.

        Parameters
        ----------
        layer : str
        epoch : str

        Raises
        ------
        KeyError
            If the layer was not recorded.
        """
        return self._kept[layer]


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

    Raises
    ------
    ShapeError
        If a layer has not as many units in every network.

    Notes
    -----
    Memory: 4 bytes per network, layer, image and kept unit.
    """
    labels = np.asarray(images.labels, dtype=np.int64)
    found = []
    for member in progress(members, "recording"):
        recording = FamilyRecording(member.name, tuple(member.layers), labels)
        _record(member, images, recording, (max_units, seed, batch_size), device)
        _check_widths(recording, [*found, recording][0])
        found.append(recording)
    return found


def _record(
    member: Member,
    images: ImageSet,
    recording: FamilyRecording,
    sizes: tuple[int, int, int],
    device: str | torch.device,
) -> None:
    max_units, seed, batch_size = sizes
    start = 0

    def keep(layer: str, output: Tensor) -> None:
        flat = output.flatten(1)
        units = kept_units(flat.shape[1], max_units, seed)
        if layer not in recording._kept:
            recording._kept[layer] = np.empty((len(images), len(units)), np.float32)
        chosen = flat[:, torch.from_numpy(units).to(flat.device)]
        recording._kept[layer][start : start + len(flat)] = chosen.float().cpu().numpy()

    with Recorder(member.model.to(device), member.layers, keep) as recorder:
        for start in range(0, len(images), batch_size):
            recorder.forward(images.inputs(start, min(start + batch_size, len(images))).to(device))


def _check_widths(ours: FamilyRecording, first: FamilyRecording) -> None:
    for layer in first.layers:
        widths = (first.activations(layer).shape[1], ours.activations(layer).shape[1])
        if widths[0] != widths[1]:
            raise ShapeError(
                f"layer {layer!r} has {widths[0]} units in {first.name} and {widths[1]} in {ours.name}: "
                "networks of one architecture are expected."
            )
