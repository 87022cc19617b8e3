"""Networks of one hidden layer on XOR clouds: all of them in one loop, as stacked arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netalike.data.xor import Seed
from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.progress import progress

HIDDEN = ("sigmoid", "tanh")
LOSSES = ("mse", "cross_entropy")
INITS = ("torch", "keras")

Floats = NDArray[np.float64]

_BETAS = (0.9, 0.999)
_INIT, _ORDER = 0, 1  # independent streams of random numbers


@dataclass(frozen=True)
class XorSettings:
    """The network and its training; the defaults are those of the published simulation.

    Attributes
    ----------
    units : int
        Of the hidden layer.
    hidden : {"sigmoid", "tanh"}
        Its activation.
    loss : {"mse", "cross_entropy"}
        Mean squared error of a linear output, or binary cross-entropy of a sigmoid one.
    init : {"torch", "keras"}
        Uniform weights and biases within 1 / sqrt(inputs), or Glorot's uniform weights and no biases.
    epochs : int
    batch_size : int or None
        None: all samples at once. Otherwise every network draws an order of its own in each epoch.
    lr, epsilon : float
        Of Adam, with the betas 0.9 and 0.999.
    """

    units: int = 50
    hidden: str = "sigmoid"
    loss: str = "mse"
    init: str = "torch"
    epochs: int = 1000
    batch_size: int | None = None
    lr: float = 0.003
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        for kind, given, allowed in (
            ("hidden activation", self.hidden, HIDDEN),
            ("loss", self.loss, LOSSES),
            ("initialisation", self.init, INITS),
        ):
            if given not in allowed:
                raise unknown_name(f"{kind} of the XOR networks", given, allowed)
        batch_size = 1 if self.batch_size is None else self.batch_size
        for name, value, least in (("units", self.units, 1), ("epochs", self.epochs, 0), ("batch_size", batch_size, 1)):
            if value < least:
                raise NetalikeError(f"{name} of the XOR networks is at least {least}, got {value}.")


TUTORIAL = XorSettings(
    hidden="tanh", loss="cross_entropy", init="keras", epochs=500, batch_size=64, lr=0.001, epsilon=1e-7
)
"""Of the authors' tutorial on independently trained networks, with the defaults of Keras."""


@dataclass(frozen=True, eq=False)
class XorNetworks:
    """Networks of one hidden layer.

    Attributes
    ----------
    parameters : ndarray, float64, shape (networks, 4 units + 1)
        Of each network: weights of both inputs and biases (3 x units), weights of the output, its bias.
    settings : XorSettings
    """

    parameters: Floats
    settings: XorSettings

    def __len__(self) -> int:
        return len(self.parameters)

    def hidden(self, x: Floats) -> Floats:
        """Return the activity of the hidden layers.

        Parameters
        ----------
        x : ndarray, shape (networks, n, 2)
            A sample for each network.

        Returns
        -------
        ndarray, shape (networks, n, units)
        """
        _check_inputs(x, len(self))
        first, _, _ = _layers(self.parameters, self.settings.units)
        return _activate(_with_ones(x) @ first, self.settings.hidden)

    def outputs(self, x: Floats) -> Floats:
        """Return the outputs, shape (networks, n): for cross-entropy the probability of class 1."""
        _, second, bias = _layers(self.parameters, self.settings.units)
        output = (self.hidden(x) @ second + bias)[:, :, 0]
        return _sigmoid(output) if self.settings.loss == "cross_entropy" else output

    def accuracy(self, x: Floats, labels: NDArray[np.int64]) -> Floats:
        """Return the share of samples whose output rounds to their label, of each network.

        Parameters
        ----------
        x : ndarray, shape (networks, n, 2)
        labels : ndarray of 0 and 1, shape (networks, n)

        Returns
        -------
        ndarray, shape (networks,)
        """
        agree: Floats = (np.round(self.outputs(x)) == labels).mean(axis=1)
        return agree


