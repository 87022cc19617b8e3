"""Who takes part in a panel: its networks, their controls, and the pairs that are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netalike import networks
from netalike.activations import ActivationStore
from netalike.data import ImageSet
from netalike.measures import Measure
from netalike.measures.panel import PERMUTED, PERMUTED_UNITS, UNTRAINED
from netalike.measures.sources import NOISE, NetworkSource, Source, batch_permutation, noise

# An untrained twin is another draw of the weights than the one its trained network began from.
_TWIN_SEED = 10_000
# Untrained twins of each family, unless the panel says otherwise: two can also be compared with each other.
_TWINS = 2
FROM_FILE, FROM_KERAS = "file", "keras"
"""Where recorded activations of a panel come from, in its ``recorded``: a user's file, or a study of Keras networks."""


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
        ``members`` (network id to family), ``layers`` (patterns, or a mapping from family to patterns), ``controls``,
        and, if wanted, ``untrained_twins`` (how many of each family; 2).

    Returns
    -------
    list of Member
        The networks in the order of `weights`, then the twins of the first networks of each family. No two twins have
        the same weights, also where two families share an architecture and seeds.
    """
    with_twin = set(twinned(panel))
    members, twins = [], []
    drawn: set[tuple[str, int]] = set()
    for name, file in weights.items():
        model, card = networks.load(file)
        family = panel["members"][name]
        members.append(_member(name, model, family, panel))
        if name in with_twin:
            twins.append(_member(name + UNTRAINED, untrained_twin(card, drawn), family, panel))
    return members + twins


def _twinned(panel: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the networks of each family that have an untrained twin."""
    count = panel.get("untrained_twins", _TWINS) if "untrained" in panel["controls"] else 0
    # of activations in a user's file nobody knows the network
    files = {name for name, source in panel.get("recorded", {}).items() if source == FROM_FILE}
    return {family: [m for m in members if m not in files][:count] for family, members in _by_family(panel).items()}


def twinned(panel: Mapping[str, Any]) -> list[str]:
    """Return the networks that have an untrained twin."""
    return [network for networks_of in _twinned(panel).values() for network in networks_of]


def _by_family(panel: Mapping[str, Any]) -> dict[str, list[str]]:
    families: dict[str, list[str]] = {}
    for network, family in panel["members"].items():
        families.setdefault(family, []).append(network)
    return families


def untrained_twin(card: networks.Card, drawn: set[tuple[str, int]]) -> nn.Module:
    """Build an untrained network of a card's architecture.

    Parameters
    ----------
    card : Card
    drawn : set of (architecture, seed)
        Draws of the weights before this one, which is another; it is added to them.

    Returns
    -------
    nn.Module
    """
    architecture = untrained_name(card.architecture)
    seed = _TWIN_SEED + (card.seed or 0)
    while (architecture, seed) in drawn:
        seed += _TWIN_SEED
    drawn.add((architecture, seed))
    return networks.build(architecture, card.channels, card.classes, seed)


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
    names = {member.name for member in members}
    return sources, [name for name in _first_of_each(panel, "permuted_samples") if name in names]


