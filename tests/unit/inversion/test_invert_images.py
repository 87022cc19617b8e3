"""Inversion: the published update to the letter, its safeguards, resumption, and the fast mode."""

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from netalike import inversion, networks
from netalike.errors import BadFileError, NetalikeError, ShapeError, UnknownNameError
from netalike.inversion import descent, invert
from netalike.inversion.fast import fast_iterations


class Small(nn.Module):
    """Convolution, batch norm, ReLU, pooling, linear layer; double precision, so that rounding does not grow."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(1, 6, 3, padding=1)
            self.bn = nn.BatchNorm2d(6)
            self.bn.running_mean.normal_()
            self.bn.running_var.uniform_(0.5, 2)
            self.pool = nn.AdaptiveAvgPool2d(3)
            self.fc = nn.Linear(54, 4)
        self.double()
        self.classified = 0

    def features(self, images):
        return self.pool(torch.relu(self.bn(self.conv(images)))).flatten(1)

    def forward(self, images):
        rep = self.features(images)
        logits = self.fc(rep)
        self.classified += 1
        return logits


def images(n=6, size=8, seed=0, channels=1):
    """Coarse patterns, each of its own brightness and contrast: far apart in any network."""
    generator = torch.Generator().manual_seed(seed)
    powers = 0.3 + 3 * torch.rand(n, 1, 1, 1, generator=generator)
    coarse = torch.rand(n, channels, 3, 3, generator=generator) ** powers
    return nn.functional.interpolate(coarse, size=(size, size), mode="bilinear").clamp(0.01, 0.99)


def transcription(model, seeds, targets, iterations, eps=1000.0):
    """The article's formulas, one image at a time, in double precision."""
    found, losses = [], []
    for seed, target in zip(seeds.double(), targets.double(), strict=True):
        rep_t = model.features(target[None]).detach()
        x, m, best, best_loss = seed.clone(), torch.zeros_like(seed), None, float("inf")
        for step in range(iterations + 1):
            x = x.detach().requires_grad_()
            loss = (model.features(x[None]) - rep_t).norm() / rep_t.norm()
            if loss.item() < best_loss:
                best, best_loss = x.detach(), loss.item()
            if step == iterations:
                break
            g = -torch.autograd.grad(loss, x)[0]
            g = g / g.norm()
            m = 0.9 * m + 0.1 * g
            delta = x.detach() + m / 8 - seed
            if delta.norm() > eps:
                delta = delta * eps / delta.norm()
            x = (seed + delta).clamp(0, 1)
        found.append(best)
        losses.append(best_loss)
    return torch.stack(found), np.array(losses)


@pytest.mark.parametrize("eps", [1000.0, 0.8])
def test_published_mode_is_the_published_update(eps):
    model, seeds, targets = Small().eval(), images(), images(seed=1)
    expected, losses = transcription(model, seeds, targets, 60, eps)
    found = inversion.invert_images(model, seeds, targets, iterations=60, eps=eps)
    assert (found.images - expected).abs().max() < 1e-6
    assert found.losses == pytest.approx(losses, rel=1e-4)
    assert found.iterations.tolist() == [60] * 6
    assert found.images.dtype == torch.float32
    assert found.layer == "input:fc"
    if eps < 1:
        assert (found.images - seeds).flatten(1).norm(dim=1).max() == pytest.approx(eps, abs=1e-4)


def test_folded_batch_norm_changes_rounding_and_nothing_else():
    model, seeds, targets = Small(), images(), images(seed=1)
    exact = inversion.invert_images(model, seeds, targets, iterations=60)
    folded = inversion.invert_images(model, seeds, targets, iterations=60, exact=False)
    assert (folded.images - exact.images).abs().max() < 1e-6


def test_I12_the_first_steps_are_a_tenth_as_long_and_none_is_longer_than_the_step_size():
    model, seeds, targets = Small(), images(), images(seed=1)
    inside = 0.25 + 0.5 * seeds  # far from the borders of the box
    for iterations, length in ((1, 0.1 / 8), (2, (0.1 + 0.19) / 8)):
        found = inversion.invert_images(model, inside, targets, iterations=iterations, use_best=False)
        moved = (found.images - inside).flatten(1).norm(dim=1)
        assert moved.max() <= length + 1e-6
        assert moved.min() > 0.9 * length


