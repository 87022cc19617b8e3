"""Training: the published optimiser, the same weights every time, and exact resumption after a kill."""

import csv
import itertools
import os
import signal
import subprocess
import sys
import time

import pytest
import small_training as small
import torch
from torch import nn

from netalike import networks, training
from netalike.errors import BadFileError, NetalikeError, ShapeError
from netalike.training.plain import _lay_out, epoch_seed


@pytest.fixture(scope="module")
def sets():
    return small.digits()


@pytest.fixture(scope="module", params=["sgd", "adam"])
def uninterrupted(request, sets):
    model = small.network()
    settings = small.settings(optimizer=request.param, lr=0.05 if request.param == "sgd" else 0.01)
    return settings, model, training.train(model, *sets, settings, batch_seed=3)


class InterruptedTrainingError(Exception):
    pass


def stop_after(steps):
    def cross_entropy(model, inputs, labels):
        nonlocal steps
        steps -= 1
        if steps < 0:
            raise InterruptedTrainingError
        return training.cross_entropy(model, inputs, labels)

    return cross_entropy


def test_learns_the_digits(uninterrupted):
    _, _, history = uninterrupted
    assert history.test_accuracy[-1] > 0.8
    assert history.train_loss[-1] < 0.6 * history.train_loss[0]


def test_the_history_has_every_epoch(uninterrupted, sets, tmp_path):
    settings, model, history = uninterrupted
    assert history.learning_rate == [training.learning_rate(settings, epoch) for epoch in range(6)]
    final = networks.evaluate(model, sets[1])
    assert (history.test_accuracy[-1], history.test_loss[-1]) == (final.accuracy, final.loss)
    training.write_log(history, tmp_path / "log.csv")
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [row["epoch"] for row in rows] == list("123456")
    assert [float(row["train_loss"]) for row in rows] == history.train_loss


@pytest.mark.parametrize("steps", [5, 8, 17, 23])
def test_an_interrupted_training_ends_with_the_same_weights(uninterrupted, sets, tmp_path, steps):
    settings, expected, expected_history = uninterrupted
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(InterruptedTrainingError):
        training.train(small.network(), *sets, settings, 3, checkpoint, objective=stop_after(steps))
    # 4 steps an epoch, a checkpoint every 2 epochs
    assert checkpoint.exists() == (steps >= 8)
    resumed = small.network()
    history = training.train(resumed, *sets, settings, 3, checkpoint)
    assert small.same(resumed, expected)
    assert history == expected_history


@pytest.mark.parametrize("architecture", ["small", "tiny10"])
def test_a_killed_training_ends_with_the_same_weights(sets, tmp_path, architecture):
    checkpoint = tmp_path / "checkpoint.safetensors"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, small.__file__, checkpoint, architecture], env=environment)
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert checkpoint.exists()

    def fresh():
        return small.network() if architecture == "small" else networks.build(architecture, channels=1, seed=0)

    resumed, expected = fresh(), fresh()
    steps_left = []

    def cross_entropy(model, inputs, labels):
        steps_left.append(1)
        return training.cross_entropy(model, inputs, labels)

    history = training.train(resumed, *sets, small.settings(), checkpoint=checkpoint, objective=cross_entropy)
    assert len(steps_left) <= 16
    assert training.train(expected, *sets, small.settings()) == history
    assert small.same(resumed, expected)


