"""The layers of a network: which there are, what comes out of them, and how to name them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netalike.errors import NetalikeError, unknown_name
from netalike.networks import naming
from netalike.networks.architectures import Network
from netalike.networks.registry import build
from netalike.networks.running import eval_mode

BLOCKS = "blocks"


@dataclass(frozen=True)
class LayerInfo:
    """One layer.

    Attributes
    ----------
    name : str
        As `nn.Module.named_modules` has it.
    kind : str
        Class of the module; with "(first of k outputs)" where it returns several tensors.
    shape : tuple of int
        Shape of the output for one example, without the batch dimension.
    parameters : int
        Number of parameters in the layer and in all within it.
    calls : int
        How often one forward pass calls it. A layer with more than one call has no single output to record.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    calls: int


def layers(model: nn.Module, example: Tensor) -> list[LayerInfo]:
    """List the layers that a forward pass runs through.

    Parameters
    ----------
    model : nn.Module
        Runs once in eval mode; its mode is put back, and no hook stays.
    example : Tensor, shape (n, ...)
        Inputs; only the first is used.

    Returns
    -------
    list of LayerInfo
        In the order in which they finish for the first time, so that what is within a container comes before it.
        The root, modules that did not run, and modules that return no tensor are left out.
    """
    seen: dict[str, LayerInfo] = {}
    hooks = [module.register_forward_hook(_observer(name, seen)) for name, module in model.named_modules() if name]
    try:
        with eval_mode(model), torch.no_grad():
            model(example[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return list(seen.values())


def first_tensor(output: object) -> Tensor | None:
    """Return a module's output if it is a tensor, else the first tensor of a tuple, list or mapping, else None."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, tuple | list):
        return next((item for item in output if isinstance(item, Tensor)), None)
    return None


def blocks(model: nn.Module) -> list[str]:
    """Name the outputs of a network's repeated blocks.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    list of str
        In model order. tiny10: ``bn1 … bn8``; nbn_tiny10: ``relu1 … relu8``; lenet: ``relu1 … relu4``; dense:
        ``relu1 … relu3``; resnet20: ``layer1.0 … layer3.2``; mlp: ``relu1``, ``relu2``; vgg_small: ``relu1 … relu5``;
        resnet8: ``layer1 … layer3``; mobile: ``block1 … block4``; densenet_small: ``block1 … block3``. Any other
        network: every module that is a direct child of an `nn.Sequential` and has both parameters and children of its
        own; where there is none, every module that has parameters and no children.
    """
    if isinstance(model, Network):
        return list(model.blocks)
    modules = dict(model.named_modules())
    stages = [
        name
        for name, module in modules.items()
        if name
        and isinstance(modules[name.rpartition(".")[0]], nn.Sequential)
        and any(True for _ in module.children())
        and any(True for _ in module.parameters())
    ]
    return stages or [
        name
        for name, module in modules.items()
        if name and not any(True for _ in module.children()) and any(True for _ in module.parameters())
    ]


def select_layers(model_or_names: nn.Module | Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Turn what a user writes for layers into layer names.

    Parameters
    ----------
    model_or_names : nn.Module or sequence of str
        The network, or its layer names.
    patterns : sequence of str
        Each an exact name, a glob (``bn*``, ``layer?.0``), or ``blocks`` (see `blocks`; of a sequence of names only
        where these are the names of a registered architecture).

    Returns
    -------
    list of str
        Each layer once, in model order.

    Raises
    ------
    UnknownNameError
        If a pattern matches no layer.
    """
    if isinstance(patterns, str):
        raise NetalikeError(f"layers are a list of names or patterns, got the text {patterns!r}: write [{patterns!r}].")
    if isinstance(model_or_names, nn.Module):
        known = [name for name, _ in model_or_names.named_modules() if name]
    else:
        known = list(model_or_names)
    chosen = {name for pattern in patterns for name in _matches(pattern, known, model_or_names)}
    return [name for name in known if name in chosen]


def _matches(pattern: str, known: list[str], model_or_names: nn.Module | Sequence[str]) -> list[str]:
    if pattern in known:
        return [pattern]
    if pattern == BLOCKS:
        found = blocks(model_or_names) if isinstance(model_or_names, nn.Module) else _blocks_by_names(known)
    else:
        found = fnmatch.filter(known, pattern)
    if not found:
        raise unknown_name("layer", pattern, known, "Globs (bn*) and 'blocks' are understood as well.")
    return found


def _blocks_by_names(known: list[str]) -> list[str]:
    for name in naming.names():
        with torch.device("meta"):
            model = build(name)
        if {layer for layer, _ in model.named_modules() if layer} == set(known):
            return blocks(model)
    raise NetalikeError(
        f"'blocks' of a list of layer names is known only for {', '.join(naming.names())}: "
        "give the network itself, or name the layers."
    )


def _observer(name: str, seen: dict[str, LayerInfo]) -> Callable[[nn.Module, Any, Any], None]:
    def observe(module: nn.Module, _inputs: object, output: object) -> None:
        tensor = first_tensor(output)
        if tensor is None:
            return
        calls = seen[name].calls + 1 if name in seen else 1
        first = seen[name].shape if name in seen else tuple(tensor.shape[1:])
        count = sum(parameter.numel() for parameter in module.parameters())
        seen[name] = LayerInfo(name, _kind(module, output), first, count, calls)

    return observe


def _kind(module: nn.Module, output: object) -> str:
    kind = type(module).__name__
    if isinstance(output, tuple | list | Mapping):
        kind += f" (first of {len(output)} outputs)"
    return kind
