"""Operations that a recording computes in another way than PyTorch: the same numbers in a fraction of the time.

Where the parameters are constants, and images are in PyTorch's default layout on a CPU. What a network returns stays
the same bit for bit, so that each unit is on the same side of its kink as in a plain call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Sides of the windows that are averaged by adding up their pixels.
_SIDES = (2, 3)


class Faster(TorchFunctionMode):
    """A context in which some operations are replaced, wherever a network calls them."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call an operation, or what stands for it with these arguments."""
        substitute = _SUBSTITUTES.get(func)
        found = None if substitute is None else substitute(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if found is None else found


def _prelu(images: Tensor, weight: Tensor) -> Tensor | None:
    """Take a constant slope for what it is: the backward pass then leaves the gradient of the slope out."""
    if weight.numel() != 1 or weight.requires_grad:
        return None
    return functional.leaky_relu(images, weight.item())


def _average(
    images: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor | None:
    """Average small windows that tile the images."""
    side = kernel_size if isinstance(kernel_size, int) else kernel_size[0]
    step = side if stride is None or stride == () or stride == [] else stride
    tiles = side in _SIDES and all(value in (side, (side, side)) for value in (kernel_size, step))
    if not tiles or padding not in (0, (0, 0)) or divisor_override is not None or images.ndim != 4:
        return None
    if images.device.type != "cpu" or not images.is_contiguous() or images.shape[2] % side or images.shape[3] % side:
        return None
    averages: Tensor = _Average.apply(images, side)  # type: ignore[no-untyped-call]
    return averages


class _Average(torch.autograd.Function):
    """Averages of windows, one pixel of all windows after the other."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, side: int) -> Tensor:
        ctx.side, ctx.size = side, images.shape
        first, *others = _pixels(images, side)
        total = first + others[0]
        for pixel in others[1:]:
            total += pixel
        return total.div_(side**2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        share = gradients[0] / ctx.side**2
        spread = share.new_empty(ctx.size)
        for pixel in _pixels(spread, ctx.side):
            pixel.copy_(share)
        return spread, None


def _pixels(images: Tensor, side: int) -> list[Tensor]:
    """Split images into the first pixels of all windows, the second ones, and so on, row by row."""
    return [images[..., row::side, column::side] for row in range(side) for column in range(side)]


_SUBSTITUTES: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    torch.prelu: _prelu,
    functional.avg_pool2d: _average,
}