def _first_of_each(panel: Mapping[str, Any], control: str) -> list[str]:
    """The first network of each family, if the panel has a control."""
    if control not in panel["controls"]:
        return []
    return [members[0] for members in _by_family(panel).values()]


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
        Those of the permuted networks are views of the networks' own: units are put in another order when a layer is
        read, samples by `orders`.
    orders : dict of network to array
        The order in which the permuted networks take their samples.
    """
    recordings: dict[str, Mapping[str, NDArray[np.float32]]] = {
        path.name: ActivationStore(path) for path in sorted(Path(directory).iterdir()) if path.is_dir()
    }
    orders = {}
    for network in _first_of_each(panel, "permuted_samples"):
        samples = len(next(iter(recordings[network].values())))
        recordings[network + PERMUTED] = recordings[network]
        orders[network + PERMUTED] = batch_permutation(samples, samples, panel["seed"]).numpy()
    for network in _first_of_each(panel, "permuted_units"):
        recordings[network + PERMUTED_UNITS] = UnitsInAnotherOrder(recordings[network], panel["seed"])
    if NOISE in panel["controls"]:
        recordings[NOISE] = {NOISE: noise(samples_in(recordings), panel["seed"]).features.numpy()}
    return recordings, orders


class UnitsInAnotherOrder(Mapping[str, NDArray[np.float32]]):
    """Recorded layers with the units (channels) of each in an order of its own: the same network, written otherwise.

    Parameters
    ----------
    layers : mapping of layer to array, shape (n, units, ...)
    seed : int
        Of the orders.
    """

    def __init__(self, layers: Mapping[str, NDArray[np.float32]], seed: int) -> None:
        self._layers, self._seed = layers, seed

    def __getitem__(self, layer: str) -> NDArray[np.float32]:
        units = self._layers[layer]
        place = list(self._layers).index(layer)
        return units[:, np.random.default_rng([self._seed, place]).permutation(units.shape[1])]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


def samples_in(recordings: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> int:
    """Return the number of samples of recordings, which all have the same."""
    layers = next(iter(recordings.values()))
    return len(next(iter(layers.values())))


def pairs_of(panel: Mapping[str, Any], chunk: int | None = None) -> list[tuple[str, str]]:
    """Return the pairs that are compared, or those of one job.

    Parameters
    ----------
    panel : mapping
        ``members``, ``controls``, ``pairs_per_job``.
    chunk : int, optional
        Number of the job, from 0; the first also compares the controls.

    Returns
    -------
    list of (str, str)
        Pairs of networks, each once; then a network of each family with itself and with its controls.
    """
    pairs = list(combinations(panel["members"], 2))
    if chunk is None:
        return pairs + _control_pairs(panel)
    size = panel["pairs_per_job"]
    chosen = pairs[chunk * size : (chunk + 1) * size]
    return chosen + (_control_pairs(panel) if chunk == 0 else [])


def measures_of(
    panel: Mapping[str, Any], pairs: Sequence[tuple[str, str]], estimators_of: Callable[[str], Sequence[Measure]]
) -> list[tuple[Measure, list[tuple[str, str]]]]:
    """Return the measures on recorded activations, each with the pairs that it is computed on.

    Parameters
    ----------
    panel : mapping
        ``measures``, ``recorded``.
    pairs : sequence of (str, str)
    estimators_of : callable
        Returns every measure of a quantity: `netalike.measures.of_quantity`.

    Returns
    -------
    list of (Measure, list of pairs)
        CKA comes from a pass of its own over networks that can be run; here it is computed where one of a pair cannot,
        or is a view of recorded activations.
    """
    found = [(measure, list(pairs)) for quantity in panel["measures"] for measure in estimators_of(quantity)]
    running = set(running_pairs(panel, pairs))
    without = [pair for pair in pairs if pair not in running or any(name.endswith(PERMUTED_UNITS) for name in pair)]
    return found + ([(measure, without) for measure in estimators_of("cka")] if without else [])


def running_pairs(panel: Mapping[str, Any], pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out the pairs with a network that takes part by recorded activations alone: it cannot be run."""
    recorded = panel.get("recorded", {})
    return [pair for pair in pairs if not any(name.split("@")[0] in recorded for name in pair)]


def _control_pairs(panel: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = [(network, network + PERMUTED) for network in _first_of_each(panel, "permuted_samples")]
    pairs += [(network, network + PERMUTED_UNITS) for network in _first_of_each(panel, "permuted_units")]
    pairs += [(network, NOISE) for network in _first_of_each(panel, NOISE)]
    for family, members in _by_family(panel).items():
        pairs.append((members[0], members[0]))
        twinned_members = _twinned(panel)[family]
        twins = [network + UNTRAINED for network in twinned_members]
        pairs += [*product(twinned_members, twins), *combinations(twins, 2)]
    return pairs
