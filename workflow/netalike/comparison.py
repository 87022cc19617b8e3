"""Who takes part in a panel: its networks, their controls, and the pairs that are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netalike import networks
from netalike.activations import ActivationStore
from netalike.data import ImageSet
from netalike.measures.panel import PERMUTED, UNTRAINED
from netalike.measures.sources import NOISE, NetworkSource, Source, batch_permutation, noise

# An untrained twin is another draw of the weights than the one its trained network began from.
_TWIN_SEED = 10_000
# Two untrained twins of each family, so that untrained networks can also be compared with each other.
_TWINS = 2


@dataclass(frozen=True)
class Member:
    """A network that takes part.

    Attributes
    ----------
    name : str
        Its id; untrained twins end in ``@untrained``.
    model : nn.Module
    layers : list of str
        Exact names, in order.
    """

    name: str
    model: nn.Module
    layers: list[str]


def load_members(weights: Mapping[str, str | Path], panel: Mapping[str, Any]) -> list[Member]:
    """Load the networks of a panel, and build the untrained twins that it asks for.

    Parameters
    ----------
    weights : mapping of network id to file
    panel : mapping
        ``members`` (network id to family), ``layers`` (patterns, or a mapping from family to patterns), ``controls``.

    Returns
    -------
    list of Member
        The networks in the order of `weights`, then the twins of the first two networks of each family.
    """
    members, twins = [], []
    twinned: dict[str, int] = {}
    for name, file in weights.items():
        model, card = networks.load(file)
        family = panel["members"][name]
        members.append(_member(name, model, family, panel))
        if "untrained" in panel["controls"] and twinned.setdefault(family, 0) < _TWINS:
            seed = _TWIN_SEED + (card.seed or 0)
            twin = networks.build(untrained_name(card.architecture), card.channels, card.classes, seed)
            twins.append(_member(name + UNTRAINED, twin, family, panel))
            twinned[family] += 1
    return members + twins


def untrained_name(architecture: str) -> str:
    """Return the architecture without pretrained weights: ``torchvision:NAME:WEIGHTS`` becomes ``torchvision:NAME``."""
    return ":".join(architecture.split(":")[:2]) if architecture.startswith("torchvision:") else architecture


def _member(name: str, model: nn.Module, family: str, panel: Mapping[str, Any]) -> Member:
    layers = panel["layers"]
    patterns: Sequence[str] = layers[family] if isinstance(layers, Mapping) else layers
    return Member(name, model.eval(), networks.select_layers(model, patterns))


def sources_of(
    members: Sequence[Member], images: ImageSet, panel: Mapping[str, Any], device: str | torch.device = "cpu"
) -> tuple[list[Source], list[str]]:
    """Return what is compared, controls included.

    Parameters
    ----------
    members : sequence of Member
    images : ImageSet
    panel : mapping
        ``controls``, ``members``, ``seed``.
    device : str or torch.device
        Where the networks run.

    Returns
    -------
    sources : list of Source
        The members, then noise if asked for.
    permuted : list of str
        Members that also take part with their samples permuted.
    """
    sources: list[Source] = [NetworkSource(m.name, m.model, m.layers, images, device) for m in members]
    if NOISE in panel["controls"]:
        sources.append(noise(len(images), panel["seed"]))
    return sources, _permuted(panel)


def _permuted(panel: Mapping[str, Any]) -> list[str]:
    """The first network of each family, if the panel has the control."""
    if "permuted_samples" not in panel["controls"]:
        return []
    first: dict[str, str] = {}
    for network, family in panel["members"].items():
        first.setdefault(family, network)
    return list(first.values())


def recordings_of(
    directory: str | Path, panel: Mapping[str, Any]
) -> tuple[dict[str, Mapping[str, NDArray[np.float32]]], dict[str, NDArray[np.int64]]]:
    """Open the recordings of a panel, with its controls beside them.

    Parameters
    ----------
    directory : path
        One folder of recorded layers per member.
    panel : mapping

    Returns
    -------
    recordings : dict of network to mapping of layer to array
    orders : dict of network to array
        The order in which the permuted networks take their samples.
    """
    recordings: dict[str, Mapping[str, NDArray[np.float32]]] = {
        path.name: ActivationStore(path) for path in sorted(Path(directory).iterdir()) if path.is_dir()
    }
    orders = {}
    for network in _permuted(panel):
        samples = len(next(iter(recordings[network].values())))
        recordings[network + PERMUTED] = recordings[network]
        orders[network + PERMUTED] = batch_permutation(samples, samples, panel["seed"]).numpy()
    return recordings, orders


def samples_in(recordings: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> int:
    """Return the number of samples of recordings, which all have the same."""
    layers = next(iter(recordings.values()))
    return len(next(iter(layers.values())))


def pairs_of(panel: Mapping[str, Any], chunk: int) -> list[tuple[str, str]]:
    """Return the pairs of networks that one job compares.

    Parameters
    ----------
    panel : mapping
        ``members``, ``controls``, ``pairs_per_job``.
    chunk : int
        Number of the job, from 0; the first also compares the controls.

    Returns
    -------
    list of (str, str)
    """
    pairs = list(combinations(panel["members"], 2))
    size = panel["pairs_per_job"]
    chosen = pairs[chunk * size : (chunk + 1) * size]
    return chosen + (_control_pairs(panel) if chunk == 0 else [])


def _control_pairs(panel: Mapping[str, Any]) -> list[tuple[str, str]]:
    by_family: dict[str, list[str]] = {}
    for network, family in panel["members"].items():
        by_family.setdefault(family, []).append(network)
    pairs = [(network, network + PERMUTED) for network in _permuted(panel)]
    for members in by_family.values():
        pairs.append((members[0], members[0]))
        if "untrained" in panel["controls"]:
            twins = [network + UNTRAINED for network in members[:_TWINS]]
            pairs += [(members[0], twins[0]), *combinations(twins, 2)]
    return pairs
