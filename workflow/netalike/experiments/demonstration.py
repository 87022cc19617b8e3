"""The demonstration of the authors' library: networks layer by layer, with and without its published division."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netalike import data, networks
from netalike.compat.simtorch import CKA, DeltaCKA, SimilarityModel
from netalike.data import ImageSet
from netalike.errors import NetalikeError
from netalike.evidence.measurements import OK, condition
from netalike.measures.panel import PERMUTED, UNTRAINED

# quantity -> its class in simtorch, and why a value can be missing
_METRICS: dict[str, tuple[type[CKA], str]] = {
    "cka": (CKA, "zero variance over the samples of a batch"),
    "deconfounded_cka": (
        DeltaCKA,
        "in some batch, zero variance over the samples or a Gram matrix that is a multiple of the inputs'",
    ),
}
# estimator -> bug_compat
_ESTIMATORS = {"published": False, "division_bug": True}
Layers = Mapping[str, Sequence[str]] | Sequence[str]
Loader = Collection[tuple[Tensor, Tensor]]


def demonstration_rows(
    models: Mapping[str, nn.Module], images: ImageSet, layers: Layers, batch_size: int, seed: int = 0
) -> list[dict[str, Any]]:
    """Compare two networks layer by layer as simtorch does, each with itself, and one with permuted samples.

    Parameters
    ----------
    models : mapping of network id to nn.Module
        Two networks.
    images : ImageSet
    layers : sequence of str, or mapping of network id to such
        A layer is compared if any of these is part of its dotted name, as in simtorch.
    batch_size : int
        The division error shows where the number of batches is not that of the first network's layers.
    seed : int
        Of the control's permutation.

    Returns
    -------
    list of dict
        All pairs of layers by CKA and deconfounded CKA: estimator ``published`` is the mean over batches,
        ``division_bug`` what simtorch 0.2.1 returns.  Condition ``pair``: ``two_networks``, ``self``, or
        ``permuted_samples`` (the second network sees the images of each batch in another order).

    Raises
    ------
    NetalikeError
        If there are not two networks.
    UnknownNameError
        If a filter matches no layer.
    ShapeError
        If a batch, also the last, has fewer than 4 images.
    """
    if len(models) != 2:
        raise NetalikeError(f"a demonstration compares 2 networks, got {len(models)}: {', '.join(models)}.")
    loader = list(data.batches(images, batch_size))
    a, b = (_wrapped(name, model, layers) for name, model in models.items())
    rows = _pair_rows(a, b, loader, "two_networks")
    for one in (a, b):
        rows += _pair_rows(one, one, loader, "self")
    with _permuted_samples(b.model, seed):
        permuted = _pair_rows(a, b, loader, "permuted_samples")
    return rows + [{**row, "network_b": row["network_b"] + PERMUTED} for row in permuted]


def resnet18_rows(images: ImageSet, batch_size: int, seed: int = 0) -> list[dict[str, Any]]:
    """Compare an untrained ResNet-18 with itself by deconfounded CKA, as the authors' second published figure does.

    Parameters
    ----------
    images : ImageSet
        In 20 batches, as published, they give a diagonal of 20 / 18 = 1.11 with the division error.  Grey ones are
        shown in three equal channels.
    batch_size : int
    seed : int
        Of the weights.

    Returns
    -------
    list of dict
        As `demonstration_rows`, condition ``pair=self``, network ``resnet18@untrained``.

    Notes
    -----
    The figure's title says ResNet-101, but it has the 18 layers of a ResNet-18 with the filters ``conv`` and ``fc``.
    The diagonal does not depend on the weights.
    """
    model = networks.build("torchvision:resnet18", channels=3, classes=len(images.classes), seed=seed)
    wrapped = _wrapped("resnet18" + UNTRAINED, model, ["conv", "fc"])
    coloured = [(inputs.expand(-1, 3, -1, -1), labels) for inputs, labels in data.batches(images, batch_size)]
    return _pair_rows(wrapped, wrapped, coloured, "self", ["deconfounded_cka"])


def _wrapped(name: str, model: nn.Module, layers: Layers) -> SimilarityModel:
    filters = layers[name] if isinstance(layers, Mapping) else layers
    # one list for two architectures: "classifier" means something to one of them, "fc" to the other
    present = [text for text in filters if any(text in layer for layer, _ in model.named_modules())]
    return SimilarityModel(model, name, present or list(filters))


@contextlib.contextmanager
def _permuted_samples(model: nn.Module, seed: int) -> Iterator[None]:
    """Make a model see the samples of each batch in another order, while its layers keep their names."""

    def permute(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # the same order each time: a batch may run twice, once per way of centring its layers
        order = torch.randperm(len(inputs[0]), generator=torch.Generator().manual_seed(seed))
        return (inputs[0][order], *inputs[1:])

    handle = model.register_forward_pre_hook(permute)
    try:
        yield
    finally:
        handle.remove()


def _pair_rows(
    a: SimilarityModel, b: SimilarityModel, loader: Loader, pair: str, quantities: Iterable[str] = tuple(_METRICS)
) -> list[dict[str, Any]]:
    # the matrix with the error is computed anew, by the interface that users of simtorch call: it costs a second or two
    return [
        row
        for quantity in quantities
        for estimator in _ESTIMATORS
        for row in _matrix_rows(a, b, loader, pair, quantity, estimator)
    ]


def _matrix_rows(
    a: SimilarityModel, b: SimilarityModel, loader: Loader, pair: str, quantity: str, estimator: str
) -> list[dict[str, Any]]:
    metric, reason = _METRICS[quantity]
    matrix = metric(a, b, bug_compat=_ESTIMATORS[estimator]).compute(loader)
    return [
        {
            "network_a": a.model_name,
            "layer_a": layer_a,
            "network_b": b.model_name,
            "layer_b": layer_b,
            "quantity": quantity,
            "estimator": estimator,
            "condition": condition(pair=pair),
            "value": float(matrix[i, j]),
            "status": f"undefined: {reason}" if np.isnan(matrix[i, j]) else OK,
        }
        for i, layer_a in enumerate(a.layer_names)
        for j, layer_b in enumerate(b.layer_names)
    ]
