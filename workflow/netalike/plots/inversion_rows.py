"""What the figures of inversion share: names and looks of networks, and the rows of their matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from netalike.evidence.claims.keys import base_network
from netalike.plots.studies import Look, with_factors
from netalike.plots.theme import GREY, MARKERS, palette

_COLOURS = palette(10)
# standard blue, then from light to dark, the stronger the attacks of the training
_OF_EPS = (_COLOURS[0], _COLOURS[1], _COLOURS[2], _COLOURS[3], _COLOURS[4], _COLOURS[5], _COLOURS[6])
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)))
_SPARSE: Any = (0, (1, 3))
UNTRAINED_EPS = "none"
SEED_WORDS = {
    "other_class": "seeds: images of another class",
    "noise": "seeds: noise",
    "same_class": "seeds: images of the same class",
}
_ARCHITECTURES = {
    "densenet_small": "DenseNet",
    "lenet": "LeNet",
    "mlp": "MLP",
    "mobile": "Mobile",
    "resnet8": "ResNet-8",
    "tiny10": "Tiny-10",
    "vgg_small": "VGG",
}


def architecture_word(architecture: str) -> str:
    """Write an architecture as a reader knows it."""
    return _ARCHITECTURES.get(architecture, architecture.removeprefix("torchvision:").partition(":")[0])


def eps_word(eps: str) -> str:
    """Say what a network was trained against: ``standard``, ``ε = 0.5``, ``untrained``."""
    return {"0": "standard", UNTRAINED_EPS: "untrained"}.get(eps, f"ε = {eps}")


def eps_levels(found: Iterable[str]) -> list[str]:
    """Sort sizes of attacks: from standard to the largest, untrained last."""
    return sorted(set(found), key=lambda eps: np.inf if eps == UNTRAINED_EPS else float(eps))


def eps_looks(found: Iterable[str]) -> dict[str, Look]:
    """Return a look for each size of attack that networks were trained against."""
    looks = {}
    for i, eps in enumerate(eps_levels(found)):
        if eps == UNTRAINED_EPS:
            looks[eps] = Look("untrained", GREY, "X", _SPARSE)
        else:
            place = i % len(_OF_EPS)
            words = "standard networks" if eps == "0" else f"robust networks, ε = {eps}"
            looks[eps] = Look(words, _OF_EPS[place], MARKERS[i % len(MARKERS)], _LINES[place])
    return looks


def architectures_of(rows: pd.DataFrame) -> dict[str, str]:
    """Return the architecture of each network, from rows that say it: those of accuracies."""
    told = rows[rows["quantity"].isin(["accuracy", "target_accuracy"])].drop_duplicates("network_a")
    found = with_factors(told, "architecture")
    return dict(zip(found["network_a"], found["architecture"], strict=True))


def network_labels(networks: Mapping[str, str], architectures: Mapping[str, str]) -> dict[str, str]:
    """Name networks by architecture and training, with the seed where several have the same name.

    Parameters
    ----------
    networks : mapping of network to str
        What each was trained against, as `eps_word` takes it.
    architectures : mapping of network to str
        A network that is not there keeps its own name.

    Returns
    -------
    dict of network to str
        By training, then in the order given.
    """
    order = {eps: i for i, eps in enumerate(eps_levels(networks.values()))}
    labels = {}
    for name in sorted(networks, key=lambda name: order[networks[name]]):
        words = architecture_word(architectures.get(name, base_network(name)))
        labels[name] = words if set(order) == {"0"} else f"{words}, {eps_word(networks[name])}"
    shared = {label for label in labels.values() if list(labels.values()).count(label) > 1}
    return {name: f"{label} {_seed_of(name)}" if label in shared else label for name, label in labels.items()}


def _seed_of(network: str) -> str:
    return base_network(network).rpartition("-")[2]


def pair_rows(rows: pd.DataFrame, quantity: str | Sequence[str], seeds: str = "other_class") -> pd.DataFrame:
    """Take rows that compare two networks, on the targets and on the images inverted from one kind of seeds.

    Parameters
    ----------
    rows : DataFrame
    quantity : str or sequence of str
    seeds : str

    Returns
    -------
    DataFrame
        With the factors as columns; without those of shuffled images.
    """
    wanted = [quantity] if isinstance(quantity, str) else list(quantity)
    names = ("images", "seeds", "control", "pair", "eps_a", "eps_b", "same_eps")
    found = with_factors(rows[rows["quantity"].isin(wanted)], *names)
    return found[found["seeds"].isin(["none", seeds]) & (found["control"] == "none")]


def first_seeds(rows: pd.DataFrame) -> str:
    """Return the kind of seeds that a study's figures show: another class, as published, if it has that."""
    kinds = [kind for kind in with_factors(rows, "seeds")["seeds"].unique() if kind in SEED_WORDS]
    return "other_class" if "other_class" in kinds or not kinds else kinds[0]
