"""The measures of two networks on one set of images, in every resample of the images and under shuffled rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from netalike.errors import ShapeError, unknown_name
from netalike.inversion.resampling import (
    Products,
    WeightedGram,
    cka,
    deconfounded_cka,
    products,
    weighted_gram,
)
from netalike.measures.cka import reason_of
from netalike.measures.hsic import unbiased_from_centred
from netalike.measures.procrustes import PROCRUSTES
from netalike.measures.registry import as_features
from netalike.measures.undefined import UndefinedMeasureError

PUBLISHED, UNBIASED = "cka/published", "cka/unbiased"
DECONFOUNDED, PROCRUSTES_DISTANCE = "deconfounded_cka/published", "procrustes/published"
MEASURES = (PUBLISHED, UNBIASED, DECONFOUNDED, PROCRUSTES_DISTANCE)
"""By ``quantity/estimator``: CKA as published, of the whole set at once; with the unbiased HSIC; deconfounded; and the
Procrustes distance."""


def chosen_measures(measures: Sequence[str] | None, has_inputs: bool) -> tuple[str, ...]:
    """Check the names of measures.

    Parameters
    ----------
    measures : sequence of str, or None
        None stands for all that can be had.
    has_inputs : bool
        Whether the inputs are known, which deconfounded CKA adjusts for.

    Raises
    ------
    UnknownNameError
        If there is no such measure.
    ShapeError
        If the inputs are missing.
    """
    if measures is None:
        return tuple(name for name in MEASURES if has_inputs or name != DECONFOUNDED)
    for name in measures:
        if name not in MEASURES:
            raise unknown_name("measure on inverted images", name, MEASURES)
    if DECONFOUNDED in measures and not has_inputs:
        raise ShapeError(f"{DECONFOUNDED} adjusts for the inputs: give the images as well.")
    return tuple(measures)


@dataclass(frozen=True)
class Prepared:
    """What one representation contributes to every comparison on its set of images; `reason` says why it cannot."""

    gram: WeightedGram | None
    own: Products | None
    with_inputs: Tensor | None
    factor: Tensor | None
    reason: str = ""


class OneSet:
    """One set of n images, its resamples and its permutations.

    Parameters
    ----------
    weights : Tensor, shape (n_boot + 1, n)
        `resampling.image_weights`.
    permutations : Tensor, shape (n_null, n), int64
        Of the rows of the second representation.
    measures : sequence of str
        Of `MEASURES`.
    inputs : array, shape (n, ...), optional
        The images themselves.
    """

    def __init__(
        self, weights: Tensor, permutations: Tensor, measures: Sequence[str], inputs: ArrayLike | Tensor | None = None
    ) -> None:
        self.weights, self.permutations, self.measures = weights, permutations, tuple(measures)
        self._inputs: WeightedGram | None = None
        if inputs is not None and DECONFOUNDED in measures:
            self._inputs = weighted_gram(self._of_this_set(inputs), weights)
            self._inputs_own = products(self._inputs, self._inputs, weights)

    def prepare(self, representation: ArrayLike | Tensor) -> Prepared:
        """Compute what a representation, shape (n, ...), contributes to every comparison."""
        x = self._of_this_set(representation)
        try:
            gram = weighted_gram(x, self.weights)
        except UndefinedMeasureError as error:
            return Prepared(None, None, None, None, str(error))
        own = products(gram, gram, self.weights)
        with_inputs = None
        if self._inputs is not None:
            crossed = products(gram, self._inputs, self.weights)
            with_inputs = cka(crossed, own, self._inputs_own, is_unbiased=False)
        factor = PROCRUSTES.prepare(x) if PROCRUSTES_DISTANCE in self.measures else None
        return Prepared(gram, own, with_inputs, factor)

    def compare(self, a: Prepared, b: Prepared) -> dict[str, NDArray[np.float64]]:
        """Compare two representations: by measure, the number of the sample and of every resample, (n_boot + 1,)."""
        if a.gram is None or b.gram is None or a.own is None or b.own is None:
            return {name: np.full(len(self.weights), np.nan) for name in self.measures}
        between = products(a.gram, b.gram, self.weights)
        biased = cka(between, a.own, b.own, is_unbiased=False)
        found = {PUBLISHED: biased, UNBIASED: cka(between, a.own, b.own, is_unbiased=True)}
        if a.with_inputs is not None and b.with_inputs is not None:
            found[DECONFOUNDED] = deconfounded_cka(biased, a.with_inputs, b.with_inputs)
        if a.factor is not None and b.factor is not None:
            found[PROCRUSTES_DISTANCE] = _procrustes(a.factor, b.factor, self.weights)
        return {name: found[name].numpy() for name in self.measures}

    def shuffled(self, a: Prepared, b: Prepared) -> dict[str, NDArray[np.float64]]:
        """Compare the images of the one with other images of the other: by measure, shape (n_null,)."""
        values = [self._once(a, b, order) for order in self.permutations]
        return {name: np.array([value[name] for value in values]) for name in self.measures}

    def reason(self, a: Prepared, b: Prepared, measure: str) -> str:
        """Say why a comparison has no number."""
        estimator = {UNBIASED: "unbiased", DECONFOUNDED: "deconfounded"}.get(measure, "published")
        return a.reason or b.reason or reason_of(estimator)

    def _of_this_set(self, x: ArrayLike | Tensor) -> Tensor:
        features, n = as_features(x), self.weights.shape[1]
        if len(features) != n:
            raise ShapeError(f"representations of one set of images have one row per image: {n} and {len(features)}.")
        return features

    def _once(self, a: Prepared, b: Prepared, order: Tensor) -> dict[str, float]:
        if a.gram is None or b.gram is None:
            return dict.fromkeys(self.measures, np.nan)
        moved = b.gram.gram[order][:, order]
        grams = torch.stack([a.gram.gram, moved, *([] if self._inputs is None else [self._inputs.gram])]).flatten(1)
        inner = grams @ grams.T
        norms = inner.diagonal().sqrt()
        r = inner / torch.outer(norms, norms)
        found = {PUBLISHED: float(r[0, 1])}
        if UNBIASED in self.measures:
            diagonals = torch.stack([a.gram.diagonal, b.gram.diagonal[order]])
            hsic = unbiased_from_centred(inner[:2, :2], diagonals, diagonals)
            own = hsic.diagonal().prod()
            found[UNBIASED] = float(hsic[0, 1] / own.sqrt()) if hsic.diagonal().min() > 0 else np.nan
        if DECONFOUNDED in self.measures:
            found[DECONFOUNDED] = float(deconfounded_cka(r[0, 1], r[0, 2], r[1, 2]))
        if a.factor is not None and b.factor is not None:
            found[PROCRUSTES_DISTANCE] = PROCRUSTES.compare(a.factor, b.factor[order])
        return {name: found[name] for name in self.measures}


def _procrustes(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Procrustes distance in every resample, with the rotation of the whole sample.

    The nuclear norm is the trace at the best rotation; to first order in the weights that rotation may stay, so that
    one decomposition serves all resamples. Rows are centred and each factor has norm one.
    """
    u, _, v = torch.linalg.svd(a.T @ b, full_matrices=False)
    turned, other = a @ u, b @ v.T  # (n, k)
    n = weights.shape[1]
    means = [weights @ part for part in (turned, other, a, b)]
    cross = weights @ (turned * other).sum(1) - (means[0] * means[1]).sum(1) / n
    norms = [weights @ (part**2).sum(1) - (mean**2).sum(1) / n for part, mean in zip((a, b), means[2:], strict=True)]
    distances: Tensor = 1 - cross / (norms[0] * norms[1]).sqrt()
    return distances.clamp(min=0)
