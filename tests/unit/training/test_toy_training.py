"""Training on the toy problem: a stack of networks is trained as each of them would be alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from netalike.errors import BadFileError, NetalikeError, ShapeError, UnknownNameError
from netalike.training import toy
from netalike.training.toy import ToySettings, load_toys, save_toys, toy_runs, train_toys
from netalike.training.toy_stack import Stack, gradient_, losses, toy_network

SHORT = ToySettings(epochs=3, batch_size=16, lr=1e-3)


def by_hand(run: toy.ToyRun, settings: ToySettings) -> nn.Sequential:
    """One network with autograd, PyTorch's Adam and a loop over batches."""
    network = toy_network(run.seed)
    optimizer = torch.optim.Adam(network.parameters(), settings.lr)
    x, labels = torch.from_numpy(run.data.x).float(), torch.from_numpy(run.data.labels).float()
    for epoch in range(1, settings.epochs + 1):
        order = np.random.default_rng([run.seed, epoch]).permutation(len(x))
        for start in range(0, len(x), settings.batch_size):
            batch = order[start : start + settings.batch_size]
            error = network(x[batch])[:, 0] - labels[batch]
            optimizer.zero_grad()
            (error.abs() if settings.loss == "l1" else error.square()).mean().backward()
            optimizer.step()
    return network