@pytest.mark.parametrize("architecture", ["tiny10", "resnet20", "lenet"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_each_architecture_resumes_to_the_same_weights(sets, tmp_path, architecture, optimizer):
    few = [images.take(range(48)) for images in sets]
    settings = small.settings(epochs=3, batch_size=16, save_every=1, optimizer=optimizer, lr=0.01)
    expected, first, resumed = (networks.build(architecture, channels=1, seed=0) for _ in range(3))
    history = training.train(expected, *few, settings)
    with pytest.raises(InterruptedTrainingError):
        training.train(first, *few, settings, checkpoint=tmp_path / "c", objective=stop_after(5))
    assert training.train(resumed, *few, settings, checkpoint=tmp_path / "c") == history
    assert small.same(resumed, expected)
    assert all(parameter.is_contiguous() for parameter in resumed.parameters())


def test_a_finished_checkpoint_gives_the_network_without_training(uninterrupted, sets, tmp_path):
    settings, expected, history = uninterrupted
    checkpoint = tmp_path / "c.safetensors"
    first = small.network()
    training.train(first, *sets, settings.model_copy(update={"save_every": 4}), 3, checkpoint)
    again = small.network()
    found = training.train(again, *sets, settings, 3, checkpoint, keep_checkpoint=False, objective=stop_after(0))
    assert small.same(again, expected)
    assert found == history
    assert not again.training
    assert not checkpoint.exists()


def test_the_two_seeds_are_apart(sets):
    def weights(init, batches):
        model = small.network(init)
        training.train(model, *sets, small.settings(epochs=1), batches)
        return model

    base = weights(0, 0)
    assert small.same(base, weights(0, 0))
    assert not small.same(base, weights(0, 1))
    assert not small.same(base, weights(1, 0))


def test_the_state_of_pytorch_stays(sets):
    torch.manual_seed(11)
    expected = torch.rand(2)
    model = small.network()
    torch.manual_seed(11)
    training.train(model, *sets, small.settings(epochs=1))
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_one_step_is_the_published_update(sets, name):
    """Nesterov: w - lr (g + 0.9 g) in the first step; Adam: w - lr sign(g); g includes the decay of every parameter."""
    one = sets[0].take(range(50))
    settings = small.settings(epochs=1, optimizer=name, lr=0.01, weight_decay=0.1, augment=False)
    model, twin = (nn.Sequential(nn.Flatten(), nn.Linear(1024, 10)) for _ in range(2))
    twin.load_state_dict(model.state_dict())
    training.train(model, one, one, settings)
    nn.functional.cross_entropy(twin(one.inputs()), one.labels).backward()
    for (key, after), (_, before) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        g = before.grad + 0.1 * before.detach()
        step = 1.9 * g if name == "sgd" else g / (g.abs() + 1e-8)
        torch.testing.assert_close(after, before - 0.01 * step, rtol=1e-4, atol=2e-5, msg=key)


def test_each_epoch_steps_with_its_own_learning_rate(sets):
    """Adam's step is about as long as the learning rate, whatever the gradient."""
    one = sets[0].take(range(50))
    model = nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))
    weights = []

    def objective(model, inputs, labels):
        weights.append(model[1].weight.detach().clone())
        return training.cross_entropy(model, inputs, labels)

    settings = small.settings(epochs=3, optimizer="adam", lr=0.01, augment=False)
    training.train(model, one, one, settings, objective=objective)
    weights.append(model[1].weight.detach())
    longest = [(after - before).abs().max().item() for before, after in itertools.pairwise(weights)]
    assert longest == pytest.approx([0.01, 0.001, 0.0001], rel=0.35)


def test_batch_norm_learns_from_training_batches_and_from_no_other(sets):
    modes = []

    def objective(model, inputs, labels):
        modes.append({module.training for module in model.modules()})
        return training.cross_entropy(model, inputs, labels)

    model = small.network()
    training.train(model, *sets, small.settings(epochs=2), objective=objective)
    assert modes == [{True}] * 8
    assert int(model[1].num_batches_tracked) == 8


def test_momenta_from_a_checkpoint_lie_as_their_weights():
    layer = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9)
    values = torch.arange(108.0).view(4, 3, 3, 3)
    optimizer.state[layer.weight]["momentum_buffer"] = values
    _lay_out(optimizer, torch.channels_last)
    momentum = optimizer.state[layer.weight]["momentum_buffer"]
    assert momentum.stride() == layer.weight.stride()
    assert torch.equal(momentum, values)


