"""The measures of a panel, of all families, with what is known of each before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netalike.errors import unknown_name

FAMILIES: dict[str, str] = {
    "representation": "representations",
    "alignment": "alignment",
    "stitching": "stitching",
    "inversion": "inverted images",
    "gradients": "gradient kernels",
    "behaviour": "behaviour",
}
"""The kinds of comparison, in the order in which tables and figures show them, and what figures call them."""

SIMILARITY, DISTANCE = "similarity", "distance"
TRAINED = ("same_family", "other_family")
"""The factor ``pair`` of two different trained networks."""


@dataclass(frozen=True)
class PanelMeasure:
    """One measure of a panel.

    Attributes
    ----------
    key : str
        ``quantity/estimator``, as in the measurement table.
    family : str
        Of `FAMILIES`.
    label : str
        Short name, for axes.
    direction : {"similarity", "distance"}
        Whether more is more alike.
    low, high : float
        Range of the value.
    identical : float or None
        The value of a network with itself, also where its units are in another order; None where it is not fixed.
    unrelated : float or None
        What independent noise has in expectation; None where it depends on widths and numbers of samples.
    symmetric : bool
        Whether exchanging the two networks changes nothing.
    layerwise : bool
        Whether there is a value for each pair of layers, and not one for each pair of networks.
    tolerance : float
        How far from `identical` a network with itself may be: rounding, or what a fit by training misses.
    """

    key: str
    family: str
    label: str
    direction: str
    low: float
    high: float
    identical: float | None
    unrelated: float | None
    symmetric: bool
    layerwise: bool
    tolerance: float = 1e-4

    @property
    def quantity(self) -> str:
        """The part of the key before the bar."""
        return self.key.partition("/")[0]

    @property
    def estimator(self) -> str:
        """The part of the key behind the bar."""
        return self.key.partition("/")[2]

    @property
    def sign(self) -> float:
        """1 for a similarity and -1 for a distance: times it, larger is more alike."""
        return -1.0 if self.direction == DISTANCE else 1.0


def _representation(
    key: str,
    label: str,
    low: float = 0.0,
    unrelated: float | None = None,
    symmetric: bool = True,
    direction: str = SIMILARITY,
) -> PanelMeasure:
    identical = 1.0 if direction == SIMILARITY else 0.0
    return PanelMeasure(key, "representation", label, direction, low, 1.0, identical, unrelated, symmetric, True)


def _alignment(key: str, label: str, low: float, unrelated: float | None) -> PanelMeasure:
    return PanelMeasure(key, "alignment", label, SIMILARITY, low, 1.0, 1.0, unrelated, True, True)


def _stitching(key: str, label: str, high: float, tolerance: float) -> PanelMeasure:
    return PanelMeasure(key, "stitching", label, SIMILARITY, 0.0, high, 1.0, None, False, True, tolerance)


def _inversion(key: str, label: str, low: float, identical: float | None, unrelated: float | None) -> PanelMeasure:
    return PanelMeasure(key, "inversion", label, SIMILARITY, low, 1.0, identical, unrelated, False, False)


def _gradients(key: str, label: str, low: float, unrelated: float | None) -> PanelMeasure:
    return PanelMeasure(key, "gradients", label, SIMILARITY, low, 1.0, 1.0, unrelated, True, False)


def _behaviour(key: str, label: str, direction: str, low: float = 0.0, unrelated: float | None = None) -> PanelMeasure:
    identical = 1.0 if direction == SIMILARITY else 0.0
    return PanelMeasure(key, "behaviour", label, direction, low, 1.0, identical, unrelated, True, False)


_LEAST_SQUARES, _TRAINED = 0.02, 0.05  # what a fit on some images loses on others, by the way of fitting

_ALL = (
    _representation("cka/published", "CKA, mean of batches"),
    _representation("cka/biased", "CKA"),
    _representation("cka/unbiased", "CKA, unbiased", low=-1.0, unrelated=0.0),
    _representation("deconfounded_cka/published", "deconfounded CKA", low=-1.0),
    _representation("deconfounded_cka/published_psd", "deconfounded CKA, PSD"),
    _representation("procrustes/published", "Procrustes", direction=DISTANCE),
    _representation("cca/mean_squared", "CCA"),
    _representation("svcca/mean", "SVCCA"),
    _representation("pwcca/first", "PWCCA", symmetric=False),
    _representation("linear_regression/r2", "linear regression", symmetric=False),
    _representation("rsa/spearman", "RSA, Spearman", low=-1.0, unrelated=0.0),
    _representation("rsa/pearson", "RSA, Pearson", low=-1.0, unrelated=0.0),
    _alignment("shared_variance/srm", "SRM, held-out variance", -math.inf, None),
    _alignment("rsm_similarity/pearson", "RSMs, Pearson", -1.0, 0.0),
    _alignment("shared_rsm_similarity/pearson", "RSMs in shared space", -1.0, None),
    _stitching("relative_accuracy/least_squares", "stitched accuracy, LS", math.inf, _LEAST_SQUARES),
    _stitching("stitched_agreement/least_squares", "stitched agreement, LS", 1.0, _LEAST_SQUARES),
    _stitching("relative_accuracy/task_loss", "stitched accuracy, trained", math.inf, _TRAINED),
    _stitching("stitched_agreement/task_loss", "stitched agreement, trained", 1.0, _TRAINED),
    _inversion("inverted_cka/biased", "inverted CKA", 0.0, 1.0, None),
    _inversion("inverted_cka/unbiased", "inverted CKA, unbiased", -1.0, 1.0, 0.0),
    _inversion("stir/cka", "STIR", 0.0, None, None),
    _gradients("kernel_correlation/pearson", "gradient kernels, Pearson", -1.0, 0.0),
    _gradients("kernel_correlation/spearman", "gradient kernels, Spearman", -1.0, 0.0),
    _gradients("kernel_cka/biased", "gradient kernels, CKA", 0.0, None),
    _gradients("kernel_cka/unbiased", "gradient kernels, CKA unb.", -1.0, 0.0),
    _behaviour("prediction_agreement/share", "agreement", SIMILARITY),
    _behaviour("error_consistency/kappa", "error consistency", SIMILARITY, -1.0, 0.0),
    _behaviour("error_overlap/jaccard", "error overlap", SIMILARITY),
    _behaviour("output_divergence/jensen_shannon", "output divergence", DISTANCE),
    _behaviour("accuracy_difference/absolute", "accuracy difference", DISTANCE),
)

PANEL_MEASURES: dict[str, PanelMeasure] = {measure.key: measure for measure in _ALL}
"""Every measure of a panel by key, family by family in the order of `FAMILIES`."""


def panel_measure(key: str) -> PanelMeasure:
    """Look a measure up.

    Parameters
    ----------
    key : str
        ``quantity/estimator``.

    Raises
    ------
    UnknownNameError
        With the nearest name.
    """
    if key not in PANEL_MEASURES:
        raise unknown_name("measure of a panel", key, PANEL_MEASURES)
    return PANEL_MEASURES[key]


def measure_of(row: Mapping[str, Any]) -> PanelMeasure | None:
    """Say which measure a row of the measurement table holds a value of.

    Parameters
    ----------
    row : mapping
        With ``quantity`` and ``estimator``.

    Returns
    -------
    PanelMeasure or None
        None for a quantity of a single network, such as its accuracy.
    """
    return PANEL_MEASURES.get(f"{row['quantity']}/{row['estimator']}")


def measures_of(family: str) -> list[PanelMeasure]:
    """Return the measures of one family.

    Parameters
    ----------
    family : str
        Of `FAMILIES`.

    Raises
    ------
    UnknownNameError
        With the nearest name.
    """
    if family not in FAMILIES:
        raise unknown_name("family of measures", family, FAMILIES)
    return [measure for measure in _ALL if measure.family == family]
