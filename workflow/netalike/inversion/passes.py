"""Many passes from images to one representation: nothing behind it runs, and the network is put back afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.inversion.batch_norm import exact
from netalike.networks.folding import folded
from netalike.networks.layer_table import first_tensor
from netalike.networks.pixels import PixelNetwork
from netalike.networks.running import eval_mode

INPUT = "input:"
"""Ahead of a layer's name: what goes into that layer, and not what comes out of it."""

Representation = Callable[[Tensor], Tensor]
"""Maps images (n, channels, height, width) in [0, 1] to their representations (n, p)."""


Normalised = PixelNetwork
"""A network that takes pixels in [0, 1] and normalises them itself: what is inverted, attacked and represented."""


@contextlib.contextmanager
def representing(
    model: nn.Module, example: Tensor, layer: str, device: str | torch.device | None = None, fold: bool = False
) -> Iterator[Representation]:
    """Make a network ready for many passes from images to representations, and put it back afterwards.

    Parameters
    ----------
    model : nn.Module
    example : Tensor, shape (1, channels, height, width)
        An image in [0, 1].
    layer : str
        A layer's name, which stands for its output, or ``input:`` and a name.
    device : str or torch.device, optional
        The model is moved there, and left there.
    fold : bool
        Fold batch norm into the convolutions (`folding.folded`): faster, and representations move as much as rounding
        moves them. Without it they, and their gradients, are equal to the model's own bit for bit.

    Yields
    ------
    callable
        Maps images, on any device, to representations (n, p) on the model's device; where gradients are enabled,
        with one to the images and to no parameter.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    NetalikeError
        If the layer runs more than once in a forward pass, or not at all.

    Notes
    -----
    A pass ends at the representation. Meanwhile the model is in eval mode, and its parameters need no gradient.
    """
    if device is not None:
        model.to(device)
    place = _place(model, layer)
    calls = len(calls_in_order(model, [place.name], example))
    if calls != 1:
        raise NetalikeError(
            f"layer {place.name!r} of {type(model).__name__} runs {calls} times in a forward pass, so its name does "
            "not say which representation is meant; choose a layer that runs once."
        )
    with eval_mode(model), _without_parameter_gradients(model), _stopping(model, place) as run:
        if fold:
            with folded(model, run, example) as fast:
                yield fast
        else:
            with exact(model, run, example):
                yield run


def modules_by_name(model: nn.Module) -> dict[str, nn.Module]:
    """List the modules by the names that the user knows: those of the network within a `PixelNetwork`."""
    inner = model.network if isinstance(model, PixelNetwork) else model
    return {name: module for name, module in inner.named_modules() if name}


def calls_in_order(model: nn.Module, names: Sequence[str], example: Tensor) -> list[str]:
    """Run one image through the whole model, in eval mode.

    Parameters
    ----------
    model : nn.Module
    names : sequence of str
        Layers to watch.
    example : Tensor, shape (n, channels, height, width)
        Images in [0, 1]; the first is used.

    Returns
    -------
    list of str
        The watched layers in the order in which they are called, once per call.
    """
    modules, order = modules_by_name(model), list[str]()

    def note(name: str) -> Callable[[nn.Module, Any], None]:
        return lambda _module, _inputs: order.append(name)

    hooks = [modules[name].register_forward_pre_hook(note(name)) for name in names]
    try:
        with eval_mode(model), torch.no_grad():
            model(_like_weights(model, example[:1]))
    finally:
        for hook in hooks:
            hook.remove()
    return order


@dataclass(frozen=True)
class _Place:
    name: str
    module: nn.Module
    before: bool  # its input, not its output


class _Reached(Exception):  # noqa: N818 (no error: the pass is over)
    """The representation is there."""


def _place(model: nn.Module, layer: str) -> _Place:
    name = layer.removeprefix(INPUT)
    modules = modules_by_name(model)
    if name not in modules:
        advice = f"{INPUT!r} ahead of a name stands for what goes into the layer. `netalike layers` lists them."
        raise unknown_name("layer", name, modules, advice)
    return _Place(name, modules[name], layer.startswith(INPUT))


@contextlib.contextmanager
def _stopping(model: nn.Module, place: _Place) -> Iterator[Representation]:
    """Hook the layer so that a forward pass ends there, by an exception that carries nothing away."""
    reached: list[Tensor] = []

    def stop(value: object) -> None:
        tensor = first_tensor(value)
        if tensor is None:
            raise NetalikeError(f"layer {place.name!r} has {type(value).__name__}, not a tensor; choose another layer.")
        reached.append(tensor)
        raise _Reached

    def run(images: Tensor) -> Tensor:
        with contextlib.suppress(_Reached):
            model(_like_weights(model, images))
        if not reached:
            raise NetalikeError(f"layer {place.name!r} of {type(model).__name__} does not run in a forward pass.")
        tensor = reached.pop()
        if len(tensor) != len(images):
            raise ShapeError(
                f"layer {place.name!r} has shape {tuple(tensor.shape)} for {len(images)} images: expected one row per "
                "image; choose a layer before or after it."
            )
        return tensor.flatten(1)

    if place.before:
        handle = place.module.register_forward_pre_hook(lambda _module, inputs: stop(inputs))
    else:
        handle = place.module.register_forward_hook(lambda _module, _inputs, output: stop(output))
    try:
        yield run
    finally:
        handle.remove()


@contextlib.contextmanager
def _without_parameter_gradients(model: nn.Module) -> Iterator[None]:
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


def _like_weights(model: nn.Module, images: Tensor) -> Tensor:
    weight = next(model.parameters(), None)
    return images if weight is None else images.to(device=weight.device, dtype=weight.dtype)
