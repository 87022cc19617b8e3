"""Which batch norm follows which convolution, and which ReLU follows that: seen in a pass, not guessed from names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Chain:
    """A convolution, the batch norm that takes its output, and the ReLU that takes that one's; each runs once."""

    convolution: nn.Conv2d
    norm: nn.BatchNorm2d | None = None
    relu: nn.ReLU | None = None


def chains(model: nn.Module, run: Callable[[Tensor], Tensor], example: Tensor) -> list[Chain]:
    """Find the convolutions that run, each with what follows it.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    run : callable
        Runs images through the model, or through a part of it.
    example : Tensor, shape (n, channels, height, width)

    Returns
    -------
    list of Chain
        A convolution that runs more than once is left out. Whether an output is also used elsewhere is not seen here.
    """
    found: dict[nn.Module, Chain] = {}  # by the module whose output is the end of the chain so far
    outputs: dict[nn.Module, Tensor] = {}
    calls: Counter[nn.Module] = Counter()

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[module] += 1
        if isinstance(module, nn.Conv2d):
            found[module] = Chain(module)
        else:
            before = next((other for other, tensor in outputs.items() if tensor is inputs[0] and other in found), None)
            if before is None:
                return
            grown = _grown(found[before], module)
            if grown is None:
                return
            del found[before]
            found[module] = grown
        outputs[module] = output

    # A subclass may compute something else.
    watched = [m for m in model.modules() if type(m) in (nn.Conv2d, nn.ReLU) or _is_fixed(m)]
    hooks = [module.register_forward_hook(after) for module in watched]
    try:
        with torch.no_grad():
            run(example)
    finally:
        for hook in hooks:
            hook.remove()
    return [_once(chain, calls) for chain in found.values() if calls[chain.convolution] == 1]


def _grown(chain: Chain, module: nn.Module) -> Chain | None:
    if isinstance(module, nn.BatchNorm2d) and chain.norm is None:
        return replace(chain, norm=module)
    if isinstance(module, nn.ReLU) and chain.norm is not None and chain.relu is None:
        return replace(chain, relu=module)
    return None


def _once(chain: Chain, calls: Counter[nn.Module]) -> Chain:
    if chain.norm is None or calls[chain.norm] > 1:
        return Chain(chain.convolution)
    if chain.relu is None or calls[chain.relu] > 1:
        return Chain(chain.convolution, chain.norm)
    return chain


def _is_fixed(module: nn.Module) -> bool:
    return type(module) is nn.BatchNorm2d and module.running_mean is not None
