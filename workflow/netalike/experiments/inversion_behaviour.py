"""Whether networks that represent alike also predict alike: Klabunde et al. (2025).

``agreement``
    Share of the images for which two networks predict one class. Estimator ``own_heads``: with the classification
    layers that they were trained with; ``refitted_heads``: with new linear ones, fitted to both in the same way on the
    labels of test images that are no targets. ``images=targets``, or ``images=inverted`` through network a.
``mean_agreement``
    On the targets, over the pairs of each kind and of each two sizes of attack.
``target_accuracy``
    Of each network on the targets, with the estimators ``own_head`` and ``refitted_head``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from netalike.evidence.measurements import condition
from netalike.experiments.inversion_roles import Role, pair_condition
from netalike.experiments.inversion_summaries import cells_of
from netalike.inversion.passes import modules_by_name

Row = dict[str, Any]
Head = Callable[[Tensor], Tensor]
"""Maps representations (n, p) to classes (n,)."""

OWN, REFITTED = "own", "refitted"
FEWEST_PER_CLASS = 2
"""Images per class, on average, that a new classification layer is fitted to at least."""
# Of the mean variance of the units: representations are often wider than there are images to fit.
_RIDGE = 0.1


def heads_of(
    networks: Mapping[str, nn.Module],
    layers: Mapping[str, str],
    to_fit: Mapping[str, Tensor],
    labels: Tensor,
    n_classes: int,
) -> dict[str, dict[str, Head]]:
    """Return the classification layers of networks, their own and new ones.

    Parameters
    ----------
    networks : mapping of network to module
    layers : mapping of network to str
        Its representation, ``input:`` and the name of the classification layer.
    to_fit : mapping of network to Tensor, shape (n, p)
        Representations of the images on which new layers are fitted.
    labels : Tensor, shape (n,)
    n_classes : int

    Returns
    -------
    dict of {"own", "refitted"} to dict of network to callable
        Without ``refitted`` where there are too few images.
    """
    found: dict[str, dict[str, Head]] = {OWN: {name: own_head(networks[name], layers[name]) for name in networks}}
    if len(labels) >= FEWEST_PER_CLASS * n_classes:
        found[REFITTED] = {name: fitted_head(to_fit[name], labels, n_classes) for name in networks}
    return found


def own_head(network: nn.Module, layer: str) -> Head:
    """Return what comes behind a representation ``input:NAME``, on the CPU: the linear layer NAME."""
    linear = modules_by_name(network)[layer.partition(":")[2]]
    assert isinstance(linear, nn.Linear), layer
    weight = linear.weight.detach().cpu()
    bias = None if linear.bias is None else linear.bias.detach().cpu()
    return lambda x: functional.linear(x, weight, bias).argmax(1)


def fitted_head(x: Tensor, labels: Tensor, n_classes: int) -> Head:
    """Fit a linear classifier by ridge regression on the classes.

    Parameters
    ----------
    x : Tensor, shape (n, p)
    labels : Tensor, shape (n,)
    n_classes : int

    Returns
    -------
    callable
        Maps representations (n, p) to classes (n,).

    Notes
    -----
    Closed form, so that no order of batches and no number of steps makes two networks' layers differ. The penalty is a
    tenth of the mean variance of the units, in units of images. O(n p^2 + p^3).
    """
    mean = x.double().mean(0)
    centred = x.double() - mean
    wanted = functional.one_hot(labels, n_classes).double()
    gram = centred.T @ centred
    penalty = _RIDGE * gram.diagonal().mean().clamp_min(torch.finfo(torch.float64).tiny)
    weight = torch.linalg.solve(gram + penalty * torch.eye(len(gram), dtype=gram.dtype), centred.T @ wanted)
    offset = wanted.mean(0)
    return lambda new: ((new.double() - mean) @ weight + offset).argmax(1)


@dataclass(frozen=True, eq=False)
class Behaviour:
    """The predictions of all networks.

    Attributes
    ----------
    heads : dict of {"own", "refitted"} to dict of network to callable
    roles : dict of network to Role
    targets : dict of network to Tensor, shape (n, p)
        Representations of the targets.
    labels : Tensor, shape (n,)
        Of the targets.
    weights : Tensor, shape (n_boot + 1, n)
        How often each pair of images is in each resample; row 0 is the sample.
    """

    heads: Mapping[str, Mapping[str, Head]]
    roles: Mapping[str, Role]
    targets: Mapping[str, Tensor]
    labels: Tensor
    weights: Tensor

    def target_rows(self) -> Iterator[Row]:
        """Yield accuracy and agreement on the targets; agreement for both orders of two networks."""
        for kind in self.heads:
            said = {name: self.heads[kind][name](x) for name, x in self.targets.items()}
            for name, classes in said.items():
                role = self.roles[name]
                words = condition(architecture=role.architecture, eps=role.eps)
                told = {"network_a": name, "quantity": "target_accuracy", "estimator": f"{kind}_head"}
                yield {**told, "condition": words, **self._share(classes == self.labels)}
            same = {(a, b): said[a] == said[b] for a in said for b in said if a != b}
            for (a, b), found in same.items():
                yield self._agreement(a, b, kind, found, images="targets", seeds="none")
            yield from self._means(same, kind)

    def _means(self, same: Mapping[tuple[str, str], Tensor], kind: str) -> Iterator[Row]:
        for (pair, eps_a, eps_b), pairs in cells_of(same, self.roles).items():
            alike = "yes" if eps_a == eps_b else "no"
            told = {"images": "targets", "seeds": "none", "control": "none", "same_eps": alike}
            words = condition(pair=pair, eps_a=eps_a, eps_b=eps_b, **told)
            share = torch.stack([same[one].double() for one in pairs]).mean(0)
            named = {"quantity": "mean_agreement", "estimator": f"{kind}_heads", "condition": words}
            yield {**named, **self._share(share)}

    def inverted_rows(self, name: str, representations: Mapping[str, Tensor], seeds: str) -> Iterator[Row]:
        """Yield the agreement of one network with each other on its inverted images, by the layers trained with them.

        Parameters
        ----------
        name : str
        representations : mapping of network to Tensor, shape (n, p)
            Of the images inverted through `name`.
        seeds : str
            What the inversion started from.
        """
        own = self.heads[OWN][name](representations[name])
        for other, x in representations.items():
            if other != name:
                yield self._agreement(
                    name, other, OWN, self.heads[OWN][other](x) == own, images="inverted", seeds=seeds
                )

    def _agreement(self, a: str, b: str, kind: str, same: Tensor, **factors: str) -> Row:
        words = pair_condition(self.roles[a], self.roles[b], control="none", **factors)
        told = {"network_a": a, "network_b": b, "quantity": "agreement", "estimator": f"{kind}_heads"}
        return {**told, "condition": words, **self._share(same)}

    def _share(self, right: Tensor) -> Row:
        drawn = (self.weights @ right.double() / len(right)).numpy()
        low, high = np.quantile(drawn[1:], [0.025, 0.975])
        ends = {"low": min(float(low), drawn[0]), "high": max(float(high), drawn[0])}
        return {"value": float(drawn[0]), **ends, "n_samples": len(right)}
