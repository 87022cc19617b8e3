"""Substitutes of PyTorch's operations: the same bits forward, the same gradients, and only where they hold."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from netalike.gradients import faster


def values(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def forward_and_back(function, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = x.clone().requires_grad_()
    found = function(leaf)
    return found.detach(), torch.autograd.grad(found, leaf, values(*found.shape))[0]


@pytest.fixture
def calls(monkeypatch):
    """Which substitutes stood in."""
    made = []

    def watched(name, substitute):
        def call(*args, **kwargs):
            found = substitute(*args, **kwargs)
            if found is not None:
                made.append(name)
            return found

        return call

    names = {torch.prelu: "prelu", functional.avg_pool2d: "average"}
    table = {func: watched(names[func], substitute) for func, substitute in faster._SUBSTITUTES.items()}
    monkeypatch.setattr(faster, "_SUBSTITUTES", table)
    return made


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.AvgPool2d(2), (3, 4, 8, 6)),
        (nn.AvgPool2d((3, 3), stride=(3, 3)), (2, 1, 9, 6)),
        (lambda x: functional.avg_pool2d(x, kernel_size=2), (2, 3, 4, 4)),
        (nn.PReLU(init=-0.3).requires_grad_(False), (3, 4, 8, 6)),
        (nn.PReLU().requires_grad_(False), (5, 7)),
    ],
)
def test_the_same_bits_and_gradients(layer, shape, calls):
    x = values(*shape)
    expected = forward_and_back(layer, x)
    with faster.Faster():
        found = forward_and_back(layer, x)
    assert len(calls) == 1
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.AvgPool2d(2), (2, 3, 5, 4)),  # a row is left over
        (nn.AvgPool2d(2, stride=1), (2, 3, 4, 4)),
        (nn.AvgPool2d(2, padding=1), (2, 3, 4, 4)),
        (nn.AvgPool2d((2, 3)), (2, 3, 4, 6)),
        (nn.AvgPool2d(2, divisor_override=3), (2, 3, 4, 4)),
        (nn.AvgPool2d(4), (2, 3, 4, 4)),
        (nn.AvgPool2d(2), (3, 4, 4)),
        (nn.PReLU(3).requires_grad_(False), (2, 3, 4)),
        (nn.PReLU(), (2, 3)),  # its slope may vary
    ],
)
def test_other_arguments_are_left_to_pytorch(layer, shape, calls):
    with faster.Faster():
        layer(values(*shape))
    assert calls == []


def test_another_layout_is_left_to_pytorch(calls):
    with faster.Faster():
        functional.avg_pool2d(values(2, 3, 4, 4).contiguous(memory_format=torch.channels_last), 2)
    assert calls == []
