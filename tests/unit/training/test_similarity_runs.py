"""Runs with a similarity term: paired seeds, exact steps, a fixed validation set, resumption, and the bugs c2 to c8."""

import json
import math

import numpy as np
import pytest
import torch

from netalike import data
from netalike.errors import BadFileError, NetalikeError
from netalike.training import pair_stream, similarity_runs
from netalike.training.similarity_runs import RunSettings, train_run, train_runs
from netalike.training.similarity_term import Variant, similarity_network

SETTINGS = RunSettings(steps=6, evaluate_every=4, cosine_images=2)
PLUS, MINUS = Variant("plus", 1.0), Variant("minus", 1.0)
CONTROL = Variant("minus", 1.0, "different_class")


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "train", limit=300)


@pytest.fixture(scope="module")
def pool(images):
    return pair_stream.hold_out(images, 60)


@pytest.fixture(scope="module")
def runs(pool):
    return {variant.name: train_run(pool, variant, 3, SETTINGS) for variant in (Variant(), PLUS, MINUS, CONTROL)}


# ---- pairs -----------------------------------------------------------------------------------------------------------


def test_c5_both_batches_of_a_pair_are_of_one_class_also_for_the_baseline(pool):
    pairs = pair_stream.draw_pairs(pool.labels, 10, 400, 2, seed=0)
    classes = pool.labels[pairs].flatten(1)
    assert pairs.shape == (400, 2, 2)
    assert (classes == classes[:, :1]).all()
    counts = classes[:, 0].bincount(minlength=10)
    assert counts.min() > 20
    assert counts.max() < 65


def test_images_of_a_class_are_drawn_uniformly_and_with_replacement():
    labels = torch.tensor([1, 0, 1, 1, 0])
    pairs = pair_stream.draw_pairs(labels, 2, 3000, 1, seed=1)[..., 0]
    assert (pairs[:, 0] == pairs[:, 1]).any()
    shares = pairs.flatten().bincount(minlength=5) / 6000
    assert shares.tolist() == pytest.approx([1 / 6, 1 / 4, 1 / 6, 1 / 6, 1 / 4], abs=0.02)


def test_more_steps_begin_with_the_same_pairs_and_seeds_differ(pool):
    short, long = (pair_stream.draw_pairs(pool.labels, 10, steps, 1, seed=4) for steps in (5, 50))
    assert torch.equal(short, long[:5])
    assert not torch.equal(long, pair_stream.draw_pairs(pool.labels, 10, 50, 1, seed=5))
    assert torch.equal(pair_stream.draw_masks(10, 3, 0), pair_stream.draw_masks(10, 8, 0)[:3])


def test_the_control_compares_with_every_other_class_and_never_with_its_own(pool):
    pairs = pair_stream.draw_pairs(pool.labels, 10, 2000, 1, seed=0)
    others = pair_stream.draw_others(pool.labels, pairs, 10, seed=0)
    away = (pool.labels[others] - pool.labels[pairs[:, 0]]) % 10
    assert others.shape == (2000, 1)
    assert away.unique().tolist() == list(range(1, 10))
    assert away.flatten().bincount()[1:].min() > 170


# ---- held-out images -------------------------------------------------------------------------------------------------


def test_c3_validation_images_are_a_fixed_part_of_the_training_split_that_is_never_trained_on(images, pool):
    again, other = pair_stream.hold_out(images, 60), pair_stream.hold_out(images, 60, seed=1)
    assert (len(pool.images), len(pool.held_out)) == (240, 60)
    assert torch.equal(pool.held_out, again.held_out)
    assert not torch.equal(pool.held_out, other.held_out)
    trained = pool.inputs(torch.arange(240)).flatten(1)
    assert float(torch.cdist(trained, pool.held_out.flatten(1)).min()) > 0.1
    assert pool.labels.bincount().tolist() == (images.labels.bincount() - pool.held_out_labels.bincount()).tolist()


def test_c6_any_number_of_images_of_any_size_will_do(images):
    small = pair_stream.hold_out(images.take(range(100)), 20)
    assert small.images.shape == (80, 1, 28, 28)
    assert train_run(small, PLUS, 0, RunSettings(steps=1)).evaluated == [0, 1]


def test_holding_out_too_many_is_refused(images):
    with pytest.raises(NetalikeError, match=r"digits \(train\) has 300 images: holding out 295 leaves classes without"):
        pair_stream.hold_out(images, 295)
    with pytest.raises(NetalikeError, match="Hold out fewer"):
        pair_stream.hold_out(images, 301)


def test_accuracy_is_the_share_of_largest_logits_that_are_right(pool):
    model = similarity_network(seed=2)
    with torch.no_grad():
        right = model(pool.held_out).argmax(1) == pool.held_out_labels
    assert similarity_runs.held_out_accuracy(model, pool) == float(right.double().mean())
    assert model.conv1.weight.is_contiguous()


def test_cosines_are_of_the_first_images_of_each_class():
    labels = torch.tensor([2, 0, 2, 2, 0, 1])
    assert similarity_runs.first_of_each_class(labels, 2).tolist() == [1, 4, 5, 0, 2]


# ---- runs ------------------------------------------------------------------------------------------------------------


