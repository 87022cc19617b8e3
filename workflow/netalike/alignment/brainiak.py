"""BrainIAK's shared response models behind the interface of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.alignment.fitting import Fit
from netalike.errors import NetalikeError

Reals = NDArray[np.floating[Any]]

INSTALL = "pip install 'netalike[brainiak]'"
_LOGGER = "brainiak.funcalign.srm"


def brainiak_models() -> tuple[type[Any], type[Any]]:
    """Import BrainIAK.

    Returns
    -------
    SRM, DetSRM
        The two classes.

    Raises
    ------
    NetalikeError
        If it is missing, or MPI is; the message says how to install both.
    """
    try:
        from brainiak.funcalign.srm import SRM, DetSRM
    except (ImportError, RuntimeError) as error:  # mpi4py without an MPI library raises RuntimeError
        raise NetalikeError(
            f"implementation='brainiak' needs BrainIAK and an MPI library ({error}): {INSTALL}, which brings mpich, "
            "or leave implementation='netalike'."
        ) from error
    return SRM, DetSRM


def is_installed() -> bool:
    """Say whether BrainIAK and its MPI library can be imported.

    Returns
    -------
    bool
    """
    try:
        brainiak_models()
    except NetalikeError:
        return False
    return True


def fit(X: Sequence[Reals], method: str, features: int, seed: int, iterations: int) -> tuple[Fit, Any]:
    """Fit a model of BrainIAK.

    Parameters
    ----------
    X : sequence of array, shape (n, p_i)
    method : {"probabilistic", "deterministic"}
    features, seed, iterations : int

    Returns
    -------
    Fit
        As of our own models; `objective` is what BrainIAK logs, which takes it O(n^2 k) more an iteration.
    model
        BrainIAK's, fitted.
    """
    probabilistic_model, deterministic_model = brainiak_models()
    kind = probabilistic_model if method == "probabilistic" else deterministic_model
    model = kind(n_iter=iterations, features=features, rand_seed=seed)
    with _objectives(model) as values:
        model.fit([x.T for x in X])
    return (_probabilistic if method == "probabilistic" else _deterministic)(model, X, values), model


def _probabilistic(model: Any, X: Sequence[Reals], objective: Sequence[float]) -> Fit:
    means = [np.asarray(mean) for mean in model.mu_]
    return Fit(list(model.w_), model.s_.T, means, model.rho2_, model.sigma_s_, np.array(objective))


def _deterministic(model: Any, X: Sequence[Reals], objective: Sequence[float]) -> Fit:
    size = model.s_.shape[0]
    # the first is of the start; BrainIAK halves the sum and divides it by the number of images
    residuals = 2 * len(X[0]) * np.array(objective[1:])
    means = [np.zeros(x.shape[1]) for x in X]
    return Fit(list(model.w_), model.s_.T, means, np.full(len(X), np.nan), np.full((size, size), np.nan), residuals)


@contextmanager
def _objectives(model: Any) -> Iterator[list[float]]:
    """Collect the objective of each iteration, which BrainIAK computes only where its log is on, and rounds there."""
    values: list[float] = []
    name = "_likelihood" if hasattr(model, "_likelihood") else "_objective_function"
    compute = getattr(model, name)

    def computed(*arguments: Any) -> float:
        values.append(float(compute(*arguments)))
        return values[-1]

    logger = logging.getLogger(_LOGGER)
    before = logger.level, logger.propagate
    setattr(model, name, computed)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield values
    finally:
        delattr(model, name)
        logger.setLevel(before[0])
        logger.propagate = before[1]
