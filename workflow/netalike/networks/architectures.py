"""The architectures of the stitching paper (Csiszarik et al. 2021): Tiny10, NbnTiny10, LeNet, Dense and ResNet20.

No module works in place: a hook on a layer then sees what that layer computed, and not what a later one made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from netalike.errors import ShapeError
from netalike.networks import naming

# in -> out channels, kernel, stride of the eight convolutions
_TINY10 = (
    (None, 16, 3, 1),
    (16, 16, 3, 1),
    (16, 32, 3, 2),
    (32, 32, 3, 1),
    (32, 32, 3, 1),
    (32, 64, 3, 2),
    (64, 64, 3, 1),
    (64, 64, 1, 1),
)


@dataclass(frozen=True)
class Step:
    """One step of a forward pass.

    Attributes
    ----------
    name : str
        Of the layer.
    module : nn.Module
    reshape : callable, optional
        What is done to the output of the step before, ahead of the module.
    """

    name: str
    module: nn.Module
    reshape: Callable[[Tensor], Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Map the output of the step before to that of this layer."""
        y: Tensor = self.module(x if self.reshape is None else self.reshape(x))
        return y


def _flatten(x: Tensor) -> Tensor:
    return x.flatten(1)


def _spatial_mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


class Network(nn.Module):
    """What the architectures have in common: a forward pass that is one step after the other.

    Attributes
    ----------
    architecture : str
        The name under which `netalike.networks.build` makes this network.
    channels, classes : int
        Channels of the input images, and number of logits.
    blocks : tuple of str
        The layers that ``select_layers(..., ["blocks"])`` stands for: the outputs of the repeated blocks.
    smallest : int
        The smallest height and width of an input.
    exact : bool
        Whether the input must be exactly that large.
    reshapes : mapping of str to callable
        What happens to the input of a child ahead of it.
    """

    blocks: ClassVar[tuple[str, ...]] = ()
    smallest: ClassVar[int] = 1
    exact: ClassVar[bool] = False
    reshapes: ClassVar[Mapping[str, Callable[[Tensor], Tensor]]] = {}

    def __init__(self, architecture: str, channels: int, classes: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.channels = channels
        self.classes = classes

    def steps(self) -> list[Step]:
        """List the steps of the forward pass: the children, in order, each of which feeds the next and no other."""
        return [Step(name, module, self.reshapes.get(name)) for name, module in self.named_children()]

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to logits (n, classes)."""
        self.check_input(images)
        x = images
        for step in self.steps():
            x = step(x)
        return x

    def check_input(self, images: Tensor) -> None:
        """Raise `ShapeError` unless the images are ones that this network takes."""
        fits = images.ndim == 4 and images.shape[1] == self.channels
        if fits and self.exact:
            fits = tuple(images.shape[2:]) == (self.smallest, self.smallest)
        elif fits:
            fits = min(images.shape[2:]) >= self.smallest
        if not fits:
            size = f"{self.smallest} x {self.smallest}" + ("" if self.exact else " or larger")
            raise ShapeError(
                f"{self.architecture} takes images of shape (n, {self.channels}, height, width), {size}; "
                f"got {tuple(images.shape)}. Build it for the data set's channels, or resize the images."
            )


class Tiny10(Network):
    """Eight convolutions without padding, each with batch norm and ReLU; spatial mean; one linear layer.

    Every hidden layer has `width` times as many channels as the published one.
    """

    blocks = tuple(f"bn{n}" for n in range(1, 9))
    smallest = 27
    reshapes: ClassVar[Mapping[str, Callable[[Tensor], Tensor]]] = {"fc": _spatial_mean}
    family: ClassVar[str] = "tiny10"
    normalised: ClassVar[bool] = True

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 1) -> None:
        super().__init__(naming.canonical(f"{self.family}_w{width}"), channels, classes)
        for n, (before, after, kernel, stride) in enumerate(_TINY10, start=1):
            inputs = channels if before is None else before * width
            self.add_module(f"conv{n}", nn.Conv2d(inputs, after * width, kernel, stride))
            if self.normalised:
                self.add_module(f"bn{n}", nn.BatchNorm2d(after * width))
            self.add_module(f"relu{n}", nn.ReLU())
        self.fc = nn.Linear(64 * width, classes)


class NbnTiny10(Tiny10):
    """Tiny10 without batch norm."""

    blocks = tuple(f"relu{n}" for n in range(1, 9))
    family = "nbn_tiny10"
    normalised = False


class LeNet(Network):
    """LeNet-5 with ReLU and max pooling; the numbers of the ReLUs go on through the linear layers.

    Every hidden layer has `width` times as many channels or units as the published one.
    """

    blocks = tuple(f"relu{n}" for n in range(1, 5))
    smallest = 32
    exact = True
    reshapes: ClassVar[Mapping[str, Callable[[Tensor], Tensor]]] = {"fc1": _flatten}

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 1) -> None:
        super().__init__(naming.canonical(f"lenet_w{width}"), channels, classes)
        self.conv1 = nn.Conv2d(channels, 6 * width, 5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)  # (n, 6 width, 14, 14)
        self.conv2 = nn.Conv2d(6 * width, 16 * width, 5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)  # (n, 16 width, 5, 5)
        self.fc1 = nn.Linear(400 * width, 120 * width)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120 * width, 84 * width)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84 * width, classes)


class Dense(Network):
    """Three hidden layers of 300 units."""

    blocks = tuple(f"relu{n}" for n in range(1, 4))
    smallest = 32
    exact = True
    reshapes: ClassVar[Mapping[str, Callable[[Tensor], Tensor]]] = {"fc1": _flatten}

    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__("dense", channels, classes)
        self.fc1 = nn.Linear(channels * 32 * 32, 300)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(300, 300)
        self.relu2 = nn.ReLU()
        self.fc3 = nn.Linear(300, 300)
        self.relu3 = nn.ReLU()
        self.fc4 = nn.Linear(300, classes)


class Add(nn.Module):
    """The sum of a block's two branches, as a module so that it has a name."""

    def forward(self, residual: Tensor, shortcut: Tensor) -> Tensor:
        """Add two tensors of one shape."""
        return residual + shortcut


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016). Its `relu` is called twice."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample = _projection(before, after, stride) if stride != 1 or before != after else None
        self.add = Add()

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, before, height, width) to (n, after, height / stride, width / stride)."""
        residual = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        y: Tensor = self.relu(self.add(residual, shortcut))
        return y


class ResNet20(Network):
    """The CIFAR ResNet of depth 20 (He et al. 2016), `width` times as wide, with projections as shortcuts."""

    blocks = tuple(f"layer{stage}.{block}" for stage in range(1, 4) for block in range(3))
    reshapes: ClassVar[Mapping[str, Callable[[Tensor], Tensor]]] = {"fc": _flatten}

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 1) -> None:
        super().__init__(f"resnet20_w{width}", channels, classes)
        self.conv1 = nn.Conv2d(channels, 16 * width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16 * width)
        self.relu = nn.ReLU()
        self.layer1 = _stage(16 * width, 16 * width, 1)
        self.layer2 = _stage(16 * width, 32 * width, 2)
        self.layer3 = _stage(32 * width, 64 * width, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _projection(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(before, after, stride), BasicBlock(after, after, 1), BasicBlock(after, after, 1))
