"""The gradient of one layer as a product: activities on one side, back-propagated signals on the other.

For a linear layer, the gradient of sample i is X_i = sum_t b_it a_it', over the positions t at which its weights are
used, so that <X_i, X_j> = sum_ts (a_it . a_js)(b_it . b_js).  With one position, no gradient is ever formed; with
many, forming it for a batch can be cheaper than the products of all pairs of positions.

Shapes: n samples, d outputs, p parameters of the layer, i inputs and o outputs of the layer, t positions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from netalike.gradients.kernel import inverse_roots, rounding

# Numbers in a buffer of the products of all pairs of positions.
_BUFFER = 4_000_000


@dataclass(frozen=True)
class Stored:
    """Gradients of one group of parameters, as they are.

    Attributes
    ----------
    gradients : Tensor, shape (n, d, p)
    """

    gradients: Tensor

    @property
    def numbers(self) -> int:
        """How many numbers are held."""
        return self.gradients.numel()

    def expanded(self) -> Stored:
        """Return what is cheapest to multiply: this."""
        return self

    def formed(self) -> Tensor:
        """Return the gradients, shape (n, d, p)."""
        return self.gradients

    def weighted(self, weights: Tensor) -> Stored:
        """Mix the outputs: X_i W_i, for weights of shape (n, d, d)."""
        if weights.shape[1] == 1:
            return Stored(self.gradients * weights)
        return Stored(torch.einsum("nap,nac->ncp", self.gradients, weights))

    def own(self) -> Tensor:
        """Return the kernel of each sample with itself, shape (n, d, d); in float64 if d > 1."""
        if self.gradients.shape[1] == 1:
            return _squares(self.gradients)
        gradients = self.gradients.double()
        return gradients @ gradients.mT

    def total(self, weights: Tensor) -> Tensor:
        """Return sum_i X_i W_i, shape (d, p)."""
        n, d, p = self.gradients.shape
        return weights.reshape(n * d, d).T @ self.gradients.reshape(n * d, p)

    def projected(self, total: Tensor) -> Tensor:
        """Return X_i' V for V of shape (d, p); shape (n, d, d)."""
        return self.gradients @ total.T

    def add_traces(self, other: Stored, out: Tensor) -> None:
        """Add Tr(X_i' Y_j) to `out`, shape (n, m)."""
        out.addmm_(self.gradients.flatten(1), other.gradients.flatten(1).T)

    def add_kernels(self, other: Stored, out: Tensor) -> None:
        """Add X_i' Y_j to `out`, shape (n, m, d, d)."""
        (n, d, p), m = self.gradients.shape, len(other.gradients)
        products = self.gradients.reshape(n * d, p) @ other.gradients.reshape(m * d, p).T
        out.add_(products.view(n, d, m, d).permute(0, 2, 1, 3))


