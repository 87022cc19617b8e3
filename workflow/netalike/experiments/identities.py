"""What must hold exactly: identities and invariances of deconfounded CKA, in double precision, on recorded layers."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netalike.activations import record
from netalike.data import ImageSet
from netalike.evidence.measurements import OK, condition
from netalike.measures import (
    Measure,
    UndefinedMeasureError,
    cka,
    deconfounded_cka,
    explained_by_inputs,
    measure,
)
from netalike.measures.registry import as_features
from netalike.measures.sources import NOISE
from netalike.progress import progress

_Array = NDArray[np.float64]
_ADJUSTED = measure("deconfounded_cka/published")
_CKA = (measure("cka/biased"), measure("cka/unbiased"))
# No power of two: scaling has to round.
_SCALE = 7.3
# Units that are rotated together; all units of a wide layer at once would need a matrix of gigabytes.
_ROTATED = 512


@dataclass(frozen=True)
class _Layer:
    """What the identities need of one recorded layer; the layer itself is not kept."""

    gram: _Array  # (n, n), by the explicit formula
    residual: _Array  # (n, n), of its regression on the inputs' Gram matrix
    with_inputs: float  # biased CKA with the inputs
    explained: float  # share of variance that the inputs explain
    prepared: dict[tuple[str, str], Any]  # by version of the layer and measure


@dataclass(frozen=True)
class _Recorded:
    layers: list[_Layer]
    inputs: _Array  # (n, n), Gram matrix by the explicit formula


def all_rows(
    name: str, model: nn.Module, images: ImageSet, layers: Sequence[str], seed: int, chances: int = 200
) -> list[dict[str, Any]]:
    """Check everything that must hold exactly, and the chance level of CKA.

    Parameters
    ----------
    name : str
        The network's id.
    model : nn.Module
        Trained.
    images : ImageSet
        About 200: Gram matrices of all of them are kept.
    layers : sequence of str
        Exact names.
    seed : int
    chances : int
        How many pairs of random matrices the chance level is measured on.

    Returns
    -------
    list of dict
        See `identity_rows`, `chance_rows` and `constant_layer_rows`; each with its own number of samples.
    """
    rows = identity_rows(name, model, images, layers, seed) + constant_layer_rows(images, seed)
    return [{**row, "n_samples": len(images)} for row in rows] + chance_rows(range(seed, seed + chances))


def identity_rows(
    name: str, model: nn.Module, images: ImageSet, layers: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Measure how far each identity is from holding, on all pairs of recorded layers of a network.

    Parameters
    ----------
    name : str
        The network's id.
    model : nn.Module
        Trained.
    images : ImageSet
        n images, n at least 4.
    layers : sequence of str
        Exact names.
    seed : int
        Of the random rotations.

    Returns
    -------
    list of dict
        Quantity ``largest_difference`` with condition ``identity=NAME``: the largest absolute difference between the
        two sides.  ``partial_correlation``: deconfounded CKA by an explicit regression on all n^2 entries, by its
        closed form, and by `measures.deconfounded_cka`.  ``explained_share``: the share that the inputs explain as a
        squared CKA, and as one minus the residual's share of the variance.  ``residual_with_inputs``: the correlation
        of the residual with the inputs' Gram matrix.  ``diagonal``: a layer's similarity to itself, and 1.
        ``symmetry``.  ``orthogonal_map``, ``isotropic_scaling``: before and after either is applied to the layer's
        units; ``cka_orthogonal_map``, ``cka_isotropic_scaling``: the same for biased and unbiased CKA.  Where a layer
        has no value, the rows are undefined, and their status says why.

    Notes
    -----
    Everything is computed in float64 from the recorded float32 activations.  O(L n^2 p) time for L layers of p units
    and O(L^2 n^2) for their pairs; memory O(L n^2), and that of one layer.
    """
    try:
        recorded, status = _record(model, images, layers, seed), OK
        values = {identity: difference(recorded) for identity, difference in _IDENTITIES.items()}
    except UndefinedMeasureError as error:
        values, status = dict.fromkeys(_IDENTITIES, float("nan")), error.status
    return [
        {
            "network_a": name,
            "quantity": "largest_difference",
            "condition": condition(identity=identity),
            "value": value,
            "status": status,
        }
        for identity, value in values.items()
    ]


