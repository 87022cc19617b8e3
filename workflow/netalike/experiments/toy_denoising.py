"""The toy problem with noisy labels: what the kernel average does to the noise, and whether the identity holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from netalike.evidence.measurements import condition
from netalike.experiments.toy import Floats, Kernel, Row, kernel_of, name_of, places, valued
from netalike.gradients.counts import soft_counts
from netalike.gradients.denoising import denoising
from netalike.progress import progress
from netalike.training.toy import ToyRun, TrainedToys

_ROUNDING = 1e-9
_DRAWS = 200  # of fresh noise


@dataclass(frozen=True, eq=False)
class Averages:
    """Kernel averages of one network over its training samples, each array of shape (n,).

    Attributes
    ----------
    factor, factor_normalised : ndarray
        |k_I(i, .)|_2 of the kernel, and of its normalised form.
    lower, upper : ndarray
        1/sqrt(n) and 1/sqrt(N_S), the bounds of the second factor where no similarity is negative.
    noise : ndarray
        E_k of the labels' noise.
    fresh : ndarray
        Mean square of E_k of noise of unit variance that the network was not trained on, over 200 draws.
    residual : ndarray
        E_k of the prediction, less E_k of the labels: 0 where the gradient of the squared loss is 0.
    shift : ndarray
        Prediction, less E_k of the prediction.
    error : ndarray
        Prediction, less the true target.
    """

    factor: Floats
    factor_normalised: Floats
    lower: Floats
    upper: Floats
    noise: Floats
    fresh: Floats
    residual: Floats
    shift: Floats
    error: Floats


def averages(kernel: Kernel, run: ToyRun) -> Averages:
    """Average noise, labels and predictions with the weights of a kernel.

    Parameters
    ----------
    kernel : Kernel
    run : ToyRun
        Whose training samples the kernel is of.

    Returns
    -------
    Averages

    Notes
    -----
    Claim P16 of the specification: with k_I(i, j) = k_ij / sum_j k_ij, stationarity of sum_j |y_hat_j - y_j|^2 gives
    E_k[y_hat] = E_k[y]. The factor says how far E_k averages the noise away, and not how near the prediction is to
    the truth.
    """
    plain, normalised = denoising(kernel.raw), denoising(kernel.similarity)
    weights = plain.weights[:, :, 0, 0]
    data, predicted = run.data, weights @ kernel.prediction
    draws = np.random.default_rng([run.seed, len(data)]).standard_normal((len(data), _DRAWS))
    counts = soft_counts(kernel.similarity)
    upper = 1 / np.sqrt(np.where(counts > 0, counts, math.nan))
    return Averages(
        factor=plain.factor.astype(np.float64),
        factor_normalised=normalised.factor.astype(np.float64),
        lower=np.full(len(data), 1 / math.sqrt(len(data))),
        upper=upper,
        noise=weights @ data.noise,
        fresh=np.square(weights @ draws).mean(axis=1),
        residual=predicted - weights @ data.labels,
        shift=kernel.prediction - predicted,
        error=kernel.prediction - data.target,
    )


def denoising_rows(
    trained: Iterable[TrainedToys], experiment: str, bins: int = 256, shown: bool | None = False
) -> list[Row]:
    """Check the denoising identity and the bounds of the denoising factor on networks that were trained on noise.

    Parameters
    ----------
    trained : iterable of TrainedToys
        One for each number of samples; runs without noise are passed over.
    experiment : str
        Of the rows.
    bins : int
        As for `netalike.experiments.toy.toy_rows`.
    shown : bool, optional
        Whether to show progress.

    Returns
    -------
    list of dict
        Rows without paper and data set, for each run and each epoch that was kept (``step``); condition: ``n``,
        ``frequency`` and ``noise``, its standard deviation. Root mean squares over the samples,
        in units of that deviation where they are of labels:

        ``denoising_factor``
            Estimators ``unnormalised`` (the kernel of the identity) and ``normalised`` (the kernel of the bounds), and
            ``by_position`` (normalised, last epoch; factors ``bin`` and ``alpha``). ``denoising_lower_bound`` and
            ``denoising_upper_bound`` go with the second.
        ``bound_violations``, ``negative_similarities``
            Shares of the samples whose normalised factor is outside its bounds, and of the pairs whose similarity is
            below 0, where the upper bound is not proved.
        ``averaged_noise``
            E_k of the noise, measured.
        ``noise_variance_ratio``
            Mean square of E_k of noise over that of the factor, which predicts it: ``own_noise``, that of the labels,
            and ``fresh_noise``, which the network, and so its kernel, does not depend on. Each is 1 in expectation over
            independent noise; a wide kernel has few independent averages, so that own noise scatters from run to run.
        ``identity_residual``
            E_k[y_hat] - E_k[y]; 0 in a stationary point of the squared loss.
        ``consistency_shift``, ``noisy_error``, ``average_error``
            y_hat - E_k[y_hat]; y_hat - y_true, the error of the prediction; and E_k[y_hat] - y_true.
        ``gradient_norm``, ``relative_gradient_norm``
            Of the mean squared loss over all samples; the second is |sum_j X_j r_j| / sum_j |X_j| |r_j|, in [0, 1].
    """
    rows: list[Row] = []
    for toys in trained:
        work = [(i, epoch) for i in range(len(toys.runs)) for epoch in toys.settings.kept]
        for i, epoch in progress(work, "denoising", shown=shown, unit="network"):
            if toys.runs[i].data.noise_std > 0:
                rows += _epoch_rows(toys, i, epoch, bins)
    return [{"split": "train", "experiment": experiment, **row} for row in rows]


def _epoch_rows(toys: TrainedToys, i: int, epoch: int, bins: int) -> Iterator[Row]:
    run, step, last = toys.runs[i], toys.steps(epoch), epoch == toys.settings.total
    network = toys.network(i, epoch)
    if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
        yield _row(run, step, "identity_residual", "unnormalised", math.nan)
        return
    kernel = kernel_of(network, run.data)
    found = averages(kernel, run)
    for quantity, estimator, value in [*_factors(kernel, found), *_errors(found, run), *_gradients(kernel, run)]:
        yield _row(run, step, quantity, estimator, value)
    if last:
        yield from _position_rows(found, run, step, bins)


def _factors(kernel: Kernel, found: Averages) -> Iterator[tuple[str, str, float]]:
    yield "denoising_factor", "unnormalised", rms(found.factor)
    yield "denoising_factor", "normalised", rms(found.factor_normalised)
    yield "denoising_lower_bound", "normalised", rms(found.lower)
    yield "denoising_upper_bound", "normalised", rms(found.upper)
    outside = ~(
        (found.factor_normalised >= found.lower * (1 - _ROUNDING))
        & (found.factor_normalised <= found.upper * (1 + _ROUNDING))
    )
    yield "bound_violations", "normalised", float(outside.mean())
    yield "negative_similarities", "normalised", float((kernel.similarity < 0).mean())


def _errors(found: Averages, run: ToyRun) -> Iterator[tuple[str, str, float]]:
    sigma = run.data.noise_std
    yield "averaged_noise", "unnormalised", rms(found.noise) / sigma
    predicted = float(np.square(found.factor).mean())
    yield "noise_variance_ratio", "own_noise", float(np.square(found.noise / sigma).mean()) / predicted
    yield "noise_variance_ratio", "fresh_noise", float(found.fresh.mean()) / predicted
    yield "identity_residual", "unnormalised", rms(found.residual) / sigma
    yield "consistency_shift", "unnormalised", rms(found.shift) / sigma
    yield "noisy_error", "prediction", rms(found.error) / sigma
    yield "average_error", "unnormalised", rms(found.error - found.shift) / sigma


def _gradients(kernel: Kernel, run: ToyRun) -> Iterator[tuple[str, str, float]]:
    error = kernel.prediction - run.data.labels
    # |sum_j X_j r_j|^2 = r' K r: no gradient is needed
    norm = math.sqrt(max(0.0, float(error @ kernel.raw @ error)))
    yield "gradient_norm", "l2", 2 * norm / len(error)
    yield "relative_gradient_norm", "l2", norm / float(np.sqrt(kernel.raw.diagonal()) @ np.abs(error))


def rms(values: Floats | Sequence[float]) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def _position_rows(found: Averages, run: ToyRun, step: int, bins: int) -> Iterator[Row]:
    series = {
        "denoising_factor": found.factor_normalised,
        "denoising_upper_bound": found.upper,
        "averaged_noise": found.noise / run.data.noise_std,
    }
    for place, inside in places(run.data.alpha, bins):
        for quantity, values in series.items():
            yield _row(run, step, quantity, "by_position", rms(values[inside]), **place)


def _row(run: ToyRun, step: int, quantity: str, estimator: str, value: float, **factors: str) -> Row:
    data = run.data
    told = {"frequency": f"{data.frequency:g}", "n": f"{len(data)}", "noise": f"{data.noise_std:g}", **factors}
    return {
        "network_a": name_of(run),
        "n_samples": len(run.data),
        "seed": run.seed,
        "step": step,
        "quantity": quantity,
        "estimator": estimator,
        "condition": condition(**told),
        **valued(value, "the training diverged"),
    }
