"""PGD: within its ball, no weaker with more steps, the update of the formulas and of robustness, no traces."""

import importlib
import sys
import types

import pytest
import torch
from torch import nn
from torch.nn import functional

from netalike import data, networks
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.networks.pixels import PixelNetwork, pixel_network, pixels
from netalike.networks.torchvision_import import torchvision
from netalike.training.adversarial import pgd, robust_accuracy


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", "test", limit=48)


@pytest.fixture(scope="module")
def model(digits):
    """Has batch norm and dropout, so that the mode shows."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 5, stride=3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(600, 10)
    )
    network(torch.randn(64, 1, 32, 32))  # statistics that are not 0 and 1
    return pixel_network(network, digits.spec)


@pytest.fixture(scope="module")
def images(digits):
    return pixels(digits)


def losses(model, images, labels):
    with torch.no_grad():
        return functional.cross_entropy(model.eval()(images), labels, reduction="none")


def lengths(change, constraint):
    return change.flatten(1).norm(dim=1, p=2 if constraint == "2" else float("inf"))


# ---- images of pixels ------------------------------------------------------------------------------------------------


def test_pixels_give_the_logits_of_the_normalised_images_bit_for_bit(digits, model, images):
    assert float(images.min()) == 0
    assert float(images.max()) == 1
    assert images.shape == (48, 1, 32, 32)
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(images), model.network(digits.inputs()))
    assert model.architecture == "Sequential"
    assert pixel_network(networks.build("mlp", 1), digits.spec).architecture == "mlp"


def test_the_network_of_pixels_keeps_the_mode_of_the_network_it_shares(digits):
    network = networks.build("mlp", 1).eval()
    wrapped = pixel_network(network, digits.spec)
    assert not wrapped.training
    assert wrapped.network is network
    spec = data.DatasetSpec("mine", 1, ("a",), None, None, "none", (), "", "")
    with pytest.raises(NetalikeError, match=r"mine: mean and std are known only after loading"):
        pixel_network(network, spec)


# ---- laws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constraint", ["2", "inf"])
def test_without_a_radius_the_images_stay_as_they_are(model, images, digits, constraint):
    assert torch.equal(pgd(model, images, digits.labels, eps=0, constraint=constraint), images)
    clean, robust = robust_accuracy(model, images, digits.labels, 0, constraint)
    assert clean == robust


@pytest.mark.parametrize(("constraint", "eps"), [("2", 0.3), ("2", 4.0), ("inf", 0.02), ("inf", 0.3)])
@pytest.mark.parametrize("random_start", [False, True])
def test_the_change_is_within_eps_and_pixels_stay_pixels(model, images, digits, constraint, eps, random_start):
    found = pgd(
        model,
        images,
        digits.labels,
        eps=eps,
        constraint=constraint,
        random_start=random_start,
        generator=torch.Generator().manual_seed(0),
    )
    change = lengths(found - images, constraint)
    assert float(change.max()) <= eps * (1 + 1e-5)
    assert float(change.median()) > 0.6 * eps
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert not found.requires_grad


@pytest.mark.parametrize("constraint", ["2", "inf"])
def test_more_steps_of_one_length_never_lower_a_loss(model, images, digits, constraint):
    options = {"eps": 1.0, "step_size": 0.7} if constraint == "2" else {"eps": 0.1, "step_size": 0.07}
    before = losses(model, images, digits.labels)
    rises = 0
    for steps in (1, 2, 3, 5, 9):
        found = pgd(model, images, digits.labels, constraint=constraint, steps=steps, **options)
        after = losses(model, found, digits.labels)
        assert bool((after >= before - 1e-6).all())
        rises += int((after > before).sum())
        before = after
    assert rises > 48


def test_the_last_iterate_may_be_worse_than_the_best(model, images, digits):
    options = {"eps": 2.0, "steps": 6, "step_size": 3.0}
    best, last = (pgd(model, images, digits.labels, use_best=use, **options) for use in (True, False))
    difference = losses(model, best, digits.labels) - losses(model, last, digits.labels)
    assert float(difference.min()) >= -1e-6
    assert float(difference.max()) > 0.01


def test_images_of_a_batch_do_not_matter_to_each_other(model, images, digits):
    whole = pgd(model, images, digits.labels, eps=1.0)
    parts = [pgd(model, images[i : i + 7], digits.labels[i : i + 7], eps=1.0) for i in range(0, 48, 7)]
    torch.testing.assert_close(torch.cat(parts), whole, atol=2e-5, rtol=0)


def test_the_same_call_gives_the_same_bits(model, images, digits):
    def call(seed):
        return pgd(
            model,
            images,
            digits.labels,
            eps=1.0,
            random_start=True,
            generator=torch.Generator().manual_seed(seed),
        )

    assert torch.equal(call(1), call(1))
    assert not torch.equal(call(1), call(2))


@pytest.mark.parametrize("constraint", ["2", "inf"])
def test_I1_a_zero_gradient_moves_nothing_instead_of_becoming_nan(images, digits, constraint):
    dead = nn.Sequential(nn.Flatten(), nn.Linear(1024, 5), nn.ReLU(), nn.Linear(5, 10))
    with torch.no_grad():
        dead[1].bias.fill_(-1e6)
    found = pgd(dead, images, digits.labels, eps=1.0, constraint=constraint)
    assert torch.equal(found, images)


def test_modes_gradients_weights_and_random_state_are_left_alone(model, images, digits):
    model.train()
    model.network[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    pgd(model, images, digits.labels, eps=1.0)
    robust_accuracy(model, images, digits.labels, 1.0, steps=2)
    assert model.training
    assert model.network[3].training
    assert not model.network[1].training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_network_is_run_once_per_gradient(model, images, digits):
    calls = []
    hook = model.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    pgd(model, images, digits.labels, eps=1.0, steps=5)
    assert calls.count(len(images)) == 6  # the sixth finds the loss of the last iterate
    pgd(model, images, digits.labels, eps=1.0, steps=5, use_best=False)
    assert calls.count(len(images)) == 11
    robust_accuracy(model, images, digits.labels, 1.0, steps=5)
    hook.remove()
    assert calls.count(len(images)) == 17


# ---- twins -----------------------------------------------------------------------------------------------------------


def plain_pgd(model, image, label, eps, constraint, steps, start=None):
    """The formulas, for one image."""
    size = 2.5 * eps / steps
    x, best_loss, best = (image if start is None else start).clone(), None, None
    for step in range(steps + 1):
        x = x.detach().requires_grad_(True)
        loss = -torch.log_softmax(model(x[None]), 1)[0, label]
        if best_loss is None or loss.item() > best_loss:
            best_loss, best = loss.item(), x.detach().clone()
        if step == steps:
            return best
        gradient = torch.autograd.grad(loss, x)[0]
        if constraint == "2":
            moved = x.detach() + size * gradient / (gradient.norm() + 1e-10) - image
            moved = moved if moved.norm() <= eps else moved * eps / moved.norm()
        else:
            moved = torch.clamp(x.detach() + size * gradient.sign() - image, -eps, eps)
        x = torch.clamp(image + moved, 0, 1)
    return None


@pytest.mark.parametrize(("constraint", "eps", "steps"), [("2", 0.5, 7), ("2", 3.0, 5), ("inf", 0.05, 7)])
def test_agrees_with_a_plain_transcription_of_the_update(model, images, digits, constraint, eps, steps):
    model.double().eval()
    try:
        found = pgd(model, images[:8].double(), digits.labels[:8], eps=eps, constraint=constraint, steps=steps)
        for row in range(8):
            expected = plain_pgd(model, images[row].double(), int(digits.labels[row]), eps, constraint, steps)
            torch.testing.assert_close(found[row], expected, atol=1e-9, rtol=0)
    finally:
        model.float()


@pytest.fixture
def attacker(monkeypatch):
    """robustness's Attacker, made to work without CUDA and with today's torchvision."""
    torchvision()
    stand_in = types.ModuleType("torchvision.models.utils")
    stand_in.load_state_dict_from_url = None
    monkeypatch.setitem(sys.modules, "torchvision.models.utils", stand_in)
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self, *_args, **_options: self)
    try:
        return importlib.import_module("robustness.attacker").Attacker
    except ImportError as error:
        pytest.skip(f"robustness cannot be imported: {error}")


@pytest.mark.parametrize(
    ("constraint", "eps", "use_best"), [("2", 0.5, True), ("2", 2.0, False), ("inf", 0.05, True), ("inf", 0.2, False)]
)
def test_agrees_with_the_library_robustness(attacker, model, images, digits, constraint, eps, use_best):
    model.eval()
    statistics = types.SimpleNamespace(mean=model.mean.flatten(), std=model.std.flatten())
    expected = attacker(model.network, statistics)(
        images,
        digits.labels,
        constraint=constraint,
        eps=eps,
        step_size=2.5 * eps / 7,
        iterations=7,
        use_best=use_best,
    )
    found = pgd(model, images, digits.labels, eps=eps, constraint=constraint, use_best=use_best)
    assert float((expected - images).abs().max()) > 0.01
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("use_best", [True, False])
def test_robust_accuracy_is_that_of_the_attacked_images(model, images, digits, use_best):
    found = robust_accuracy(model, images, digits.labels, 1.0, "2", 4, use_best=use_best, batch_size=20)
    attacked = pgd(model, images, digits.labels, eps=1.0, steps=4, use_best=use_best)
    model.eval()
    with torch.no_grad():
        expected = [float((model(x).argmax(1) == digits.labels).double().mean()) for x in (images, attacked)]
    assert found == pytest.approx(expected)
    assert found.clean == found[0]


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"constraint": "l2"}, UnknownNameError, r"unknown constraint of an attack 'l2': expected one of 2, inf"),
        ({"eps": -1.0}, NetalikeError, r"eps is -1.0, expected a radius of 0 or more"),
        ({"steps": 0}, NetalikeError, r"0 steps .*: expected at least 1 step"),
        ({"step_size": -0.1}, NetalikeError, r"7 steps of length -0.1"),
        ({"random_start": True}, NetalikeError, r"a random start needs a generator"),
        ({"images": torch.full((2, 1, 32, 32), 2.0)}, NetalikeError, r"pixels from 2 to 2, expected \[0, 1\]"),
        ({"images": torch.full((2, 1, 32, 32), torch.nan)}, NetalikeError, r"pixels from nan to nan"),
        ({"images": torch.zeros(2, 32, 32)}, ShapeError, r"got \(2, 32, 32\) and \(2,\)"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, ShapeError, r"got \(2, 1, 32, 32\) and \(3,\)"),
    ],
)
def test_what_cannot_be_attacked_is_refused(model, changes, error, message):
    given = {"images": torch.zeros(2, 1, 32, 32), "labels": torch.zeros(2, dtype=torch.int64), "eps": 0.5} | changes
    with pytest.raises(error, match=message):
        pgd(model, **given)


def test_no_images_have_no_accuracy(model):
    with pytest.raises(NetalikeError, match="0 images in batches of 250"):
        robust_accuracy(model, torch.zeros(0, 1, 32, 32), torch.zeros(0, dtype=torch.int64), 1.0)


def test_a_network_with_too_few_logits_is_refused(images, digits):
    few = PixelNetwork(networks.build("mlp", 1, classes=10), (0.0,), (1.0,))
    with pytest.raises(ShapeError, match="a label 11"):
        robust_accuracy(few, images, digits.labels + 2, 0.0)
