"""Kernels of gradients from products of layers, without storing gradients.

For a linear layer, <X_i, X_j> = (a_i . a_j + 1)(b_i . b_j): activities times back-propagated signals (specification,
claim P6). Convolutions use their weights at many positions, which are summed over. Layers of other kinds, parameters
that are shared or used outside their own module, and layers whose product disagrees with autograd on the first two
samples, fall back to stored gradients of those parameters alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from netalike.errors import NetalikeError, ShapeError
from netalike.gradients.factors import Factor, Factors, Outer, Stored
from netalike.gradients.inputs import InputsLike, OutputsLike, check_chunk, prepare
from netalike.gradients.layers import HANDLERS
from netalike.gradients.per_sample import batch_gradients
from netalike.gradients.recording import Call, record

# Relative difference from autograd above which a layer's product is not trusted.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-7}
_PROBE = 2
# Samples per batch: enough to fill the matrix products, few enough to stay in the cache.
_LARGEST_CHUNK = 256
_SMALLEST_CHUNK = 8
# About what a batch takes in all, of which each product touches a tenth.
_CACHED_BYTES = 64e6
# Of formed gradients, while they are put together and normalised.
_COPIES = 5


class LayerProducts:
    """The gradients of a network on samples, as products of layers.

    Parameters
    ----------
    model : nn.Module
        In eval mode where that makes a difference.
    inputs : Tensor or ndarray, shape (n, ...), or ImageSet
    outputs : {"logits", "true-class", "sum"} or callable
        See `per_sample_gradients`.
    labels : sequence of int, optional

    Attributes
    ----------
    n, p, d : int
        Numbers of samples, parameters and outputs.
    products : tuple of str
        Names of the layers in product form.
    stored : tuple of str
        Names of the parameters whose gradients are stored, one batch at a time.

    Raises
    ------
    NetalikeError, UnknownNameError, ShapeError
        As `per_sample_gradients`.
    """

    def __init__(
        self, model: nn.Module, inputs: InputsLike, outputs: OutputsLike = "logits", labels: object = None
    ) -> None:
        self.samples, self.select = prepare(model, inputs, outputs, labels)
        self.model, self.n = model, len(self.samples)
        self._values = {name: parameter.detach() for name, parameter in model.named_parameters()}
        self.p = sum(value.numel() for value in self._values.values())
        self._modules = _candidates(model)
        self.d = self._probe()
        self.products = tuple(self._modules)

    @property
    def stored(self) -> tuple[str, ...]:
        """Names of the parameters whose gradients are stored, one batch at a time."""
        inside = {name for module in self._modules for name in self._parameters_of(module)}
        return tuple(name for name in self._values if name not in inside)

    def factors(self, start: int, stop: int) -> Factors:
        """Compute the factors of samples start..stop: one forward and d backward passes."""
        return self._factors(*self.samples.rows(start, stop))

    def take(self, indices: NDArray[np.integer]) -> Factors:
        """Compute the factors of the samples at some positions."""
        return self._factors(*self.samples.take(indices))

    def batches(self, chunk: int | None = None) -> Iterator[tuple[int, Factors]]:
        """Iterate over (first position, factors), `chunk` samples at a time."""
        size = self.chunk() if chunk is None else chunk
        check_chunk(size)
        for start in range(0, self.n, size):
            yield start, self.factors(start, min(start + size, self.n))

    def gradients(self, start: int, stop: int) -> Tensor:
        """Form the gradients of samples start..stop, shape (stop - start, p, d), in the order of the parameters."""
        batch, labels = self.samples.rows(start, stop)
        return self._formed(batch, labels, self._factors_by_layer(batch, labels))

    def fingerprint(self) -> str:
        """Return the SHA-256 of the parameters, the samples and the choice of outputs, in hexadecimal."""
        digest = hashlib.sha256(repr((self.n, self.d, self.select.name, list(self._values))).encode())
        for value in (*self._values.values(), *self.model.buffers()):
            digest.update(value.detach().cpu().contiguous().numpy().data)
        for _, batch, labels in self.samples.batches(_LARGEST_CHUNK):
            digest.update(batch.cpu().contiguous().numpy().data)
            if labels is not None and self.select.kind == "true-class":
                digest.update(labels.cpu().numpy().data)
        return digest.hexdigest()

    def chunk(self, memory_gb: float = 0.25, formed: bool = False) -> int:
        """Return how many samples at once stay within a limit of memory, from 1 to 256.

        Parameters
        ----------
        memory_gb : float
        formed : bool
            Whether the gradients of the samples are formed, and not their factors alone.

        Raises
        ------
        NetalikeError
            If one sample alone exceeds the limit.
        """
        needed = self.bytes_per_sample + formed * _COPIES * self.p * self.d * self._itemsize
        limit = memory_gb * 1e9 / needed
        if limit < 1:
            fewer = ", or analyse fewer outputs (outputs='sum')" if self.d > 1 else ""
            raise NetalikeError(
                f"one sample of {self.d} output{'s' * (self.d != 1)} and {self.p} parameters needs about "
                f"{needed / 1e9:.2g} GB, but a batch may take {memory_gb:.2g} GB. "
                f"Raise the limit {math.ceil(1 / limit)}-fold{fewer}."
            )
        return min(int(limit), _LARGEST_CHUNK)

    def cached_chunk(self) -> int:
        """Return how many samples at once leave what is computed from them in the processor's cache, from 8 to 256."""
        return max(_SMALLEST_CHUNK, min(int(_CACHED_BYTES / self.bytes_per_sample), _LARGEST_CHUNK))

    @cached_property
    def bytes_per_sample(self) -> int:
        """About the memory that one sample takes while its kernels are computed."""
        factors = self.factors(0, 1)
        unfolded = sum(item.activities.numel() for item in factors.items if isinstance(item, Outer))
        # Measured: the graph of the forward pass, its backward passes and the copies that each product makes take about
        # six times the factors and four times what is multiplied.
        numbers = 6 * factors.numbers + 4 * factors.expanded().numbers + 2 * unfolded
        return numbers * self._itemsize

    @property
    def _itemsize(self) -> int:
        return next(iter(self._values.values())).element_size()

    def _parameters_of(self, module: str) -> list[str]:
        own = [name for name, _ in self._modules[module].named_parameters(recurse=False)]
        return [f"{module}.{name}" if module else name for name in own]

    def _factors(self, batch: Tensor, labels: Tensor | None) -> Factors:
        layers = self._factors_by_layer(batch, labels)
        return Factors(tuple(item for items in layers.values() for item in items), len(batch), self.d)

    def _factors_by_layer(self, batch: Tensor, labels: Tensor | None) -> dict[str, list[Factor]]:
        layers: dict[str, list[Factor]] = {}
        if self._modules:
            calls, _ = record(self.model, self._values, self._modules, batch, labels, self.select)
            layers = {name: _combined(self._modules[name], calls[name]) for name in self._modules}
        if self.stored:
            gradients = batch_gradients(self.model, self.stored, batch, labels, self.select)
            layers[""] = [*layers.get("", []), Stored(gradients.mT.contiguous())]
        return layers

    def _formed(self, batch: Tensor, labels: Tensor | None, layers: dict[str, list[Factor]]) -> Tensor:
        parts: dict[str, Tensor] = {}
        stored = self.stored
        if stored:
            sizes = [self._values[name].numel() for name in stored]
            found = torch.split(layers[""].pop().formed(), sizes, dim=2)
            parts.update(zip(stored, found, strict=True))
        for name, module in self._modules.items():
            parts.update(zip(self._parameters_of(name), _split(module, layers[name]), strict=True))
        return torch.cat([parts[name] for name in self._values], dim=2).mT

    def _probe(self) -> int:
        """Leave out the layers whose product differs from autograd on the first samples, and count the outputs."""
        batch, labels = self.samples.rows(0, _PROBE)
        with torch.no_grad():
            d = self.select(self.model(batch), labels).shape[1]
        # one random combination of the outputs instead of all d
        mixed = torch.randn(d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        mixed = mixed.to(next(iter(self._values.values())))
        calls, _ = record(self.model, self._values, self._modules, batch, labels, self.select, mixed)
        expected = self._by_autograd(batch, labels, mixed)
        sizes = [value.numel() for value in self._values.values()]
        by_name = dict(zip(self._values, torch.split(expected, sizes, dim=1), strict=True))
        for name in list(self._modules):
            wanted = torch.cat([by_name[own] for own in self._parameters_of(name)], dim=1)
            if not _agrees(self._modules[name], calls.get(name, []), wanted):
                del self._modules[name]
        return d

    def _by_autograd(self, batch: Tensor, labels: Tensor | None, mixed: Tensor) -> Tensor:
        """Return the gradient of one combination of the outputs, sample by sample, shape (n, p)."""
        leaves = {name: value.clone().requires_grad_() for name, value in self._values.items()}
        rows = []
        for i in range(len(batch)):
            label = None if labels is None else labels[i : i + 1]
            with torch.enable_grad():
                output = (self.select(functional_call(self.model, leaves, (batch[i : i + 1],)), label) @ mixed).sum()
            grads = torch.autograd.grad(output, list(leaves.values()), allow_unused=True, materialize_grads=True)
            rows.append(torch.cat([grad.flatten() for grad in grads]))
        return torch.stack(rows)


def _candidates(model: nn.Module) -> dict[str, nn.Module]:
    """Find the modules of a known kind whose parameters are theirs alone."""
    owners: dict[int, int] = {}
    for _, parameter in model.named_parameters(remove_duplicate=False):
        owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False))
        if type(module) in HANDLERS and own and all(owners[id(parameter)] == 1 for parameter in own):
            found[name] = module
    return found


