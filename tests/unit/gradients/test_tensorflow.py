"""Per-sample gradients of a Keras model equal those of the same network in PyTorch, variable by variable."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from torch import nn

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from netalike.errors import NetalikeError, ShapeError, UnknownNameError  # noqa: E402
from netalike.gradients import tensorflow as gradients  # noqa: E402

N = 6
TOLERANCE = 1e-4


def twins(kind: str):
    """The same network with the same weights in both frameworks, and inputs for both."""
    rng = np.random.default_rng(0)
    if kind == "mlp":
        layers = [keras.Input((5,)), keras.layers.Dense(7, "tanh"), keras.layers.Dense(3)]
        theirs = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
        shape: tuple[int, ...] = (N, 5)
    else:
        conv = [keras.layers.Conv2D(4, 3, activation="elu"), keras.layers.MaxPooling2D(), keras.layers.Conv2D(3, 2)]
        layers = [keras.Input((8, 8, 2)), *conv, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
        pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        theirs = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.ELU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 2), *pooled, nn.Linear(3, 3)
        )
        shape = (N, 8, 8, 2)
    ours = keras.Sequential(layers)
    weights = [rng.normal(scale=0.5, size=variable.shape).astype(np.float32) for variable in ours.trainable_variables]
    ours.set_weights(weights)
    with torch.no_grad():
        for parameter, weight in zip(theirs.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(as_torch(weight)))
    inputs = rng.normal(size=shape).astype(np.float32)
    return ours, theirs, inputs, torch.from_numpy(inputs if kind == "mlp" else inputs.transpose(0, 3, 1, 2).copy())


def as_torch(weight: np.ndarray) -> np.ndarray:
    """(inputs, outputs) or (height, width, inputs, outputs) to PyTorch's order."""
    return weight if weight.ndim == 1 else np.ascontiguousarray(np.moveaxis(weight, (-1, -2), (0, 1)))


def by_autograd(model: nn.Module, inputs: torch.Tensor) -> list[np.ndarray]:
    """One backward call per sample and output; (n, d, *shape) per parameter."""
    found: list[list[list[np.ndarray]]] = [[] for _ in model.parameters()]
    for sample in inputs:
        row = model(sample[None])[0]
        columns = [torch.autograd.grad(value, list(model.parameters()), retain_graph=True) for value in row]
        for i, own in enumerate(found):
            own.append([column[i].numpy() for column in columns])
    return [np.array(own) for own in found]


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_gradients_equal_those_of_pytorch(kind):
    ours, theirs, inputs, torch_inputs = twins(kind)
    assert np.abs(ours(inputs).numpy() - theirs(torch_inputs).detach().numpy()).max() < TOLERANCE
    found = gradients.per_sample_gradients(ours, inputs, chunk=4)
    assert found.shape == (N, sum(p.numel() for p in theirs.parameters()), 3)
    assert found.dtype == np.float32
    expected = by_autograd(theirs, torch_inputs)
    order = gradients.variable_order(ours)
    assert order[-1].stop == found.shape[1]
    for variable, own in zip(order, expected, strict=True):
        mine = found[:, variable.start : variable.stop].transpose(0, 2, 1).reshape(N, 3, *variable.shape)
        for sample in range(N):
            for output in range(3):
                assert np.abs(as_torch(mine[sample, output]) - own[sample, output]).max() < TOLERANCE, variable.name


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_similarities_equal_those_of_pytorch(kind):
    """The kernel does not depend on the order in which a framework keeps its parameters."""
    ours, theirs, inputs, torch_inputs = twins(kind)
    mine = gradients.per_sample_gradients(ours, inputs)
    other = np.concatenate([part.reshape(N, 3, -1) for part in by_autograd(theirs, torch_inputs)], 2)
    kernels = np.einsum("ipa,jpb->ijab", mine, mine), np.einsum("iap,jbp->ijab", other, other)
    assert np.abs(kernels[0] - kernels[1]).max() < TOLERANCE * np.abs(kernels[1]).max()


