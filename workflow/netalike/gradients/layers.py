"""How each kind of layer turns its input and its back-propagated signals into gradients of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from netalike.gradients.factors import Factor, Outer, Stored

# A handler takes the module, its input (n, ...) and its signals (n, d, *shape of its output), and returns the factors
# of its parameters in the order of module.named_parameters(); one factor may hold a weight and its bias together, the
# bias as a last column.
Handler = Callable[[nn.Module, Tensor, Tensor], list[Factor]]


def linear(module: nn.Module, x: Tensor, signals: Tensor) -> list[Factor]:
    """Factor a linear layer: activities with a constant 1 for the bias, positions where the input has more axes."""
    assert isinstance(module, nn.Linear)
    activities = x.flatten(1, -2).mT if x.ndim > 2 else x[..., None]  # (n, i, t)
    if module.bias is not None:
        activities = torch.cat([activities, torch.ones_like(activities[:, :1])], dim=1)
    moved = signals.flatten(2, -2).mT if x.ndim > 2 else signals[..., None]  # (n, d, o, t)
    return [Outer(activities, moved)]


def convolution(module: nn.Module, x: Tensor, signals: Tensor) -> list[Factor]:
    """Factor a convolution: patches of the input on one side, signals at each position on the other."""
    assert isinstance(module, nn.Conv2d)
    moved = signals.flatten(3)  # (n, d, o, t)
    weight: Factor = Stored(_grouped(module, x, moved)) if module.groups > 1 else Outer(x, moved, Patches(module))
    return [weight] if module.bias is None else [weight, Stored(moved.sum(3))]


@dataclass(frozen=True)
class Patches:
    """What each position of a convolution sees: an `Unfold` of its input.

    Units of a patch are ordered (row, column, channel), so that it can be cut in long runs out of an image whose
    channels lie side by side; parameters are ordered (channel, row, column), see `ordered`.

    Attributes
    ----------
    module : nn.Conv2d
    """

    module: nn.Conv2d

    def __call__(self, inputs: Tensor) -> Tensor:
        """Cut out the patches, shape (n, kernel height * kernel width * channels, positions)."""
        images = self._padded(inputs).permute(0, 2, 3, 1)
        views = self._windows(images)  # (n, rows, columns, channels, kernel rows, kernel columns)
        n, units = len(views), views.shape[3:].numel()
        # Copied in the order that has the longer runs: two to ten times faster than functional.unfold.
        if views.shape[2] < views.shape[3] * views.shape[5]:
            views = self._windows(images.contiguous())
            return views.permute(0, 1, 2, 4, 5, 3).reshape(n, -1, units).mT
        return views.permute(0, 4, 5, 3, 1, 2).reshape(n, units, -1)

    def _windows(self, images: Tensor) -> Tensor:
        for axis in (0, 1):
            gap = self.module.dilation[axis]
            width = gap * (self.module.kernel_size[axis] - 1) + 1
            images = images.unfold(1 + axis, width, self.module.stride[axis])[..., ::gap]
        return images

    def apply(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Convolve with other weights, (k, channels * kernel height * kernel width), without cutting patches."""
        module = self.module
        kernels = weights.view(len(weights), *module.kernel_size, -1).permute(0, 3, 1, 2)
        moved = functional.conv2d(self._padded(inputs), kernels, None, module.stride, 0, module.dilation)
        return moved.flatten(2)

    def ordered(self, weights: Tensor) -> Tensor:
        """Bring the units of a patch, the last axis, into the order of the parameters."""
        split = weights.reshape(*weights.shape[:-1], *self.module.kernel_size, -1)
        return split.movedim(-1, -3).flatten(-3)

    def _padded(self, inputs: Tensor) -> Tensor:
        margins = _margins(self.module)
        if not any(margins):
            return inputs
        mode = self.module.padding_mode
        return functional.pad(inputs, margins, mode="constant" if mode == "zeros" else mode)


def _margins(module: nn.Conv2d) -> list[int]:
    """Left, right, top and bottom margin."""
    margins: list[int] = []
    for axis in (1, 0):
        if module.padding == "same":  # an odd margin goes to the end
            total = module.dilation[axis] * (module.kernel_size[axis] - 1)
            margins += [total // 2, total - total // 2]
        else:
            margins += [0, 0] if module.padding == "valid" else [int(module.padding[axis])] * 2
    return margins


def _grouped(module: nn.Conv2d, x: Tensor, signals: Tensor) -> Tensor:
    patches = Patches(module)
    n, d, o, t = signals.shape
    seen = patches.ordered(patches(x).mT).reshape(n, 1, t, module.groups, -1).transpose(2, 3)
    sent = signals.reshape(n, d, module.groups, o // module.groups, t)
    return (sent @ seen).flatten(2)


def batch_norm(module: nn.Module, x: Tensor, signals: Tensor) -> list[Factor]:
    """Form the gradients of a batch norm in eval mode: its scale and shift, one of each per channel."""
    assert isinstance(module, nn.modules.batchnorm._BatchNorm)
    if module.running_mean is None or module.running_var is None:
        raise TypeError("no running statistics")
    normal = functional.batch_norm(x, module.running_mean, module.running_var, eps=module.eps)
    return _scale_and_shift(normal, signals)


def group_norm(module: nn.Module, x: Tensor, signals: Tensor) -> list[Factor]:
    """Form the gradients of a group norm: its scale and shift, one of each per channel."""
    assert isinstance(module, nn.GroupNorm)
    return _scale_and_shift(functional.group_norm(x, module.num_groups, eps=module.eps), signals)


def _scale_and_shift(normal: Tensor, signals: Tensor) -> list[Factor]:
    positions = normal.ndim > 2
    scale, shift = signals * normal[:, None], signals
    both = [part.flatten(3).sum(3) if positions else part for part in (scale, shift)]  # (n, d, channels)
    return [Stored(part) for part in both]


def layer_norm(module: nn.Module, x: Tensor, signals: Tensor) -> list[Factor]:
    """Form the gradients of a layer norm: its scale and shift, one of each per normalised unit."""
    assert isinstance(module, nn.LayerNorm)
    axes = len(module.normalized_shape)
    normal = functional.layer_norm(x, module.normalized_shape, eps=module.eps)
    parts = [signals * normal[:, None]] + ([signals] if module.bias is not None else [])
    positions = tuple(range(2, signals.ndim - axes))
    return [Stored((part.sum(positions) if positions else part).flatten(2)) for part in parts]


def prelu(module: nn.Module, x: Tensor, signals: Tensor) -> list[Factor]:
    """Form the gradients of a PReLU: the signals times the negative inputs, per slope."""
    assert isinstance(module, nn.PReLU)
    changes = signals * x.clamp(max=0)[:, None]  # (n, d, channels, ...)
    if module.num_parameters == 1:
        return [Stored(changes.sum(tuple(range(2, changes.ndim)))[..., None])]
    return [Stored(changes.flatten(3).sum(3) if changes.ndim > 3 else changes)]


# Exact types: a subclass may use its parameters in another way.
HANDLERS: dict[type[nn.Module], Handler] = {
    nn.Linear: linear,
    nn.Conv2d: convolution,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.BatchNorm3d: batch_norm,
    nn.GroupNorm: group_norm,
    nn.LayerNorm: layer_norm,
    nn.PReLU: prelu,
}
