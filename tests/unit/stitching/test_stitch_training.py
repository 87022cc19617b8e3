"""Training a stitching layer: only it learns, and it ends the same, kept or anew, interrupted or not."""

import copy
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from netalike import data, measures, networks, training
from netalike.errors import BadFileError, NetalikeError, ShapeError
from netalike.stitching import targets
from netalike.stitching import training as stitch_training
from netalike.stitching.least_squares import fit
from netalike.stitching.settings import Settings
from netalike.stitching.splitting import split
from netalike.stitching.training import train_stitch
from netalike.stitching.transform import StitchingLayer, initial

LAYER = "4"  # of `network`: the second batch norm


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(seed=0, channels=8):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, stride=3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, channels, 3),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * channels, 10),
    )


def digits():
    return data.load("digits", "train", limit=220), data.load("digits", "test", limit=100)


def settings(**changes):
    return Settings(**({"epochs": 3, "batch_size": 50, "lr": 0.01, "augment": False, "save_frequency": 1} | changes))


def layer(seed=1, shapes=((8, 8, 8), (8, 8, 8)), **options):
    return StitchingLayer(*shapes, generator=torch.Generator().manual_seed(seed), **options)


def same(a, b):
    return all(torch.equal(value, b.state_dict()[key]) for key, value in a.state_dict().items())


@pytest.fixture(scope="module")
def sets():
    return digits()


@pytest.fixture(scope="module")
def pair(sets):
    """Two networks that know the digits, split at the second batch norm."""
    models = [network(seed) for seed in (0, 1)]
    for seed, model in enumerate(models):
        training.train(model, *sets, training.Settings(epochs=5, batch_size=20, lr=0.02), batch_seed=seed)
    return [split(model, LAYER) for model in models]


@pytest.fixture(scope="module")
def tiny(sets):
    """Networks of an own architecture, which run channels last."""
    return [split(networks.build("tiny10", channels=1, seed=seed).eval(), "bn3") for seed in (0, 1)]


class InterruptedTrainingError(Exception):
    pass


@pytest.fixture
def stop_after(monkeypatch):
    """Let so many steps of training through, then break off."""
    plain = stitch_training.objective

    def install(steps):
        left = itertools.count(steps - 1, -1)

        def stopping(*arguments):
            if next(left) < 0:
                raise InterruptedTrainingError
            return plain(*arguments)

        monkeypatch.setattr(stitch_training, "objective", stopping)

    return install


def whole_loss(front, end, stitching_layer, images):
    """Cross-entropy of the stitched network on a whole set, written out."""
    with torch.no_grad():
        logits = end.tail(stitching_layer(front.head(images.inputs())))
        return float(nn.functional.cross_entropy(logits, images.labels))


def test_training_from_least_squares_improves_the_loss(pair, sets):
    weight, bias = fit(*pair, sets[0]).affine()
    start = StitchingLayer.from_matrix(weight, bias)
    trained = copy.deepcopy(start)
    history = train_stitch(*pair, trained, *sets, settings(epochs=6, batch_size=20))
    before, after = (whole_loss(*pair, one, sets[0]) for one in (start, trained))
    assert after < 0.8 * before
    assert history.test_accuracy[-1] > 0.7
    assert history.test_loss[-1] == pytest.approx(whole_loss(*pair, trained, sets[1]), rel=1e-5)


def test_training_from_random_learns(pair, sets):
    trained = layer()
    start = whole_loss(*pair, trained, sets[0])
    train_stitch(*pair, trained, *sets, settings(epochs=6, batch_size=20))
    assert whole_loss(*pair, trained, sets[0]) < 0.7 * start