def test_choices_of_outputs_are_columns_and_their_sum():
    ours, _, inputs, _ = twins("mlp")
    labels = [0, 2, 1, 1, 0, 2]
    every = gradients.per_sample_gradients(ours, inputs)
    own = gradients.per_sample_gradients(ours, inputs, "true-class", labels)
    np.testing.assert_allclose(own[..., 0], every[np.arange(N), :, labels], atol=1e-6)
    np.testing.assert_allclose(gradients.per_sample_gradients(ours, inputs, "sum")[..., 0], every.sum(2), atol=1e-5)
    chosen = gradients.per_sample_gradients(ours, inputs, lambda found: found[:, 1:])
    np.testing.assert_array_equal(chosen, every[..., 1:])


def test_batches_are_the_same_whatever_their_size():
    ours, _, inputs, _ = twins("mlp")
    blocks = list(gradients.gradient_batches(ours, inputs, chunk=4))
    assert [len(block) for block in blocks] == [4, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), gradients.per_sample_gradients(ours, inputs, chunk=1))


def test_several_inputs_and_outputs():
    """As the alignment network: two inputs, two heads; the gradient of a head that is not chosen is zero."""
    image, polygons = keras.Input((3,)), keras.Input((2,))
    both = keras.layers.Concatenate()([image, polygons])
    heads = [keras.layers.Dense(2, name="displacement")(both), keras.layers.Dense(4, name="segmentation")(both)]
    model = keras.Model([image, polygons], heads)
    inputs = [np.ones((2, 3), np.float32), np.full((2, 2), 2, np.float32)]
    found = gradients.per_sample_gradients(model, inputs, lambda outputs: outputs[0])
    order = {variable.name: variable for variable in gradients.variable_order(model)}
    kernel, unused = order["displacement/kernel"], order["segmentation/kernel"]
    expected = np.zeros((5, 2, 2))
    expected[:, 0, 0] = expected[:, 1, 1] = [1, 1, 1, 2, 2]
    np.testing.assert_array_equal(found[0, kernel.start : kernel.stop].reshape(5, 2, 2), expected)
    assert not found[:, unused.start : unused.stop].any()


def test_batch_normalisation_and_dropout_are_in_inference_mode():
    """A training batch would mix the samples: then no sample has a gradient of its own."""
    layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    inputs = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
    together = gradients.per_sample_gradients(model, inputs)
    alone = np.concatenate([gradients.per_sample_gradients(model, inputs[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(together, alone, atol=1e-7)


def test_wrong_input_is_refused():
    ours, _, inputs, _ = twins("mlp")
    with pytest.raises(UnknownNameError, match=r"unknown choice of outputs 'logit'.*Did you mean 'logits'"):
        gradients.per_sample_gradients(ours, inputs, "logit")
    with pytest.raises(NetalikeError, match="'true-class' needs labels"):
        gradients.per_sample_gradients(ours, inputs, "true-class")
    with pytest.raises(ShapeError, match=r"each of the 6 samples, got the shape \(2,\)"):
        gradients.per_sample_gradients(ours, inputs, "true-class", [0, 1])
    with pytest.raises(ShapeError, match=r"known d, got \(1,\)"):
        gradients.per_sample_gradients(ours, inputs, lambda found: found[:, 0])
    with pytest.raises(ShapeError, match=r"same number of samples, at least 1, got \[6, 5\]"):
        gradients.per_sample_gradients(ours, [inputs, inputs[:5]])
    with pytest.raises(NetalikeError, match="chunk: expected at least 1 sample, got 0"):
        gradients.per_sample_gradients(ours, inputs, chunk=0)
    with pytest.raises(NetalikeError, match="has no trainable variables: build it"):
        gradients.variable_order(keras.Sequential([keras.layers.Dense(3)]))
