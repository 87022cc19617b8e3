"""`gradient_kernel`: the input similarity of anyone's network, within a limit of memory."""

from __future__ import annotations

import re
import subprocess
import sys

import gradient_networks as networks
import numpy as np
import pytest
import torch
from torch import nn

from netalike import data
from netalike.errors import NetalikeError, UnknownNameError
from netalike.gradients import gradient_kernel, hard_counts, less_soft_counts, nearest, per_sample_gradients, similarity

# So little that the samples of these small networks come in several blocks.
LITTLE = 0.0015


@pytest.mark.parametrize("kind", ["trace", "nuclear", "frobenius"])
@pytest.mark.parametrize("memory_gb", [1.0, LITTLE])
def test_equals_the_kernel_of_stored_gradients(kind, memory_gb):
    model, x = networks.build("prelu", n=23)
    expected = similarity(per_sample_gradients(model, x), kind=kind).numpy()
    found = gradient_kernel(model, x, memory_gb=memory_gb, kind=kind, progress=False)
    assert (found._chunk < 23) == (memory_gb == LITTLE)
    assert (found.n, found.d, found.p, found.outputs) == (23, 3, 369, "logits")
    indices, values = found.nearest(4)
    np.testing.assert_array_equal(indices, nearest(expected, 4)[0])
    np.testing.assert_allclose(values, nearest(expected, 4)[1], atol=1e-10)
    np.testing.assert_allclose(found.similarities_to([22, 3]), expected[[22, 3]], atol=1e-10)
    np.testing.assert_allclose(found.kernel, expected, atol=1e-10)
    np.testing.assert_allclose(found.similarities_to([5]), expected[[5]], atol=1e-10)  # from the kernel now
    np.testing.assert_allclose(found.soft_counts, expected.sum(1), atol=1e-9)
    np.testing.assert_array_equal(found.hard_counts(), hard_counts(expected))
    np.testing.assert_allclose(found.less_soft_counts(), less_soft_counts(expected), atol=1e-9)


def test_an_image_set_brings_its_labels():
    images = data.load("digits", "test", limit=40)
    torch.manual_seed(0)
    side = images.inputs(0, 1).shape[-1]
    model = nn.Sequential(nn.Flatten(), nn.Linear(side * side, 10))
    found = gradient_kernel(model, images, outputs="true-class", progress=False)
    # a linear network: samples of different classes share nothing, those of one class have <x, y> + 1
    x = images.inputs().flatten(1).double()
    products = (x @ x.T + 1) * (images.labels[:, None] == images.labels[None])
    norms = products.diagonal().sqrt()
    np.testing.assert_allclose(found.kernel, (products / norms / norms[:, None]).numpy(), atol=1e-5)
    first = found.nearest(1)[0][:, 0]
    alike = np.array([(images.labels == label).sum() > 1 for label in images.labels])
    assert (images.labels.numpy()[first] == images.labels.numpy())[alike].mean() > 0.9


def test_a_kernel_beyond_the_limit_is_refused_but_counts_are_not():
    model, x = networks.build("mlp", n=300, dtype=torch.float32)
    found = gradient_kernel(model, x, memory_gb=4e-4, progress=False)
    with pytest.raises(
        NetalikeError, match=r"kernel of 300 samples takes 0.00036 GB.*\.soft_counts.*memory_gb=0.00072"
    ):
        _ = found.kernel
    expected = similarity(per_sample_gradients(model, x)).numpy()
    np.testing.assert_allclose(found.soft_counts, expected.sum(1), atol=1e-3)
    np.testing.assert_allclose(found.nearest(2)[1], nearest(expected, 2)[1], atol=1e-5)
    clear = [0.5, 0.8]
    assert np.abs(expected[..., None] - clear).min() > 1e-7
    for include_self in (True, False):
        np.testing.assert_allclose(
            found.hard_counts(clear, include_self), hard_counts(expected, clear, include_self), atol=1
        )
        np.testing.assert_allclose(
            found.less_soft_counts([2], include_self), less_soft_counts(expected, [2], include_self), atol=1e-3
        )
    other = gradient_kernel(model, x, memory_gb=4e-4, kind="nuclear", progress=False)
    nuclear = similarity(per_sample_gradients(model, x), kind="nuclear").numpy()
    np.testing.assert_allclose(other.soft_counts, nuclear.sum(1), atol=1e-3)


def test_one_sample_beyond_the_limit_is_refused_with_what_is_enough():
    model, x = networks.build("conv")
    with pytest.raises(NetalikeError, match="one sample of 3 outputs and 166 parameters needs about") as refused:
        gradient_kernel(model, x, memory_gb=1e-6)
    (times,) = re.findall(r"Raise the limit (\d+)-fold", str(refused.value))
    assert gradient_kernel(model, x, memory_gb=1e-6 * int(times)).n == 5


def test_mistakes_are_named():
    model, x = networks.build("mlp")
    with pytest.raises(UnknownNameError, match="Did you mean 'nuclear'"):
        gradient_kernel(model, x, kind="nucleal")
    with pytest.raises(NetalikeError, match="a limit above 0, got 0"):
        gradient_kernel(model, x, memory_gb=0)
    with pytest.raises(NetalikeError, match="choose a k from 1 to 4"):
        gradient_kernel(model, x).nearest(5)
    with pytest.raises(NetalikeError, match="from 0 to 4, got -1"):
        gradient_kernel(model, x).similarities_to([-1])
    with pytest.raises(NetalikeError, match="is in training mode"):
        gradient_kernel(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), torch.zeros(2, 3))


def test_numpy_alone_is_enough_for_arrays():
    code = """
import sys
import numpy as np
import netalike.gradients as gradients
from netalike.gradients.denoising import denoising
x = np.random.default_rng(0).normal(size=(5, 9, 2))
gradients.soft_counts_of(gradients.MemorySource(x))
denoising(gradients.kernel_matrix(x))
gradients.nearest(gradients.similarity(x), 2)
print(sorted({"torch", "tensorflow", "keras", "scipy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    import netalike.gradients as gradients

    for name in gradients.__all__:
        assert getattr(gradients, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'kernels'"):
        _ = gradients.kernels
