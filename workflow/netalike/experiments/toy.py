"""The toy problem: counts of similar samples by frequency, position, curvature and number of samples.

Quantities of the rows:

``soft_count``, ``soft_count_unnormalised``, ``less_soft_count``, ``hard_count``
    Estimator ``corrected``: means over the samples of each run, each sample counting itself.
    ``corrected_median``, without a run: means over samples of the median over runs, as published.
    ``published_median``: the same with the published convention, in which hard and less soft counts leave the
    sample itself out and soft counts do not. ``by_position``: the median over runs, averaged over the samples
    of a bin (factors ``bin`` and ``alpha``, its middle), with the range over runs.
``curvature``
    Of the target, averaged over the samples of a bin (``by_position``).
``train_loss``, ``validation_loss``, ``loss_ratio``, ``prediction_error``
    Losses at the end of the training, and the mean distance from the true target (estimator ``mean``).
``rank_correlation_with_curvature``
    Spearman, by measure: over the samples of a run (``scope=within``), over the frequencies' means
    (``between``), over all samples of all frequencies (``pooled``).
``count_contrast``
    Mean soft count of the quarter of samples with the highest curvature, over that of the lowest.
``rank_correlation_with_frequency``, ``rank_correlation_with_soft``
    Spearman, by measure: of means with the frequency; with the soft count, over samples and over frequencies.
``count_exponent``
    Slope of the logarithm of the mean count over that of the number of samples: 1 is proportional.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from netalike.data.toy import ToyData
from netalike.evidence.measurements import OK, condition
from netalike.gradients.arrays import to_numpy
from netalike.gradients.counts import EXPONENTS, THRESHOLDS, hard_counts, less_soft_counts, soft_counts
from netalike.gradients.kernel import normalise, scalar
from netalike.gradients.products import kernel_block
from netalike.progress import progress
from netalike.training.toy import ToyRun, TrainedToys

SOFT = "soft_count"

Row = dict[str, Any]
Floats = NDArray[np.float64]
Measure = tuple[str, str, str]
"""Quantity, and the name and value of its factor: ``("hard_count", "threshold", "0.5")``; no factor: ``""``."""

_BLOCK = 1024  # rows of a kernel at a time: bounds the memory of its layer products
_FEWEST_PER_BIN = 2
_QUARTER = 0.25


@dataclass(frozen=True, eq=False)
class Kernel:
    """Similarities of all training samples to a network, for its one output.

    Attributes
    ----------
    raw : ndarray, float64, shape (n, n)
        Products of gradients.
    similarity : ndarray, float64, shape (n, n)
        Cosines of gradients.
    prediction : ndarray, shape (n,)
    """

    raw: Floats
    similarity: Floats
    prediction: Floats


@dataclass(frozen=True, eq=False)
class Counts:
    """What was counted on one trained network.

    Attributes
    ----------
    name : str
        Of the network, ``toy-f4-n2048-s0``.
    run : ToyRun
    step : int
        Steps of the training.
    losses : dict of str to float
    of : dict of Measure to ndarray, shape (n,)
        Counts for each training sample, itself included.
    error : ndarray, shape (n,)
        Distance of the prediction from the true target.
    """

    name: str
    run: ToyRun
    step: int
    losses: dict[str, float]
    of: dict[Measure, Floats] = field(default_factory=dict)
    error: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def data(self) -> ToyData:
        """The training samples."""
        return self.run.data

    @property
    def frequency(self) -> str:
        """As conditions write it."""
        return f"{self.data.frequency:g}"

    @property
    def converged(self) -> bool:
        """Whether the training came to finite weights."""
        return bool(self.of)


def toy_rows(
    trained: Iterable[TrainedToys],
    experiment: str,
    thresholds: Sequence[float] = THRESHOLDS,
    exponents: Sequence[float] = EXPONENTS,
    bins: int = 256,
    shown: bool | None = False,
) -> list[Row]:
    """Count the similar samples of every trained network, and relate the counts to frequency, curvature and n.

    Parameters
    ----------
    trained : iterable of TrainedToys
        One for each number of samples.
    experiment : str
        Of the rows.
    thresholds, exponents : sequence of float
        Of the hard and of the less soft counts.
    bins : int
        Positions on the circle are grouped in so many, at most one for two samples.
    shown : bool, optional
        Whether to show progress.

    Returns
    -------
    list of dict
        Rows without paper and data set. `n_samples` is the number of training samples, which the counts are against and
        of. Quantities (condition: ``n``, ``frequency``, ``threshold`` of ``hard_count``, ``exponent`` of
        ``less_soft_count``): see the head of this module.

    Notes
    -----
    Quantities and protocol of Charpiat et al. (2019), the published code: gradients of the training points themselves,
    all parameters, one output. Cost: O(n^2 w) products for each network of width w, and 4 n^2 numbers of memory.
    """
    counts: list[Counts] = []
    for toys in trained:
        counts += counted(toys, thresholds, exponents, shown)
    found = [
        *itertools.chain.from_iterable(map(_network_rows, counts)),
        *_aggregated_rows(counts, bins),
        *_curvature_rows(counts),
        *_measure_rows(counts),
        *_size_rows(counts),
    ]
    return [{"split": "train", "experiment": experiment, **row} for row in found]


# ---- counts ----------------------------------------------------------------------------------------------------------


def counted(
    toys: TrainedToys,
    thresholds: Sequence[float] = THRESHOLDS,
    exponents: Sequence[float] = EXPONENTS,
    shown: bool | None = False,
) -> list[Counts]:
    """Count the similar training samples of every trained network, in the order of the runs; see `toy_rows`."""
    names = [name_of(run) for run in toys.runs]
    steps, losses = toys.steps(toys.settings.total), _losses(toys)
    found = []
    for i, run in enumerate(progress(toys.runs, "counting", shown=shown, unit="network")):
        plain = Counts(names[i], run, steps, losses[i])
        if math.isfinite(losses[i]["train_loss"]):
            kernel = kernel_of(toys.network(i), run.data)
            plain.of.update(_counts(kernel, thresholds, exponents))
            plain = Counts(plain.name, run, steps, losses[i], plain.of, np.abs(kernel.prediction - run.data.target))
        found.append(plain)
    return found


def name_of(run: ToyRun) -> str:
    """Return what the network of a run is called in the table."""
    return f"toy-f{run.data.frequency:g}-n{len(run.data)}-s{run.seed}"


def kernel_of(network: nn.Module, data: ToyData) -> Kernel:
    """Compute the similarities of all samples to a network, in float64 and without storing a gradient.

    Parameters
    ----------
    network : nn.Module
        Of one output.
    data : ToyData

    Returns
    -------
    Kernel
        Costs a layer product of (n, n) per layer.
    """
    network, x = network.double(), torch.from_numpy(data.x)
    with torch.no_grad():
        prediction = network(x)[:, 0].numpy()
    blocks = [kernel_block(network, x[start : start + _BLOCK], x) for start in range(0, len(x), _BLOCK)]
    kernel = np.concatenate([to_numpy(block) for block in blocks]).astype(np.float64)  # (n, n, 1, 1)
    own = kernel[np.arange(len(x)), np.arange(len(x))]  # (n, 1, 1)
    similarity = scalar(normalise(kernel, own, own), "trace")
    return Kernel(kernel[:, :, 0, 0], similarity, prediction)


def _counts(kernel: Kernel, thresholds: Sequence[float], exponents: Sequence[float]) -> dict[Measure, Floats]:
    similarity = kernel.similarity
    less_soft, hard = less_soft_counts(similarity, exponents), hard_counts(similarity, thresholds)
    found: dict[Measure, Floats] = {(SOFT, "", ""): soft_counts(similarity)}
    found["soft_count_unnormalised", "", ""] = soft_counts(kernel.raw)
    for exponent, values in zip(exponents, less_soft, strict=True):
        found["less_soft_count", "exponent", f"{exponent:g}"] = values
    for threshold, values in zip(thresholds, hard, strict=True):
        found["hard_count", "threshold", f"{threshold:g}"] = values.astype(np.float64)
    return found


def _losses(toys: TrainedToys) -> list[dict[str, float]]:
    last = zip(toys.history.train_loss[-1], toys.history.validation_loss[-1], strict=True)
    return [
        {"train_loss": train, "validation_loss": held_out, "loss_ratio": held_out / train if train else math.nan}
        for train, held_out in last
    ]


# ---- rows of the networks --------------------------------------------------------------------------------------------


def valued(value: float, why: str) -> Row:
    """Return the value and the status of a number that may be missing."""
    if not math.isfinite(value):
        return {"value": math.nan, "status": f"undefined: {why}"}
    return {"value": float(value), "status": OK}


def network_row(counts: Counts, quantity: str, estimator: str, value: float, **factors: str) -> Row:
    """Make a row of one network."""
    otherwise = "a count is the same for all samples" if counts.converged else "the training diverged"
    return {
        "network_a": counts.name,
        "n_samples": len(counts.data),
        "seed": counts.run.seed,
        "step": counts.step,
        "quantity": quantity,
        "estimator": estimator,
        "condition": condition(frequency=counts.frequency, n=len(counts.data), **factors),
        **valued(value, otherwise),
    }


def _network_rows(counts: Counts) -> Iterator[Row]:
    for name, value in counts.losses.items():
        yield network_row(counts, name, "mean", value)
    error = float(counts.error.mean()) if counts.converged else math.nan
    yield network_row(counts, "prediction_error", "mean", error)
    for measure, values in counts.of.items():
        yield network_row(counts, measure[0], "corrected", float(values.mean()), **_factor(measure))
    if not counts.converged:
        yield network_row(counts, SOFT, "corrected", math.nan)


def _factor(measure: Measure) -> dict[str, str]:
    return {measure[1]: measure[2]} if measure[1] else {}


def measure_name(measure: Measure) -> str:
    """Return how conditions name a measure, ``hard_count_0.5``."""
    return f"{measure[0]}_{measure[2]}" if measure[2] else measure[0]


# ---- medians over runs -----------------------------------------------------------------------------------------------


def _aggregated_rows(counts: Sequence[Counts], bins: int) -> Iterator[Row]:
    for (n, frequency), group in grouped(counts, "n", "frequency").items():
        common = {"network_a": f"toy-f{frequency}-n{n}", "n_samples": n, "step": group[0].step}
        for measure in group[0].of:
            of_runs = np.stack([one.of[measure] for one in group])  # (runs, n)
            mean = float(np.median(of_runs, axis=0).mean())
            told = {
                **common,
                "quantity": measure[0],
                "condition": condition(frequency=frequency, n=n, **_factor(measure)),
            }
            yield {**told, "estimator": "corrected_median", **valued(mean, "")}
            # the published matrices have zeros on their diagonal; each sample's similarity to itself is 1
            without = 1.0 if measure[0] in ("less_soft_count", "hard_count") else 0.0
            yield {**told, "estimator": "published_median", **valued(mean - without, "")}
        for row in _position_rows(group, bins):
            yield {**common, "estimator": "by_position", **row}


def _position_rows(group: Sequence[Counts], bins: int) -> Iterator[Row]:
    data = group[0].data
    of_runs = np.stack([one.of[SOFT, "", ""] for one in group])
    series = {SOFT: np.median(of_runs, axis=0), "curvature": data.curvature}
    for place, inside in places(data.alpha, bins):
        spread = of_runs[:, inside].mean(axis=1)
        for quantity, values in series.items():
            # the mean of medians lies within the means of the runs or very near them
            mean = float(values[inside].mean())
            ends = {"low": min(spread.min(), mean), "high": max(spread.max(), mean)}
            told = {**valued(mean, ""), **(ends if quantity == SOFT and len(group) > 1 else {})}
            yield {
                "quantity": quantity,
                "condition": condition(frequency=group[0].frequency, n=len(data), **place),
                **told,
            }


def places(alpha: Floats, bins: int) -> Iterator[tuple[dict[str, str], NDArray[np.bool_]]]:
    """Group positions into bins of equal width, at most one for two samples.

    Parameters
    ----------
    alpha : ndarray, shape (n,)
    bins : int

    Yields
    ------
    dict of str to str
        The factors ``bin`` and ``alpha``, its middle.
    ndarray of bool, shape (n,)
        The samples inside; bins without a sample are passed over.
    """
    n_bins = max(1, min(bins, len(alpha) // _FEWEST_PER_BIN))
    numbers = np.minimum((alpha * n_bins).astype(int), n_bins - 1)
    for number in np.unique(numbers):
        yield {"alpha": f"{(number + 0.5) / n_bins:.5f}", "bin": f"{number:03d}"}, numbers == number


def grouped(counts: Sequence[Counts], *names: str) -> dict[tuple[Any, ...], list[Counts]]:
    """Group the networks whose training converged by ``n``, ``frequency`` and ``seed``, in their order."""
    found: dict[tuple[Any, ...], list[Counts]] = defaultdict(list)
    for one in counts:
        facts = {"n": len(one.data), "frequency": one.frequency, "seed": one.run.seed}
        if one.converged:
            found[tuple(facts[name] for name in names)].append(one)
    return found


# ---- curvature (P10) -------------------------------------------------------------------------------------------------


def _curvature_rows(counts: Sequence[Counts]) -> Iterator[Row]:
    for one in counts:
        for measure, values in one.of.items():
            told = {"measure": measure_name(measure), "scope": "within"}
            value = spearman(values, one.data.curvature)
            yield network_row(one, "rank_correlation_with_curvature", "spearman", value, **told)
        if one.converged:
            value = _contrast(one.of[SOFT, "", ""], one.data.curvature)
            yield network_row(one, "count_contrast", "quarters", value, measure=SOFT)
    for group in _over_frequencies(counts):
        curvatures = [one.data.curvature for one in group]
        for measure in group[0].of:
            of_each = [one.of[measure] for one in group]
            between = spearman([v.mean() for v in of_each], [c.mean() for c in curvatures])
            pooled = spearman(np.concatenate(of_each), np.concatenate(curvatures))
            for scope, value in (("between", between), ("pooled", pooled)):
                yield _seed_row(group, "rank_correlation_with_curvature", value, measure, scope=scope)


def _contrast(values: Floats, curvature: Floats) -> float:
    low, high = np.quantile(curvature, [_QUARTER, 1 - _QUARTER])
    return float(values[curvature >= high].mean() / values[curvature <= low].mean())


def spearman(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> float:
    """Return Spearman's rank correlation; NaN where one of the two is constant."""
    ranks = [pd.Series(values).rank().to_numpy() for values in (x, y)]
    centred = [values - values.mean() for values in ranks]
    norms = [float(np.linalg.norm(values)) for values in centred]
    return float(centred[0] @ centred[1]) / (norms[0] * norms[1]) if min(norms) > 0 else math.nan


