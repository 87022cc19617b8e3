"""One stitch from Python: from two networks to its evaluation."""

from __future__ import annotations

import pytest
import torch

import netalike
from netalike import data, networks
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.stitching import Settings, splitting, stitch
from netalike.stitching.evaluation import evaluate_stitch


@pytest.fixture(scope="module")
def nets():
    return [networks.build("tiny10", 1, 10, seed=seed).eval() for seed in (0, 1)]


@pytest.fixture(scope="module")
def sets():
    return [data.load("digits", split, limit=96) for split in ("train", "test")]


SHORT = Settings(epochs=1, batch_size=32, augment=False, lr=0.01)


def test_stitch_is_one_call_from_two_networks_to_numbers(nets, sets):
    made = netalike.stitch(*nets, "bn3", "bn3", *sets, SHORT, init="ps_inv")
    assert set(made.layers) == {"before", "after", "least_squares"}
    assert torch.equal(made.layers["before"].weight, made.layers["least_squares"].weight)
    assert not torch.equal(made.layers["before"].weight, made.layers["after"].weight)
    scores = made.evaluation.networks
    assert scores["before"] == scores["least_squares"]
    logits = torch.cat([made.network(sets[1].inputs(0, 48)), made.network(sets[1].inputs(48, 96))])
    accuracy = (logits.argmax(1) == torch.as_tensor(sets[1].labels[:96])).double().mean().item()
    assert accuracy == pytest.approx(scores["after"].accuracy, abs=1e-12)
    assert [row["epoch"] for row in made.history.rows()] == [1]


def test_every_stage_is_evaluated_as_by_itself(nets, sets):
    made = stitch(*nets, "bn8", "bn8", *sets, SHORT)
    halves = [splitting.split(model, "bn8") for model in nets]
    for stage in ("before", "least_squares"):
        alone = evaluate_stitch(*halves, made.layers[stage], sets[1])
        assert made.evaluation.networks[stage].accuracy == alone.networks["after"].accuracy
        assert made.evaluation.networks[stage].loss == pytest.approx(alone.networks["after"].loss, rel=1e-6)


def test_neither_network_is_changed(nets, sets):
    states = [{key: value.clone() for key, value in model.state_dict().items()} for model in nets]
    stitch(*nets, "bn8", "bn8", *sets, SHORT)
    for model, state in zip(nets, states, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
        assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_wrong_layer_a_wrong_mask_and_other_sizes_are_refused(nets, sets):
    with pytest.raises(UnknownNameError, match="bn3"):
        stitch(*nets, "bn33", "bn3", *sets, SHORT)
    with pytest.raises(UnknownNameError, match="semi_match"):
        stitch(*nets, "bn3", "bn3", *sets, SHORT, mask="semimatch")
    with pytest.raises(ShapeError, match=r"13 x 13.*11 x 11|\(32, 13, 13\).*\(32, 11, 11\)"):
        stitch(*nets, "bn3", "bn4", *sets, SHORT)
    with pytest.raises(NetalikeError, match="leave out --low-rank"):
        stitch(*nets, "bn3", "bn3", *sets, SHORT, mask="semi_match", rank=2)


def test_the_function_split_is_not_hidden_by_its_module():
    import netalike.stitching
    import netalike.stitching.splitting

    assert netalike.stitching.split is netalike.stitching.splitting.split
