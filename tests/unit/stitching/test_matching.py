"""Direct matching: towards the activations of the end network, by distance or by CKA."""

import copy

import pytest
import torch
from torch import nn

from netalike import data, measures
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.stitching import matching
from netalike.stitching.least_squares import fit
from netalike.stitching.matching import match
from netalike.stitching.splitting import split
from netalike.stitching.transform import StitchingLayer


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "train", limit=130)


@pytest.fixture(scope="module")
def pair():
    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 5, 5, stride=4), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(245, 10)
        )

    return [split(network(seed), "1") for seed in (0, 1)]


def layer(seed=0, **options):
    return StitchingLayer((5, 7, 7), (5, 7, 7), generator=torch.Generator().manual_seed(seed), **options)


def cka(pair, stitching_layer, images):
    with torch.no_grad():
        mapped = stitching_layer(pair[0].head(images.inputs()))
        return measures.cka(pair[1].head(images.inputs()), mapped, estimator="biased")


def test_matching_by_distance_comes_to_least_squares(pair, images):
    equations = fit(*pair, images)
    best = equations.mse(*equations.affine())
    trained = layer()
    start = equations.mse(trained.weight, trained.bias)
    history = match(*pair, trained, images, epochs=60, lr=0.02)
    end = equations.mse(trained.weight, trained.bias)
    assert best <= end < best + 0.02 * (start - best)
    assert history.loss[-1] == pytest.approx(end, rel=0.05)


def test_matching_by_cka_raises_cka(pair, images):
    """The published code minimises CKA where it is to match by it."""
    trained = layer()
    start = cka(pair, trained, images)
    history = match(*pair, trained, images, loss="cka", epochs=20, lr=0.02)
    assert 1 - cka(pair, trained, images) < 0.1 * (1 - start)
    assert history.loss[-1] < 0.2 * history.loss[0]


def test_the_first_loss_is_the_distance(pair, images):
    few = images.take(range(60))
    with torch.no_grad():
        expected = float((layer()(pair[0].head(few.inputs())) - pair[1].head(few.inputs())).square().mean())
    assert match(*pair, layer(), few, epochs=1).loss == [pytest.approx(expected, rel=1e-5)]


def test_a_short_last_batch_weighs_as_much_as_its_images(pair, images):
    """Without a step (a rate of nearly 0) the mean over 64 + 64 + 2 images is that over all."""
    few = fit(*pair, images)
    start = layer()
    found = match(*pair, start, images, epochs=1, lr=1e-12).loss[0]
    assert found == pytest.approx(few.mse(start.weight, start.bias), rel=1e-5)


def test_the_same_seed_gives_the_same_weights(pair, images):
    trained = [layer() for _ in range(3)]
    for one, seed in zip(trained, (0, 0, 1), strict=True):
        match(*pair, one, images, epochs=3, lr=0.01, seed=seed)
    assert torch.equal(trained[0].weight, trained[1].weight)
    assert not torch.equal(trained[0].weight, trained[2].weight)


@pytest.mark.parametrize("loss", matching.LOSSES)
def test_what_is_kept_gives_the_same_weights_as_what_is_computed_anew(pair, images, loss):
    kept, anew = layer(), layer()
    first = match(*pair, kept, images, loss, epochs=2, lr=0.01)
    second = match(*pair, anew, images, loss, epochs=2, lr=0.01, memory_gb=0)
    torch.testing.assert_close(anew.weight, kept.weight, rtol=1e-4, atol=1e-5)
    assert second.loss == pytest.approx(first.loss, rel=1e-4)


def test_b1_before_is_not_after(pair, images):
    trained = layer()
    start = trained.weight.detach().clone()
    history = match(*pair, trained, images, epochs=2, lr=0.01)
    assert torch.equal(history.before[0], start)
    assert torch.equal(history.after[0], trained.weight)
    assert not torch.equal(history.before[0], history.after[0])


def test_masks_ranks_and_flattened_layers_are_matched(pair, images):
    mask = torch.eye(5)
    for options in ({"mask": mask}, {"rank": 2}, {"flatten": True}):
        trained = layer(**options)
        history = match(*pair, trained, images, epochs=5, lr=0.01)
        assert history.loss[-1] < history.loss[0]
        if "mask" in options:
            assert torch.equal(trained.weight * (1 - mask), torch.zeros(5, 5))
        if "rank" in options:
            assert torch.linalg.matrix_rank(trained.weight) == 2


def test_the_networks_stay_as_they_are(pair, images):
    states = [copy.deepcopy(part.model.state_dict()) for part in pair]
    match(*pair, layer(), images, epochs=1)
    for part, state in zip(pair, states, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in part.model.state_dict().items())
        assert all(parameter.requires_grad and parameter.grad is None for parameter in part.model.parameters())


def test_bad_input_is_refused_with_one_message(pair, images):
    with pytest.raises(UnknownNameError, match="Did you mean 'mse'"):
        match(*pair, layer(), images, loss="msse")
    with pytest.raises(NetalikeError, match="130 images, batch size 0, 100 epochs"):
        match(*pair, layer(), images, batch_size=0)
    with pytest.raises(NetalikeError, match="expected at least 2 images in a batch"):
        match(*pair, layer(), images, loss="cka", batch_size=1)
    with pytest.raises(NetalikeError, match="learning rate 0: expected"):
        match(*pair, layer(), images, lr=0)
    with pytest.raises(ShapeError, match=r"the end layer has \(5, 7, 7\)"):
        match(*pair, StitchingLayer((5, 7, 7), (4, 7, 7)), images)
    constant = layer()
    with torch.no_grad():
        constant.weight.zero_()
    with pytest.raises(NetalikeError, match="loss is nan in epoch 1, step 1"):
        match(*pair, constant, images, loss="cka")
