"""Numbers with their resamples: intervals, means and differences that keep what belongs together together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netalike.errors import ShapeError

OK = "ok"


@dataclass(frozen=True)
class Estimates:
    """One number, or an array of them, each with an interval from resamples of the images.

    Attributes
    ----------
    value, low, high : array, shape (...)
        NaN where undefined; `low` and `high` also where nothing was resampled. `low` and `high` are percentiles.
    status : array of str, shape (...)
        ``ok``, or why there is no number.
    samples : array, shape (n_boot, ...)
        The number in every resample. Those of estimates that were made with one seed belong together, row by row.
    confidence : float
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    status: NDArray[np.str_]
    samples: NDArray[np.float64]
    confidence: float

    def __float__(self) -> float:
        return float(self.value)

    def mean(self, chosen: ArrayLike | None = None) -> Estimates:
        """Average over the entries.

        Parameters
        ----------
        chosen : array of bool, shape (...), optional
            Which entries; all by default.

        Returns
        -------
        Estimates, shape ()
            Over the chosen entries that have a number; the status says how many do not.

        Raises
        ------
        ShapeError
            If the mask has another shape, or nothing is chosen.
        """
        mask = np.ones(self.value.shape, bool) if chosen is None else np.asarray(chosen, bool)
        if mask.shape != self.value.shape or not mask.any():
            raise ShapeError(
                f"the mean wants a mask of shape {self.value.shape} with at least one entry, got shape {mask.shape} "
                f"with {int(mask.sum())}."
            )
        known = mask & ~np.isnan(self.value)
        missing = int(mask.sum() - known.sum())
        reason = OK if known.any() else f"undefined: none of {missing} values is defined"
        if not known.any():
            return undefined((), reason.removeprefix("undefined: "), len(self.samples), self.confidence)
        # A resample without one of the numbers has no mean of the same networks.
        drawn = np.concatenate([[self.value[known].mean()], self.samples[:, known].mean(1)])
        return estimates(drawn, self.confidence)

    def minus(self, other: Estimates) -> Estimates:
        """Subtract, resample by resample: the interval is that of the paired difference.

        Parameters
        ----------
        other : Estimates
            Of the same shape and the same resamples.

        Returns
        -------
        Estimates

        Raises
        ------
        ShapeError
            If shapes or numbers of resamples differ.
        """
        if self.samples.shape != other.samples.shape:
            raise ShapeError(
                f"a paired difference of other resamples: {self.samples.shape} and {other.samples.shape}; use one "
                "n_boot and one seed."
            )
        drawn = np.concatenate([(self.value - other.value)[None], self.samples - other.samples])
        status = np.where(self.status == OK, other.status, self.status)
        return estimates(drawn, self.confidence, status)

    def map(self, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Estimates:
        """Change values and resamples alike, entry by entry, as ``e.map(lambda x: 1 - x)``."""
        return estimates(change(np.concatenate([self.value[None], self.samples])), self.confidence, self.status)

    def transpose(self) -> Estimates:
        """Exchange rows and columns of a matrix of estimates."""
        low, high = self.low.swapaxes(-1, -2), self.high.swapaxes(-1, -2)
        value, status = self.value.swapaxes(-1, -2), self.status.swapaxes(-1, -2)
        return Estimates(value, low, high, status, self.samples.swapaxes(-1, -2), self.confidence)


def estimates(
    drawn: NDArray[np.float64], confidence: float = 0.95, status: NDArray[np.str_] | None = None
) -> Estimates:
    """Make estimates from a statistic of the sample and of its resamples.

    Parameters
    ----------
    drawn : array, shape (n_boot + 1, ...)
        Entry 0 is of the sample itself.
    confidence : float
        Share of the resamples between `low` and `high`.
    status : array of str, shape (...), optional
        ``ok`` by default, and ``undefined`` where the value is NaN.

    Returns
    -------
    Estimates
    """
    value, samples = drawn[0], drawn[1:]
    low, high = percentiles(samples, confidence)
    missing = np.isnan(value)
    if status is None:
        status = np.where(missing, "undefined", OK)
    return Estimates(
        np.asarray(value),
        np.where(missing, np.nan, low),
        np.where(missing, np.nan, high),
        np.asarray(status),
        samples,
        confidence,
    )


def undefined(shape: tuple[int, ...], reason: str, n_boot: int, confidence: float = 0.95) -> Estimates:
    """Make estimates that have no value, for a reason."""
    nothing = np.full((n_boot + 1, *shape), np.nan)
    return estimates(nothing, confidence, np.full(shape, f"undefined: {reason}"))


def percentiles(samples: NDArray[np.float64], confidence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two percentiles of resamples, shape (...), that `confidence` of them lie between; NaN without any."""
    shape = samples.shape[1:]
    known = ~np.isnan(samples).all(0)
    ends = np.full((2, *shape), np.nan)
    if known.any():
        tail = (1 - confidence) / 2
        ends[:, known] = np.nanquantile(samples[:, known], [tail, 1 - tail], axis=0)
    return ends[0], ends[1]
