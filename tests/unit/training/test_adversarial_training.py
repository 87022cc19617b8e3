"""Adversarial training: robustness's defaults, the same weights every time and when interrupted, robust networks."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional

from netalike import data, networks
from netalike.errors import NetalikeError
from netalike.networks.pixels import pixel_network, pixels
from netalike.training import adversarial
from netalike.training.adversarial import AdversarialSettings, pgd, robust_accuracy, train_robust
from netalike.training.adversarial_networks import train_robust_network
from netalike.training.adversarial_settings import rate_at

METHODS = ["pgd", "fast", "free"]


class InterruptedTrainingError(Exception):
    pass


@pytest.fixture(scope="module")
def sets():
    return data.load("digits", "train", limit=220), data.load("digits", "test", limit=100)


def network(seed=0):
    """Everything that has a state: batch norm, dropout."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, stride=3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(600, 10)
    )


def settings(**changes):
    return AdversarialSettings(**({"eps": 0.5, "epochs": 4, "batch_size": 50, "lr": 0.02, "save_every": 1} | changes))


def same(a, b):
    return all(torch.equal(value, b.state_dict()[key]) for key, value in a.state_dict().items())


def interrupt_at(monkeypatch, epoch):
    original = adversarial._Run.epoch

    def run(self, current, bar):
        if current == epoch:
            raise InterruptedTrainingError
        return original(self, current, bar)

    monkeypatch.setattr(adversarial._Run, "epoch", run)


# ---- settings --------------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_robustness_for_cifar10():
    assert AdversarialSettings(eps=0.5).model_dump() == {
        "epochs": 150,
        "batch_size": 128,
        "lr": 0.1,
        "weight_decay": 5e-4,
        "optimizer": "sgd",
        "augment": True,
        "save_every": 10,
        "eps": 0.5,
        "constraint": "2",
        "method": "pgd",
        "steps": 7,
        "step_size": None,
        "random_start": False,
        "use_best": True,
        "schedule": "step",
        "momentum": 0.9,
    }


@pytest.mark.parametrize(
    ("changes", "steps", "size"),
    [
        ({}, 7, 2.5 * 0.7 / 7),
        ({"steps": 3}, 3, 2.5 * 0.7 / 3),
        ({"method": "fast"}, 1, 1.25 * 0.7),
        ({"method": "free"}, 7, 0.7),
        ({"method": "free", "step_size": 0.2}, 7, 0.2),
    ],
)
def test_the_attack_of_each_method(changes, steps, size):
    given = AdversarialSettings(eps=0.7, **changes)
    assert given.attack_steps == steps
    assert given.attack_step_size == pytest.approx(size)