def test_one_step_is_that_of_two_whole_networks_with_hooks(pair, sets):
    """The way of the published code, as an independent twin: both networks in full, the output of a layer replaced."""
    one = sets[0].take(range(50))
    front, end = (copy.deepcopy(part.model).eval().requires_grad_(False) for part in pair)
    trained, twin = layer(), layer()
    kept = {}
    front[4].register_forward_hook(lambda module, inputs, output: kept.update(x=output))
    end[4].register_forward_hook(lambda module, inputs, output: twin(kept["x"]))
    front(one.inputs())
    loss = nn.functional.cross_entropy(end(one.inputs()), one.labels)
    loss.backward()
    history = train_stitch(*pair, trained, one, one, settings(epochs=1, lr=1e-2, optimizer="sgd"))
    assert history.train_loss[0] == pytest.approx(loss.item(), rel=1e-6)
    for name, parameter in twin.named_parameters():
        step = 1.9 * parameter.grad  # Nesterov's first step with momentum 0.9
        found = trained.get_parameter(name)
        torch.testing.assert_close(found, parameter.detach() - 1e-2 * step, rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_weights(pair, sets):
    trained = [layer() for _ in range(3)]
    for one, seed in zip(trained, (0, 0, 1), strict=True):
        train_stitch(*pair, one, *sets, settings(seed=seed, augment=True))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"target": "soft_12", "temperature": 2.0},
        {"target": "soft_2", "cka_reg": 1.0, "l1": 0.1},
        {"cka_reg": -1.0, "optimizer": "sgd"},
    ],
)
@pytest.mark.parametrize("which", ["pair", "tiny"])
def test_what_is_kept_gives_the_same_weights_as_what_is_computed_anew(request, sets, which, changes):
    few = [images.take(range(96)) for images in sets]
    parts = request.getfixturevalue(which)
    shapes = [part.shape(few[0].inputs(0, 1)) for part in parts]
    kept, anew = layer(shapes=shapes), layer(shapes=shapes)
    asked = settings(epochs=2, batch_size=32, **changes)
    first = train_stitch(*parts, kept, *few, asked)
    second = train_stitch(*parts, anew, *few, asked, memory_gb=0)
    for key, value in kept.state_dict().items():
        torch.testing.assert_close(anew.state_dict()[key], value, rtol=1e-4, atol=1e-5)
    assert second.train_loss == pytest.approx(first.train_loss, rel=1e-4)
    assert second.test_loss == pytest.approx(first.test_loss, rel=1e-4)


def test_the_frozen_networks_run_once_where_nothing_changes(pair, sets, monkeypatch):
    seen = []
    look = stitch_training.Pair.look
    monkeypatch.setattr(stitch_training.Pair, "look", lambda self, x, y: seen.append(len(x)) or look(self, x, y))
    train_stitch(*pair, layer(), *sets, settings(epochs=4))
    # a look at the shapes, one image to know the size, then every image once; twice over, for two sets
    assert sum(seen) == 32 + 1 + 220 + 1 + 100
    seen.clear()
    train_stitch(*pair, layer(), *sets, settings(epochs=4, augment=True))
    assert sum(seen) == 32 + 1 + 100 + 4 * 200


def test_the_memory_limit_is_kept(pair, sets):
    with stitch_training.frozen(*pair, torch.device("cpu")) as layouts:
        one = stitch_training.Pair(*pair, frozenset({"end_logits"}), torch.device("cpu"), layouts)
        size = 220 * (8 * 8 * 8 + 10) * 4
        recording = stitch_training.record(one, sets[0], size, 64)
        assert recording.bytes == size
        assert stitch_training.record(one, sets[0], size - 1, 64) is None


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("augment", [True, False])
def test_an_interrupted_training_ends_with_the_same_weights(pair, sets, tmp_path, stop_after, optimizer, augment):
    asked = settings(optimizer=optimizer, augment=augment, weight_decay=1e-3)
    expected, first, resumed = layer(), layer(), layer()
    whole = train_stitch(*pair, expected, *sets, asked)
    checkpoint = tmp_path / "checkpoint.safetensors"
    stop_after(9)  # 4 steps an epoch
    with pytest.raises(InterruptedTrainingError):
        train_stitch(*pair, first, *sets, asked, checkpoint=checkpoint)
    assert checkpoint.exists()
    stop_after(4)  # no more than that is left
    history = train_stitch(*pair, resumed, *sets, asked, checkpoint=checkpoint, keep_checkpoint=False)
    assert same(resumed, expected)
    assert history == whole
    assert list(history.snapshots) == list(whole.snapshots)
    for step, parts in whole.snapshots.items():
        assert all(torch.equal(a, b) for a, b in zip(parts, history.snapshots[step], strict=True)), step
    assert not checkpoint.exists()


@pytest.mark.parametrize("options", [{"rank": 3}, {"mask": torch.eye(8)}, {"flatten": True}])
def test_every_kind_of_layer_resumes(pair, sets, tmp_path, stop_after, options):
    few = [images.take(range(100)) for images in sets]
    expected, first, resumed = (layer(**options) for _ in range(3))
    whole = train_stitch(*pair, expected, *few, settings())
    stop_after(3)
    with pytest.raises(InterruptedTrainingError):
        train_stitch(*pair, first, *few, settings(), checkpoint=tmp_path / "c")
    stop_after(4)
    assert train_stitch(*pair, resumed, *few, settings(), checkpoint=tmp_path / "c") == whole
    assert same(resumed, expected)


