"""What is analysed: a network in eval mode, its inputs, and which of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netalike.errors import NetalikeError, ShapeError, unknown_name

if TYPE_CHECKING:
    from netalike.data import ImageSet

OUTPUTS = ("logits", "true-class", "sum")
OutputsLike: TypeAlias = str | Callable[[Tensor], Tensor]
InputsLike: TypeAlias = "Tensor | NDArray[np.floating] | ImageSet"

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def check_model(model: nn.Module) -> None:
    """Raise unless each sample has a gradient of its own in this network.

    Parameters
    ----------
    model : nn.Module

    Raises
    ------
    NetalikeError
        If a batch norm uses the statistics of the batch, a dropout is active, the network has no parameters, or they
        are neither float32 nor float64.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or not module.track_running_stats):
            why = "is in training mode" if module.track_running_stats else "has no running statistics"
            raise NetalikeError(
                f"layer {name!r} ({type(module).__name__}) {why}, so a sample's gradient would depend on the other "
                "samples of its batch. Call model.eval() first, and use batch norm with track_running_stats=True."
            )
        if isinstance(module, _DROPOUTS) and module.training and module.p > 0:
            raise NetalikeError(
                f"layer {name!r} ({type(module).__name__}) is in training mode, so gradients would be random. "
                "Call model.eval() first."
            )
    dtypes = {parameter.dtype for parameter in model.parameters()}
    if not dtypes:
        raise NetalikeError(f"{type(model).__name__} has no parameters, so it has no gradients to compare.")
    if len(dtypes) > 1 or not dtypes <= {torch.float32, torch.float64}:
        found = ", ".join(sorted(str(dtype) for dtype in dtypes))
        raise NetalikeError(
            f"the parameters of {type(model).__name__} are of {found}; all of float32 or all of float64 are needed. "
            "Call model.float() first."
        )


class Outputs:
    """Choose d numbers per sample from what a network returns.

    Parameters
    ----------
    kind : {"logits", "true-class", "sum"} or callable
        All logits; the logit of the sample's own class (d = 1); the sum of the logits (d = 1); or a function that maps
        what the network returns for n samples to a tensor (n, d), each row from its own sample alone.

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    """

    def __init__(self, kind: OutputsLike) -> None:
        if not callable(kind) and kind not in OUTPUTS:
            raise unknown_name("choice of outputs", kind, OUTPUTS, "A function logits -> (n, d) is taken, too.")
        self.kind = kind

    @property
    def name(self) -> str:
        """The kind, or the name of the function."""
        return self.kind if isinstance(self.kind, str) else getattr(self.kind, "__name__", "function")

    def __call__(self, returned: Tensor, labels: Tensor | None) -> Tensor:
        """Return the chosen outputs of n samples, shape (n, d)."""
        if not isinstance(self.kind, str):
            return _checked(self.kind(returned), f"the function {self.name}")
        if isinstance(returned, Tensor) and returned.ndim == 1:  # a network with one output and no axis for it
            returned = returned[:, None]
        logits = _checked(returned, "the network")
        if self.kind == "logits":
            return logits
        if self.kind == "sum":
            return logits.sum(1, keepdim=True)
        assert labels is not None  # made sure of by Samples
        return logits.gather(1, labels[:, None])


def _checked(chosen: object, what: str) -> Tensor:
    if not isinstance(chosen, Tensor) or chosen.ndim != 2:
        got = tuple(chosen.shape) if isinstance(chosen, Tensor) else type(chosen).__name__
        raise ShapeError(
            f"{what} returned {got}, but (n, d) is needed: d outputs for each of n samples. "
            "Choose them with a function: outputs=lambda returned: ..."
        )
    return chosen


