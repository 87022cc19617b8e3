"""What must hold exactly of gradients, their kernel and the counts made of it, on small networks."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.distance import pdist, squareform
from torch import Tensor, nn
from torch.func import functional_call

from netalike.evidence.measurements import condition
from netalike.gradients.arrays import to_numpy
from netalike.gradients.counts import soft_counts
from netalike.gradients.denoising import denoising, kernel_average
from netalike.gradients.kernel import inverse_roots, kernel_matrix, normalise, scalar
from netalike.gradients.one_output import soft_counts_streamed
from netalike.gradients.per_sample import per_sample_gradients
from netalike.gradients.products import kernel_block
from netalike.gradients.sources import model_source
from netalike.progress import progress

Row = dict[str, Any]
Floats = NDArray[np.float64]

SEEDS = range(5)
"""An interval needs five."""

_SAMPLES = 24
_OUTPUTS = 3
_IMAGE = (2, 8, 8)
_STEP = 1e-4  # how far a step moves the chosen output; outputs are of the order of 1
_NOISE = 0.1  # standard deviation of the labels' noise in the stationary point


@dataclass(frozen=True)
class Example:
    """A network with random weights, and inputs.

    Attributes
    ----------
    name : str
        ``tanh_mlp-d1-s0``.
    model : nn.Module
        In float64.
    inputs : Tensor, shape (n, ...)
    seed : int
    """

    name: str
    model: nn.Module
    inputs: Tensor
    seed: int

    @cached_property
    def gradients(self) -> Floats:
        """Gradients of all outputs by autograd, shape (n, p, d)."""
        return to_numpy(per_sample_gradients(self.model, self.inputs)).astype(np.float64)

    @cached_property
    def kernel(self) -> Floats:
        """Products of these gradients, shape (n, n, d, d)."""
        return kernel_matrix(self.gradients)

    @cached_property
    def normalised(self) -> Floats:
        """The same, with K_ii the identity, shape (n, n, d, d)."""
        return normalise(self.kernel, self.own, self.own)

    @property
    def own(self) -> Floats:
        """K_ii, shape (n, d, d)."""
        places = np.arange(len(self.kernel))
        return self.kernel[places, places]


def gradient_identity_rows(experiment: str, seeds: Sequence[int] = SEEDS, shown: bool | None = False) -> list[Row]:
    """Measure how far every identity is from holding, on a perceptron and a convolutional network per seed.

    Parameters
    ----------
    experiment : str
        Of the rows.
    seeds : sequence of int
        Of the weights and of the inputs, which are independent Gaussian numbers.
    shown : bool, optional
        Whether to show progress.

    Returns
    -------
    list of dict
        Rows without paper and data set. Quantity ``largest_difference`` with the factor `identity`, the largest
        absolute difference between the two sides:

        ``step_influence`` (one output), ``step_influence_outputs`` (three)
            A gradient step that moves f(x) by v moves f(x') by K(x', x) K(x, x)^-1 v; relative to v.
        ``own_kernel``, ``order_of_scalars``, ``rotation``
            KC(x, x) is the identity; |trace| <= nuclear <= Frobenius <= 1, by how much one exceeds the next; the last
            two under a rotation of one sample's outputs.
        ``layer_products``, ``layer_products_float32``
            Kernels as products of layers, and from gradients by autograd; relative to the largest entry.
        ``fast_count``
            Soft counts in O(n p), and sums of pairs. ``stores``: counts, and similarities to all, from memory, from
            disk and streamed, in float32; of counts as a share of n.
        ``denoising_trace``
            Traces of the denoising matrix and of the published one. ``equal_neighbours``: the denoising factor of N
            equal samples, and 1/sqrt(N).
        ``stationary_point``
            E_k[y_hat] and E_k[y] where the gradient of the squared loss is 0, in units of the labels' noise; the
            gradient that is left is ``relative_gradient_norm`` (in [0, 1], as in `toy_denoising`).

        Beside them ``self_term``, by how much the published fast soft counts exceed the published sums of rows of its
        similarity matrix (estimator ``published``); and ``denoising_matrix_error``, how far the matrix (estimators
        ``corrected`` and ``published``) is from the covariance of averaged noise, as a share of it.

    Notes
    -----
    In float64 unless the identity says otherwise. Claims P1, P2, P3, P6, P7 and P16 of the specification; a1 and b9.
    Less than ten seconds for five seeds.
    """
    rows: list[Row] = []
    for seed in progress(seeds, "identities", shown=shown, unit="seed"):
        for example in examples(seed):
            rows += [_row(example, *found) for found in _example_rows(example)]
    return [{"split": "train", "experiment": experiment, **row} for row in rows]


def examples(seed: int) -> list[Example]:
    """Make the networks of a seed: a perceptron with one output and one with three, and a convolutional network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        one, several, convolutional = _perceptron(1), _perceptron(_OUTPUTS), _convolutional()
        points, images = torch.randn(_SAMPLES, 4).double(), torch.randn(_SAMPLES, *_IMAGE).double()
    return [
        Example(f"tanh_mlp-d1-s{seed}", one, points, seed),
        Example(f"tanh_mlp-d{_OUTPUTS}-s{seed}", several, points, seed),
        Example(f"prelu_cnn-d{_OUTPUTS}-s{seed}", convolutional, images, seed),
    ]