# ---- measures and frequencies (P8) -----------------------------------------------------------------------------------


def _over_frequencies(counts: Sequence[Counts]) -> list[list[Counts]]:
    """The networks of each seed and number of samples, where there are several frequencies."""
    return [group for group in grouped(counts, "n", "seed").values() if len(group) > 1]


def _measure_rows(counts: Sequence[Counts]) -> Iterator[Row]:
    soft = (SOFT, "", "")
    for one in counts:
        for measure, values in one.of.items():
            told = {"measure": measure_name(measure), "scope": "samples"}
            yield network_row(one, "rank_correlation_with_soft", "spearman", spearman(values, one.of[soft]), **told)
    for group in _over_frequencies(counts):
        frequencies = [one.data.frequency for one in group]
        for measure in group[0].of:
            means = [float(one.of[measure].mean()) for one in group]
            of_soft = [float(one.of[soft].mean()) for one in group]
            yield _seed_row(group, "rank_correlation_with_frequency", spearman(means, frequencies), measure)
            value = spearman(means, of_soft)
            yield _seed_row(group, "rank_correlation_with_soft", value, measure, scope="frequencies")


def _seed_row(group: Sequence[Counts], quantity: str, value: float, measure: Measure, **factors: str) -> Row:
    """A row of the networks of one seed and number of samples, over their frequencies."""
    first = group[0]
    return {
        "network_a": f"toy-n{len(first.data)}-s{first.run.seed}",
        "n_samples": len(first.data),
        "seed": first.run.seed,
        "step": first.step,
        "quantity": quantity,
        "estimator": "spearman",
        "condition": condition(measure=measure_name(measure), n=len(first.data), **factors),
        **valued(value, f"{measure_name(measure)} is the same everywhere"),
    }


# ---- numbers of samples (P9) -----------------------------------------------------------------------------------------


def _size_rows(counts: Sequence[Counts]) -> Iterator[Row]:
    for (frequency, seed), group in grouped(counts, "frequency", "seed").items():
        sizes = [len(one.data) for one in group]
        if len(set(sizes)) < 2:
            continue
        for measure in group[0].of:
            means = [float(one.of[measure].mean()) for one in group]
            yield {
                "network_a": f"toy-f{frequency}-s{seed}",
                "seed": seed,
                "quantity": "count_exponent",
                "estimator": "log_slope",
                "condition": condition(frequency=frequency, measure=measure_name(measure)),
                **valued(_slope(sizes, means), f"a mean of {measure_name(measure)} is not above 0"),
            }


def _slope(sizes: Sequence[int], means: Sequence[float]) -> float:
    if min(means) <= 0:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(means), 1)[0])
