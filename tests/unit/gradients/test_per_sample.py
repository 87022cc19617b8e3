"""Gradients of each sample: by `torch.func` and by plain backward calls; what is refused."""

from __future__ import annotations

import gradient_networks as networks
import numpy as np
import pytest
import torch
from torch import nn

from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.gradients import per_sample_gradients


@pytest.mark.parametrize("name", networks.BUILDERS)
def test_equal_backward_calls(name):
    model, x = networks.build(name)
    found = per_sample_gradients(model, x, chunk=3)
    torch.testing.assert_close(found, networks.by_backward(model, x), rtol=1e-10, atol=1e-12)


def test_prelu_with_as_many_samples_as_outputs():
    # vmap over outputs inside vmap over samples mixes the two axes, in PyTorch 2.13, without an error
    model, x = networks.build("prelu", n=3)
    torch.testing.assert_close(per_sample_gradients(model, x), networks.by_backward(model, x), rtol=1e-10, atol=1e-12)


def test_outputs_are_chosen():
    model, x = networks.build("mlp", n=4)
    every = per_sample_gradients(model, x)
    labels = torch.tensor([2, 0, 1, 1])
    assert every.shape == (4, sum(p.numel() for p in model.parameters()), 3)
    torch.testing.assert_close(per_sample_gradients(model, x, "sum")[..., 0], every.sum(2))
    true_class = per_sample_gradients(model, x, "true-class", labels)[..., 0]
    torch.testing.assert_close(true_class, every[torch.arange(4), :, labels])
    torch.testing.assert_close(per_sample_gradients(model, x, lambda z: z[:, 1:]), every[..., 1:])


def test_order_is_that_of_named_parameters():
    model, x = networks.build("conv")
    every = per_sample_gradients(model, x)
    last = per_sample_gradients(model, x, parameters=["4.bias"])
    torch.testing.assert_close(last, every[:, -3:])
    torch.testing.assert_close(last, torch.eye(3, dtype=torch.float64).expand(5, 3, 3))


def test_frozen_parameters_count():
    model, x = networks.build("mlp")
    before = per_sample_gradients(model, x)
    model.requires_grad_(False)
    assert torch.equal(per_sample_gradients(model, x), before)


def test_inputs_are_cast_and_arrays_are_taken():
    model, x = networks.build("mlp", dtype=torch.float32)
    assert torch.equal(per_sample_gradients(model, x.double().numpy()), per_sample_gradients(model, x))


def test_the_same_call_gives_the_same_bits():
    model, x = networks.build("prelu", dtype=torch.float32)
    assert torch.equal(per_sample_gradients(model, x), per_sample_gradients(model, x))


def test_a_network_with_one_output_and_no_axis_for_it():
    model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    x = torch.eye(3)
    torch.testing.assert_close(per_sample_gradients(model, x)[..., 0], torch.cat([x, torch.ones(3, 1)], dim=1))


def test_batch_norm_in_training_mode_is_refused():
    model, x = networks.build("norms")
    model.train()
    with pytest.raises(NetalikeError, match=r"layer '1' \(BatchNorm2d\) is in training mode.*Call model.eval\(\)"):
        per_sample_gradients(model, x)


def test_batch_norm_without_running_statistics_is_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)).eval()
    with pytest.raises(NetalikeError, match=r"layer '1' \(BatchNorm1d\) has no running statistics"):
        per_sample_gradients(model, torch.zeros(2, 3))


def test_dropout_in_training_mode_is_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    with pytest.raises(NetalikeError, match=r"layer '1' \(Dropout\) is in training mode"):
        per_sample_gradients(model, torch.zeros(2, 3))
    assert per_sample_gradients(model.eval(), torch.zeros(2, 3)).shape == (2, 16, 4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"outputs": "logit"}, UnknownNameError, "unknown choice of outputs 'logit'.*Did you mean 'logits'"),
        ({"outputs": "true-class"}, NetalikeError, "needs labels"),
        ({"outputs": "true-class", "labels": [0, 1]}, ShapeError, r"4 samples need labels of shape \(4,\), got \(2,\)"),
        ({"outputs": "true-class", "labels": [0, 1, 2, 3]}, ShapeError, "3 logits, but there is a label 3"),
        ({"outputs": lambda z: z.sum()}, ShapeError, r"returned \(\), but \(n, d\) is needed"),
        ({"chunk": 0}, NetalikeError, "at least 1 sample per batch, got 0"),
        ({"parameters": ["0.weigth"]}, UnknownNameError, "Did you mean '0.weight'"),
    ],
)
def test_mistakes_are_named(arguments, error, message):
    model, x = networks.build("mlp", n=4)
    with pytest.raises(error, match=message):
        per_sample_gradients(model, x, **arguments)


def test_feature_maps_are_no_logits():
    with pytest.raises(ShapeError, match=r"the network returned \(1, 3, 6, 6\)"):
        per_sample_gradients(nn.Conv2d(2, 3, 3), torch.zeros(2, 2, 8, 8))


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (nn.Flatten(), torch.zeros(2, 3), "Flatten has no parameters"),
        (nn.Linear(3, 2).half(), torch.zeros(2, 3), "are of torch.float16"),
        (nn.Linear(3, 2), torch.zeros(0, 3), "expected .n, .... with n at least 1"),
        (nn.Linear(3, 2), np.zeros(3), "expected .n, .... with n at least 1"),
    ],
)
def test_networks_and_inputs_that_cannot_be_used(model, inputs, message):
    with pytest.raises(NetalikeError, match=message):
        per_sample_gradients(model, inputs)
