"""Split a network at a layer: the head computes the layer's output, the tail the logits from it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.networks.architectures import Network, Step
from netalike.networks.running import eval_mode

_Part = Callable[[Tensor], Tensor]
# What the tail starts from, in its graph.
_INPUT = "activation"


@dataclass(frozen=True, eq=False)
class Split:
    """A network in two parts; made by `split`.

    Attributes
    ----------
    model : nn.Module
        The network itself: both parts run its own modules, so that its weights and its device are theirs. No hook is
        on it.
    layer : str
        Where it is split.

    Notes
    -----
    Both parts run in eval mode whatever the mode of the model (stored batch statistics, no dropout), and put its mode
    back. Neither switches gradients off: that is the caller's choice.
    """

    model: nn.Module
    layer: str
    _before: tuple[_Part, ...]
    _after: tuple[_Part, ...]

    def head(self, images: Tensor) -> Tensor:
        """Run the network up to and including the layer, and nothing after it.

        Parameters
        ----------
        images : Tensor, shape (n, channels, height, width)

        Returns
        -------
        Tensor, shape (n, C, h, w) or (n, C)
            What the layer returns, not what an in-place operation after it would make of it.

        Raises
        ------
        NetalikeError
            If the layer returns no tensor with a row per image.
        """
        if isinstance(self.model, Network):
            self.model.check_input(images)
        return self.checked(self._run(self._before, images), images)

    def checked(self, activation: object, images: Tensor) -> Tensor:
        """Return what the layer returned for some images, or raise the error that `head` names."""
        if not isinstance(activation, Tensor) or activation.shape[:1] != images.shape[:1]:
            got = tuple(activation.shape) if isinstance(activation, Tensor) else type(activation).__name__
            raise NetalikeError(
                f"layer {self.layer!r} of {_title(self.model)} returns {got} for {len(images)} images, expected one "
                "tensor with a row per image: choose a layer inside it, or one before or after it."
            )
        return activation

    def of_layer(self, output: Tensor) -> Tensor:
        """Return what `head` would, from what the layer's module returned in a run of the whole network."""
        return output

    def tail(self, activation: Tensor) -> Tensor:
        """Run what comes after the layer, and nothing before it.

        Parameters
        ----------
        activation : Tensor, shape (n, C, h, w) or (n, C)
            In place of the layer's output; it is not changed.

        Returns
        -------
        Tensor, shape (n, classes)
            Logits.
        """
        if not isinstance(self.model, Network):
            # A network from outside may work in place, also within a module where that cannot be seen.
            activation = activation.clone()
        return self._run(self._after, activation)

    def shape(self, example: Tensor) -> tuple[int, ...]:
        """Return the shape of the layer's output for one image, without the batch dimension.

        Parameters
        ----------
        example : Tensor, shape (n, channels, height, width)
            Images; only the first is used.
        """
        with torch.no_grad():
            return tuple(self.head(example[:1]).shape[1:])

    def _run(self, parts: tuple[_Part, ...], x: Tensor) -> Tensor:
        with _evaluating(self.model):
            for part in parts:
                x = part(x)
        return x


def split(model: nn.Module, layer: str) -> Split:
    """Split a network at a layer, exactly: ``tail(head(images))`` is what the network computes, bit for bit.

    Parameters
    ----------
    model : nn.Module
        An own architecture is cut along its own steps; in any other, and within a block, the modules around the layer
        are traced (`torch.fx`), and no other.
    layer : str
        As `nn.Module.named_modules` has it; `netalike layers` lists them.

    Returns
    -------
    Split

    Raises
    ------
    UnknownNameError
        If there is no such layer; the nearest name is given.
    NetalikeError
        If the layer runs more than once or not at all in a forward pass, if it lies on one branch of several (its
        output alone does not determine the logits), or if the modules around it cannot be traced.

    Notes
    -----
    The reference implementation of Csiszarik et al. (2021) runs both networks in full, with hooks that replace the
    output of the layer; the layers of a residual branch can be stitched there, because the head of the second network
    runs as well and feeds its shortcut.
    """
    modules = dict(model.named_modules())
    if not layer or layer not in modules:
        names = [name for name in modules if name]
        raise unknown_name(f"layer of {_title(model)}", layer, names, "`netalike layers` lists them.")
    try:
        return _split(model, layer)
    except _NoSplitError as error:
        advice = _advice(model, layer)
        raise NetalikeError(f"{_title(model)} cannot be split at layer {layer!r}: {error}. {advice}") from error


