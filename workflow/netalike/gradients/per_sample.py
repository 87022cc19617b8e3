"""Gradients of a network's outputs, one sample at a time, computed in batches by `torch.func`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from netalike.errors import unknown_name
from netalike.gradients.inputs import InputsLike, Outputs, OutputsLike, check_chunk, prepare


def per_sample_gradients(
    model: nn.Module,
    inputs: InputsLike,
    outputs: OutputsLike = "logits",
    labels: object = None,
    chunk: int = 32,
    parameters: Sequence[str] | None = None,
) -> Tensor:
    """Compute the gradient of each output of each sample with respect to the parameters.

    Parameters
    ----------
    model : nn.Module
        In eval mode where that makes a difference. Parameters count whether they require gradients or not.
    inputs : Tensor or ndarray, shape (n, ...), or ImageSet
    outputs : {"logits", "true-class", "sum"} or callable
        All logits (d = number of classes), the logit of the true class (d = 1), the sum of the logits (d = 1), or a
        function that maps what the network returns to (n, d).
    labels : sequence of int, shape (n,), optional
        For ``true-class``; those of an ImageSet by default.
    chunk : int
        Samples per batch; only time and memory depend on it.
    parameters : sequence of str, optional
        Names of the parameters wanted; default: all. Their order is always that of `model.named_parameters()`.

    Returns
    -------
    Tensor, shape (n, p, d)
        On the model's device, in its dtype.

    Raises
    ------
    NetalikeError
        If a batch norm or dropout is in training mode.
    UnknownNameError
        If there is no such choice of outputs, or no such parameter.
    ShapeError
        If the outputs are not (n, d), or the labels do not fit.

    Notes
    -----
    n d backward passes, vectorised; memory n p d numbers, 4 bytes each in float32, and as much again for a chunk.
    `netalike.gradients.products` gives kernels and counts without these gradients.
    """
    check_chunk(chunk)
    samples, select = prepare(model, inputs, outputs, labels)
    names = _chosen(model, parameters)
    result: Tensor | None = None
    for start, batch, classes in samples.batches(chunk):
        block = batch_gradients(model, names, batch, classes, select)
        if result is None:
            result = block.new_empty(len(samples), *block.shape[1:])
        result[start : start + len(block)] = block
    assert result is not None
    return result


def batch_gradients(
    model: nn.Module, names: Sequence[str], batch: Tensor, labels: Tensor | None, select: Outputs
) -> Tensor:
    """Compute the gradients of one batch with respect to some parameters.

    Parameters
    ----------
    model : nn.Module
    names : sequence of str
        Of parameters; their gradients are concatenated in this order.
    batch : Tensor, shape (n, ...)
    labels : Tensor, shape (n,), or None
    select : Outputs

    Returns
    -------
    Tensor, shape (n, p, d)
    """
    values = {name: parameter.detach() for name, parameter in model.named_parameters()}
    varied = {name: values[name] for name in names}

    def gradients_of_one(sample: Tensor, label: Tensor | None) -> list[dict[str, Tensor]]:
        def outputs_of_one(chosen: dict[str, Tensor]) -> Tensor:
            returned = functional_call(model, {**values, **chosen}, (sample[None],))
            return select(returned, None if label is None else label[None])[0]

        found, pull = vjp(outputs_of_one, varied)[:2]
        # One output after the other: `jacrev` would batch over them inside the batch over samples, which gives wrong
        # gradients, without an error where n = d, for PReLU (PyTorch 2.13).
        return [pull(direction)[0] for direction in torch.eye(len(found), dtype=found.dtype, device=found.device)]

    with torch.enable_grad():
        of_outputs = vmap(gradients_of_one, in_dims=(0, None if labels is None else 0))(batch, labels)
    columns = [torch.cat([found[name].flatten(1) for name in names], dim=1) for found in of_outputs]
    return torch.stack(columns, dim=2).detach()


def _chosen(model: nn.Module, parameters: Sequence[str] | None) -> list[str]:
    names = [name for name, _ in model.named_parameters()]
    for name in parameters or ():
        if name not in names:
            raise unknown_name(f"parameter of {type(model).__name__}", name, names)
    return names if parameters is None else [name for name in names if name in set(parameters)]