def _perceptron(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, outputs)).double()


def _convolutional() -> nn.Module:
    layers = [nn.Conv2d(_IMAGE[0], 4, 3), nn.PReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3), nn.PReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(6, _OUTPUTS)).double()


# quantity, estimator, factors, value
_Found = tuple[str, str, dict[str, str], float]


def _row(example: Example, quantity: str, estimator: str, factors: dict[str, str], value: float) -> Row:
    return {
        "network_a": example.name,
        "n_samples": len(example.inputs),
        "seed": example.seed,
        "quantity": quantity,
        "estimator": estimator,
        "condition": condition(**factors),
        "value": value,
    }


def _example_rows(example: Example) -> Iterator[_Found]:
    for identity, measure in _IDENTITIES.items():
        yield "largest_difference", "", {"identity": _name(identity, example)}, measure(example)
    if _outputs(example) > 1:
        yield from _covariance_errors(example)
        return
    for value in _self_terms(example):
        yield "self_term", "published", {}, value
    residual, gradient = stationary_point(example)
    yield "largest_difference", "", {"identity": "stationary_point"}, residual
    yield "relative_gradient_norm", "l2", {}, gradient


def _outputs(example: Example) -> int:
    return int(example.gradients.shape[2])


# ---- the identities: each takes an example and returns the largest difference ----------------------------------------


def step_influence(example: Example) -> float:
    """Compare what steps for one sample do to the others with what the kernel says, relative to the step.

    Parameters
    ----------
    example : Example

    Returns
    -------
    float
        Of steps forwards and backwards of 1e-4, so that what is left is of the order of their square.
    """
    network, inputs = example.model, example.inputs
    direction = np.random.default_rng(example.seed).standard_normal(_outputs(example))
    wanted = _STEP * direction / np.linalg.norm(direction)
    differences = []
    for i in range(3):
        coefficients = np.linalg.solve(example.own[i], wanted)
        change = torch.from_numpy(example.gradients[i] @ coefficients)
        moved = (_moved(network, change, inputs) - _moved(network, -change, inputs)) / 2
        predicted = example.kernel[:, i] @ coefficients
        differences.append(np.abs(moved - predicted).max() / _STEP)
    return float(max(differences))


def _moved(network: nn.Module, change: Tensor, inputs: Tensor) -> Floats:
    """Return the outputs with other weights."""
    weights = nn.utils.parameters_to_vector(network.parameters()).detach() + change
    return to_numpy(functional_call(network, _named(network, weights), (inputs,))).astype(np.float64)


def _named(network: nn.Module, weights: Tensor) -> dict[str, Tensor]:
    """Divide a vector into the parameters of a network."""
    parameters = dict(network.named_parameters())
    parts = torch.split(weights, [parameter.numel() for parameter in parameters.values()])
    return {name: part.view_as(parameters[name]) for name, part in zip(parameters, parts, strict=True)}


def _own_kernel(example: Example) -> float:
    places = np.arange(len(example.kernel))
    return _largest(example.normalised[places, places] - np.eye(_outputs(example)))


def _order_of_scalars(example: Example) -> float:
    trace, nuclear, frobenius = (scalar(example.normalised, kind) for kind in ("trace", "nuclear", "frobenius"))
    excess = [np.abs(trace) - nuclear, nuclear - frobenius, frobenius - 1]
    return float(max(0.0, *(part.max() for part in excess)))


def _rotation(example: Example) -> float:
    """Each sample's outputs are rotated by another rotation."""
    random = np.random.default_rng(example.seed)
    d = _outputs(example)
    rotations = np.linalg.qr(random.standard_normal((len(example.inputs), d, d))).Q
    rotated = example.gradients @ rotations
    kernel = kernel_matrix(rotated)
    roots = inverse_roots(kernel[np.arange(len(kernel)), np.arange(len(kernel))])
    changed = roots[:, None] @ kernel @ roots[None]
    kinds = ("nuclear", "frobenius")
    return _largest(*(scalar(changed, kind) - scalar(example.normalised, kind) for kind in kinds))


def _layer_products(example: Example) -> float:
    products = to_numpy(kernel_block(example.model, example.inputs))
    return _largest(products - example.kernel) / _largest(example.kernel)


def _layer_products_float32(example: Example) -> float:
    model, inputs = _single(example)
    products = to_numpy(kernel_block(model, inputs)).astype(np.float64)
    return _largest(products - example.kernel) / _largest(example.kernel)


def _fast_count(example: Example) -> float:
    fast = to_numpy(soft_counts_streamed(example.model, example.inputs, "logits"))
    return _largest(fast - soft_counts(scalar(example.normalised)))


