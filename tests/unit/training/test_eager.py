"""Optimisers without PyTorch's compiler: the same numbers, and no import of it."""

import subprocess
import sys

import pytest
import torch

from netalike.training import eager

HOW = {
    "Adam": (eager.Adam, torch.optim.Adam, {"lr": 0.1, "weight_decay": 0.01, "foreach": True}),
    "SGD": (eager.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "foreach": True}),
    "fused": (eager.Adam, torch.optim.Adam, {"lr": 0.1, "fused": True}),
}


def trained(optimizer, how, restart=None):
    """Weights after six steps; after `restart` of them, another optimiser goes on from the state of the first."""
    weight = torch.linspace(-1, 1, 12).reshape(3, 4).clone().requires_grad_(True)
    stepper = optimizer([weight], **how)
    for step in range(6):
        if step == restart:
            state = stepper.state_dict()
            stepper = optimizer([weight], **how)
            stepper.load_state_dict(state)
        stepper.zero_grad(set_to_none=True)
        (weight.sin() * (step + 1)).square().sum().backward()
        stepper.step()
    return weight.detach()


@pytest.mark.parametrize("restart", [None, 3])
@pytest.mark.parametrize("name", HOW)
def test_steps_are_those_of_pytorch_bit_for_bit(name, restart):
    ours, theirs, how = HOW[name]
    found = trained(ours, how, restart)
    assert torch.equal(found, trained(theirs, how))
    assert not torch.equal(found, torch.linspace(-1, 1, 12).reshape(3, 4))


def test_gradients_are_as_they_were_after_a_step():
    weight = torch.ones(2, requires_grad=True)
    stepper = eager.SGD([weight], lr=0.5)
    weight.sum().backward()
    assert torch.is_grad_enabled()
    stepper.step()
    assert torch.is_grad_enabled()
    assert weight.requires_grad
    assert weight.tolist() == [0.5, 0.5]


def test_a_training_does_not_import_the_compiler():
    code = """
import sys
from netalike import data, networks, training
from netalike.training.settings import Settings
images = data.load("digits", "train", limit=64)
training.train(networks.build("lenet", channels=1, seed=0), images, images, Settings(epochs=1, batch_size=32), 0)
print([name for name in ("torch._dynamo", "sympy", "sklearn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