def test_the_best_so_far_never_rises_and_the_last_iterate_may_be_worse():
    model, seeds, targets = Small(), images(), images(seed=1)
    best = inversion.invert_images(model, seeds, targets, iterations=200)
    last = inversion.invert_images(model, seeds, targets, iterations=200, use_best=False)
    curve = best.curve
    assert curve.losses.shape == (201, 6)
    assert (np.diff(np.minimum.accumulate(curve.losses, 0), axis=0) <= 0).all()
    assert (np.diff(curve.best_mean) <= 0).all()
    assert (np.diff(curve.best_quantiles, axis=1) <= 0).all()
    assert (np.diff(curve.losses, axis=0) > 0).any(0).all()  # constant steps go up and down
    assert best.losses == pytest.approx(curve.losses.min(0))
    assert last.losses == pytest.approx(curve.losses[-1])
    assert (last.losses >= best.losses).all()
    assert best.seed_losses == pytest.approx(curve.losses[0])


def test_losses_belong_to_the_images_that_are_returned():
    model, seeds, targets = Small(), images(), images(seed=1)
    for mode in ("published", "fast"):
        found = inversion.invert_images(model, seeds, targets, iterations=200, mode=mode)
        reps, wanted = (inversion.represent(model, part) for part in (found.images, targets))
        losses = ((reps - wanted).norm(dim=1) / wanted.norm(dim=1)).numpy()
        assert found.losses == pytest.approx(losses, abs=1e-4)
        assert (found.losses < 0.5 * found.seed_losses).all()


def test_images_stay_in_the_box_and_in_the_ball():
    outside = descent.project(torch.tensor([[[[-0.5, 1.5]]]]), torch.tensor([[[[0.2, 0.9]]]]), 1000.0)
    assert outside.tolist() == [[[[0.0, 1.0]]]]
    near = descent.project(torch.full((1, 1, 2, 2), 0.9), torch.full((1, 1, 2, 2), 0.5), 0.4)
    assert (near - 0.5).norm().item() == pytest.approx(0.4, abs=1e-5)
    for mode in ("published", "fast"):
        found = inversion.invert_images(
            Small(), images(), images(seed=1), iterations=100, eps=0.5, mode=mode, use_best=False
        )
        assert 0 <= found.images.min() <= found.images.max() <= 1
        assert (found.images - images()).flatten(1).norm(dim=1).max() < 0.5 + 1e-4


class Dead(Small):
    """A representation that no pixel below 0.5 changes."""

    def features(self, images):
        return torch.relu(images.flatten(1) - 0.5)


@pytest.mark.parametrize("mode", ["published", "fast"])
def test_I1_a_gradient_of_zero_moves_nothing_and_harms_no_other_image(mode):
    model = Dead()
    model.fc = nn.Linear(64, 4).double()
    seeds, targets = images(3), images(3, seed=1)
    seeds[0] = 0.1  # dead for every pixel
    alone = inversion.invert_images(model, seeds[1:], targets[1:], iterations=40, mode=mode)
    found = inversion.invert_images(model, seeds, targets, iterations=40, mode=mode)
    assert torch.isfinite(found.images).all()
    assert torch.equal(found.images[0], seeds[0])
    assert found.losses[0] == found.seed_losses[0] == 1.0
    assert torch.equal(found.images[1:], alone.images)
    exact = inversion.invert_images(model, targets, targets, iterations=5, mode=mode)  # nothing to do
    assert torch.equal(exact.images, targets)
    assert exact.losses.tolist() == [0.0] * 3
    assert descent.unit_gradients(torch.zeros(1, 1, 2, 2)).tolist() == [[[[0.0, 0.0], [0.0, 0.0]]]]


def test_a_target_that_is_represented_by_zeros_has_no_loss():
    model = Dead()
    model.fc = nn.Linear(64, 4).double()
    seeds, targets = images(3), images(3, seed=1)
    targets[1] = 0.2
    found = inversion.invert_images(model, seeds, targets, iterations=20)
    assert np.isnan(found.losses).tolist() == [False, True, False]
    assert torch.equal(found.images[1], seeds[1])
    assert found.iterations.tolist() == [20, 0, 20]
    assert np.isfinite(found.curve.mean).all()
    none = inversion.invert_images(model, seeds, torch.full_like(seeds, 0.2), iterations=3)
    assert np.isnan(none.losses).all()
    assert torch.equal(none.images, seeds)