@contextlib.contextmanager
def whole(splits: Sequence[Split]) -> Iterator[Callable[[Tensor], tuple[list[Tensor], Tensor]]]:
    """Run a network once for several of its splits.

    Parameters
    ----------
    splits : sequence of Split
        Of one network, in eval mode.

    Yields
    ------
    callable
        From images (n, channels, height, width) to what the head of each split returns, and the logits (n, classes):
        bit for bit what heads and tails give one by one.
    """
    model, kept = splits[0].model, dict[str, Any]()

    def keep(layer: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            # a network from outside may work in place on what a layer returned
            own = isinstance(model, Network) or not isinstance(output, Tensor)
            kept[layer] = output if own else output.clone()

        return hook

    def run(images: Tensor) -> tuple[list[Tensor], Tensor]:
        logits: Tensor = model(images)
        return [each.of_layer(each.checked(kept[each.layer], images)) for each in splits], logits

    with contextlib.ExitStack() as stack:
        for layer in dict.fromkeys(each.layer for each in splits):
            stack.callback(model.get_submodule(layer).register_forward_hook(keep(layer)).remove)
        yield run


def check_shapes(front: tuple[int, ...], end: tuple[int, ...], resize: bool, flatten: bool = False) -> None:
    """Check that a stitching layer can lead from one activation to another.

    Parameters
    ----------
    front, end : tuple of int
        Shapes without the batch dimension: (C, h, w) or (C,).
    resize : bool
        Allow maps of different heights and widths, which `resized` then fits.
    flatten : bool
        The stitching layer maps all units to all units: any two shapes fit.

    Raises
    ------
    ShapeError
        With both shapes.
    """
    if flatten:
        return
    if len(front) not in (1, 3) or len(front) != len(end):
        raise ShapeError(
            f"the front layer gives {front} for an image and the end layer {end}: expected two maps (C, h, w) or two "
            "vectors (C,). Choose layers of one kind, or flatten: one linear map over all units."
        )
    if front[1:] != end[1:] and not resize:
        raise ShapeError(
            f"the front layer gives {front} for an image and the end layer {end}: heights and widths differ. "
            "Choose layers of one size, or resize: the front activation is then resized (bilinear) before the map."
        )


def resized(activation: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Resize a map to the height and width of another (bilinear, corners not aligned), before it is mapped.

    Parameters
    ----------
    activation : Tensor, shape (n, C, h, w) or (n, C)
    shape : tuple of int
        (C', h', w') or (C',): that of the end layer.

    Returns
    -------
    Tensor, shape (n, C, h', w')
        The activation itself where the sizes agree, and for vectors.
    """
    if activation.shape[2:] == shape[1:]:
        return activation
    size = [int(side) for side in shape[1:]]
    return functional.interpolate(activation, size, mode="bilinear", align_corners=False)


class _NoSplitError(Exception):
    """Why there is no exact split at a layer."""


def _split(model: nn.Module, layer: str) -> Split:
    steps = model.steps() if isinstance(model, Network) else [Step("", model)]
    for index, step in enumerate(steps):
        before, after = tuple(steps[:index]), tuple(steps[index + 1 :])
        if step.name == layer:
            return Split(model, layer, (*before, step), after)
        inner = layer.removeprefix(f"{step.name}.") if step.name else layer
        if not step.name or inner != layer:
            head, tail = _cut(step.module, inner)
            reshape = () if step.reshape is None else (step.reshape,)
            return Split(model, layer, (*before, *reshape, head), (tail, *after))
    raise _NoSplitError("it does not run in a forward pass")


def _cut(module: nn.Module, layer: str) -> tuple[_Part, _Part]:
    """Split a module at a layer inside it, by its graph."""
    graph, constants = _trace(module, layer)
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == layer]
    if not calls:
        raise _NoSplitError("it does not run in a forward pass")
    if len(calls) > 1:
        raise _NoSplitError("it runs more than once in a forward pass, so its name does not say which output is meant")
    head, tail = _head(graph, calls[0]), _tail(graph, calls[0])
    return _Interpreter(module, head, constants), _Interpreter(module, tail, constants)


def _trace(module: nn.Module, layer: str) -> tuple[fx.Graph, dict[str, Tensor]]:
    known = set(vars(module))
    tracer = _Tracer(module.get_submodule(layer))
    try:
        with eval_mode(module):
            graph = tracer.trace(module)
    except Exception as error:
        raise _NoSplitError(
            f"the forward pass around it cannot be traced ({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
    finally:
        # The tracer leaves the constants of a forward pass on the module; they are no part of the network.
        constants = {name: vars(module).pop(name) for name in set(vars(module)) - known}
    return graph, constants


class _Tracer(fx.Tracer):
    """Traces the modules around a layer, and takes every other module as a whole."""

    def __init__(self, target: nn.Module) -> None:
        super().__init__()
        self._target = target

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m is self._target or all(child is not self._target for child in m.modules())


class _Interpreter(fx.Interpreter):
    """Runs a graph on a module's own submodules and parameters, wherever these have moved since."""

    def __init__(self, module: nn.Module, graph: fx.Graph, constants: dict[str, Tensor]) -> None:
        super().__init__(module, graph=graph)
        self._constants = constants
        self._device = torch.device("cpu")

    def __call__(self, x: Tensor) -> Tensor:
        self._device = x.device
        y: Tensor = self.run(x)
        return y

    def fetch_attr(self, target: str) -> Any:
        if target in self._constants:
            return self._constants[target].to(self._device)
        return super().fetch_attr(target)


def _head(graph: fx.Graph, cut: fx.Node) -> fx.Graph:
    head = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        copies[node] = head.node_copy(node, lambda argument: copies[argument])
        if node is cut:
            break
    head.output(copies[cut])
    return head


def _tail(graph: fx.Graph, cut: fx.Node) -> fx.Graph:
    tail = fx.Graph()
    copies = {cut: tail.placeholder(_INPUT)}

    def copied(node: fx.Node) -> fx.Node:
        if node in copies:
            return copies[node]
        if node.op != "get_attr":
            raise _NoSplitError("it lies on one of several branches, so its output alone does not determine the logits")
        copies[node] = tail.node_copy(node)
        return copies[node]

    after = False
    for node in graph.nodes:
        if after and node.op == "output":
            tail.output(fx.node.map_arg(node.args[0], copied))
        elif after:
            copies[node] = tail.node_copy(node, copied)
        after = after or node is cut
    return tail


def _advice(model: nn.Module, layer: str) -> str:
    """Name the smallest module around the layer at which the network can be split."""
    while layer := layer.rpartition(".")[0]:
        with contextlib.suppress(_NoSplitError):
            _split(model, layer)
            return f"Choose the output of the block around it, {layer!r}."
    return (
        "Choose a layer through which everything passes; a forward pass that cannot be traced can be written as an "
        "nn.Sequential of its parts, or without conditions that depend on the values of tensors."
    )


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    # Most calls come from a network that is in eval mode already: then its modules are only looked at.
    if any(module.training for module in model.modules()):
        with eval_mode(model):
            yield
    else:
        yield


def _title(model: nn.Module) -> str:
    return str(getattr(model, "architecture", type(model).__name__))
