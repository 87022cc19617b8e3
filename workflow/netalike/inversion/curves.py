"""How the losses of an inversion fell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
ALL_KEPT = 2_000_000
"""Of so many losses (images x iterations) all are kept; beyond that, their mean and quantiles."""


@dataclass(frozen=True)
class LossCurve:
    """The losses of all images, iteration by iteration; entry 0 is of the seed images.

    Attributes
    ----------
    mean, best_mean : array, shape (iterations + 1,)
        Over the images: of the loss of the iterate, and of the smallest loss so far.
    levels : array, shape (5,)
        0.05, 0.25, 0.5, 0.75 and 0.95.
    quantiles, best_quantiles : array, shape (5, iterations + 1)
        Over the images, one row per level.
    losses : array, shape (iterations + 1, n), or None
        Of every image; None where there are too many of them. NaN for an image without a loss.
    """

    mean: NDArray[np.float64]
    best_mean: NDArray[np.float64]
    levels: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    best_quantiles: NDArray[np.float64]
    losses: NDArray[np.float32] | None


def summarise(history: NDArray[np.float32]) -> LossCurve:
    """Summarise the losses of an inversion.

    Parameters
    ----------
    history : array, shape (iterations + 1, n)
        Losses of every image; columns of NaN are left out of the summaries.

    Returns
    -------
    LossCurve
        All NaN if no image has a loss.
    """
    known = history[:, ~np.isnan(history).any(0)].astype(np.float64)
    if not known.shape[1]:
        known = np.full((len(history), 1), np.nan)
    best = np.minimum.accumulate(known, axis=0)
    return LossCurve(
        mean=known.mean(1),
        best_mean=best.mean(1),
        levels=np.array(LEVELS),
        quantiles=np.quantile(known, LEVELS, axis=1),
        best_quantiles=np.quantile(best, LEVELS, axis=1),
        losses=history if history.size <= ALL_KEPT else None,
    )