class Samples:
    """The inputs of a network, batch by batch, on its device and in its precision.

    Parameters
    ----------
    model : nn.Module
    inputs : Tensor or ndarray, shape (n, ...), or ImageSet
        Images of an ImageSet come under the test transform; numbers of any real type are cast to that of the model,
        except integers (token ids), which stay.
    labels : sequence of int, optional
        Class of each sample; default: those of the ImageSet. Needed by ``true-class`` alone.
    outputs : Outputs

    Raises
    ------
    ShapeError
        If there are no samples, or another number of labels.
    NetalikeError
        If ``true-class`` has no labels.
    """

    def __init__(self, model: nn.Module, inputs: InputsLike, labels: object, outputs: Outputs) -> None:
        parameter = next(model.parameters())
        self._device, self._dtype = parameter.device, parameter.dtype
        self._inputs: Tensor | ImageSet = _tensor_or_images(inputs)
        if isinstance(self._inputs, Tensor) and (self._inputs.ndim < 2 or 0 in self._inputs.shape):
            raise ShapeError(f"inputs of shape {tuple(self._inputs.shape)}: expected (n, ...) with n at least 1.")
        if len(self._inputs) == 0:
            raise ShapeError("no samples were given: expected at least 1.")
        self.labels = _labels(self._inputs, labels, outputs)
        self.n = len(self._inputs)

    def __len__(self) -> int:
        return self.n

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor | None]:
        """Return samples start..stop and their labels."""
        batch = self._inputs[start:stop] if isinstance(self._inputs, Tensor) else self._inputs.inputs(start, stop)
        labels = None if self.labels is None else self.labels[start:stop].to(self._device)
        return self._placed(batch), labels

    def take(self, indices: NDArray[np.integer]) -> tuple[Tensor, Tensor | None]:
        """Return the samples at some positions and their labels."""
        chosen = torch.as_tensor(indices).long()
        batch = self._inputs[chosen] if isinstance(self._inputs, Tensor) else self._inputs.take(chosen).inputs()
        labels = None if self.labels is None else self.labels[chosen].to(self._device)
        return self._placed(batch), labels

    def batches(self, size: int) -> Iterator[tuple[int, Tensor, Tensor | None]]:
        """Iterate over (first position, samples, labels)."""
        for start in range(0, self.n, size):
            yield start, *self.rows(start, min(start + size, self.n))

    def _placed(self, batch: Tensor) -> Tensor:
        whole = not (batch.is_floating_point() or batch.dtype == torch.uint8)
        return batch.to(self._device) if whole else batch.to(self._device, self._dtype)


def _tensor_or_images(inputs: InputsLike) -> Tensor | ImageSet:
    return torch.as_tensor(inputs) if isinstance(inputs, np.ndarray | list | tuple) else inputs


def _labels(inputs: Tensor | ImageSet, labels: object, outputs: Outputs) -> Tensor | None:
    found = labels if labels is not None else getattr(inputs, "labels", None)
    if found is None:
        if outputs.kind == "true-class":
            raise NetalikeError("outputs='true-class' needs labels: pass labels=, or an ImageSet as inputs.")
        return None
    classes = torch.as_tensor(found).long()
    if classes.shape != (len(inputs),):
        raise ShapeError(f"{len(inputs)} samples need labels of shape ({len(inputs)},), got {tuple(classes.shape)}.")
    return classes


def prepare(model: nn.Module, inputs: InputsLike, outputs: OutputsLike, labels: object) -> tuple[Samples, Outputs]:
    """Check a network, its inputs, labels and choice of outputs against each other.

    Parameters
    ----------
    model : nn.Module
    inputs : Tensor or ndarray, shape (n, ...), or ImageSet
    outputs : {"logits", "true-class", "sum"} or callable
    labels : sequence of int, optional

    Returns
    -------
    samples : Samples
    select : Outputs

    Raises
    ------
    NetalikeError
        Whatever does not fit; see `check_model`, `Outputs` and `Samples`. A class that has no logit is named.
    """
    check_model(model)
    select = Outputs(outputs)
    samples = Samples(model, inputs, labels, select)
    first, label = samples.rows(0, 1)
    with torch.no_grad():
        returned = model(first)
    if select.kind == "true-class" and samples.labels is not None:
        classes, low, high = returned.shape[-1], int(samples.labels.min()), int(samples.labels.max())
        if low < 0 or high >= classes:
            raise ShapeError(f"the network has {classes} logits, but there is a label {low if low < 0 else high}.")
    select(returned, label)
    return samples, select


def check_chunk(chunk: int) -> None:
    """Raise `NetalikeError` unless a number of samples per batch is at least 1."""
    if chunk < 1:
        raise NetalikeError(f"chunk: expected at least 1 sample per batch, got {chunk}.")
