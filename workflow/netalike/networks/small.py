"""Small networks of different kinds, which train on a CPU with images of 8 to 32 pixels.

A multilayer perceptron, a plain convolutional network (VGG), residual blocks, depth-wise separable convolutions
(MobileNet) and dense blocks (DenseNet): the kinds whose similarity Jones et al. (2022) compare, at a million
multiplications and additions or fewer for a grey image of 28 x 28 pixels. What goes into `fc`, the last layer, is the
representation that is compared. Nothing works in place: see `netalike.networks.architectures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from netalike.networks.architectures import BasicBlock, Network

_SIDE = 32  # of the pictures that the linear layers of an MLP see


class Resize(nn.Module):
    """Bilinear resizing to `side` x `side` pixels, as two matrix products; pictures of that size pass as they are.

    Its gradient is the same bit for bit every time, on a GPU too, where that of torch's own interpolation is not.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, height, width) to (n, channels, side, side)."""
        if tuple(x.shape[2:]) == (self.side, self.side):
            return x
        down, across = (_interpolation(length, self.side, x) for length in x.shape[2:])
        return down @ x @ across.T


def _interpolation(given: int, wanted: int, like: Tensor) -> Tensor:
    # Weight of each given pixel in each wanted one; pixel centres lie at 1/2, 3/2, ...
    place = ((torch.arange(wanted, device=like.device, dtype=like.dtype) + 0.5) * (given / wanted) - 0.5).clamp(
        0, given - 1
    )
    distance = (place[:, None] - torch.arange(given, device=like.device, dtype=like.dtype)).abs()
    return (1 - distance).clamp_min(0)


def _flatten(x: Tensor) -> Tensor:
    return x.flatten(1)


def _spatial_mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


class MLP(Network):
    """Two hidden layers of 256 units on the pixels; 0.3 million multiplications for one channel."""

    blocks = ("relu1", "relu2")
    reshapes: ClassVar[Mapping[str, Callable[[Tensor], Tensor]]] = {"fc1": _flatten}

    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__("mlp", channels, classes)
        self.resize = Resize(_SIDE)
        self.fc1 = nn.Linear(channels * _SIDE**2, 256)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(256, 256)
        self.relu2 = nn.ReLU()
        self.fc = nn.Linear(256, classes)


class VGGSmall(Network):
    """Four 3 x 3 convolutions with batch norm, three poolings, a hidden layer of 64 (Simonyan and Zisserman 2015)."""

    blocks = tuple(f"relu{n}" for n in range(1, 6))
    smallest = 8
    reshapes: ClassVar[Mapping[str, Callable[[Tensor], Tensor]]] = {"fc1": _spatial_mean}

    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__("vgg_small", channels, classes)
        widths = (channels, 8, 16, 32, 32)
        for n in range(1, 5):
            self.add_module(f"conv{n}", nn.Conv2d(widths[n - 1], widths[n], 3, padding=1, bias=False))
            self.add_module(f"bn{n}", nn.BatchNorm2d(widths[n]))
            self.add_module(f"relu{n}", nn.ReLU())
            if n != 3:
                self.add_module(f"pool{n}", nn.MaxPool2d(2))
        self.fc1 = nn.Linear(32, 64)
        self.relu5 = nn.ReLU()
        self.fc = nn.Linear(64, classes)


class ResNet8(Network):
    """A convolution of stride 2 and three residual blocks (He et al. 2016) with 8, 16 and 32 channels."""

    blocks = tuple(f"layer{n}" for n in range(1, 4))
    smallest = 8
    reshapes: ClassVar[Mapping[str, Callable[[Tensor], Tensor]]] = {"fc": _spatial_mean}

    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__("resnet8", channels, classes)
        self.conv1 = nn.Conv2d(channels, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.layer1 = BasicBlock(8, 8, 1)
        self.layer2 = BasicBlock(8, 16, 2)
        self.layer3 = BasicBlock(16, 32, 2)
        self.fc = nn.Linear(32, classes)


class Mobile(Network):
    """A convolution of stride 2 and four depth-wise separable ones (Howard et al. 2017)."""

    blocks = tuple(f"block{n}" for n in range(1, 5))
    smallest = 8
    reshapes: ClassVar[Mapping[str, Callable[[Tensor], Tensor]]] = {"fc": _spatial_mean}

    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__("mobile", channels, classes)
        self.conv1 = nn.Conv2d(channels, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.block1 = SeparableBlock(8, 24, 1)
        self.block2 = SeparableBlock(24, 48, 2)
        self.block3 = SeparableBlock(48, 48, 1)
        self.block4 = SeparableBlock(48, 96, 2)
        self.fc = nn.Linear(96, classes)


class SeparableBlock(nn.Sequential):
    """A 3 x 3 convolution of each channel by itself, then a 1 x 1 convolution; each with batch norm and ReLU."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(before, before, 3, stride, padding=1, groups=before, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.relu1 = nn.ReLU()
        self.pointwise = nn.Conv2d(before, after, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.relu2 = nn.ReLU()


class DenseNetSmall(Network):
    """A convolution of stride 2 and three dense blocks of two layers (Huang et al. 2017)."""

    blocks = tuple(f"block{n}" for n in range(1, 4))
    smallest = 8
    reshapes: ClassVar[Mapping[str, Callable[[Tensor], Tensor]]] = {"fc": _spatial_mean}

    def __init__(self, channels: int = 3, classes: int = 10) -> None:
        super().__init__("densenet_small", channels, classes)
        self.conv1 = nn.Conv2d(channels, 8, 3, stride=2, padding=1, bias=False)
        self.block1 = DenseBlock(8, 8)
        self.transition1 = Transition(24, 16)
        self.block2 = DenseBlock(16, 12)
        self.transition2 = Transition(40, 24)
        self.block3 = DenseBlock(24, 16)
        self.bn = nn.BatchNorm2d(56)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(56, classes)


class Concatenate(nn.Module):
    """A layer's input and output side by side, as a module so that it has a name."""

    def forward(self, before: Tensor, new: Tensor) -> Tensor:
        """Map (n, a, height, width) and (n, b, height, width) to (n, a + b, height, width)."""
        return torch.cat([before, new], 1)


class DenseLayer(nn.Module):
    """Batch norm, ReLU and a 3 x 3 convolution, whose output is put beside the input."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(before)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(before, growth, 3, padding=1, bias=False)
        self.concatenate = Concatenate()

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, before, height, width) to (n, before + growth, height, width)."""
        y: Tensor = self.concatenate(x, self.conv(self.relu(self.bn(x))))
        return y


class DenseBlock(nn.Sequential):
    """Two dense layers, each of which sees all before it."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.layer1 = DenseLayer(before, growth)
        self.layer2 = DenseLayer(before + growth, growth)


class Transition(nn.Sequential):
    """Batch norm, ReLU and a 1 x 1 convolution, then half the height and width."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(before)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(before, after, 1, bias=False)
        self.pool = nn.AvgPool2d(2)
