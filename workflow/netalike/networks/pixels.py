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
    """A network that takes pixels in [0, 1] and normalises them itself, on the network's device.

    Parameters
    ----------
    network : nn.Module
        Takes normalised images; it is shared, not copied.
    mean, std : sequence of float
        Per channel, of pixels in [0, 1]; those of a data set are ``images.spec.mean`` and ``images.spec.std``.

    Attributes
    ----------
    network : nn.Module
        Takes normalised images, as all networks of this library do.
    mean, std : Tensor, shape (1, channels, 1, 1)
        Buffers.

    Raises
    ------
    NetalikeError
        If there are not as many means as standard deviations, or one of these is not above 0.

    Notes
    -----
    Pixels of an `ImageSet` (`pixels`) give the same logits, bit for bit, as its normalised inputs do to the network.
    Layers keep the names that they have in the network: inversion and representations look them up there.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not all(value > 0 for value in std):
            raise NetalikeError(
                f"mean and std are one number per channel, std above 0; got {list(mean)} and {list(std)}."
            )
        self.network = network
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, -1, 1, 1))
        weight = next(network.parameters(), None)
        if weight is not None:
            self.to(weight.device)

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
    return PixelNetwork(network, spec.mean, spec.std).train(network.training)


def pixels(images: ImageSet, start: int = 0, stop: int | None = None) -> Tensor:
    """Return the images start..stop at the size that networks see, float32 in [0, 1], (n, channels, size, size)."""
    return images.resized[start:stop].float().div_(255)
