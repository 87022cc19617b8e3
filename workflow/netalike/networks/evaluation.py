"""Accuracy and loss of a network on a set of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from netalike.errors import NetalikeError, ShapeError
from netalike.networks.running import eval_mode, fast_layout

if TYPE_CHECKING:
    from netalike.data import ImageSet


@dataclass(frozen=True)
class Evaluation:
    """How well a network does.

    Attributes
    ----------
    accuracy : float
        Share of the images whose largest logit is that of their label.
    loss : float
        Mean cross-entropy in nats.
    n : int
        Number of images.
    """

    accuracy: float
    loss: float
    n: int


def evaluate(
    model: nn.Module, images: ImageSet, batch_size: int = 500, device: str | torch.device = "cpu"
) -> Evaluation:
    """Measure accuracy and loss over every image, in eval mode.

    Parameters
    ----------
    model : nn.Module
        Maps (n, channels, height, width) to logits (n, classes). Moved to the device; its mode is put back.
    images : ImageSet
        In order, with the test transform; the last short batch counts, image by image.
    batch_size : int
        Only speed and memory depend on it.
    device : str or torch.device

    Returns
    -------
    Evaluation

    Raises
    ------
    ShapeError
        If the network has fewer logits than the data set has classes, or no matrix of logits comes out.
    """
    from netalike import data

    if len(images) == 0:
        raise NetalikeError(f"{images.name} ({images.split}) has no images to evaluate on.")
    if batch_size < 1:
        raise NetalikeError(f"the batch size must be at least 1, got {batch_size}.")
    device = torch.device(device)
    model.to(device)
    correct, loss = 0, 0.0
    with eval_mode(model), fast_layout(model, device) as layout, torch.no_grad():
        for inputs, labels in data.batches(images, batch_size):
            logits = model(inputs.to(device, memory_format=layout))
            check_logits(logits, labels)
            target = labels.to(device)
            correct += int((logits.argmax(1) == target).sum())
            # Summed in double precision, so that the batch size does not show in the result.
            loss += float(functional.cross_entropy(logits.double(), target, reduction="sum"))
    return Evaluation(correct / len(images), loss / len(images), len(images))


def check_logits(logits: Tensor, labels: Tensor) -> None:
    """Raise `ShapeError` unless the logits are (n, classes) with a column for every label."""
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ShapeError(f"a classifier has to return logits of shape (n, classes), got {got}.")
    largest = int(labels.max())
    if largest >= logits.shape[1]:
        raise ShapeError(
            f"the network has {logits.shape[1]} classes, but the data set has a label {largest}: "
            f"build or load it with classes={largest + 1} or more."
        )