class Unfold(Protocol):
    """How a layer reads its input: as activities at positions."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the activities (n, i, t) of inputs (n, ...)."""
        ...

    def apply(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Return weights @ activities, shape (n, k, t), for weights of shape (k, i)."""
        ...

    def ordered(self, weights: Tensor) -> Tensor:
        """Bring the last axis, (..., i), from the order of the activities into that of the parameters."""
        ...


@dataclass(frozen=True)
class Outer:
    """Gradients of the weights of a linear map, as activities and signals.

    Attributes
    ----------
    inputs : Tensor, shape (n, ...)
        What came into the layer.
    signals : Tensor, shape (n, d, o, t)
        Gradient of each of the d outputs of the network with respect to what came out of the layer.
    unfold : Unfold, optional
        Makes the activities (n, i, t) of the inputs; default: the inputs are the activities. Deferred, since the
        patches of a convolution take many times the memory of its input.
    """

    inputs: Tensor
    signals: Tensor
    unfold: Unfold | None = None

    @property
    def numbers(self) -> int:
        """How many numbers are held."""
        return self.inputs.numel() + self.signals.numel()

    @property
    def activities(self) -> Tensor:
        """What the weights are multiplied with, shape (n, i, t)."""
        return self.inputs if self.unfold is None else self.unfold(self.inputs)

    def expanded(self) -> Stored | Outer:
        """Return what is cheapest to multiply: the gradients where there are many positions, else this, unfolded."""
        activities = self.activities
        (_, i, t), o = activities.shape, self.signals.shape[2]
        if t > 1 and t * t * (i + o) > i * o:
            return Stored(_formed(activities, self.signals))
        return Outer(activities, self.signals)

    def formed(self) -> Tensor:
        """Return the gradients, shape (n, d, o * i), in the order of the parameters."""
        gradients = _formed(self.activities, self.signals)
        if self.unfold is None:
            return gradients
        return self.unfold.ordered(gradients.view(*self.signals.shape[:3], -1)).flatten(2)

    def weighted(self, weights: Tensor) -> Outer:
        """Mix the outputs; see `Stored.weighted`."""
        if weights.shape[1] == 1:
            return replace(self, signals=self.signals * weights[..., None])
        return replace(self, signals=torch.einsum("naot,nac->ncot", self.signals, weights))

    def own(self) -> Tensor:
        """Return the kernel of each sample with itself, shape (n, d, d); in float64 if d > 1."""
        n, d, o, t = self.signals.shape
        activities, sent = _precise(self.activities, d), _precise(self.signals, d)
        if t == d == 1:
            return _squares(activities.mT) * _squares(sent.squeeze(3))
        if t == 1:
            signals = sent.squeeze(3)
            return activities.square().sum((1, 2))[:, None, None] * (signals @ signals.mT)
        between = activities.mT @ activities  # (n, t, t): products of the activities at two positions
        moved = sent.transpose(2, 3)  # (n, d, t, o)
        passed = between[:, None] @ moved
        return passed.reshape(n, d, t * o) @ moved.reshape(n, d, t * o).mT

    def total(self, weights: Tensor) -> Tensor:
        """Return sum_i X_i W_i, shape (d, o * i), its units in the order of the activities."""
        signals = torch.einsum("naot,nac->cont", self.signals, weights).flatten(2)  # (d, o, n t)
        activities = self.activities.transpose(0, 1).flatten(1)  # (i, n t)
        return (signals.flatten(0, 1) @ activities.T).view(len(signals), -1)

    def projected(self, total: Tensor) -> Tensor:
        """Return X_i' V for V of shape (d, o * i), its units in the order of the activities; shape (n, d, d)."""
        n, d, o, t = self.signals.shape
        weights = total.reshape(len(total) * o, -1)
        # what the layer would put out with V for its weights: (n, c o, t)
        if self.unfold is not None:
            moved = self.unfold.apply(self.inputs, weights)
        else:  # one product for all samples, not one for each
            moved = (weights @ self.inputs.transpose(0, 1).flatten(1)).view(-1, n, t).transpose(0, 1)
        if d == 1:  # a product and its sum: four times as fast as matrix products of one row and one column
            return (self.signals[:, 0] * moved).sum((1, 2))[:, None, None]
        return self.signals.reshape(n, d, o * t) @ moved.reshape(n, len(total), o * t).mT

    def add_traces(self, other: Outer, out: Tensor) -> None:
        """Add Tr(X_i' Y_j) to `out`, shape (n, m)."""
        # outputs are summed over like units of the layer
        _add_products(self.activities, self.signals.flatten(1, 2), other.activities, other.signals.flatten(1, 2), out)

    def add_kernels(self, other: Outer, out: Tensor) -> None:
        """Add X_i' Y_j to `out`, shape (n, m, d, d)."""
        activities, others = self.activities, other.activities
        (n, d, o, t), m = self.signals.shape, len(other.signals)
        if t == 1:
            products = self.signals.reshape(n * d, o) @ other.signals.reshape(m * d, o).T
            shared = activities.flatten(1) @ others.flatten(1).T
            out.addcmul_(shared[:, :, None, None], products.view(n, d, m, d).permute(0, 2, 1, 3))
            return
        for a, c in itertools.product(range(d), repeat=2):
            _add_products(activities, self.signals[:, a], others, other.signals[:, c], out[:, :, a, c])


Factor: TypeAlias = Stored | Outer


@dataclass(frozen=True)
class Factors:
    """The gradients of some samples, as factors of layers.

    Attributes
    ----------
    items : tuple of Stored or Outer
        One or two per layer.
    n, d : int
        Numbers of samples and outputs.
    """

    items: tuple[Factor, ...]
    n: int
    d: int

    @property
    def numbers(self) -> int:
        """How many numbers are held."""
        return sum(item.numbers for item in self.items)

    def smaller(self, other: Factors) -> Factors:
        """Return, layer by layer, the form that holds fewer numbers: of these, or of the same samples' others."""
        pairs = zip(self.items, other.items, strict=True)
        return Factors(tuple(min(pair, key=lambda item: item.numbers) for pair in pairs), self.n, self.d)

    def expanded(self) -> Factors:
        """Return the factors in the form that is cheapest to multiply."""
        return Factors(tuple(item.expanded() for item in self.items), self.n, self.d)

    def own(self) -> Tensor:
        """Return K_ii = X_i' X_i, shape (n, d, d)."""
        kernels = self.items[0].own()
        for item in self.items[1:]:
            kernels = kernels + item.own()
        return kernels

    def roots(self) -> Tensor:
        """Return K_ii^(-1/2), shape (n, d, d); 0 where the gradient is zero."""
        return inverse_roots(self.own(), rounding(self._like.dtype.itemsize)).to(self._like)

    def own_similarities(self, roots: Tensor) -> Tensor:
        """Return the similarity of each sample with itself, Tr(W_i K_ii W_i) / d = rank / d, shape (n,)."""
        precise = roots.double()
        projections = precise @ self.own().double() @ precise
        return (projections.diagonal(dim1=1, dim2=2).sum(1) / self.d).to(roots)

    def weighted(self, weights: Tensor) -> Factors:
        """Return the factors of X_i W_i, for weights of shape (n, d, d)."""
        return Factors(tuple(item.weighted(weights) for item in self.items), self.n, self.d)

    def total(self, weights: Tensor) -> list[Tensor]:
        """Return sum_i X_i W_i, as one tensor (d, p of the factor) per factor."""
        return [item.total(weights) for item in self.items]

    def projected(self, total: Sequence[Tensor]) -> Tensor:
        """Return X_i' V, shape (n, d, d), for V as `total` returns it."""
        parts = [item.projected(part) for item, part in zip(self.items, total, strict=True)]
        return torch.stack(parts).sum(0)

    def traces(self, other: Factors) -> Tensor:
        """Return Tr(X_i' Y_j), shape (n, m)."""
        out = self._like.new_zeros(self.n, other.n)
        for item, another in zip(self.items, other.items, strict=True):
            item.add_traces(another, out)  # type: ignore[arg-type]  # the same layer, so the same kind
        return out

    def kernels(self, other: Factors) -> Tensor:
        """Return X_i' Y_j, shape (n, m, d, d)."""
        out = self._like.new_zeros(self.n, other.n, self.d, self.d)
        for item, another in zip(self.items, other.items, strict=True):
            item.add_kernels(another, out)  # type: ignore[arg-type]  # the same layer, so the same kind
        return out

    @property
    def _like(self) -> Tensor:
        first = self.items[0]
        return first.gradients if isinstance(first, Stored) else first.signals


def _precise(numbers: Tensor, d: int) -> Tensor:
    """Cast to float64 where a kernel is inverted: rounding grows with its condition number."""
    return numbers if d == 1 else numbers.double()


def _squares(numbers: Tensor) -> Tensor:
    """Sum the squares of each sample, (n, 1, m) -> (n, 1, 1): short sums first, for their rounding."""
    norms: Tensor = torch.linalg.vector_norm(_in_rows(numbers.squeeze(1)), dim=2)
    return norms.square().sum(1)[:, None, None]


def _in_rows(numbers: Tensor) -> Tensor:
    """Split (n, m) into (n, rows, m / rows), with about as many rows as columns where m can be divided so."""
    m = numbers.shape[1]
    rows = next(rows for rows in range(math.isqrt(m), 0, -1) if m % rows == 0)
    return numbers.reshape(len(numbers), rows, m // rows)


def _formed(activities: Tensor, signals: Tensor) -> Tensor:
    n, d, o, t = signals.shape
    return (signals.reshape(n, d * o, t) @ activities.mT).view(n, d, -1)


def _add_products(a: Tensor, b: Tensor, c: Tensor, d: Tensor, out: Tensor) -> None:
    """Add sum_ts (a_it . c_js)(b_it . d_js) to `out`; all factors are (samples, units, positions)."""
    (n, _, t), (m, _, s) = a.shape, c.shape
    if t == s == 1:
        out.addcmul_(a.flatten(1) @ c.flatten(1).T, b.flatten(1) @ d.flatten(1).T)
        return
    columns_c, columns_d = c.transpose(0, 1).flatten(1), d.transpose(0, 1).flatten(1)  # (units, m s)
    rows = max(1, _BUFFER // (t * m * s))
    for start in range(0, n, rows):
        part = slice(start, min(start + rows, n))
        products = a[part].mT.flatten(0, 1) @ columns_c
        products *= b[part].mT.flatten(0, 1) @ columns_d
        out[part] += products.view(-1, t, m, s).sum((1, 3))