def test_the_learning_rate_falls_in_steps_or_rises_and_falls():
    step = AdversarialSettings(eps=0, epochs=150)
    assert [rate_at(step, epoch, 0.9) for epoch in (0, 49, 50, 99, 100, 149)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )
    cyclic = AdversarialSettings(eps=0, epochs=15, schedule="cyclic", lr=0.2)
    assert [rate_at(cyclic, 0), rate_at(cyclic, 2), rate_at(cyclic, 4), rate_at(cyclic, 9, 0.5)] == pytest.approx(
        [0, 0.1, 0.2, 0.1]
    )
    assert rate_at(cyclic, 14, 1.0) == pytest.approx(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eps": -1}, "eps\n.*greater than or equal to 0"),
        ({"constraint": "1"}, "constraint\n.*'2' or 'inf'"),
        ({"method": "trades"}, "method\n.*'pgd', 'free' or 'fast'"),
        ({"epsilon": 1}, "epsilon\n.*Extra inputs are not permitted"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        AdversarialSettings(**({"eps": 1} | changes))


# ---- training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_training_ends_with_the_same_weights(sets, tmp_path, monkeypatch, method):
    options = settings(method=method, steps=2)
    expected, first, resumed = network(), network(), network()
    history = train_robust(expected, *sets, options, seed=3)
    assert len(history) == 4

    with monkeypatch.context() as patch:
        interrupt_at(patch, 2)
        with pytest.raises(InterruptedTrainingError):
            train_robust(first, *sets, options, 3, tmp_path / "c.safetensors")
    epochs = []
    original = adversarial._Run.epoch
    monkeypatch.setattr(adversarial._Run, "epoch", lambda *args: epochs.append(args[1]) or original(*args))
    assert train_robust(resumed, *sets, options, 3, tmp_path / "c.safetensors", keep_checkpoint=False) == history
    assert epochs == [2, 3]
    assert same(resumed, expected)
    assert not (tmp_path / "c.safetensors").exists()


@pytest.mark.parametrize("architecture", ["mlp", "vgg_small", "resnet8", "mobile", "densenet_small"])
def test_each_architecture_resumes_to_the_same_weights(sets, tmp_path, monkeypatch, architecture):
    few = [images.take(range(32)) for images in sets]
    options = settings(epochs=2, batch_size=16, steps=2)
    expected, first, resumed = (networks.build(architecture, channels=1, seed=0) for _ in range(3))
    history = train_robust(expected, *few, options)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1)
        with pytest.raises(InterruptedTrainingError):
            train_robust(first, *few, options, checkpoint=tmp_path / "c")
    assert train_robust(resumed, *few, options, checkpoint=tmp_path / "c") == history
    assert same(resumed, expected)
    assert not resumed.training


@pytest.mark.parametrize("method", METHODS)
def test_the_same_call_gives_the_same_bits_whatever_the_state_of_pytorch(sets, method):
    few = [images.take(range(100)) for images in sets]
    options = settings(method=method, steps=2, epochs=1, random_start=True)
    results = []
    for state, seed in ((1, 5), (2, 5), (1, 6)):
        model = network()
        torch.manual_seed(state)
        before = torch.get_rng_state()
        train_robust(model, *few, options, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        results.append(model)
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_a_step_is_sgd_with_momentum_on_the_attacked_batch_alone(sets):
    """Two steps by hand: attack in eval mode, then cross-entropy of the attacked images in training mode."""
    few = [images.take(range(100)) for images in sets]
    options = settings(epochs=1, augment=False, weight_decay=0.01, momentum=0.5)
    plain = nn.Sequential(*(layer for layer in network() if not isinstance(layer, nn.Dropout)))
    model = nn.Sequential(*(layer for layer in network() if not isinstance(layer, nn.Dropout)))
    train_robust(model, *few, options, seed=1)

    wrapped = pixel_network(plain, few[0].spec)
    optimizer = torch.optim.SGD(plain.parameters(), 0.02, momentum=0.5, weight_decay=0.01)
    generator = torch.Generator().manual_seed(adversarial.epoch_seed(1, 0, adversarial.BATCHES))
    order = torch.randperm(100, generator=generator)
    for rows in (order[:50], order[50:]):
        labels = few[0].labels[rows]
        attacked = pgd(wrapped, pixels(few[0])[rows], labels, eps=0.5)
        optimizer.zero_grad()
        functional.cross_entropy(wrapped.train()(attacked), labels).backward()
        optimizer.step()
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value, atol=1e-5, rtol=0)


def test_free_training_moves_weights_and_images_by_one_gradient(sets):
    """Three replays by hand of one batch: the change of the images persists."""
    few = [images.take(range(50)) for images in sets]
    options = settings(epochs=1, augment=False, method="free", steps=3, weight_decay=0, momentum=0, eps=0.8)
    plain, model = (nn.Sequential(nn.Flatten(), nn.Linear(1024, 10)) for _ in range(2))
    model.load_state_dict(plain.state_dict())
    history = train_robust(model, *few, options, seed=1)

    wrapped = pixel_network(plain, few[0].spec)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(adversarial.epoch_seed(1, 0, 0)))
    clean, labels = pixels(few[0])[order], few[0].labels[order]
    x, losses = clean.clone(), []
    for _ in range(3):
        x = x.detach().requires_grad_(True)
        loss = functional.cross_entropy(wrapped(x), labels)
        gradients = torch.autograd.grad(loss, [x, *plain.parameters()])
        with torch.no_grad():
            for parameter, gradient in zip(plain.parameters(), gradients[1:], strict=True):
                parameter -= 0.02 * gradient
            lengths = gradients[0].flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            change = x + 0.8 * gradients[0] / (lengths + 1e-10) - clean
            x = (clean + change.renorm(2, 0, 0.8)).clamp(0, 1)
        losses.append(loss.item())
    assert losses[1] != pytest.approx(losses[0], rel=1e-3)
    assert history.train_loss == pytest.approx([sum(losses) / 3], rel=1e-5)
    torch.testing.assert_close(model[1].weight, plain[1].weight, atol=1e-5, rtol=0)