def test_a_killed_training_ends_with_the_same_weights(sets, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, __file__, checkpoint], env=environment)
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert checkpoint.exists()
    resumed, expected = layer(), layer()
    history = train_stitch(*untrained(), resumed, *sets, settings(epochs=6), checkpoint=checkpoint)
    assert train_stitch(*untrained(), expected, *sets, settings(epochs=6)) == history
    assert same(resumed, expected)


def untrained():
    return [split(network(seed), LAYER) for seed in (0, 1)]


def test_the_networks_stay_as_they_are(sets):
    """Weights, batch statistics, gradients, modes and hooks (B9, B16), of networks that come in training mode."""
    parts = untrained()
    parts[0].model[0].weight.requires_grad_(False)
    before = [copy.deepcopy(part.model.state_dict()) for part in parts]
    trained = layer()
    train_stitch(*parts, trained, *sets, settings(augment=True, target="soft_12", cka_reg=0.1))
    for part, state in zip(parts, before, strict=True):
        for key, value in part.model.state_dict().items():
            assert torch.equal(value, state[key]), key
        assert all(module.training for module in part.model.modules())
        assert all(parameter.grad is None for parameter in part.model.parameters())
        assert not any(module._forward_hooks for module in part.model.modules())
    assert [p.requires_grad for p in parts[0].model.parameters()] == [False] + [True] * 9
    assert all(parameter.requires_grad for parameter in trained.parameters())


def test_own_networks_keep_their_layout(tiny, sets):
    few = [images.take(range(40)) for images in sets]
    train_stitch(*tiny, layer(shapes=[(32, 13, 13)] * 2), *few, settings(epochs=1, batch_size=20))
    assert all(parameter.is_contiguous() for part in tiny for parameter in part.model.parameters())
    assert all(parameter.requires_grad for part in tiny for parameter in part.model.parameters())


def test_b1_before_is_not_after(pair, sets):
    trained = layer()
    start = trained.weight.detach().clone()
    history = train_stitch(*pair, trained, *sets, settings())
    assert torch.equal(history.before[0], start)
    assert torch.equal(history.after[0], trained.weight)
    assert (history.after[0] - history.before[0]).abs().max() > 0.01
    assert (history.after[1] - history.before[1]).abs().max() > 0.001
    kept = history.after[0].clone()
    with torch.no_grad():
        trained.weight.zero_()
    assert torch.equal(history.after[0], kept)


@pytest.mark.parametrize(("frequency", "steps"), [(1, [0, 3, 6, 9, 12]), (2, [0, 6, 12]), (3, [0, 9, 12])])
def test_b23_snapshots_come_every_frequency_times_epochs_steps_and_at_the_end(pair, sets, frequency, steps):
    history = train_stitch(*pair, layer(), *sets, settings(save_frequency=frequency))
    assert list(history.snapshots) == steps


def test_the_published_number_of_snapshots():
    """30 epochs of 390 steps: every 300, 40 with the first."""
    asked = Settings()
    every = asked.save_frequency * asked.epochs
    assert len(range(0, 30 * 390 + 1, every)) == 40


def test_the_history_has_every_epoch(pair, sets):
    trained = layer()
    history = train_stitch(*pair, trained, *sets, settings())
    rows = history.rows()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["learning_rate"] for row in rows] == [training.learning_rate(settings(), epoch) for epoch in range(3)]
    assert sorted(rows[0]) == ["epoch", "learning_rate", "test_accuracy", "test_loss", "train_accuracy", "train_loss"]
    with torch.no_grad():
        logits = pair[1].tail(trained(pair[0].head(sets[1].inputs())))
    assert history.test_accuracy[-1] == int((logits.argmax(1) == sets[1].labels).sum()) / 100


def test_cka_regularisation_pushes_cka_down_or_up(pair, sets):
    weight, bias = fit(*pair, sets[0]).affine()
    found = {}
    for factor in (-3.0, 0.0, 3.0):
        trained = StitchingLayer.from_matrix(weight, bias)
        train_stitch(*pair, trained, *sets, settings(epochs=6, batch_size=20, cka_reg=factor))
        with torch.no_grad():
            inputs = sets[1].inputs()
            own, output = pair[1].head(inputs), trained(pair[0].head(inputs))
        found[factor] = measures.cka(own, output, estimator="biased")
    assert found[3.0] < found[0.0] - 0.1
    assert found[-3.0] > found[0.0]