def test_I2_no_graph_is_held_and_no_parameter_wants_a_gradient():
    model = Small()
    model.bn.weight.requires_grad_(False)
    asked = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    seen = []
    model.pool.register_forward_hook(lambda *_: seen.append([p.requires_grad for p in model.parameters()]))
    with torch.no_grad():
        found = inversion.invert_images(model, images(2), images(2, seed=1), iterations=2)
    # the first pass finds the layer; no pass of the inversion has a parameter with a gradient
    assert not any(any(states) for states in seen[-3:])
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == asked
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not found.images.requires_grad


def test_I3_one_pass_per_iteration_and_no_classifier(monkeypatch):
    model, passes = Small(), []
    model.pool.register_forward_hook(lambda _m, inputs, _o: passes.append(len(inputs[0])))
    finding = len(passes)
    inversion.invert_images(model, images(4), images(4, seed=1), iterations=25)
    attacked = [size for size in passes[finding:] if size == 4]
    assert len(attacked) == 25 + 1 + 1  # each iteration, the last image, and the targets
    assert model.classified <= 2  # on one image, to find and to check the layer


def test_I5_eval_mode_is_enforced_and_put_back():
    seeds, targets = images(), images(seed=1)
    expected = inversion.invert_images(Small().eval(), seeds, targets, iterations=10)
    model = Small().train()
    model.conv.eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    found = inversion.invert_images(model, seeds, targets, iterations=10)
    assert torch.equal(found.images, expected.images)
    assert model.training
    assert model.bn.training
    assert not model.conv.training
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not model.fc._forward_pre_hooks
    assert "forward" not in model.conv.__dict__


@pytest.mark.parametrize("mode", ["published", "fast"])
def test_the_result_does_not_depend_on_the_batch_size(mode):
    model, seeds, targets = Small(), images(7), images(7, seed=1)
    whole = inversion.invert_images(model, seeds, targets, iterations=60, mode=mode, batch_size=7)
    for size in (1, 3):
        found = inversion.invert_images(model, seeds, targets, iterations=60, mode=mode, batch_size=size)
        assert (found.images - whole.images).abs().max() < 1e-5
        assert found.losses == pytest.approx(whole.losses, abs=1e-5)
    again = inversion.invert_images(model, seeds, targets, iterations=60, mode=mode, batch_size=7)
    assert torch.equal(again.images, whole.images)