def test_c4_all_variants_of_a_seed_share_initialisation_and_pairs(runs, pool):
    assert len({run.initial for run in runs.values()}) == 1
    assert len({run.train_accuracy[0] for run in runs.values()}) == 1
    assert len({run.accuracy[0] for run in runs.values()}) == 1
    assert len({run.final for run in runs.values()}) == 4
    assert train_run(pool, Variant(), 4, SETTINGS).initial != runs[Variant().name].initial
    # at the first step the weights are the same, and only the term differs
    entropy = runs[Variant().name].loss[0]
    assert runs[PLUS.name].loss[0] - entropy == pytest.approx(entropy - runs[MINUS.name].loss[0], rel=1e-4)


def test_c8_there_are_exactly_as_many_steps_as_asked_for(runs):
    for run in runs.values():
        assert len(run.loss) == len(run.train_accuracy) == 6
        assert run.evaluated == [0, 4, 6]
        assert len(run.accuracy) == len(run.same_class) == len(run.different_class) == 3


def test_c2_the_loss_of_every_step_is_a_number(pool):
    run = train_run(pool, Variant(), 0, RunSettings(steps=101, evaluate_every=100, cosine_images=1))
    assert len(run.loss) == 101
    assert all(math.isfinite(loss) for loss in run.loss)
    assert np.mean(run.loss[80:]) < np.mean(run.loss[:20])


def test_c7_training_accuracy_counts_both_images_of_a_pair(pool, monkeypatch):
    logits = torch.tensor([[1.0] + [0.0] * 9, [0.0, 1.0] + [0.0] * 8])

    def half_right(model, inputs, labels, weight, drawn):
        labels[:] = 0
        return next(model.parameters()).sum() * 0 + 1, logits

    monkeypatch.setattr(similarity_runs, "similarity_loss", half_right)
    assert train_run(pool, Variant(), 0, RunSettings(steps=1)).train_accuracy == [0.5]


def test_evaluation_does_not_change_the_training(pool):
    often, seldom = (train_run(pool, MINUS, 0, RunSettings(steps=6, evaluate_every=every)) for every in (1, 6))
    assert often.final == seldom.final
    assert often.loss == seldom.loss
    assert often.accuracy[-1] == seldom.accuracy[-1]


def test_the_same_call_gives_the_same_bits_and_leaves_pytorchs_state(runs, pool):
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    assert train_run(pool, MINUS, 3, SETTINGS) == runs[MINUS.name]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (
        train_run(pool, MINUS, 3, RunSettings(steps=6, evaluate_every=4, cosine_images=2, seed=1)).final
        != runs[MINUS.name].final
    )


def test_random_masks_and_larger_batches_train(pool):
    run = train_run(pool, Variant("minus", 1.0, mask="random"), 3, RunSettings(steps=3, batch_size=4))
    assert all(math.isfinite(loss) for loss in run.loss)
    assert set(np.array(run.train_accuracy) * 8 % 1) == {0}


def test_a_loss_that_is_not_finite_is_named(pool, monkeypatch):
    def diverge(model, inputs, labels, weight, drawn):
        return next(model.parameters()).sum() * float("nan"), torch.zeros(2, 10)

    monkeypatch.setattr(similarity_runs, "similarity_loss", diverge)
    with pytest.raises(NetalikeError, match="the loss of plus-1-same_class-posnegflat, seed 3, is nan at step 1"):
        train_run(pool, PLUS, 3, SETTINGS)


# ---- resumption ------------------------------------------------------------------------------------------------------


def test_finished_runs_are_not_trained_again_and_an_interruption_changes_nothing(pool, tmp_path, monkeypatch, runs):
    wanted = [(Variant(), 3), (PLUS, 3), (MINUS, 3)]
    train = similarity_runs.train_run

    def interrupted(pool, variant, *rest):
        if variant == MINUS:
            raise KeyboardInterrupt
        return train(pool, variant, *rest)

    monkeypatch.setattr(similarity_runs, "train_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_runs(pool, wanted, SETTINGS, tmp_path)
    trained = []
    monkeypatch.setattr(similarity_runs, "train_run", lambda *given: trained.append(given[1]) or train(*given))
    found = train_runs(pool, wanted, SETTINGS, tmp_path)
    assert trained == [MINUS]
    assert found == [runs[variant.name] for variant, _ in wanted]


def test_forgotten_runs_leave_no_file_and_other_runs_stay(pool, tmp_path):
    wanted, settings = [(Variant(), 3), (PLUS, 3)], RunSettings(steps=1)
    train_runs(pool, wanted, settings, tmp_path)
    similarity_runs.forget_runs(pool, wanted[:1], settings, tmp_path)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("plus-1-same_class-posnegflat-s3-")
    similarity_runs.forget_runs(pool, wanted, settings, tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_settings_data_or_held_out_images_are_other_runs(pool, images):
    names = {
        similarity_runs.checkpoint_name(*given)
        for given in (
            (pool, PLUS, 0, SETTINGS),
            (pool, MINUS, 0, SETTINGS),
            (pool, PLUS, 1, SETTINGS),
            (pool, PLUS, 0, RunSettings(steps=7)),
            (pair_stream.hold_out(images, 60, seed=1), PLUS, 0, SETTINGS),
            (pair_stream.hold_out(images.take(range(290)), 60), PLUS, 0, SETTINGS),
        )
    }
    assert len(names) == 6


@pytest.mark.parametrize("content", ["{", json.dumps({"format": "another"}), "[]"])
def test_a_damaged_run_is_named(pool, tmp_path, content):
    path = tmp_path / similarity_runs.checkpoint_name(pool, PLUS, 0, SETTINGS)
    path.write_text(content)
    with pytest.raises(BadFileError, match="remove it to train this run again"):
        train_runs(pool, [(PLUS, 0)], SETTINGS, tmp_path)