def test_without_a_radius_it_is_standard_training_on_the_images_themselves(sets):
    model, other = network(), network()
    history = train_robust(model, *sets, settings(eps=0))
    assert history == train_robust(other, *sets, settings(eps=0, method="fast"))
    assert same(model, other)
    assert history.train_loss[-1] < 0.7 * history.train_loss[0]


@pytest.fixture(scope="module")
def trained():
    """A standard and a robust network of each method, of the kind that is quickest to train."""
    sets = data.load("digits", "train"), data.load("digits", "test")
    options = {"epochs": 6, "batch_size": 64, "lr": 0.05, "schedule": "cyclic", "augment": False}
    found = {}
    for name, changes in {
        "standard": {"eps": 0},
        "pgd": {"eps": 1.0},
        "fast": {"eps": 1.0, "method": "fast"},
        "free": {"eps": 1.0, "method": "free", "steps": 3},
        "inf": {"eps": 0.08, "constraint": "inf"},
    }.items():
        model = networks.build("mlp", channels=1, seed=0)
        train_robust(model, *sets, AdversarialSettings(**options, **changes), seed=0)
        found[name] = pixel_network(model, sets[1].spec)
    return found, pixels(sets[1]), sets[1].labels


@pytest.mark.parametrize("name", METHODS)
def test_a_robust_network_is_more_robust_than_a_standard_one(trained, name):
    models, images, labels = trained
    standard = robust_accuracy(models["standard"], images, labels, 2.0)
    robust = robust_accuracy(models[name], images, labels, 2.0)
    assert standard.clean > 0.95
    assert robust.clean > 0.94
    assert standard.robust < 0.38
    assert robust.robust > standard.robust + 0.08


def test_a_network_robust_to_the_largest_change_is_so(trained):
    models, images, labels = trained
    standard = robust_accuracy(models["standard"], images, labels, 0.1, "inf")
    robust = robust_accuracy(models["inf"], images, labels, 0.1, "inf")
    assert robust.clean > 0.94
    assert robust.robust > standard.robust + 0.08


# ---- from a name to a card -------------------------------------------------------------------------------------------


def test_a_card_says_how_robust_the_network_is(sets, tmp_path):
    options = settings(epochs=2, eps=1.0)
    model, card, history = train_robust_network("mlp", sets, options, (3, 4), evaluate_eps=(0.5, 1.0))
    by_hand = networks.build("mlp", channels=1, classes=10, seed=3)
    assert train_robust(by_hand, *sets, options, 4) == history
    assert same(model, by_hand)
    assert (card.architecture, card.dataset, card.seed, card.batch_seed, card.epochs) == ("mlp", "digits", 3, 4, 2)
    assert card.accuracy == history.test_accuracy[-1]
    assert card.settings["eps"] == 1.0
    expected = [
        robust_accuracy(pixel_network(model, sets[1].spec), pixels(sets[1]), sets[1].labels, eps).robust
        for eps in (0.5, 1.0)
    ]
    assert card.settings["robust_accuracy"] == {"0.5": expected[0], "1": expected[1]}
    networks.save(model, tmp_path / "robust.safetensors", card)
    loaded, read = networks.load(tmp_path / "robust.safetensors")
    assert same(loaded, model)
    assert read.settings == card.settings


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_another_attack_is_refused(sets, tmp_path):
    few = [images.take(range(100)) for images in sets]
    train_robust(network(), *few, settings(epochs=1, steps=2), checkpoint=tmp_path / "c")
    with pytest.raises(NetalikeError, match=r"different: eps \(0.5 in the checkpoint, 1.0 now\), constraint \(2 .*inf"):
        train_robust(network(), *few, settings(epochs=1, steps=2, eps=1, constraint="inf"), checkpoint=tmp_path / "c")


def test_too_few_images_and_a_loss_that_explodes_are_refused(sets):
    with pytest.raises(NetalikeError, match="220 images, fewer than one batch of 500"):
        train_robust(network(), *sets, settings(batch_size=500))
    with pytest.raises(NetalikeError, match="training diverged"):
        train_robust(network(), *sets, settings(lr=1e20, steps=1))


def test_a_network_that_does_not_see_its_images_cannot_be_attacked(sets):
    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(10))

        def forward(self, x):
            return self.bias.expand(len(x), 10)

    few = [images.take(range(60)) for images in sets]
    for method in ("pgd", "free"):
        with pytest.raises(NetalikeError, match="the logits do not depend on the images"):
            train_robust(Blind(), *few, settings(method=method))