def distance(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def test_the_network_is_the_published_one():
    network = toy_network()
    assert sum(parameter.numel() for parameter in network.parameters()) == 21_057
    assert [type(layer).__name__ for layer in network] == ["Linear", "ReLU"] * 6 + ["Linear"]
    state = torch.random.get_rng_state()
    assert distance(toy_network(5), toy_network(5)) == 0
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_a_stack_comes_to_the_weights_of_a_loop_with_autograd(loss):
    settings = ToySettings(epochs=3, batch_size=16, lr=1e-3, loss=loss)
    runs = toy_runs(40, [1, 4], [0, 1], noise=0.1)  # a last batch of 8
    trained = train_toys(runs, settings)
    for i, run in enumerate(runs):
        assert distance(trained.network(i), by_hand(run, settings)) < 1e-5
        assert distance(trained.network(i), toy_network(run.seed)) > 1e-3


@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_the_gradient_of_a_stack_is_that_of_autograd(loss):
    networks = [toy_network(seed).double() for seed in range(3)]
    stack = Stack(networks)
    x, labels = (torch.randn(3, 10, size, dtype=torch.float64, generator=torch.manual_seed(0)) for size in (2, 1))
    gradient_(stack.layers(stack.vector.data), stack.layers(stack.vector.grad), x, labels, loss)
    for i, network in enumerate(networks):
        error = network(x[i]) - labels[i]
        value = (error.abs() if loss == "l1" else error.square()).mean()
        value.backward()
        assert losses(stack.layers(stack.vector.data), x, labels, loss)[i].item() == pytest.approx(value.item())
        of_stack = stack.network(i, stack.vector.grad).double()
        for found, wanted in zip(of_stack.parameters(), network.parameters(), strict=True):
            assert float((found - wanted.grad).detach().abs().max()) < 1e-7


def test_a_run_is_the_same_alone_and_beside_others():
    runs = toy_runs(32, [1, 4], [0, 1, 2])
    together = train_toys(runs, SHORT)
    alone = train_toys([runs[4]], SHORT)
    assert distance(together.network(4), alone.network(0)) < 1e-6


def test_a4_the_same_call_gives_the_same_bits():
    first, second = (train_toys(toy_runs(32, [2], [0, 1]), SHORT) for _ in range(2))
    assert torch.equal(first.vectors, second.vectors)
    assert first.history == second.history


def test_runs_share_positions_and_not_weights_order_or_noise():
    one, other = toy_runs(32, [1], [0, 1], noise=0.2)
    assert np.array_equal(one.data.alpha, other.data.alpha)
    assert not np.array_equal(one.data.noise, other.data.noise)
    assert distance(toy_network(0), toy_network(1)) > 0.01
    assert not torch.equal(*toy._orders([0, 1], 1, 32))


def test_a6_noise_on_the_labels_changes_the_training():
    clean, noisy = (train_toys(toy_runs(32, [1], [0], noise=noise), SHORT) for noise in (0.0, 0.5))
    assert distance(clean.network(0), noisy.network(0)) > 1e-4
    assert noisy.runs[0].validation.noise.tolist() == [0.0] * 32


def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    settings = ToySettings(epochs=6, batch_size=16, lr=1e-3, halvings=1, polish=2, save_every=2)
    runs, file = toy_runs(32, [1, 4], [0]), tmp_path / "checkpoint"
    whole = train_toys(runs, settings)
    epoch = toy._Loop.epoch

    def cut_off(self, number, bar):
        if number == 6:
            raise KeyboardInterrupt
        epoch(self, number, bar)

    monkeypatch.setattr(toy._Loop, "epoch", cut_off)
    with pytest.raises(KeyboardInterrupt):
        train_toys(runs, settings, file)
    monkeypatch.setattr(toy._Loop, "epoch", epoch)
    with pytest.raises(NetalikeError, match=r"another training; different: lr \(0\.001 in the checkpoint, 0\.01 now\)"):
        train_toys(runs, ToySettings(epochs=6, batch_size=16, lr=1e-2, halvings=1, polish=2), file)
    resumed = train_toys(runs, settings, file)
    assert torch.equal(resumed.vectors, whole.vectors)
    assert resumed.history == whole.history
    assert not file.exists()


def test_a10_a_run_that_diverges_ends_and_leaves_the_others_alone():
    runs = [*toy_runs(32, [1], [0]), *toy_runs(32, [1], [1], noise=1e39)]  # beyond float32
    trained = train_toys(runs, ToySettings(epochs=3, batch_size=16, loss="l2"))
    assert math.isfinite(trained.history.train_loss[-1][0])
    assert not math.isfinite(trained.history.train_loss[-1][1])
    alone = train_toys(runs[:1], ToySettings(epochs=3, batch_size=16, loss="l2"))
    assert distance(trained.network(0), alone.network(0)) < 1e-6


def test_losses_are_of_the_labels_and_of_the_true_targets_of_other_samples():
    runs = toy_runs(32, [1], [0], noise=0.3)
    trained = train_toys(runs, SHORT)
    network = trained.network(0).double()
    for data, wanted, found in (
        (runs[0].data, runs[0].data.labels, trained.history.train_loss),
        (runs[0].validation, runs[0].validation.target, trained.history.validation_loss),
    ):
        with torch.no_grad():
            error = network(torch.from_numpy(data.x))[:, 0].numpy() - wanted
        assert found[-1][0] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert trained.history.epoch == [1, 2, 3]


def test_kept_networks_are_those_of_shorter_trainings():
    runs = toy_runs(32, [1], [0])
    trained = train_toys(runs, ToySettings(epochs=8, batch_size=16, halvings=2, polish=3))
    assert trained.settings.kept == (2, 4, 8, 11)
    assert [trained.steps(epoch) for epoch in trained.settings.kept] == [4, 8, 16, 19]
    shorter = train_toys(runs, ToySettings(epochs=4, batch_size=16))
    assert distance(trained.network(0, 4), shorter.network(0)) == 0
    with pytest.raises(NetalikeError, match=r"after epoch 5: there are those of \[2, 4, 8, 11\]"):
        trained.network(0, 5)


def test_the_rate_of_polishing_falls_to_zero():
    settings = ToySettings(epochs=10, lr=0.5, polish=4)
    assert [settings.rate(epoch) for epoch in (1, 10, 12, 14)] == pytest.approx([0.5, 0.5, 0.25, 0.0])


def test_settings_of_a_study_turn_steps_into_epochs():
    study = {"batch_size": 64, "epochs": 7, "lr": 0.1, "loss": "l2", "polish": 0, "halvings": 1, "steps": None}
    assert ToySettings.of_study(study, 256).epochs == 7
    assert ToySettings.of_study({**study, "steps": 100}, 256).epochs == 25
    assert ToySettings.of_study({**study, "steps": 100}, 1000).epochs == 6


def test_a2_networks_come_back_from_their_file(tmp_path):
    trained = train_toys(toy_runs(32, [1, 4], [0, 1], "triangular", 0.2, 7), SHORT)
    save_toys(trained, tmp_path / "networks.safetensors")
    back = load_toys(tmp_path / "networks.safetensors")
    assert torch.equal(back.vectors, trained.vectors)
    assert (back.settings, back.history) == (trained.settings, trained.history)
    for one, other in zip(back.runs, trained.runs, strict=True):
        assert one.facts() == other.facts()
        assert np.array_equal(one.data.labels, other.data.labels)


def test_what_cannot_be_trained_or_read_is_refused(tmp_path):
    with pytest.raises(ShapeError, match=r"one number of samples, got \[32, 64\]"):
        train_toys([*toy_runs(32, [1], [0]), *toy_runs(64, [1], [0])], SHORT)
    with pytest.raises(ShapeError, match="got no runs"):
        train_toys([], SHORT)
    with pytest.raises(UnknownNameError, match=r"loss of the toy problem 'l3'.*Did you mean 'l"):
        ToySettings(loss="l3")
    with pytest.raises(NetalikeError, match="epochs of a training is at least 1, got 0"):
        ToySettings(epochs=0)
    (tmp_path / "other").write_bytes(b"nothing")
    with pytest.raises(BadFileError, match=r"does not hold networks of the toy problem.*train them again"):
        load_toys(tmp_path / "other")
