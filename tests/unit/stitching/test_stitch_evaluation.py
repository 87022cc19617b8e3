"""Evaluating a stitch: every number against its definition on the whole set, and what has to hold exactly."""

import copy
import json
import math

import pytest
import torch
from torch import nn

from netalike import data, measures, networks
from netalike.errors import NetalikeError, ShapeError
from netalike.stitching.evaluation import Report, evaluate_stitch, evaluate_stitches, hits
from netalike.stitching.least_squares import fit, fit_all
from netalike.stitching.splitting import split
from netalike.stitching.transform import StitchingLayer, initial


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "test", limit=90)


def network(seed, classes=10):
    """An untrained network whose logits are spread, so that its guesses differ from image to image."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 5, 5, stride=4), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten())
    model.append(nn.Linear(245, classes))
    with torch.no_grad():
        model[-1].weight.mul_(10)
    return model


@pytest.fixture(scope="module")
def pair():
    return [split(network(seed), "1") for seed in (0, 1)]


def layers(count=1, outputs=5):
    made = [
        StitchingLayer((5, 7, 7), (outputs, 7, 7), generator=torch.Generator().manual_seed(seed))
        for seed in range(count)
    ]
    return made if count > 1 else made[0]


def outputs_of(pair, images, stitching_layer):
    """Activations and logits of the whole set, written out: (own, mapped), (end, stitched)."""
    with torch.no_grad():
        own, mapped = pair[1].head(images.inputs()), stitching_layer(pair[0].head(images.inputs()))
        return (own, mapped), (pair[1].tail(own), pair[1].tail(mapped))


def test_scores_are_what_their_definitions_say(pair, images):
    stitching_layer = layers()
    _, (end, stitched) = outputs_of(pair, images, stitching_layer)
    report = evaluate_stitch(*pair, stitching_layer, images, batch_size=40)
    right = int((stitched.argmax(1) == images.labels).sum())
    end_right = int((end.argmax(1) == images.labels).sum())
    assert 0 < right < 90
    assert report.accuracy == right / 90
    assert report.networks["end"].accuracy == end_right / 90
    assert report.relative_accuracy == pytest.approx(right / end_right)
    assert report.loss == pytest.approx(float(nn.functional.cross_entropy(stitched.double(), images.labels)), rel=1e-6)
    assert report.agreement == int((stitched.argmax(1) == end.argmax(1)).sum()) / 90
    assert report.n == 90
    for name, part in zip(("front", "end"), pair, strict=True):
        alone = networks.evaluate(part.model, images)
        assert report.networks[name].accuracy == alone.accuracy
        assert report.networks[name].loss == pytest.approx(alone.loss, rel=1e-6)


def test_b11_cross_entropy_is_over_images_and_not_over_images_times_classes(pair, images):
    stitching_layer = layers()
    _, (end, stitched) = outputs_of(pair, images, stitching_layer)
    total = 0.0
    for target, output in zip(end.double().softmax(1), stitched.double().softmax(1), strict=True):
        total -= sum(p * math.log(q) for p, q in zip(target.tolist(), output.tolist(), strict=True))
    report = evaluate_stitch(*pair, stitching_layer, images)
    assert report.cross_entropy == pytest.approx(total / 90, rel=1e-5)
    assert report.cross_entropy > 5 * total / 900


def test_hits_add_up_to_the_number_of_images(pair, images):
    before, after, squares = layers(3)
    report = evaluate_stitch(*pair, after, images, before=before, least_squares=squares)
    assert sorted(report.hits) == ["after_least_squares", "end_after", "end_before", "end_front", "end_least_squares"]
    for name, counts in report.hits.items():
        assert sum(counts.values()) == 90, name
    end, stitched = report.networks["end"], report.networks["after"]
    counts = report.hits["end_after"]
    assert counts["rr"] + counts["rw"] == round(90 * end.accuracy)
    assert counts["rr"] + counts["wr"] == round(90 * stitched.accuracy)


def test_hits_are_counted_by_the_order_of_the_networks():
    first, second = torch.tensor([True, True, True, False, False]), torch.tensor([True, False, False, True, False])
    assert hits(first, second) == {"rr": 1, "rw": 2, "wr": 1, "ww": 1}


def test_likeness_is_that_of_the_whole_set_in_one_batch(pair, images):
    stitching_layer = layers()
    (own, mapped), _ = outputs_of(pair, images, stitching_layer)
    with torch.no_grad():
        direct = pair[0].head(images.inputs())
    report = evaluate_stitch(*pair, stitching_layer, images)
    assert (report.cka_images, report.cka_batch) == (90, 90)
    for name, output in {"direct": direct, "after": mapped}.items():
        found = report.similarity[name]
        assert found.cka == pytest.approx(measures.cka(own, output, estimator="biased"), abs=1e-6)
        assert found.cka_unbiased == pytest.approx(measures.cka(own, output, estimator="unbiased"), abs=1e-6)
        assert found.l2 == pytest.approx(float((own - output).double().square().mean()), rel=1e-5)


def test_likeness_over_batches_is_that_of_the_streamed_measures(pair, images):
    stitching_layer = layers()
    (own, mapped), _ = outputs_of(pair, images, stitching_layer)
    report = evaluate_stitch(*pair, stitching_layer, images, batch_size=31)
    assert report.cka_batch == 30  # three batches of one size, and none of 28
    found = report.similarity["after"]
    for name, value in {"published": found.cka, "unbiased": found.cka_unbiased}.items():
        assert value == pytest.approx(measures.cka(own, mapped, estimator=name, batch_size=30), abs=1e-6)
    assert found.l2 == pytest.approx(float((own - mapped).double().square().mean()), rel=1e-5)


def test_the_batch_size_shows_in_cka_alone(pair, images):
    stitching_layer = layers()
    one, other = (evaluate_stitch(*pair, stitching_layer, images, batch_size=size) for size in (90, 7))
    assert one.hits == other.hits
    for name, scores in one.networks.items():
        assert other.networks[name].loss == pytest.approx(scores.loss, rel=1e-6)
        assert other.networks[name].cross_entropy == pytest.approx(scores.cross_entropy, rel=1e-6)
        assert other.networks[name].agreement == scores.agreement
    assert one.similarity["after"].l2 == pytest.approx(other.similarity["after"].l2, rel=1e-6)


def test_cka_is_of_as_many_images_as_asked(pair, images):
    stitching_layer = layers()
    (own, mapped), _ = outputs_of(pair, images, stitching_layer)
    report = evaluate_stitch(*pair, stitching_layer, images, batch_size=30, cka_images=45)
    assert (report.n, report.cka_images) == (90, 45)
    expected = [measures.cka(own[part], mapped[part], estimator="biased") for part in (slice(30), slice(30, 45))]
    assert report.similarity["after"].cka == pytest.approx(sum(expected) / 2, abs=1e-6)
    assert report.similarity["after"].l2 == pytest.approx(float((own[:45] - mapped[:45]).square().mean()), rel=1e-5)
    nothing = evaluate_stitch(*pair, stitching_layer, images, cka_images=0).similarity["after"]
    assert (nothing.cka, nothing.cka_unbiased, nothing.l2) == (None, None, None)


def test_a_network_stitched_to_itself_by_the_identity_is_the_network(images):
    one = split(networks.build("tiny10", channels=1, seed=3).eval(), "bn4")
    stitching_layer = StitchingLayer.from_matrix(*initial("identity", 32, 32, torch.Generator()))
    report = evaluate_stitch(one, one, stitching_layer, images)
    assert report.networks["after"] == report.networks["end"]
    assert report.agreement == 1
    likeness = report.similarity["after"]
    assert likeness.l2 == 0
    assert likeness.cka == pytest.approx(1, abs=1e-9)
    assert likeness.cka_unbiased == pytest.approx(1, abs=1e-9)


def test_least_squares_is_nearer_than_anything_else_on_its_own_images(pair, images):
    squares = StitchingLayer.from_matrix(*fit(*pair, images).affine())
    report = evaluate_stitch(*pair, layers(), images, least_squares=squares)
    found = {name: likeness.l2 for name, likeness in report.similarity.items()}
    assert found["least_squares"] < min(found["after"], found["direct"])
    assert found["least_squares"] == pytest.approx(fit(*pair, images).mse(squares.weight, squares.bias), rel=1e-4)


def test_more_stitching_layers_have_names_of_their_own(pair, images):
    one, other = layers(2)
    report = evaluate_stitch(*pair, one, images, others={"procrustes": other})
    alone = evaluate_stitch(*pair, other, images)
    assert report.networks["procrustes"] == alone.networks["after"]
    assert report.similarity["procrustes"].cka == pytest.approx(alone.similarity["after"].cka, abs=1e-12)
    with pytest.raises(NetalikeError, match="name 'direct' is there already"):
        evaluate_stitch(*pair, one, images, others={"direct": other})


def test_what_has_no_value_is_none_and_not_zero(images):
    front, end = split(network(0, classes=12), "1"), split(network(1), "1")
    constant = layers()
    with torch.no_grad():
        constant.weight.zero_()
    found = evaluate_stitch(front, end, constant, images)
    assert found.similarity["after"].cka is None
    assert found.similarity["after"].cka_unbiased is None
    assert found.similarity["direct"].cka > 0
    assert found.networks["front"].cross_entropy is None
    assert found.networks["after"].cross_entropy > 0


def test_layers_of_other_widths_have_no_direct_distance(images):
    front, end = (split(networks.build("tiny10", channels=1, seed=0).eval(), name) for name in ("bn4", "bn3"))
    stitching_layer = StitchingLayer((32, 11, 11), (32, 13, 13))
    with pytest.raises(ShapeError, match="heights and widths differ"):
        evaluate_stitch(front, end, stitching_layer, images)
    report = evaluate_stitch(front, end, stitching_layer, images, resize=True)
    assert report.similarity["direct"].l2 > 0  # after the resizing
    end = split(end.model, "conv2")
    narrow = StitchingLayer((32, 11, 11), (16, 28, 28))
    report = evaluate_stitch(front, end, narrow, images, resize=True)
    assert report.similarity["direct"].l2 is None
    assert report.similarity["direct"].cka > 0
    assert report.similarity["after"].l2 > 0


def test_an_end_network_without_a_right_answer_gives_no_relative_accuracy(pair, images):
    never = images.take((outputs_of(pair, images, layers())[1][0].argmax(1) != images.labels).nonzero().flatten())
    report = evaluate_stitch(*pair, layers(), never)
    assert report.networks["end"].accuracy == 0
    assert report.relative_accuracy is None


def test_a_report_survives_json(pair, images):
    before, after, squares = layers(3)
    report = evaluate_stitch(*pair, after, images, before=before, least_squares=squares)
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_b16_the_networks_stay_as_they_are(images):
    parts = [split(network(seed).train(), "1") for seed in (0, 1)]
    states = [copy.deepcopy(part.model.state_dict()) for part in parts]
    evaluate_stitch(*parts, layers(), images)
    for part, state in zip(parts, states, strict=True):
        assert all(module.training for module in part.model.modules())
        assert all(parameter.requires_grad for parameter in part.model.parameters())
        assert all(torch.equal(value, state[key]) for key, value in part.model.state_dict().items())


def test_nothing_to_evaluate_is_refused(pair, images):
    with pytest.raises(NetalikeError, match=r"digits \(test\) has 0 images, in batches of 500"):
        evaluate_stitch(*pair, layers(), images.take([]))
    with pytest.raises(NetalikeError, match="has 90 images, in batches of 0"):
        evaluate_stitch(*pair, layers(), images, batch_size=0)
    with pytest.raises(ShapeError, match=r"the end layer has \(5, 7, 7\)"):
        evaluate_stitch(*pair, layers(), images, before=layers(outputs=4))


# ---- several layers in one run --------------------------------------------------------------------------------------


def test_stitches_at_several_layers_are_judged_as_one_by_one(images):
    nets = [network(seed) for seed in (0, 1)]
    cuts = [tuple(split(net, layer) for net in nets) for layer in ("0", "1", "2")]
    stitches = [dict(zip(("after", "other"), layers(2), strict=True)) for _ in cuts]
    found = evaluate_stitches(cuts, stitches, images, batch_size=30, cka_images=50)
    for cut, named, report in zip(cuts, stitches, found, strict=True):
        alone = evaluate_stitch(
            *cut, named["after"], images, others={"other": named["other"]}, batch_size=30, cka_images=50
        )
        assert report == alone
        assert report.cka_images == 50


def test_least_squares_at_several_layers_are_those_of_one_by_one(images):
    nets = [network(seed) for seed in (0, 1)]
    cuts = [tuple(split(net, layer) for net in nets) for layer in ("0", "1", "2")]
    for cut, equations in zip(cuts, fit_all(cuts, images, batch_size=40), strict=True):
        for one, other in zip(equations.affine(), fit(*cut, images, batch_size=40).affine(), strict=True):
            assert torch.equal(one, other)


def test_a_run_for_several_layers_needs_images_and_layers_that_fit(images):
    nets = [network(seed) for seed in (0, 1)]
    cut = tuple(split(net, "1") for net in nets)
    with pytest.raises(NetalikeError, match="images and a batch size from 1, got 90 and 0"):
        fit_all([cut], images, batch_size=0)
    other = split(nets[1], "4")
    with pytest.raises(ShapeError, match=r"\(5, 7, 7\).*\(10,\)"):
        fit_all([(cut[0], other)], images)