def train_xor(
    x: Floats,
    labels: NDArray[np.int64],
    seeds: Sequence[Seed],
    settings: XorSettings | None = None,
    shown: bool | None = None,
) -> XorNetworks:
    """Train one network per seed, each on its own sample, all in one loop.

    Parameters
    ----------
    x : ndarray, shape (networks, n, 2)
    labels : ndarray of 0 and 1, shape (networks, n)
    seeds : sequence of int or of sequences of int
        One per network: of its initialisation and of the order of its batches.
    settings : XorSettings, optional
        Those of the published simulation when left out.
    shown : bool, optional
        Whether to show progress; None shows it on a terminal.

    Returns
    -------
    XorNetworks
        A network is the same, bit for bit, alone and beside others.

    Raises
    ------
    ShapeError
        If samples, labels and seeds do not fit each other.

    Notes
    -----
    Lu et al. (2018), published code: Adam at a constant learning rate. One step costs six products for all networks;
    each of them is a product per network inside NumPy, and every other operation rounds each number by itself, so that
    no network depends on its neighbours in memory.
    """
    settings = settings or XorSettings()
    x = np.ascontiguousarray(x, dtype=float)
    _check_inputs(x, len(seeds), labels)
    adam = _Adam(np.stack([_initial(seed, settings) for seed in seeds]), settings)
    inputs, targets = _with_ones(x), np.asarray(labels, dtype=float)[:, :, None]
    gradient, work = np.empty_like(adam.parameters), _Work()
    with progress(range(0), "XOR networks", settings.epochs, shown, unit="epoch") as bar:
        for batch in _batches(len(seeds), x.shape[1], seeds, settings):
            x_batch, y_batch = (_take(values, batch) for values in (inputs, targets))
            _gradient_(gradient, adam.parameters, x_batch, y_batch, settings, work)
            adam.step(gradient)
            bar.update(1 if batch is None else batch.last)
    return XorNetworks(adam.parameters, settings)


# ---- samples ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Batch:
    """Samples of each network, (networks, size), and whether an epoch ends with them."""

    rows: NDArray[np.int64]
    last: bool


def _batches(networks: int, n: int, seeds: Sequence[Seed], settings: XorSettings) -> Iterator[_Batch | None]:
    """Yield the batches of all epochs; None stands for all samples in their order."""
    size = settings.batch_size
    generators = [np.random.default_rng([*_parts(seed), _ORDER]) for seed in seeds]
    for _ in range(settings.epochs):
        if size is None:
            yield None
            continue
        order = np.stack([generator.permutation(n) for generator in generators])
        for start in range(0, n, size):
            yield _Batch(order[:, start : start + size], start + size >= n)


def _take(values: Floats, batch: _Batch | None) -> Floats:
    return values if batch is None else np.take_along_axis(values, batch.rows[:, :, None], axis=1)


def _with_ones(x: Floats) -> Floats:
    """Add a third input that is always 1: its weights are the biases."""
    return np.concatenate([x, np.ones((*x.shape[:2], 1))], axis=2)


def _parts(seed: Seed) -> list[int]:
    return [int(seed)] if isinstance(seed, int | np.integer) else [int(part) for part in seed]


def _check_inputs(x: Floats, networks: int, labels: NDArray[np.int64] | None = None) -> None:
    if x.ndim != 3 or x.shape[0] != networks or x.shape[2] != 2 or not networks:
        raise ShapeError(f"XOR networks need inputs of shape (networks, n, 2) for {networks} networks, got {x.shape}.")
    if labels is not None and np.shape(labels) != x.shape[:2]:
        raise ShapeError(f"labels of the XOR networks have the shape {x.shape[:2]}, got {np.shape(labels)}.")


# ---- networks --------------------------------------------------------------------------------------------------------