def chance_rows(seeds: Sequence[int], samples: int = 40, width: int = 1000) -> list[dict[str, Any]]:
    """Measure CKA of two matrices that have nothing in common.

    Parameters
    ----------
    seeds : sequence of int
        One pair of standard normal matrices of shape (samples, width) each.
    samples, width : int

    Returns
    -------
    list of dict
        Quantity ``chance_level``, estimators ``biased`` and ``unbiased``, condition ``network=noise``.

    Notes
    -----
    For p1 and p2 units the biased estimator is near sqrt(p1 p2 / ((n + p1)(n + p2))), 0.962 for the defaults, and the
    unbiased one 0 on average; one draw of it strays by about 0.04.
    """
    rows = []
    for seed in seeds:
        x, y = np.random.default_rng(seed).standard_normal((2, samples, width))
        for estimator in ("biased", "unbiased"):
            rows.append(
                {
                    "n_samples": samples,
                    "quantity": "chance_level",
                    "estimator": estimator,
                    "condition": condition(network=NOISE),
                    "seed": seed,
                    "value": cka(x, y, estimator),
                }
            )
    return rows


def constant_layer_rows(images: ImageSet, seed: int) -> list[dict[str, Any]]:
    """Show that a layer which is the same for all images has no deconfounded CKA, rather than a wrong one.

    Parameters
    ----------
    images : ImageSet
        n images, n at least 4.
    seed : int
        Of the layer that it is compared with.

    Returns
    -------
    list of dict
        One row ``deconfounded_cka``/``published`` with condition ``control=constant_layer``; its status is the reason.
    """
    constant, random = np.ones((len(images), 10)), np.random.default_rng(seed).standard_normal((len(images), 10))
    try:
        value, status = deconfounded_cka(constant, random, images.inputs()), OK
    except UndefinedMeasureError as error:
        value, status = float("nan"), error.status
    return [
        {
            "network_a": NOISE,
            "layer_a": "constant",
            "network_b": NOISE,
            "layer_b": NOISE,
            "quantity": "deconfounded_cka",
            "estimator": "published",
            "condition": condition(control="constant_layer"),
            "value": value,
            "status": status,
        }
    ]


def _record(model: nn.Module, images: ImageSet, layers: Sequence[str], seed: int) -> _Recorded:
    inputs = as_features(images.inputs())
    with tempfile.TemporaryDirectory() as directory:
        recording = record(model, images, layers, Path(directory))
        prepared = [
            _prepare(layer, as_features(recording[layer]), inputs, seed) for layer in progress(layers, "identities")
        ]
    return _Recorded(prepared, _gram(inputs.numpy()))


def _prepare(layer: str, features: Tensor, inputs: Tensor, seed: int) -> _Layer:
    try:
        explained = explained_by_inputs(features, inputs)
    except UndefinedMeasureError as error:
        raise UndefinedMeasureError(f"{error} in layer {layer}") from error
    gram = _gram(features.numpy())
    prepared = {}
    for version, change in _VERSIONS.items():
        changed = change(features, seed)
        for one in (_ADJUSTED, *_CKA):
            extra = (inputs,) if one.needs_inputs else ()
            prepared[version, one.key] = one.prepare(changed, *extra)
    residual = _residual(gram, _gram(inputs.numpy()))
    return _Layer(gram, residual, cka(features, inputs, "biased"), explained, prepared)


# ---- deconfounded CKA as its definition says, step by step; nothing here is shared with netalike.measures -----------


def _residual(gram: _Array, confounder: _Array) -> _Array:
    """Regress all n^2 entries of a Gram matrix on those of another and an intercept; return what is left."""
    design = np.column_stack([np.ones(confounder.size), confounder.ravel()])
    coefficients, *_ = np.linalg.lstsq(design, gram.ravel(), rcond=None)
    residual: _Array = gram.ravel() - design @ coefficients
    return residual.reshape(gram.shape)


