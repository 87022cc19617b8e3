"""Gram matrices of the layers of a network, batch by batch, without keeping the activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from netalike.activations import Recorder
from netalike.measures.gram import (
    MEAN_SHARE,
    PRECISE_MEAN_SHARE,
    centre_in_place,
    centred_product,
    flatten_in_memory_order,
    symmetric_product,
)

Observer = Callable[[str, Tensor], None]


class LayerGrams:
    """Compute the centred Gram matrices of chosen layers, one forward pass per batch.

    Parameters
    ----------
    model : nn.Module
    layers : sequence of str
        Exact names.
    repeats : {"error", "last"}
        See `Recorder`.
    precise : bool
        Centre the features first wherever the mean counts; for estimators that adjust for the inputs.

    Attributes
    ----------
    order : list of str
        The layers in the order of the last stack: as given, or, with ``repeats="last"``, in the order of execution.

    Notes
    -----
    A layer's features are multiplied as they come, and the n x n matrices of all layers are centred together.  Where
    the mean holds nearly all of the squared norm that would lose digits: such a layer is found in its first batch,
    which is run again, and from then on its features are centred first.
    """

    def __init__(self, model: nn.Module, layers: Sequence[str], repeats: str = "error", precise: bool = False) -> None:
        self._model, self._layers, self._repeats = model, list(layers), repeats
        self._limit = PRECISE_MEAN_SHARE if precise else MEAN_SHARE
        self._centred_first: set[str] = set()
        self._stack: Tensor | None = None  # one place per layer, in the order in which they run
        self._places: dict[str, int] = {}
        self._observe: Observer | None = None
        self._scratch: Tensor | None = None
        self._recorder = Recorder(model, layers, self._consume, repeats)
        self.order: list[str] = list(layers)

    def __call__(self, inputs: Tensor, observe: Observer | None = None) -> Tensor:
        """Run one batch.

        Parameters
        ----------
        inputs : Tensor, shape (n, ...)
        observe : callable, optional
            Also called with each layer's name and features, shape (n, p).

        Returns
        -------
        Tensor, shape (layers, n, n)
            Centred, on the model's device and in its precision; exactly zero for a layer that is constant up to
            rounding.
        """
        self._stack, self._places, self._observe = None, {}, observe
        with self._recorder as recorder:
            recorder.forward(inputs)
        self._observe = None
        if self._repeats == "last":
            self.order = list(self._places)
        stack = self._in_order(self.order)
        self._centre_large_means(stack, inputs)
        return centre_in_place(stack)

    def _in_order(self, layers: list[str]) -> Tensor:
        assert self._stack is not None, "no layer ran"
        places = [self._places[layer] for layer in layers]
        if places == list(range(len(self._stack))):
            return self._stack
        return self._stack[places]

    def _centre_large_means(self, stack: Tensor, inputs: Tensor) -> None:
        shares = stack.sum((1, 2)) / (len(inputs) * stack.diagonal(dim1=1, dim2=2).sum(1))
        large = [self.order[i] for i in torch.nonzero(shares > self._limit).flatten().tolist()]
        found = [layer for layer in large if layer not in self._centred_first]
        if not found:
            return
        self._centred_first.update(found)
        self._stack, self._places = None, {}
        with Recorder(self._model, found, self._consume, self._repeats) as recorder:
            recorder.forward(inputs)
        again = self._in_order(found)
        for layer, gram in zip(found, again, strict=True):
            stack[self.order.index(layer)] = gram

    def _consume(self, layer: str, output: Tensor) -> None:
        features = flatten_in_memory_order(output)
        if self._observe is not None:
            self._observe(layer, features)
        if self._stack is None:
            self._stack = features.new_empty(len(self._layers), len(features), len(features))
        if features.dtype != self._stack.dtype:  # a network may mix precisions
            features = features.to(self._stack.dtype)
        # a layer that runs again writes over itself
        out = self._stack[self._places.setdefault(layer, len(self._places))]
        if layer in self._centred_first:
            centred_product(features, self._scratch_for(features), out)
        else:
            symmetric_product(features, out)

    def _scratch_for(self, features: Tensor) -> Tensor:
        if self._scratch is None or self._scratch.numel() < features.numel() or self._scratch.dtype != features.dtype:
            self._scratch = features.new_empty(features.numel())
        return self._scratch
