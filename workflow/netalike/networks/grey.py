"""The first convolution of grey images, whose gradient to the image takes a fraction of PyTorch's time on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def is_grey(convolution: nn.Conv2d, weight: Tensor) -> bool:
    """Say whether a convolution is one that `convolve` computes: of one channel, on the CPU, padded with zeros."""
    plain = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    return plain and convolution.dilation == (1, 1) and convolution.in_channels == 1 and weight.device.type == "cpu"


def convolve(images: Tensor, weight: Tensor, bias: Tensor | None, convolution: nn.Conv2d) -> Tensor:
    """Convolve grey images with fixed weights.

    Parameters
    ----------
    images : Tensor, shape (n, 1, height, width)
    weight : Tensor, shape (filters, 1, rows, columns)
    bias : Tensor, shape (filters,), optional
    convolution : nn.Conv2d
        One for which `is_grey` is true; its stride and padding count, not its weights.

    Returns
    -------
    Tensor, shape (n, filters, ...)
        Equal to ``torch.nn.functional.conv2d`` bit for bit, with a gradient to the images alone.

    Notes
    -----
    Backwards, oneDNN is made for many channels: of one, a 5 x 5 convolution of 32 x 32 pixels takes it ten times as
    long as forwards. One matrix product and a shifted sum for each weight of a filter take twice as long as forwards.
    """
    found: Tensor = _Convolution.apply(images, weight, bias, convolution.stride, convolution.padding)  # type: ignore[no-untyped-call]
    return found


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        ctx.weight, ctx.stride, ctx.padding, ctx.size = weight, stride, padding, images.shape
        return functional.conv2d(images, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        n, _, height, width = ctx.size
        columns = ctx.weight.shape[3]
        (down, across), (above, left), (high, wide) = ctx.stride, ctx.padding, gradient.shape[2:]
        # the gradient by weight of the filters, before each is moved to the pixels that the weight was at
        shares = ctx.weight.flatten(1).T @ gradient.transpose(0, 1).flatten(1)
        padded = gradient.new_zeros(n, height + 2 * above, width + 2 * left)
        for place, share in enumerate(shares.view(-1, n, high, wide)):
            row, column = divmod(place, columns)
            padded[:, row : row + down * high : down, column : column + across * wide : across] += share
        return padded[:, None, above : above + height, left : left + width], None, None, None, None
