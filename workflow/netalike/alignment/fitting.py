"""Fit a shared response: expectation maximisation of the probabilistic model, alternation of the deterministic one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from netalike.alignment.polar import PolarFactors
from netalike.alignment.products import products

Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]

_ROWS = 256
_PERTURBATION = 0.001  # what BrainIAK adds to the diagonal before it takes the orthogonal factor


@dataclass(frozen=True)
class Fit:
    """A fitted shared response of N networks.

    Attributes
    ----------
    bases : list of array, shape (p_i, k)
        Orthonormal columns.
    shared : array, shape (n, k)
    means : list of array, shape (p_i,)
        Of each unit over the images of the fit; zeros where nothing is centred.
    noise_variances : array, shape (N,)
        NaN in the deterministic model, which has none.
    shared_covariance : array, shape (k, k)
        NaN in the deterministic model.
    objective : array, shape (iterations,)
    """

    bases: list[Floats]
    shared: Floats
    means: list[Floats]
    noise_variances: Floats
    shared_covariance: Floats
    objective: Floats


def initial_bases(widths: Sequence[int], features: int, seed: int) -> list[Floats]:
    """Draw random orthonormal bases, the same that BrainIAK starts from.

    Parameters
    ----------
    widths : sequence of int
    features : int
    seed : int

    Returns
    -------
    list of array, shape (features, width)
        Transposed: the orthogonal factors of matrices of uniform numbers, each from a generator of its own. The
        published start, kept so that both implementations go the same way; it is not Haar.
    """
    seeds = np.random.RandomState(seed)
    bases = []
    for width in widths:
        own = np.random.RandomState(seeds.randint(2**32, dtype=np.int64))
        bases.append(np.linalg.qr(own.random_sample((width, features)))[0].T)
    return bases


def probabilistic(
    X: Sequence[Reals], features: int, seed: int, iterations: int, centred: bool, shown: bool = False
) -> Fit:
    """Fit the probabilistic model by expectation maximisation.

    Parameters
    ----------
    X : sequence of array, shape (n, p_i)
    features, seed, iterations : int
    centred : bool
        Whether the noise variances are those of the centred data. False is BrainIAK's way: its update takes the squared
        norm of the data as they are (N2), and it adds 0.001 to the diagonal of a matrix before its orthogonal factor is
        taken, which keeps even known rotations from being found exactly.
    shown : bool
        Whether to show progress.

    Returns
    -------
    Fit
        `objective` is the log-likelihood at the start of each iteration, as BrainIAK logs it: without the constant
        -n log(2 pi) sum(p_i) / 2.

    Notes
    -----
    Chen et al. (2015): the response to an image is s ~ N(0, S), the activations are N(W_i s + mu_i, rho_i^2 I). An
    iteration costs O(n k sum(p_i) + N k^3).
    """
    n, means = len(X[0]), [x.mean(0, dtype=np.float64) for x in X]
    widths, work, factors = (
        [x.shape[1] for x in X],
        products(X, means, features, iterations),
        PolarFactors(len(X), _is_rigid(X, features)),
    )
    bases = initial_bases(widths, features, seed)
    norms = np.array([_squared_norm(x, mean, centred) for x, mean in zip(X, means, strict=True)])
    noise, covariance, objective = np.ones(len(X)), np.eye(features), []
    for _ in _steps(iterations, shown):
        mix, log_determinants = _posterior(covariance, float((1 / noise).sum()))
        cross, inner = work.cross((basis / own for basis, own in zip(bases, noise, strict=True)), mix)
        log_determinants += float(widths @ np.log(noise))
        objective.append(0.5 * float(np.vdot(mix, inner) - (norms / noise).sum() - n * log_determinants))
        covariance = mix + mix @ inner @ mix / n
        bases = factors(cross if centred else [_perturbed(one) for one in cross])
        traces = np.array([np.vdot(basis, one) for basis, one in zip(bases, cross, strict=True)])
        left = norms - 2 * traces + n * np.trace(covariance)
        # rounding may not take the noise of noiseless data below zero
        noise = np.maximum(left, np.finfo(X[0].dtype).eps * norms) / (n * np.array(widths))
    return Fit(_columns(bases), work.shared().T, means, noise, covariance, np.array(objective))


def deterministic(
    X: Sequence[Reals], features: int, seed: int, iterations: int, centred: bool, shown: bool = False
) -> Fit:
    """Fit the deterministic model by alternation.

    Parameters
    ----------
    X : sequence of array, shape (n, p_i)
    features, seed, iterations : int
    centred : bool
        Whether the mean of each unit is subtracted first. BrainIAK does not, and adds 0.001 as above.
    shown : bool
        Whether to show progress.

    Returns
    -------
    Fit
        `objective` is the sum over networks and images of the squared residuals after each iteration.

    Notes
    -----
    Minimises sum_i ||X_i - S W_i'||^2 with W_i' W_i = I: in turn S the mean of X_i W_i, and W_i the orthogonal factor
    of X_i' S. The residuals are sum_i ||X_i||^2 - N ||S||^2, good to the machine's precision times the first term.
    """
    count = len(X)
    means = [x.mean(0, dtype=np.float64) if centred else np.zeros(x.shape[1]) for x in X]
    work, factors = products(X, means, features, iterations + 1), PolarFactors(count, _is_rigid(X, features))
    bases, average = initial_bases([x.shape[1] for x in X], features, seed), np.eye(features) / count
    norm = sum(_squared_norm(x, mean, centred) for x, mean in zip(X, means, strict=True))
    cross, _ = work.cross(bases, average)
    objective = []
    for _ in _steps(iterations, shown):
        bases = factors(cross if centred else [_perturbed(one) for one in cross])
        cross, inner = work.cross(bases, average)
        objective.append(max(norm - float(np.trace(inner)) / count, 0.0))
    unknown = np.full((features, features), np.nan)
    return Fit(_columns(bases), work.shared().T, means, np.full(count, np.nan), unknown, np.array(objective))


def _is_rigid(X: Sequence[Reals], features: int) -> bool:
    return all(x.shape[1] == features for x in X)


def _steps(iterations: int, shown: bool) -> Iterable[int]:
    if not shown:
        return range(iterations)
    from netalike.progress import progress  # tqdm is not needed otherwise

    return progress(range(iterations), "shared response")


def _posterior(covariance: Floats, precision: float) -> tuple[Floats, float]:
    """Covariance M of the shared response given the data, and log |S| + log |S^-1 + precision I|.

    M = (S^-1 + precision I)^-1 = (I + precision S)^-1 S, so that S, which may be singular, is not inverted.
    """
    root = linalg.cho_factor(np.eye(len(covariance)) + precision * covariance, check_finite=False)
    mix = linalg.cho_solve(root, covariance, check_finite=False)
    return (mix + mix.T) / 2, float(2 * np.log(root[0].diagonal()).sum())


def _perturbed(cross: Floats) -> Floats:
    perturbed = cross.copy()
    perturbed[np.diag_indices(len(cross))] += _PERTURBATION
    return perturbed


def _columns(bases: Sequence[Floats]) -> list[Floats]:
    return [np.ascontiguousarray(basis.T) for basis in bases]


def _squared_norm(x: Reals, mean: Floats, centred: bool) -> float:
    """Squared norm in double precision, a few rows at a time, not to hold a second copy."""
    subtracted = mean if centred else np.zeros_like(mean)
    blocks = (x[start : start + _ROWS] - subtracted for start in range(0, len(x), _ROWS))
    return float(sum(np.vdot(block, block) for block in blocks))
