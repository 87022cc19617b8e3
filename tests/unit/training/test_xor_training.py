"""Networks on XOR clouds: the same steps as PyTorch's, and every network alone what it is beside others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from netalike.data.xor import xor_data
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.training.xor import TUTORIAL, XorNetworks, XorSettings, train_xor


def samples(seeds, clouds="simulation", split="train"):
    data = [xor_data(25, seed, split, clouds) for seed in seeds]
    return np.stack([one.x for one in data]), np.stack([one.labels for one in data])


def torch_twin(networks: XorNetworks, which: int) -> torch.nn.Sequential:
    """The network in PyTorch, float64."""
    settings, own = networks.settings, torch.from_numpy(networks.parameters[which].copy())
    units = settings.units
    layers = torch.nn.Linear(2, units), torch.nn.Linear(units, 1)
    activation = torch.nn.Tanh() if settings.hidden == "tanh" else torch.nn.Sigmoid()
    twin = torch.nn.Sequential(layers[0], activation, layers[1]).double()
    with torch.no_grad():
        layers[0].weight.copy_(own[: 2 * units].view(2, units).T)
        layers[0].bias.copy_(own[2 * units : 3 * units])
        layers[1].weight.copy_(own[3 * units : 4 * units][None])
        layers[1].bias.copy_(own[4 * units :])
    return twin


def flat(twin: torch.nn.Sequential) -> np.ndarray:
    first, _, second = twin
    parts = [first.weight.T.flatten(), first.bias, second.weight.flatten(), second.bias]
    return torch.cat(parts).detach().numpy()


def train_twin(twin, x, labels, settings: XorSettings) -> None:
    """Full batches in PyTorch: autograd and torch.optim.Adam."""
    x, labels = torch.from_numpy(x), torch.from_numpy(labels).double()
    loss = torch.nn.MSELoss() if settings.loss == "mse" else torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(twin.parameters(), settings.lr, eps=settings.epsilon)
    for _ in range(settings.epochs):
        optimizer.zero_grad()
        loss(twin(x)[:, 0], labels).backward()
        optimizer.step()


@pytest.mark.parametrize("settings", [XorSettings(), replace(TUTORIAL, batch_size=None)])
def test_training_is_that_of_pytorch(settings):
    x, labels = samples(range(2))
    begun = train_xor(x, labels, [0, 1], replace(settings, epochs=0), shown=False)
    done = train_xor(x, labels, [0, 1], replace(settings, epochs=60), shown=False)
    for which in range(2):
        twin = torch_twin(begun, which)
        train_twin(twin, x[which], labels[which], replace(settings, epochs=60))
        assert done.parameters[which] == pytest.approx(flat(twin), abs=1e-9)
        assert np.abs(done.parameters[which] - begun.parameters[which]).max() > 0.01


def test_activity_and_outputs_are_those_of_pytorch():
    x, labels = samples(range(2))
    for settings in (XorSettings(epochs=5), replace(TUTORIAL, epochs=5)):
        networks = train_xor(x, labels, [0, 1], settings, shown=False)
        twin = torch_twin(networks, 1)
        wanted = twin[1](twin[0](torch.from_numpy(x[1]))).detach().numpy()
        assert networks.hidden(x)[1] == pytest.approx(wanted, abs=1e-12)
        output = twin(torch.from_numpy(x[1]))[:, 0].detach()
        output = torch.sigmoid(output) if settings.loss == "cross_entropy" else output
        assert networks.outputs(x)[1] == pytest.approx(output.numpy(), abs=1e-12)


@pytest.mark.parametrize("settings", [XorSettings(epochs=40), replace(TUTORIAL, epochs=8)])
def test_a_network_is_the_same_bit_for_bit_alone_and_beside_others(settings):
    x, labels = samples(range(7))
    together = train_xor(x, labels, [(5, seed) for seed in range(7)], settings, shown=False)
    for chosen in ([3], [6, 3], [0, 3, 1, 6]):
        some = train_xor(x[chosen], labels[chosen], [(5, seed) for seed in chosen], settings, shown=False)
        assert np.array_equal(some.parameters, together.parameters[chosen])
        assert np.array_equal(some.hidden(x[chosen]), together.hidden(x)[chosen])


def test_batches_have_every_sample_once_and_the_short_one_last():
    """One epoch of one batch is a step on all samples, whatever their order."""
    x, labels = samples([0])
    whole = train_xor(x, labels, [0], XorSettings(epochs=3), shown=False).parameters
    shuffled = train_xor(x, labels, [0], XorSettings(epochs=3, batch_size=100), shown=False).parameters
    assert shuffled == pytest.approx(whole, abs=1e-12)
    parts = train_xor(x, labels, [0], XorSettings(epochs=3, batch_size=64), shown=False).parameters
    assert np.abs(parts - whole).max() > 1e-3  # six steps, not three


def test_initialisations_have_their_ranges():
    x, labels = samples([0] * 40)
    first = train_xor(x, labels, range(40), XorSettings(epochs=0), shown=False).parameters
    assert np.abs(first[:, :150]).max() == pytest.approx(1 / np.sqrt(2), rel=0.01)
    assert np.abs(first[:, 150:]).max() == pytest.approx(1 / np.sqrt(50), rel=0.01)
    keras = train_xor(x, labels, range(40), replace(TUTORIAL, epochs=0), shown=False).parameters
    assert np.abs(keras[:, :100]).max() == pytest.approx(np.sqrt(6 / 52), rel=0.01)
    assert np.abs(keras[:, 150:200]).max() == pytest.approx(np.sqrt(6 / 51), rel=0.01)
    assert not keras[:, 100:150].any()
    assert not keras[:, 200].any()


def test_the_published_settings_solve_the_problem():
    assert (XorSettings().units, XorSettings().epochs, XorSettings().lr) == (50, 1000, 0.003)
    x, labels = samples(range(3))
    networks = train_xor(x, labels, range(3), shown=False)
    assert networks.accuracy(x, labels).min() >= 0.99
    unseen = samples(range(3), split="test")
    assert networks.accuracy(*unseen).min() >= 0.97


def test_an_output_that_rounds_to_neither_class_is_wrong():
    x, labels = samples([0])
    networks = train_xor(x, labels, [0], XorSettings(epochs=0), shown=False)
    networks.parameters[:] = 0
    networks.parameters[0, -1] = 1.6
    assert networks.accuracy(x, labels).tolist() == [0.0]
    networks.parameters[0, -1] = 1.4
    assert networks.accuracy(x, labels).tolist() == [0.5]


def test_bad_input_is_refused():
    x, labels = samples(range(2))
    with pytest.raises(ShapeError, match=r"shape \(networks, n, 2\) for 3 networks, got \(2, 100, 2\)"):
        train_xor(x, labels, range(3), shown=False)
    with pytest.raises(ShapeError, match=r"labels .* the shape \(2, 100\), got \(2, 99\)"):
        train_xor(x, labels[:, 1:], range(2), shown=False)
    with pytest.raises(ShapeError, match=r"for 0 networks, got \(0, 100, 2\)"):
        train_xor(x[:0], labels[:0], [], shown=False)
    with pytest.raises(UnknownNameError, match=r"hidden activation .* 'tan'.*Did you mean 'tanh'"):
        XorSettings(hidden="tan")
    with pytest.raises(NetalikeError, match="batch_size of the XOR networks is at least 1, got 0"):
        XorSettings(batch_size=0)