def test_the_loss_is_the_sum_of_its_parts(pair, sets):
    one = sets[0].take(range(50))
    asked = settings(epochs=1, cka_reg=0.7, l1=2.0, target="soft_2", temperature=2.0)
    trained = layer()
    with torch.no_grad():
        own, output = pair[1].head(one.inputs()), trained(pair[0].head(one.inputs()))
        soft = targets.soft_cross_entropy(pair[1].tail(output), pair[1].tail(own), 2.0)
        expected = soft + 2.0 * trained.weight.abs().mean() + 0.7 * targets.linear_cka(own, output)
    history = train_stitch(*pair, trained, one, one, asked)
    assert history.train_loss[0] == pytest.approx(float(expected), rel=1e-5)
    with torch.no_grad():  # the test loss is the target's alone
        output = pair[1].tail(trained(pair[0].head(one.inputs())))
        soft = targets.soft_cross_entropy(output, pair[1].tail(own), 2.0)
    assert history.test_loss[0] == pytest.approx(float(soft), rel=1e-5)


def test_l1_is_of_the_mean_of_the_weights_and_not_of_their_sum_or_the_bias(pair, sets):
    """Its gradient is l1 sign(W) / (number of weights); Nesterov's first step is 1.9 times as long."""
    one = sets[0].take(range(50))
    plain, sparse, start = layer(), layer(), layer()
    for trained, l1 in ((plain, 0.0), (sparse, 3.0)):
        train_stitch(*pair, trained, one, one, settings(epochs=1, lr=0.1, optimizer="sgd", l1=l1))
    expected = plain.weight - 1.9 * 0.1 * 3.0 * start.weight.sign() / 64
    torch.testing.assert_close(sparse.weight, expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(sparse.bias, plain.bias)


def test_a_mask_stays_through_training(pair, sets):
    mask = torch.eye(8)
    trained = layer(mask=mask)
    train_stitch(*pair, trained, *sets, settings(optimizer="adam", weight_decay=0.1))
    assert torch.equal(trained.weight * (1 - mask), torch.zeros(8, 8))
    assert (trained.weight.diagonal() != 0).all()


def test_a_rank_stays_through_training(pair, sets):
    trained = layer(rank=2)
    history = train_stitch(*pair, trained, *sets, settings())
    assert torch.linalg.matrix_rank(trained.weight) == 2
    torch.testing.assert_close(history.after[0], trained.weight.detach())


def test_b8_flattened_layers_and_vectors_are_trained(pair, sets):
    flat = layer(flatten=True)
    history = train_stitch(*pair, flat, *sets, settings())
    assert history.train_loss[-1] < history.train_loss[0]
    assert history.after[0].shape == (512, 512)
    parts = [split(part.model, "6") for part in pair]
    vectors = layer(shapes=[(512,), (512,)])
    history = train_stitch(*parts, vectors, *sets, settings())
    assert history.train_loss[-1] < history.train_loss[0]


def test_a_stitch_of_a_network_with_itself_by_the_identity_is_the_network(tiny, sets):
    model = tiny[0].model
    weight, bias = initial("identity", 32, 32, torch.Generator())
    trained = StitchingLayer.from_matrix(weight, bias)
    few = sets[1].take(range(60))
    history = train_stitch(tiny[0], tiny[0], trained, few, few, settings(epochs=1, lr=1e-9, batch_size=20))
    own = networks.evaluate(model, few)
    assert history.test_accuracy == [own.accuracy]
    assert history.test_loss == [pytest.approx(own.loss, rel=1e-6)]


def test_maps_of_another_size_are_refused_unless_they_are_resized(sets):
    parts = [split(networks.build("tiny10", channels=1, seed=0), name) for name in ("bn5", "bn3")]
    few = [images.take(range(40)) for images in sets]
    trained = layer(shapes=[(32, 9, 9), (32, 13, 13)])
    with pytest.raises(ShapeError, match=r"\(32, 9, 9\) for an image and the end layer \(32, 13, 13\)"):
        train_stitch(*parts, trained, *few, settings(batch_size=20))
    with torch.no_grad():
        maps = nn.functional.interpolate(parts[0].head(few[1].inputs()), (13, 13), mode="bilinear")
        logits = parts[1].tail(trained(maps))
    start = float(nn.functional.cross_entropy(logits, few[1].labels))
    for augment in (False, True):
        asked = settings(batch_size=20, epochs=1, lr=1e-9, augment=augment)
        history = train_stitch(*parts, trained, *few, asked, resize=True)
        assert history.test_loss[0] == pytest.approx(start, rel=1e-5)


def test_a_layer_that_does_not_fit_is_refused(pair, sets):
    with pytest.raises(ShapeError, match=r"makes \(5, 8, 8\) of .* \(8, 8, 8\), but the end layer has \(8, 8, 8\)"):
        train_stitch(*pair, layer(shapes=[(8, 8, 8), (5, 8, 8)]), *sets, settings())
    with pytest.raises(ShapeError, match=r"takes \(n, 4, h, w\), got an activation"):
        train_stitch(*pair, layer(shapes=[(4, 8, 8), (8, 8, 8)]), *sets, settings())


def test_bad_input_is_refused_with_one_message(pair, sets):
    with pytest.raises(NetalikeError, match=r"digits \(train\) has 220 images, fewer than one batch of 300"):
        train_stitch(*pair, layer(), *sets, settings(batch_size=300))
    with pytest.raises(NetalikeError, match="has no images to evaluate on"):
        train_stitch(*pair, layer(), sets[0], sets[1].take([]), settings())
    constant = layer()
    with torch.no_grad():
        constant.weight.zero_()
    with pytest.raises(NetalikeError, match=r"CKA regularisation is undefined .* layer 4"):
        train_stitch(*pair, constant, *sets, settings(cka_reg=1.0))


def test_divergence_stops_with_epoch_step_and_learning_rate(pair, sets, monkeypatch):
    plain, calls = stitch_training.objective, []

    def explode(*arguments):
        calls.append(1)
        loss, logits = plain(*arguments)
        return (loss * float("nan") if len(calls) == 7 else loss), logits

    monkeypatch.setattr(stitch_training, "objective", explode)
    with pytest.raises(NetalikeError, match=r"loss is nan in epoch 2, step 3, at learning rate 0\.001"):
        train_stitch(*pair, layer(), *sets, settings())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"settings": settings(lr=0.02)}, r"lr \(0\.01 in the checkpoint, 0\.02 now\)"),
        (lambda a: a | {"settings": settings(target="soft_2")}, r"target \(hard in the checkpoint, soft_2 now\)"),
        (lambda a: a | {"layer": layer(2)}, r"different: initial weights \(SHA-256"),
        (lambda a: a | {"front": a["end"]}, r"front network \(Sequential, layer 4, SHA-256"),
        (lambda a: a | {"end": split(a["end"].model, "3")}, r"end network \(Sequential, layer 4, .*layer 3"),
        (lambda a: a | {"train_set": a["train_set"].take(range(60, 220))}, r"training data \(digits, SHA-256"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(pair, sets, tmp_path, change, message):
    asked = {
        "front": pair[0],
        "end": pair[1],
        "layer": layer(),
        "train_set": sets[0],
        "test_set": sets[1],
        "settings": settings(),
    }
    train_stitch(**asked, checkpoint=tmp_path / "c")
    with pytest.raises(NetalikeError, match=message):
        train_stitch(**change(asked | {"layer": layer()}), checkpoint=tmp_path / "c")


def test_a_damaged_checkpoint_is_refused(pair, sets, tmp_path):
    (tmp_path / "c").write_bytes(b"not a checkpoint")
    with pytest.raises(BadFileError, match="not a readable checkpoint"):
        train_stitch(*pair, layer(), *sets, settings(), checkpoint=tmp_path / "c")


def test_progress_is_shown_only_on_demand_where_there_is_no_terminal(pair, sets, capsys):
    train_stitch(*pair, layer(), *sets, settings(epochs=1))
    assert capsys.readouterr().err == ""
    train_stitch(*pair, layer(), *sets, settings(epochs=1), progress=True)
    assert "4/4" in capsys.readouterr().err


if __name__ == "__main__":
    # Slow enough to be killed.
    fast = stitch_training.objective
    stitch_training.objective = lambda *arguments: time.sleep(0.1) or fast(*arguments)
    torch.set_num_threads(1)
    train_stitch(*untrained(), layer(), *digits(), settings(epochs=6), checkpoint=Path(sys.argv[1]))