def test_every_full_batch_is_seen_once_and_the_short_one_left_out(sets):
    seen = []

    def objective(model, inputs, labels):
        seen.append(inputs.sum((1, 2, 3)))
        return training.cross_entropy(model, inputs, labels)

    training.train(small.network(), *sets, small.settings(epochs=2, augment=False), objective=objective)
    assert [len(batch) for batch in seen] == [50] * 8
    first, second = torch.cat(seen[:4]), torch.cat(seen[4:])
    all_sums = sets[0].inputs().sum((1, 2, 3))
    assert torch.isin(first, all_sums).all()
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"settings": small.settings(lr=0.01)}, r"lr \(0\.05 in the checkpoint, 0\.01 now\)"),
        (lambda a: a | {"settings": small.settings(epochs=7)}, r"epochs \(6 in the checkpoint, 7 now\)"),
        (lambda a: a | {"batch_seed": 1}, r"batch_seed \(0 in the checkpoint, 1 now\)"),
        (lambda a: a | {"model": small.network(1)}, r"different: initial weights \(SHA-256"),
        (lambda a: a | {"train_set": a["train_set"].take(range(60, 220))}, r"training data \(digits, SHA-256"),
        (
            lambda a: a | {"model": networks.build("lenet", channels=1, seed=0)},
            r"architecture \(Sequential in the checkpoint, lenet now\)",
        ),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(sets, tmp_path, change, message):
    asked = {"model": small.network(), "train_set": sets[0], "test_set": sets[1], "settings": small.settings()}
    checkpoint = tmp_path / "c.safetensors"
    with pytest.raises(InterruptedTrainingError):
        training.train(**asked, checkpoint=checkpoint, objective=stop_after(9))
    with pytest.raises(NetalikeError, match=message) as caught:
        training.train(**change(asked | {"model": small.network()}), checkpoint=checkpoint)
    assert "remove the file to train from the start" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_refused(sets, tmp_path, content):
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadFileError, match="not a readable checkpoint"):
        training.train(small.network(), *sets, small.settings(), checkpoint=path)


def test_weights_are_no_checkpoint(sets, tmp_path):
    path = tmp_path / "weights.safetensors"
    networks.save(small.network(), path, networks.Card("lenet"))
    with pytest.raises(BadFileError, match="not a training checkpoint of netalike"):
        training.train(small.network(), *sets, small.settings(), checkpoint=path)


def test_fewer_images_than_a_batch_are_refused(sets):
    with pytest.raises(NetalikeError, match=r"digits \(train\) has 220 images, fewer than one batch of 256"):
        training.train(small.network(), *sets, small.settings(batch_size=256))


def test_divergence_stops_with_epoch_step_and_learning_rate(sets):
    calls = 0

    def explode(model, inputs, labels):
        nonlocal calls
        calls += 1
        loss, logits = training.cross_entropy(model, inputs, labels)
        return (loss * float("nan") if calls == 11 else loss), logits

    message = r"loss is nan in epoch 3, step 3, at learning rate 0\.005: .*ten times smaller"
    with pytest.raises(NetalikeError, match=message):
        training.train(small.network(), *sets, small.settings(), objective=explode)


def test_a_network_that_does_not_fit_is_refused_before_it_is_trained(sets):
    model = networks.build("lenet", channels=1, classes=5, seed=0)
    with pytest.raises(ShapeError, match="5 classes, but the data set has a label 9"):
        training.train(model, *sets, small.settings())
    with pytest.raises(ShapeError, match="lenet takes images of shape"):
        training.train(networks.build("lenet", seed=0), *sets, small.settings())


def test_frozen_parameters_stay_and_nothing_but_frozen_ones_is_refused(sets):
    model = small.network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    training.train(model, *sets, small.settings(epochs=1))
    assert torch.equal(model[0].weight, before)
    with pytest.raises(NetalikeError, match="nothing to train"):
        training.train(small.network().requires_grad_(False), *sets, small.settings())


def test_progress_is_shown_only_on_demand_where_there_is_no_terminal(sets, capsys):
    training.train(small.network(), *sets, small.settings(epochs=1))
    assert capsys.readouterr().err == ""
    training.train(small.network(), *sets, small.settings(epochs=1), progress=True)
    captured = capsys.readouterr()
    assert "4/4" in captured.err
    assert captured.out == ""


def test_no_generator_is_shared_between_epochs_and_seeds():
    seeds = {
        epoch_seed(batch_seed, epoch, stream) for batch_seed in range(20) for epoch in range(20) for stream in (0, 1)
    }
    assert len(seeds) == 800