def _combined(module: nn.Module, calls: list[Call]) -> list[Factor]:
    """Return the factors of a layer; the gradients are added up where it was called more than once."""
    of_calls = [HANDLERS[type(module)](module, call.input, call.signals) for call in calls]
    if len(of_calls) == 1:
        return of_calls[0]
    return [Stored(torch.stack([item.formed() for item in items]).sum(0)) for items in zip(*of_calls, strict=True)]


def _split(module: nn.Module, factors: list[Factor]) -> list[Tensor]:
    """Return the gradient of each parameter of a layer, (n, d, p of the parameter)."""
    own = list(module.parameters(recurse=False))
    if len(own) == len(factors):
        return [item.formed() for item in factors]
    n, d, _ = (both := factors[0].formed()).shape
    columns = both.view(n, d, own[0].shape[0], -1)  # the bias is the last column
    return [columns[..., :-1].flatten(2), columns[..., -1]]


def _agrees(module: nn.Module, calls: list[Call], wanted: Tensor) -> bool:
    """Say whether a layer's factors give the gradients (n, p) that autograd gives."""
    if not calls or any(len(call.input) != len(wanted) for call in calls):
        return False
    try:
        found = torch.cat(_split(module, _combined(module, calls)), dim=2)[:, 0]
    except (RuntimeError, TypeError, ValueError, IndexError):
        return False  # a shape that the handler does not know, such as an input without a batch axis
    if found.shape != wanted.shape:
        return False
    return bool((found - wanted).norm() <= _TOLERANCE[wanted.dtype] * wanted.norm())


