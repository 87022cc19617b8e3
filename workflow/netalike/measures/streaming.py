"""CKA of all pairs of representations, in one pass over batches of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from netalike.errors import ShapeError, unknown_name
from netalike.measures.gram import unit_vectors
from netalike.measures.hsic import MIN_UNBIASED_SAMPLES, own_products, unbiased_from_centred

ESTIMATORS = ("published", "biased", "unbiased", "deconfounded", "deconfounded_psd")
# A self-term of unbiased HSIC below this share of the biased one is what rounding leaves of zero.
_ROUNDING = 1e-12
# 1 - r^2 below this: the Gram matrix is a multiple of the inputs' and nothing is left after adjusting for them.
_EXPLAINED = 1e-10


@dataclass
class PairwiseResult:
    """Similarity of every pair of representations, by estimator.

    Attributes
    ----------
    values : dict of str to Tensor, shape (representations, representations), float64
        NaN where undefined.
    explained : Tensor, shape (representations,) or None
        Share of the variance of a representation's Gram matrix that the inputs' Gram matrix explains (PVE), mean over
        batches; None without a confounder.
    negative_share : Tensor, shape (representations,) or None
        Share of the absolute eigenvalues of the adjusted Gram matrix that the PSD projection removes.
    reasons : dict of int to str
        Why a representation has no value.
    """

    values: dict[str, Tensor]
    explained: Tensor | None = None
    negative_share: Tensor | None = None
    reasons: dict[int, str] = field(default_factory=dict)


class PairwiseCKA:
    """Accumulate CKA between all pairs of representations, batch by batch.

    Parameters
    ----------
    estimators : sequence of str
        ``published``: the unweighted mean over batches of biased CKA (Kornblith et al. 2019, eq. 2, as simtorch
        averages it).  ``unbiased``: HSIC_1 (Song et al. 2012, eq. 5) summed over batches, then the ratio (Nguyen et
        al. 2021, eq. 3), not clamped.  ``deconfounded``: the mean over batches of the partial correlation of Gram
        matrices given the inputs' (Cui et al. 2022); ``deconfounded_psd``: the same after projecting the adjusted
        matrices on the positive semi-definite cone.  (``biased`` on a whole set is `whole_set.WholeSetCKA`.)

    Notes
    -----
    A batch costs O(R^2 n^2) for R representations of n samples: one matrix product serves all pairs and estimators
    but the PSD one, which adds R eigendecompositions, O(R n^3).  Memory O(R n^2), whatever the number of batches.
    """

    def __init__(self, estimators: Sequence[str]) -> None:
        for name in estimators:
            if name not in ESTIMATORS or name == "biased":
                raise unknown_name("CKA estimator over batches", name, [e for e in ESTIMATORS if e != "biased"])
        self.estimators = tuple(estimators)
        self._sums: dict[str, Tensor] = {}
        self._scale: Tensor = torch.zeros((), dtype=torch.float64)
        self._batches = 0
        self._explained: Tensor | None = None
        self._negative: Tensor | None = None
        self._constant: dict[int, int] = {}

    def update(self, grams: Tensor, confounder: Tensor | None = None) -> None:
        """Add one batch.

        Parameters
        ----------
        grams : Tensor, shape (representations, n, n)
            Centred Gram matrices of the n samples of the batch.
        confounder : Tensor, shape (n, n), optional
            Centred Gram matrix of the inputs; needed by the deconfounded estimators.

        Raises
        ------
        ShapeError
            If the batch has fewer than 4 samples, or the confounder is missing or of other samples.
        """
        n = grams.shape[-1]
        if n < MIN_UNBIASED_SAMPLES:
            raise ShapeError(f"CKA needs batches of at least {MIN_UNBIASED_SAMPLES} samples, got one of {n}.")
        is_adjusted = any(name.startswith("deconfounded") for name in self.estimators)
        if is_adjusted:  # a difference of nearly equal correlations, where the inputs explain nearly all
            grams = grams.double()
        products, diagonals = own_products(grams)
        self._note_constant(diagonals)
        norms = products.diagonal().sqrt()
        correlation = products / torch.outer(norms, norms)
        if "published" in self.estimators:
            self._add("published", correlation)
        if "unbiased" in self.estimators:
            self._add("unbiased", unbiased_from_centred(products, diagonals, diagonals))
            self._scale = self._scale + products.diagonal() / (n * (n - 3))
        if is_adjusted:
            self._update_deconfounded(grams, correlation, confounder)
        self._batches += 1

    def _update_deconfounded(self, grams: Tensor, correlation: Tensor, confounder: Tensor | None) -> None:
        if confounder is None or confounder.shape != grams.shape[1:]:
            raise ShapeError(
                f"deconfounded CKA needs the inputs' Gram matrix of shape {tuple(grams.shape[1:])}, "
                f"got {None if confounder is None else tuple(confounder.shape)}."
            )
        inputs, _ = unit_vectors(confounder[None].double())
        norms = torch.linalg.vector_norm(grams.flatten(1), dim=1)
        with_inputs = grams.flatten(1) @ inputs[0] / norms  # r_i0
        left = (1 - with_inputs**2).clamp(min=0)
        left[left < _EXPLAINED] = torch.nan
        self._explained = with_inputs**2 if self._explained is None else self._explained + with_inputs**2
        if "deconfounded" in self.estimators:
            adjusted = correlation - torch.outer(with_inputs, with_inputs)
            self._add("deconfounded", adjusted / torch.outer(left, left).sqrt())
        if "deconfounded_psd" in self.estimators:
            units, _ = unit_vectors(grams)
            residuals = (units - torch.outer(with_inputs, inputs[0])).view_as(grams)
            projected, negative = project_psd(residuals)
            negative[left.isnan()] = torch.nan  # what is left is rounding
            self._negative = negative if self._negative is None else self._negative + negative
            projected_units, _ = unit_vectors(projected)
            projected_units[left.isnan()] = torch.nan
            self._add("deconfounded_psd", projected_units @ projected_units.T)

    def _add(self, name: str, batch: Tensor) -> None:
        self._sums[name] = batch + self._sums.get(name, 0.0)

    def _note_constant(self, diagonals: Tensor) -> None:
        for index in torch.nonzero(~(diagonals.sum(-1) > 0)).flatten().tolist():
            self._constant.setdefault(index, self._batches)

    def result(self) -> PairwiseResult:
        """Return the estimates over all batches added so far.

        Returns
        -------
        PairwiseResult

        Raises
        ------
        ShapeError
            If no batch was added.
        """
        if not self._batches:
            raise ShapeError("CKA of no samples: no batch was added.")
        values = {}
        for name, total in self._sums.items():
            values[name] = _ratio(total, self._scale) if name == "unbiased" else total / self._batches
        return PairwiseResult(
            values=values,
            explained=None if self._explained is None else self._explained / self._batches,
            negative_share=None if self._negative is None else self._negative / self._batches,
            reasons={i: f"zero variance over the samples of batch {batch}" for i, batch in self._constant.items()},
        )


def _ratio(hsic: Tensor, scale: Tensor) -> Tensor:
    """HSIC(a, b) / sqrt(HSIC(a, a) HSIC(b, b)); NaN, not clamped, where a self-term is not above rounding."""
    own = hsic.diagonal()
    own = torch.where(own > _ROUNDING * scale, own, torch.nan).sqrt()
    return hsic / torch.outer(own, own)


def project_psd(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Project symmetric matrices on the positive semi-definite cone.

    Parameters
    ----------
    matrices : Tensor, shape (layers, n, n)
        Symmetric.

    Returns
    -------
    projected : Tensor, shape (layers, n, n)
        The nearest positive semi-definite matrices in Frobenius norm: negative eigenvalues set to 0.
    negative_share : Tensor, shape (layers,)
        Sum of the absolute negative eigenvalues over the sum of all absolute ones.

    Notes
    -----
    O(layers n^3).  Matrices with NaN or zero entries only give NaN.
    """
    safe = torch.nan_to_num(matrices)
    eigenvalues, vectors = torch.linalg.eigh(safe)
    kept = eigenvalues.clamp(min=0)
    projected = (vectors * kept[:, None, :]) @ vectors.mT
    negative_share = (kept - eigenvalues).sum(-1) / eigenvalues.abs().sum(-1)
    bad = matrices.flatten(1).isnan().any(1)
    projected[bad] = torch.nan
    negative_share[bad] = torch.nan
    return projected, negative_share
