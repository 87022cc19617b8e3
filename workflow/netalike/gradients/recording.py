"""Run a network once, and keep what came into each layer and what is propagated back to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.func import functional_call

from netalike.gradients.faster import Faster
from netalike.gradients.inputs import Outputs


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes
    ----------
    input : Tensor, shape (n, ...)
    signals : Tensor, shape (n, d, ...)
        Gradient of each output of the network with respect to what the layer put out.
    """

    input: Tensor
    signals: Tensor


@dataclass
class _Pending:
    input: Tensor
    output: GradientEdge
    shape: torch.Size


@dataclass
class _Tape:
    calls: dict[str, list[_Pending]] = field(default_factory=dict)

    def hook(self, name: str) -> Any:
        """Make a forward hook that notes one call of a layer."""

        def note(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            pending = self.calls.setdefault(name, [])
            if not (len(args) == 1 and isinstance(args[0], Tensor) and isinstance(output, Tensor)):
                return None  # seen, but not in a way that a product can use
            if not output.requires_grad:
                # The first layer, whose parameters are constants here. Cloned, since a later layer may work in place.
                output = output.detach().requires_grad_().clone()
            # The edge stays that of this output, also where a later layer overwrites it.
            pending.append(_Pending(args[0].detach(), get_gradient_edge(output), output.shape))
            return output

        return note


def record(
    model: nn.Module,
    values: Mapping[str, Tensor],
    modules: Mapping[str, nn.Module],
    batch: Tensor,
    labels: Tensor | None,
    select: Outputs,
    mixed: Tensor | None = None,
) -> tuple[dict[str, list[Call]], int]:
    """Run a batch forward and each of its outputs backward, without gradients of the parameters.

    Parameters
    ----------
    model : nn.Module
    values : mapping of str to Tensor
        All parameters by name, detached.
    modules : mapping of str to nn.Module
        The layers to record.
    batch : Tensor, shape (n, ...)
    labels : Tensor, shape (n,), or None
    select : Outputs
    mixed : Tensor, shape (d,), optional
        Record one output, this combination of the d chosen ones.

    Returns
    -------
    calls : dict of str to list of Call
        Of each layer that ran, in order; an empty list for calls with other arguments than one tensor.
    d : int

    Notes
    -----
    One forward and d backward passes, without the products that give gradients of the parameters.
    """
    tape = _Tape()
    handles = [module.register_forward_hook(tape.hook(name)) for name, module in modules.items()]
    try:
        with torch.enable_grad(), Faster():
            outputs = select(functional_call(model, dict(values), (batch,)), labels)
    finally:
        for handle in handles:
            handle.remove()
    chosen = outputs if mixed is None else (outputs @ mixed)[:, None]
    pending = [call for calls in tape.calls.values() for call in calls]
    signals = iter(_signals(chosen, pending))
    found = {name: [Call(call.input, _stacked(next(signals))) for call in calls] for name, calls in tape.calls.items()}
    return found, chosen.shape[1]


def _stacked(signals: list[Tensor]) -> Tensor:
    return signals[0].unsqueeze(1) if len(signals) == 1 else torch.stack(signals, dim=1)


def _signals(outputs: Tensor, pending: list[_Pending]) -> list[list[Tensor]]:
    """Propagate each output back; one tensor of the call's shape per call and output."""
    signals: list[list[Tensor]] = [[] for _ in pending]
    for a in range(outputs.shape[1] if pending else 0):
        # a sum over samples: no sample's output depends on another sample
        grads: tuple[Tensor | None, ...] = (None,) * len(pending)
        if outputs.requires_grad:
            keep = a + 1 < outputs.shape[1]
            edges = [call.output for call in pending]
            grads = torch.autograd.grad(outputs[:, a].sum(), edges, retain_graph=keep, allow_unused=True)
        for of_call, grad, call in zip(signals, grads, pending, strict=True):
            of_call.append(outputs.new_zeros(call.shape) if grad is None else grad)
    return signals
