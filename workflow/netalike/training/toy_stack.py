"""Many small networks as one: weights stacked along a first axis, and the gradient of all of them in a few products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

WIDTH, HIDDEN = 64, 6
"""Of the network of the toy problem: six hidden layers of 64 units, 21,057 parameters."""

LOSSES = ("l1", "l2")


def toy_network(seed: int = 0) -> nn.Sequential:
    """Make the network of the toy problem, with PyTorch's default initialisation.

    Parameters
    ----------
    seed : int
        Of the initialisation; the caller's random state stays as it is.

    Returns
    -------
    nn.Sequential
        Maps (n, 2) to (n, 1): six times Linear and ReLU, 64 units each, and a Linear layer.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for i in range(HIDDEN):
            layers += [nn.Linear(WIDTH if i else 2, WIDTH), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(WIDTH, 1))


class Layer(NamedTuple):
    """One linear layer of every network: weights (runs, inputs, outputs), biases (runs, 1, outputs)."""

    weight: Tensor
    bias: Tensor


class Stack(nn.Module):
    """Networks of one architecture whose parameters lie in one vector, so that an optimiser updates them in one call.

    Parameters
    ----------
    networks : sequence of nn.Sequential
        As `toy_network` makes them.
    n_kept : int
        How many earlier states there is room for.

    Notes
    -----
    The vector holds layer after layer, each as one contiguous block (runs, inputs, outputs) and one (runs, outputs):
    batched products read and write it without a copy.
    """

    kept: Tensor

    def __init__(self, networks: Sequence[nn.Sequential], n_kept: int = 0) -> None:
        super().__init__()
        self.n_runs = len(networks)
        linear = [[module for module in network if isinstance(module, nn.Linear)] for network in networks]
        self.shapes = [(layer.in_features, layer.out_features) for layer in linear[0]]
        blocks: list[Tensor] = []
        for layers in zip(*linear, strict=True):
            blocks += [torch.stack([layer.weight.detach().T for layer in layers]).flatten()]
            blocks += [torch.stack([layer.bias.detach() for layer in layers]).flatten()]
        self.vector = nn.Parameter(torch.cat(blocks))
        self.vector.grad = torch.zeros_like(self.vector)
        self.register_buffer("kept", torch.zeros(n_kept, len(self.vector)))

    def layers(self, vector: Tensor) -> list[Layer]:
        """Return the layers that a vector of this stack holds, as views of it."""
        found, start, runs = [], 0, self.n_runs
        for inputs, outputs in self.shapes:
            middle = start + runs * inputs * outputs
            end = middle + runs * outputs
            found.append(
                Layer(
                    vector[start:middle].view(runs, inputs, outputs),
                    vector[middle:end].view(runs, 1, outputs),
                )
            )
            start = end
        return found

    def network(self, run: int, vector: Tensor | None = None) -> nn.Sequential:
        """Return a copy of one network, with the parameters of another vector where one is given."""
        made = toy_network()
        layers = self.layers(self.vector.detach() if vector is None else vector)
        linear = [module for module in made if isinstance(module, nn.Linear)]
        with torch.no_grad():
            for module, layer in zip(linear, layers, strict=True):
                module.weight.copy_(layer.weight[run].T)
                module.bias.copy_(layer.bias[run, 0])
        return made.eval()


class Buffers:
    """Memory for the signals and errors of one batch, used again in every step.

    Parameters
    ----------
    layers : sequence of Layer
    batch : int
        Samples per run.

    Notes
    -----
    Without it, more than half of the time goes into fresh pages: each product is large enough for the allocator to ask
    the operating system for its memory, and to give it back.
    """

    def __init__(self, layers: Sequence[Layer], batch: int) -> None:
        sizes = [(len(layer.weight), batch, layer.weight.shape[2]) for layer in layers]
        self.signals, self.errors = ([layers[0].weight.new_empty(size) for size in sizes] for _ in range(2))


def forward(layers: Sequence[Layer], x: Tensor, buffers: Buffers | None = None) -> list[Tensor]:
    """Run every network of a stack on its own inputs.

    Parameters
    ----------
    layers : sequence of Layer
    x : Tensor, shape (runs, batch, inputs)
    buffers : Buffers, optional
        Where the signals are written.

    Returns
    -------
    list of Tensor
        The inputs of each layer, and the outputs of the last, (runs, batch, 1).
    """
    signals = [x]
    for layer, out in zip(layers, (buffers or Buffers(layers, x.shape[1])).signals, strict=True):
        torch.bmm(signals[-1], layer.weight, out=out).add_(layer.bias)
        signals.append(out if layer is layers[-1] else out.relu_())
    return signals


def gradient_(
    layers: Sequence[Layer],
    gradients: Sequence[Layer],
    x: Tensor,
    labels: Tensor,
    loss: str,
    buffers: Buffers | None = None,
) -> None:
    """Write the gradient of the mean loss of every network of a stack, by back-propagation through stacked products.

    Parameters
    ----------
    layers, gradients : sequence of Layer
        Parameters, and where their gradients are written.
    x : Tensor, shape (runs, batch, inputs)
    labels : Tensor, shape (runs, batch, 1)
    loss : {"l1", "l2"}
    buffers : Buffers, optional
        For this size of batch.

    Notes
    -----
    Three products per layer for all networks, and no graph: the gradient of the sum of the runs' losses is that of
    each.
    """
    buffers = buffers or Buffers(layers, x.shape[1])
    *signals, output = forward(layers, x, buffers)
    error = torch.sub(output, labels, out=buffers.errors[-1])
    (error.sign_() if loss == "l1" else error.mul_(2)).div_(x.shape[1])
    for i in reversed(range(len(layers))):
        torch.bmm(signals[i].transpose(1, 2), buffers.errors[i], out=gradients[i].weight)
        torch.sum(buffers.errors[i], 1, keepdim=True, out=gradients[i].bias)
        if i:
            before = buffers.errors[i - 1]
            torch.bmm(buffers.errors[i], layers[i].weight.transpose(1, 2), out=before)
            # what autograd calls for ReLU: ten times as fast as a product with a mask
            torch.ops.aten.threshold_backward.grad_input(before, signals[i], 0, grad_input=before)


def losses(layers: Sequence[Layer], x: Tensor, labels: Tensor, loss: str) -> Tensor:
    """Return the mean loss of every network of a stack, shape (runs,), float64."""
    error = (forward(layers, x)[-1] - labels).double()
    return (error.abs() if loss == "l1" else error.square()).mean((1, 2))