def self_kernels(
    model: nn.Module,
    inputs: InputsLike,
    outputs: OutputsLike = "logits",
    labels: object = None,
    chunk: int | None = None,
) -> Tensor:
    """Compute the kernel of each sample with itself, K_ii = X_i' X_i.

    Parameters
    ----------
    model : nn.Module
    inputs : Tensor or ndarray, shape (n, ...), or ImageSet
    outputs : {"logits", "true-class", "sum"} or callable
        See `per_sample_gradients`.
    labels : sequence of int, optional
    chunk : int, optional
        Samples per batch; default: what fits in 0.25 GB.

    Returns
    -------
    Tensor, shape (n, d, d)

    Raises
    ------
    NetalikeError, UnknownNameError, ShapeError
        As `per_sample_gradients`.

    Notes
    -----
    One forward and d backward passes, and products of layers; no gradient of the whole network is formed.
    """
    products = LayerProducts(model, inputs, outputs, labels)
    parts = [factors.expanded().own() for _, factors in products.batches(chunk)]
    return torch.cat(parts).to(next(model.parameters()).dtype)


def gradient_norms(
    model: nn.Module,
    inputs: InputsLike,
    outputs: OutputsLike = "logits",
    labels: object = None,
    chunk: int | None = None,
) -> Tensor:
    """Compute the Frobenius norm of each sample's gradient.

    Parameters
    ----------
    model, inputs, outputs, labels, chunk
        As for `self_kernels`.

    Returns
    -------
    Tensor, shape (n,)
        |X_i|_F: for one output, the Euclidean norm of its gradient.

    Notes
    -----
    The root of the trace of `self_kernels`, at the same cost.
    """
    own = self_kernels(model, inputs, outputs, labels, chunk)
    return own.diagonal(dim1=1, dim2=2).sum(1).clamp(min=0).sqrt()


