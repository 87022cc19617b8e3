"""The gallery of an inversion study: seeds, targets, and what some networks make of them, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netalike.experiments.inversion import Pairs
from netalike.experiments.inversion_roles import Role

EXAMPLES = 8
"""Pairs that are shown."""
NETWORKS = 6
"""Networks that are shown, at most."""


def shown_networks(roles: Mapping[str, Role], count: int = NETWORKS) -> list[str]:
    """Choose networks for the gallery: of each architecture the standard one and the most robust one.

    Parameters
    ----------
    roles : mapping of network to Role
    count : int
        At most so many.

    Returns
    -------
    list of str
        Architecture by architecture, in the order of the roles; the first network of each family.
    """
    trained = [role for role in roles.values() if role.is_trained]
    found: list[str] = []
    for architecture in dict.fromkeys(role.architecture for role in trained):
        own = sorted((role for role in trained if role.architecture == architecture), key=lambda role: float(role.eps))
        strongest = [role for role in own if role.eps == own[-1].eps]
        found += list(dict.fromkeys([own[0].name, strongest[0].name]))
    return found[:count]


class Gallery:
    """Some pairs and some networks.

    Parameters
    ----------
    roles : mapping of network to Role
    pairs : Pairs
        Of the first kind of seeds.
    classes : sequence of str
    """

    def __init__(self, roles: Mapping[str, Role], pairs: Pairs, classes: Sequence[str]) -> None:
        self._roles, self._pairs, self._classes = roles, pairs, classes
        self._names = shown_networks(roles)
        self._rows = _one_per_class(pairs.target_labels, EXAMPLES)
        self._images: dict[str, NDArray[np.float32]] = {}
        self._losses: dict[str, NDArray[np.float64]] = {}

    def add(self, name: str, inverted: Tensor, representations: Tensor, targets: Tensor) -> None:
        """Take the inverted images of a network, if it is shown.

        Parameters
        ----------
        name : str
        inverted : Tensor, shape (n, channels, height, width)
        representations, targets : Tensor, shape (n, p)
            Of the inverted images and of the targets, by this network.
        """
        if name in self._names:
            losses = (representations - targets).norm(dim=1) / targets.norm(dim=1)
            self._images[name] = inverted[self._rows].numpy()
            self._losses[name] = losses[self._rows].double().numpy()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what the figure needs.

        Returns
        -------
        dict of array
            ``seeds``, ``targets`` (k, channels, height, width) and ``inverted`` (networks, k, ...), in [0, 1];
            ``seed_classes``, ``target_classes`` (k,); ``losses`` (networks, k), relative; ``networks``,
            ``architectures``, ``eps`` (networks,), texts.
        """
        shown = [name for name in self._names if name in self._images]
        roles = [self._roles[name] for name in shown]
        return {
            "seeds": self._pairs.seeds[self._rows].numpy(),
            "targets": self._pairs.targets[self._rows].numpy(),
            "seed_classes": self._words(self._pairs.seed_labels),
            "target_classes": self._words(self._pairs.target_labels),
            "inverted": np.stack([self._images[name] for name in shown]),
            "losses": np.stack([self._losses[name] for name in shown]),
            "networks": np.array(shown),
            "architectures": np.array([role.architecture for role in roles]),
            "eps": np.array([role.eps for role in roles]),
        }

    def _words(self, labels: Tensor) -> NDArray[np.str_]:
        return np.array(["noise" if label < 0 else self._classes[label] for label in labels[self._rows].tolist()])


def _one_per_class(labels: Tensor, count: int) -> Tensor:
    """Positions of the first target of each class, then of the second, and so on, in the order of the classes."""
    seen: dict[int, int] = {}
    keys = []
    for place, label in enumerate(labels.tolist()):
        seen[label] = seen.get(label, -1) + 1
        keys.append((seen[label], label, place))
    return torch.tensor([place for _, _, place in sorted(keys)[:count]])