def _residual_similarity(first: _Array, second: _Array) -> float:
    """HSIC of two residuals over the root of their own."""
    a, b = _centred(first), _centred(second)
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _gram(features: _Array) -> _Array:
    centred = features - features.mean(axis=0)
    scaled = centred / np.linalg.norm(centred)
    gram: _Array = scaled @ scaled.T
    return gram


def _centred(gram: _Array) -> _Array:
    centring = np.eye(len(gram)) - 1 / len(gram)
    centred: _Array = centring @ gram @ centring
    return centred


# ---- versions of a layer ---------------------------------------------------------------------------------------------


def _rotated(features: Tensor, seed: int) -> Tensor:
    """Apply a random orthogonal map: units in a random order, then mixed in blocks by random orthogonal matrices."""
    generator = torch.Generator().manual_seed(seed)
    shuffled = features[:, torch.randperm(features.shape[1], generator=generator)]
    blocks = torch.split(shuffled, _ROTATED, dim=1)
    return torch.cat([block @ _orthogonal(block.shape[1], generator) for block in blocks], dim=1)


def _orthogonal(size: int, generator: torch.Generator) -> Tensor:
    orthogonal: Tensor = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    return orthogonal


_VERSIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "recorded": lambda features, seed: features,
    "rotated": _rotated,
    "scaled": lambda features, seed: _SCALE * features,
}


# ---- the identities: each takes what was recorded and returns the largest difference ---------------------------------


def _partial_correlation(recorded: _Recorded) -> float:
    biased = _CKA[0]
    differences = []
    for a, b in product(recorded.layers, repeat=2):
        r12, r10, r20 = _between(biased, a, b), a.with_inputs, b.with_inputs
        closed = (r12 - r10 * r20) / math.sqrt((1 - r10**2) * (1 - r20**2))
        explicit = _residual_similarity(a.residual, b.residual)
        differences += [explicit - closed, explicit - _between(_ADJUSTED, a, b)]
    return _largest(differences)


def _explained_share(recorded: _Recorded) -> float:
    return _largest(1 - one.residual.var() / one.gram.var() - one.explained for one in recorded.layers)


def _residual_with_inputs(recorded: _Recorded) -> float:
    inputs = recorded.inputs.ravel()
    return _largest(np.corrcoef(one.residual.ravel(), inputs)[0, 1] for one in recorded.layers)


def _diagonal(recorded: _Recorded) -> float:
    return _largest(_between(_ADJUSTED, one, one) - 1 for one in recorded.layers)


def _symmetry(recorded: _Recorded) -> float:
    pairs = product(recorded.layers, repeat=2)
    return _largest(_between(_ADJUSTED, a, b) - _between(_ADJUSTED, b, a) for a, b in pairs)


def _invariance(version: str, *measures: Measure) -> Callable[[_Recorded], float]:
    """Return the identity that no similarity changes if one of the two layers is changed."""

    def difference(recorded: _Recorded) -> float:
        return _largest(
            _between(similarity, a, b, version) - _between(similarity, a, b)
            for similarity in measures
            for a, b in product(recorded.layers, repeat=2)
        )

    return difference


def _between(similarity: Measure, a: _Layer, b: _Layer, version_of_a: str = "recorded") -> float:
    return similarity.compare(a.prepared[version_of_a, similarity.key], b.prepared["recorded", similarity.key])


def _largest(differences: Iterable[float]) -> float:
    return float(max(abs(difference) for difference in differences))


_IDENTITIES: dict[str, Callable[[_Recorded], float]] = {
    "partial_correlation": _partial_correlation,
    "explained_share": _explained_share,
    "residual_with_inputs": _residual_with_inputs,
    "diagonal": _diagonal,
    "symmetry": _symmetry,
    "orthogonal_map": _invariance("rotated", _ADJUSTED),
    "isotropic_scaling": _invariance("scaled", _ADJUSTED),
    "cka_orthogonal_map": _invariance("rotated", *_CKA),
    "cka_isotropic_scaling": _invariance("scaled", *_CKA),
}