def kernel_block(
    model: nn.Module,
    a: InputsLike,
    b: InputsLike | None = None,
    outputs: OutputsLike = "logits",
    labels_a: object = None,
    labels_b: object = None,
    chunk: int | None = None,
) -> Tensor:
    """Compute the matrix kernel between two sets of samples: K_ij = X_i' X_j.

    Parameters
    ----------
    model : nn.Module
    a, b : Tensor or ndarray, shape (n_a, ...) and (n_b, ...), or ImageSet
        b is a by default; the block is then symmetric, and half of it is computed.
    outputs : {"logits", "true-class", "sum"} or callable
    labels_a, labels_b : sequence of int, optional
    chunk : int, optional
        Samples per batch; default: what fits in 0.25 GB.

    Returns
    -------
    Tensor, shape (n_a, n_b, d, d)

    Raises
    ------
    NetalikeError, UnknownNameError, ShapeError
        As `per_sample_gradients`.

    Notes
    -----
    O(n_a n_b d^2 (i + o)) for a linear layer of i inputs and o outputs, instead of O(n_a n_b d^2 i o). The factors of
    all samples are held: for a linear layer i + d o numbers per sample.
    """
    return _blocks(model, a, b, outputs, (labels_a, labels_b), chunk, Factors.kernels, lambda block: block.mT)


def similarity_block(
    model: nn.Module,
    a: InputsLike,
    b: InputsLike | None = None,
    outputs: OutputsLike = "logits",
    labels_a: object = None,
    labels_b: object = None,
    chunk: int | None = None,
) -> Tensor:
    """Compute the normalised similarity between two sets of samples: Tr(K_ii^(-1/2) K_ij K_jj^(-1/2)) / d.

    Parameters
    ----------
    model, a, b, outputs, labels_a, labels_b, chunk
        As for `kernel_block`.

    Returns
    -------
    Tensor, shape (n_a, n_b)
        In [-1, 1]; the cosine of the gradients for d = 1; 0 where one of them is zero.

    Notes
    -----
    The signals are normalised once, so that the trace costs O(n_a n_b (i + d o)) for a linear layer.
    """

    def traces(one: Factors, other: Factors) -> Tensor:
        return one.traces(other) / one.d

    return _blocks(model, a, b, outputs, (labels_a, labels_b), chunk, traces, lambda block: block, normalised=True)


def _blocks(
    model: nn.Module,
    a: InputsLike,
    b: InputsLike | None,
    outputs: OutputsLike,
    labels: tuple[object, object],
    chunk: int | None,
    multiply: Callable[[Factors, Factors], Tensor],
    mirror: Callable[[Tensor], Tensor],
    normalised: bool = False,
) -> Tensor:
    rows = _all_factors(LayerProducts(model, a, outputs, labels[0]), chunk, normalised)
    columns = rows if b is None else _all_factors(LayerProducts(model, b, outputs, labels[1]), chunk, normalised)
    if rows[0].d != columns[0].d:
        raise ShapeError(f"the two sets have {rows[0].d} and {columns[0].d} outputs per sample: expected as many.")
    ends = [np.cumsum([0, *(part.n for part in parts)]).tolist() for parts in (rows, columns)]
    result: Tensor | None = None
    for i, one in enumerate(rows):
        for j, other in enumerate(columns):
            if b is None and j < i:
                continue
            block = multiply(one, other)
            if result is None:
                result = block.new_empty(ends[0][-1], ends[1][-1], *block.shape[2:])
            result[ends[0][i] : ends[0][i + 1], ends[1][j] : ends[1][j + 1]] = block
            if b is None and j > i:
                result[ends[1][j] : ends[1][j + 1], ends[0][i] : ends[0][i + 1]] = mirror(block).transpose(0, 1)
    assert result is not None
    return result


def _all_factors(products: LayerProducts, chunk: int | None, normalised: bool) -> list[Factors]:
    found = []
    for _, factors in products.batches(chunk):
        ready = factors.expanded()
        found.append(ready.weighted(ready.roots()) if normalised else ready)
    return found
