"""Halves of images, choices of units, and standardised patterns."""

import sys
from pathlib import Path

import numpy as np
import pytest

from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.experiments.shared_study import (
    AlignmentStudy,
    chosen_units,
    common_schedule,
    prepare,
    stratified_halves,
    z_scored,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
from shared_recordings import made


def halves_of(n=200, **study):
    labels = np.random.default_rng(0).permutation(np.arange(n) % 7)
    return labels, stratified_halves(labels, AlignmentStudy(**study), seed=3)


def test_halves_hold_classes_in_proportion_and_share_no_image():
    labels, halves = halves_of(n_fit=80, n_evaluate=60)
    assert (len(halves.fit), len(halves.evaluate)) == (80, 60)
    assert not set(halves.fit) & set(halves.evaluate)
    for half in (halves.fit, halves.evaluate):
        counts, expected = np.bincount(labels[half]), len(half) * np.bincount(labels) / len(labels)
        assert np.abs(counts - expected).max() <= 1
    assert np.array_equal(halves.labels, np.sort(labels[halves.evaluate]))


def test_the_published_share_is_the_default_and_a_seed_gives_the_same_halves():
    _, first = halves_of()
    _, again = halves_of()
    assert (len(first.fit), len(first.evaluate)) == (160, 40)
    assert np.array_equal(first.evaluate, again.evaluate)
    assert len(halves_of(n_evaluate=50)[1].fit) == 150


def test_more_images_than_recorded_are_refused():
    with pytest.raises(NetalikeError, match="180 images to fit and 60 to evaluate on, of 200 recorded"):
        halves_of(n_fit=180, n_evaluate=60)


def test_N6_units_are_the_same_in_all_networks_and_epochs():
    base = chosen_units(2000, 100, "shared", 0, "pool1", 0, 5)
    assert len(set(base)) == 100
    assert np.array_equal(base, chosen_units(2000, 100, "shared", 0, "pool1", 3, 50))
    assert not np.array_equal(base, chosen_units(2000, 100, "shared", 0, "pool2", 0, 5))
    separate = chosen_units(2000, 100, "separate", 0, "pool1", 0, 5)
    assert not np.array_equal(separate, chosen_units(2000, 100, "separate", 0, "pool1", 1, 5))
    assert not np.array_equal(separate, chosen_units(2000, 100, "separate", 0, "pool1", 0, 6))
    assert np.array_equal(separate, chosen_units(2000, 100, "separate", 0, "pool1", 0, 5)), "seeded"


def test_principal_components_keep_the_geometry_that_they_can():
    networks = made(n_networks=2, widths=(24,))
    for network in networks:  # of rank 5
        network.stored["layer1", 5] = network.stored["layer1", 5][:, :5] @ np.ones((5, 24), np.float32).cumsum(1)
    study = AlignmentStudy(units=5, subset="pca", z_score=False)
    halves = stratified_halves(networks[0].labels, study, 0)
    found = prepare(networks, "layer1", 5, halves, study, 0)
    full = networks[0].stored["layer1", 5][halves.evaluate]
    assert found.evaluate[0].shape == (60, 5)
    assert np.allclose(found.evaluate[0] @ found.evaluate[0].T, full @ full.T, rtol=1e-3)


def test_N8_each_pattern_is_standardised_by_its_own_units():
    patterns = np.random.default_rng(0).normal(3, 2, (20, 50)).astype(np.float32)
    found = z_scored(patterns)
    assert np.allclose(found.mean(axis=1), 0, atol=1e-6)
    assert np.allclose(found.std(axis=1), 1, atol=1e-6)
    order = np.random.default_rng(1).permutation(20)
    assert np.array_equal(z_scored(patterns[order]), found[order]), "image i is scaled by image i alone"
    assert np.array_equal(z_scored(patterns[:3]), found[:3])


def test_a_constant_pattern_is_a_problem_that_is_named():
    networks = made(n_networks=2, widths=(8,))
    networks[1].stored["layer1", 5][4] = 0.1
    study = AlignmentStudy()
    found = prepare(networks, "layer1", 5, stratified_halves(networks[0].labels, study, 0), study, 0)
    assert found.problem == "1 patterns of conv-s1 in layer layer1 have no variance"


def test_settings_are_checked_and_others_passed_over():
    study = AlignmentStudy.from_mapping({"rsms": ["cosine"], "dataset": "digits"})
    assert study.rsms == ("cosine",)
    for key, wrong, right in (
        ("rsms", "person", "pearson"),
        ("centers", "means", "mean"),
        ("controls", "noisy", "noise"),
    ):
        with pytest.raises(UnknownNameError, match=f"Did you mean '{right}'"):
            AlignmentStudy.from_mapping({key: [wrong]})
    with pytest.raises(NetalikeError, match=r"fit_share 1\.5"):
        AlignmentStudy(fit_share=1.5)


def test_companions_are_computed_at_the_ends_and_not_for_the_published_mode():
    study = AlignmentStudy()
    assert study.kinds_of("mean", at_end=True) == ("pearson", "cosine", "centred_kernel")
    assert study.kinds_of("mean", at_end=False) == ("pearson",)
    assert study.kinds_of("brainiak", at_end=True) == ("pearson",)
    assert AlignmentStudy(centers=("brainiak",)).kinds_of("brainiak", at_end=True) == study.rsms


def test_networks_that_do_not_belong_together_are_refused():
    networks = made(n_networks=3)
    assert common_schedule(networks) == (["layer1", "layer2"], [0, 1, 5])
    networks[1].epochs = (0, 5, 9)
    assert common_schedule(networks)[1] == [0, 5]
    networks[1].labels = networks[1].labels[::-1]
    with pytest.raises(ShapeError, match="labels of conv-s1 are not those of conv-s0"):
        common_schedule(networks)
    with pytest.raises(ShapeError, match="layers of conv-s2: layer1; expected those of conv-s0, layer1, layer2"):
        common_schedule([networks[0], *made(n_networks=3, widths=(8,))[2:]])
    with pytest.raises(NetalikeError, match="expected at least 2"):
        common_schedule(networks[:1])
    with pytest.raises(NetalikeError, match="names of networks repeat"):
        common_schedule([networks[0], networks[0]])