@pytest.mark.parametrize("mode", ["published", "fast"])
def test_killed_and_resumed_equals_one_go(mode, tmp_path, monkeypatch):
    model, seeds, targets = Small(), images(7), images(7, seed=1)
    options = {"iterations": 20, "batch_size": 3, "mode": mode}
    path = tmp_path / "inversion.safetensors"
    expected = inversion.invert_images(model, seeds, targets, **options)
    real, calls = invert.invert_batch, []

    def killed_in_the_second(*arguments):
        calls.append(len(arguments[1]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(invert, "invert_batch", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        inversion.invert_images(model, seeds, targets, checkpoint=path, **options)
    assert "forward" not in model.conv.__dict__  # the network is whole also after an interruption
    found = inversion.invert_images(model, seeds, targets, checkpoint=path, **options)
    assert calls == [3, 3, 3, 1]
    finished = inversion.invert_images(model, seeds, targets, checkpoint=path, **options)
    for one in (found, finished):
        assert torch.equal(one.images, expected.images)
        assert np.array_equal(one.losses, expected.losses)
        assert np.array_equal(one.curve.losses, expected.curve.losses)
        assert np.array_equal(one.iterations, expected.iterations)
    assert len(calls) == 4  # the finished inversion is read


def test_a_checkpoint_of_another_inversion_is_refused(tmp_path):
    model, seeds, targets = Small(), images(2), images(2, seed=1)
    path = tmp_path / "inversion.safetensors"
    inversion.invert_images(model, seeds, targets, iterations=3, checkpoint=path)
    with pytest.raises(NetalikeError, match=r"of another inversion; different: iterations \(3 in the file, 4 now\)\."):
        inversion.invert_images(model, seeds, targets, iterations=4, checkpoint=path)
    with pytest.raises(NetalikeError, match="different: network"):
        inversion.invert_images(Small(1), seeds, targets, iterations=3, checkpoint=path)
    with pytest.raises(NetalikeError, match="different: images"):
        inversion.invert_images(model, targets, seeds, iterations=3, checkpoint=path)
    path.write_bytes(b"cut off")
    with pytest.raises(BadFileError, match="not a readable inversion"):
        inversion.invert_images(model, seeds, targets, iterations=3, checkpoint=path)
    safetensors.torch.save_file({"images": seeds}, path)
    with pytest.raises(BadFileError, match="not an unfinished inversion"):
        inversion.invert_images(model, seeds, targets, iterations=3, checkpoint=path)


def test_fast_mode_takes_fewer_steps_to_a_smaller_loss():
    model, seeds, targets = networks.build("tiny10", channels=1, seed=0), images(3, 28), images(3, 28, seed=1)
    with torch.no_grad():
        for _ in range(30):  # batch norm of these images, so that they are far apart
            model.train()(torch.cat([seeds, targets]))
    published = inversion.invert_images(model, seeds, targets, iterations=200)
    fast = inversion.invert_images(model, seeds, targets, iterations=200, mode="fast")
    assert fast.iterations.max() == fast_iterations(200) == 72
    assert [fast_iterations(count) for count in (20, 150, 400, 2000)] == [20, 60, 144, 720]
    assert np.median(fast.losses) < np.median(published.losses)


def test_fast_mode_drops_images_at_the_tolerance():
    model, seeds, targets = Small(), images(), images(seed=1)
    targets[2] = seeds[2]  # finished at once
    sizes = []
    model.pool.register_forward_hook(lambda _m, inputs, _o: sizes.append(len(inputs[0])))
    found = inversion.invert_images(model, seeds, targets, iterations=300, mode="fast", tolerance=0.02)
    assert found.iterations[2] == 0
    assert (found.losses <= 0.02).sum() >= 4
    assert (found.iterations[found.losses <= 0.02] < 108).all()
    assert 5 in sizes
    curve = found.curve.losses
    assert curve.shape == (109, 6)
    for image, steps in enumerate(found.iterations):
        assert (curve[steps:, image] == found.losses[image]).all() or steps == 108
    exhaustive = inversion.invert_images(model, seeds, targets, iterations=300, mode="fast", tolerance=0.0)
    assert np.median(exhaustive.losses) < np.median(found.losses)


def test_progress_counts_iterations(capsys):
    inversion.invert_images(Small(), images(4), images(4, seed=1), iterations=5, batch_size=2, progress=True)
    told = capsys.readouterr().err
    assert "inverting" in told
    assert "10/10" in told


def test_many_losses_are_summarised(monkeypatch):
    monkeypatch.setattr("netalike.inversion.curves.ALL_KEPT", 10)
    found = inversion.invert_images(Small(), images(4), images(4, seed=1), iterations=5)
    assert found.curve.losses is None
    assert found.curve.quantiles.shape == (5, 6)
    assert found.curve.mean[0] == pytest.approx(found.seed_losses.mean())


def test_what_does_not_fit_is_refused():
    model, seeds = Small(), images(2)
    with pytest.raises(ShapeError, match=r"pairs of one size, got \(2, 1, 8, 8\) and \(3, 1, 8, 8\)"):
        inversion.invert_images(model, seeds, images(3))
    with pytest.raises(
        ShapeError, match=r"target images: expected a float tensor .* torch.uint8.*images.float\(\) / 255"
    ):
        inversion.invert_images(model, seeds, (seeds * 255).byte())
    with pytest.raises(NetalikeError, match=r"seed images: pixels have to be in \[0, 1\], got .* to 2"):
        inversion.invert_images(model, seeds / seeds.max() * 2, seeds)
    with pytest.raises(UnknownNameError, match=r"unknown mode of inversion 'fats'.*Did you mean 'fast'"):
        inversion.invert_images(model, seeds, seeds, mode="fats")
    for name, value, expected in (
        ("batch_size", 0, "at least 1"),
        ("momentum", 1.0, "below 1"),
        ("step_size", 0, "above 0"),
    ):
        with pytest.raises(NetalikeError, match=f"{name} of an inversion has to be .*{expected}"):
            inversion.invert_images(model, seeds, seeds, **{name: value})