def _initial(seed: Seed, settings: XorSettings) -> Floats:
    """Parameters of one network before its training, shape (4 units + 1,)."""
    generator, units = np.random.default_rng([*_parts(seed), _INIT]), settings.units
    drawn = generator.uniform(-1, 1, 4 * units + 1)
    if settings.init == "torch":
        drawn[: 3 * units] /= np.sqrt(2)
        drawn[3 * units :] /= np.sqrt(units)
        return drawn
    drawn[: 2 * units] *= np.sqrt(6 / (2 + units))
    drawn[3 * units :] *= np.sqrt(6 / (units + 1))
    drawn[2 * units : 3 * units] = drawn[-1] = 0
    return drawn


def _layers(parameters: Floats, units: int) -> tuple[Floats, Floats, Floats]:
    """Views of the parameters: (networks, 3, units), (networks, units, 1) and (networks, 1, 1)."""
    runs = len(parameters)
    first = parameters[:, : 3 * units].reshape(runs, 3, units)
    return first, parameters[:, 3 * units : 4 * units, None], parameters[:, 4 * units :, None]


def _sigmoid(z: Floats) -> Floats:
    return 0.5 * np.tanh(0.5 * z) + 0.5  # cannot overflow


def _activate(z: Floats, kind: str) -> Floats:
    return np.tanh(z) if kind == "tanh" else _sigmoid(z)


class _Work:
    """Memory for the largest arrays of a step: fresh pages would cost more than the arithmetic."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[int, ...], tuple[Floats, Floats]] = {}

    def of(self, shape: tuple[int, int, int]) -> tuple[Floats, Floats]:
        if shape not in self._arrays:
            self._arrays[shape] = (np.empty(shape), np.empty(shape))
        return self._arrays[shape]


def _gradient_(
    gradient: Floats, parameters: Floats, inputs: Floats, targets: Floats, settings: XorSettings, work: _Work
) -> None:
    """Write the gradient of each network's mean loss: inputs (networks, n, 3), targets (networks, n, 1)."""
    units = settings.units
    first, second, bias = _layers(parameters, units)
    of_first, of_second, of_bias = _layers(gradient, units)
    activity, slope = work.of((*inputs.shape[:2], units))
    np.matmul(inputs, first, out=activity)
    _activate_(activity, slope, settings.hidden)
    output = activity @ second + bias
    if settings.loss == "cross_entropy":
        residual = (_sigmoid(output) - targets) / inputs.shape[1]
    else:
        residual = (output - targets) * (2 / inputs.shape[1])
    of_second[:] = activity.transpose(0, 2, 1) @ residual
    of_bias[:] = residual.sum(axis=1, keepdims=True)
    slope *= residual  # the weight of each unit's output is the same for all samples: it comes after the sum over them
    of_first[:] = (inputs.transpose(0, 2, 1) @ slope) * second.transpose(0, 2, 1)


def _activate_(activity: Floats, slope: Floats, kind: str) -> None:
    """Put the activation in the place of its argument, and write its derivative."""
    if kind == "sigmoid":
        activity *= 0.5
    np.tanh(activity, out=activity)
    np.multiply(activity, activity, out=slope)
    np.subtract(1, slope, out=slope)
    if kind == "sigmoid":  # 1 / (1 + exp(-z)) = (1 + tanh(z / 2)) / 2
        activity += 1
        activity *= 0.5
        slope *= 0.25


class _Adam:
    """Adam (Kingma and Ba 2015) on all parameters at once, in PyTorch's form."""

    def __init__(self, parameters: Floats, settings: XorSettings) -> None:
        self.parameters, self.settings, self.steps = parameters, settings, 0
        self.mean, self.square = np.zeros_like(parameters), np.zeros_like(parameters)

    def step(self, gradient: Floats) -> None:
        """Move the parameters against the gradient."""
        self.steps += 1
        one, two = _BETAS
        self.mean += (1 - one) * (gradient - self.mean)
        self.square *= two
        self.square += (1 - two) * gradient**2
        size = self.settings.lr / (1 - one**self.steps)
        scale = np.sqrt(self.square) / np.sqrt(1 - two**self.steps) + self.settings.epsilon
        self.parameters -= size * self.mean / scale
