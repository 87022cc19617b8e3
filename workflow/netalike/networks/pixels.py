"""Networks that take pixels in [0, 1], with the normalisation inside: what attacks and inversion work on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from netalike.errors import NetalikeError

if TYPE_CHECKING:
    from netalike.data import DatasetSpec, ImageSet


class PixelNetwork(nn.Module):
    """A network with the normalisation of its inputs in front.

    Attributes
    ----------
    network : nn.Module
        Takes normalised images, as all networks of this library do.
    mean, std : Tensor, shape (1, channels, 1, 1)
        Buffers.

    Notes
    -----
    Pixels of an `ImageSet` (`pixels`) give the same logits, bit for bit, as its normalised inputs do to the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, -1, 1, 1))

    @property
    def architecture(self) -> str:
        """The name of the network's architecture."""
        return str(getattr(self.network, "architecture", type(self.network).__name__))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) with pixels in [0, 1] to logits (n, classes)."""
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


def pixel_network(network: nn.Module, spec: DatasetSpec) -> PixelNetwork:
    """Put the normalisation of a data set in front of a network.

    Parameters
    ----------
    network : nn.Module
        Trained on normalised images; it is shared, not copied, and keeps its mode.
    spec : DatasetSpec
        With mean and std, as `load(...).spec` has them.

    Returns
    -------
    PixelNetwork
        On the network's device, in its mode.

    Raises
    ------
    NetalikeError
        If the specification has no mean and std yet.
    """
    if spec.mean is None or spec.std is None:
        raise NetalikeError(f"data set {spec.name}: mean and std are known only after loading it; use load(...).spec.")
    model = PixelNetwork(network, spec.mean, spec.std)
    first = next(network.parameters(), None)
    if first is not None:
        model.to(first.device)
    return model.train(network.training)


def pixels(images: ImageSet, start: int = 0, stop: int | None = None) -> Tensor:
    """Return the images start..stop at the size that networks see, float32 in [0, 1], (n, channels, size, size)."""
    return images.resized[start:stop].float().div_(255)
