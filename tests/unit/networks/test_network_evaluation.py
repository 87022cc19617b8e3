"""Evaluation: exact counts and means, eval mode, and errors where network and data do not fit."""

import pytest
import torch
from torch import nn

from netalike import data, networks
from netalike.errors import NetalikeError, ShapeError, UnknownNameError


class Constant(nn.Module):
    """Says class 3 with logit 2, whatever it sees; wrong in training mode."""

    def __init__(self, classes=10):
        super().__init__()
        self.classes = classes

    def forward(self, images):
        logits = torch.zeros(len(images), self.classes)
        logits[:, 0 if self.training else 3] = 2.0
        return logits


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", "test", limit=101)


def test_counts_and_means_over_every_image(digits):
    found = networks.evaluate(Constant().train(), digits, batch_size=40)
    share = (digits.labels == 3).double().mean().item()
    normaliser = torch.tensor([2.0] + [0.0] * 9).double().logsumexp(0).item()
    assert found.n == 101
    assert found.accuracy == pytest.approx(share, abs=1e-12)
    assert found.loss == pytest.approx(normaliser - 2 * share, abs=1e-12)


def test_the_batch_size_does_not_change_the_result(digits):
    model = networks.build("lenet", channels=1, seed=0)
    one, other = (networks.evaluate(model, digits, batch_size=size) for size in (7, 101))
    assert one.accuracy == other.accuracy
    assert one.loss == pytest.approx(other.loss, rel=1e-6)


def test_the_mode_is_put_back_and_statistics_stay(digits):
    model = networks.build("tiny10", channels=1, seed=0).train()
    networks.evaluate(model, digits.take(range(10)))
    assert model.training
    assert model.bn1.training
    assert int(model.bn1.num_batches_tracked) == 0


def test_what_does_not_fit_is_refused(digits):
    with pytest.raises(ShapeError, match=r"3 classes, but the data set has a label 9: .*classes=10"):
        networks.evaluate(networks.build("lenet", channels=1, classes=3), digits)
    with pytest.raises(ShapeError, match=r"logits of shape \(n, classes\), got \(101, 1, 32, 32\)"):
        networks.evaluate(nn.Identity(), digits)
    with pytest.raises(NetalikeError, match="at least 1, got 0"):
        networks.evaluate(Constant(), digits, batch_size=0)
    with pytest.raises(NetalikeError, match=r"digits \(test\) has no images"):
        networks.evaluate(Constant(), digits.take([]))


def test_devices():
    assert networks.resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(UnknownNameError, match="unknown device 'gpu': expected one of cpu, cuda, mps, auto"):
        networks.resolve_device("gpu")
    with pytest.raises(UnknownNameError, match="unknown device 'cpu:x'"):
        networks.resolve_device("cpu:x")
    with pytest.raises(NetalikeError, match=r"'cuda:99' is not there: PyTorch .* sees \d+ CUDA devices"):
        networks.resolve_device("cuda:99")