def _stores(example: Example) -> float:
    model, inputs = _single(example)
    wanted = [0, 5, 1]
    n = len(inputs)
    with tempfile.TemporaryDirectory() as folder:
        sources = [
            model_source(model, inputs, store="memory", chunk=7),
            model_source(model, inputs, store="disk", folder=Path(folder) / "gradients", chunk=7),
            model_source(model, inputs, store="streaming", chunk=7),
        ]
        found = [(source.soft_counts() / n, source.similarities_to(wanted)) for source in sources]
    counts, similarities = zip(*found, strict=True)
    pairs = ((0, 1), (0, 2))
    return _largest(*(values[i] - values[j] for values in (counts, similarities) for i, j in pairs))


def _single(example: Example) -> tuple[nn.Module, Tensor]:
    """Return the network and the inputs in float32."""
    return copy.deepcopy(example.model).float(), example.inputs.float()


def _denoising_trace(example: Example) -> float:
    found = denoising(example.kernel)
    traces = [np.trace(matrix, axis1=1, axis2=2) for matrix in (found.matrix, found.matrix_published)]
    return _largest((traces[0] - traces[1]) / traces[0])


def _equal_neighbours(example: Example) -> float:
    n = 9
    repeated = kernel_matrix(np.repeat(example.gradients[:1], n, axis=0))
    return _largest(denoising(repeated).factor - 1 / math.sqrt(n))


_IDENTITIES: dict[str, Callable[[Example], float]] = {
    "step_influence": step_influence,
    "own_kernel": _own_kernel,
    "order_of_scalars": _order_of_scalars,
    "rotation": _rotation,
    "layer_products": _layer_products,
    "layer_products_float32": _layer_products_float32,
    "fast_count": _fast_count,
    "stores": _stores,
    "denoising_trace": _denoising_trace,
    "equal_neighbours": _equal_neighbours,
}


def _largest(*differences: NDArray[np.floating[Any]]) -> float:
    return float(max(np.abs(difference).max() for difference in differences))


# ---- what takes more than one line -----------------------------------------------------------------------------------


def _self_terms(example: Example) -> Iterable[float]:
    """Published fast counts less the published sums of a similarity matrix, in which nobody is similar to himself."""
    gradients = example.gradients[:, :, 0]
    normed = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    pairs = squareform(1 - pdist(gradients, "cosine"))
    return [float(value) for value in normed @ normed.sum(0) - pairs.sum(1)]


def _covariance_errors(example: Example) -> Iterator[_Found]:
    found = denoising(example.kernel)
    n, d = len(example.inputs), _outputs(example)
    # independent noise of unit variance: its covariance is the sum over noise in one output of one sample alone
    averaged = [kernel_average(example.kernel, one.reshape(n, d)) for one in np.eye(n * d)]
    covariance = np.einsum("kia,kib->iab", np.stack(averaged), np.stack(averaged))
    for estimator, matrix in (("corrected", found.matrix), ("published", found.matrix_published)):
        errors = np.linalg.norm(matrix - covariance, axis=(1, 2)) / np.linalg.norm(covariance, axis=(1, 2))
        yield "denoising_matrix_error", estimator, {}, float(errors.mean())


def stationary_point(example: Example) -> tuple[float, float]:
    """Train a small network on noisy labels to a stationary point of the squared loss, and check the identity there.

    Parameters
    ----------
    example : Example
        Of which the seed alone is used: the network is smaller, with fewer parameters than samples.

    Returns
    -------
    residual : float
        Largest |E_k[y_hat] - E_k[y]|, in units of the labels' noise.
    gradient : float
        |sum_j X_j r_j| / sum_j |X_j| |r_j| with the errors r_j.

    Notes
    -----
    Least squares with exact gradients (Levenberg and Marquardt), which begins at the network that made the labels:
    from random weights, the way to a stationary point may be endless.
    """
    model, x, labels = _noisy_problem(example.seed)

    def errors_of(weights: Floats) -> Floats:
        nn.utils.vector_to_parameters(torch.from_numpy(weights), model.parameters())
        return to_numpy(model(x).detach() - labels).astype(np.float64)[:, 0]

    def gradients_of(weights: Floats) -> Floats:
        errors_of(weights)
        return to_numpy(per_sample_gradients(model, x)).astype(np.float64)[:, :, 0]

    start = nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
    found = least_squares(errors_of, start, gradients_of, method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15)
    errors, gradients = errors_of(found.x), gradients_of(found.x)
    left = np.linalg.norm(errors @ gradients) / (np.linalg.norm(gradients, axis=1) @ np.abs(errors))
    kernel = to_numpy(kernel_block(model, x)).astype(np.float64)
    return _largest(kernel_average(kernel, errors[:, None])) / _NOISE, float(left)


def _noisy_problem(seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1)).double()
        # a bump: two steps of opposite signs
        for parameter, values in zip(
            model.parameters(), ([[2.0], [2.0]], [2.0, -2.0], [[1.0, -1.0]], [0.0]), strict=True
        ):
            parameter.data = torch.tensor(values).double()
        x = torch.linspace(-2, 2, 64)[:, None].double()
        labels = model(x).detach() + _NOISE * torch.randn(len(x), 1).double()
    return model, x, labels


def _name(identity: str, example: Example) -> str:
    return f"{identity}_outputs" if identity == "step_influence" and _outputs(example) > 1 else identity
