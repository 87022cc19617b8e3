"""Identities hold on the recorded layers of a trained network, and are seen to fail where they do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from netalike import data, networks, training
from netalike.evidence import measurements
from netalike.experiments import identities
from netalike.experiments.identities import all_rows, chance_rows, constant_layer_rows, identity_rows

NAMES = [
    "partial_correlation",
    "explained_share",
    "residual_with_inputs",
    "diagonal",
    "symmetry",
    "orthogonal_map",
    "isotropic_scaling",
    "cka_orthogonal_map",
    "cka_isotropic_scaling",
]


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "test", limit=60)


@pytest.fixture(scope="module")
def model(images):
    net = networks.build("lenet", 1, 10, seed=0)
    train_set = data.load("digits", "train", limit=400)
    training.train(net, train_set, images, training.Settings(epochs=8, batch_size=20, lr=0.02, augment=False))
    assert networks.evaluate(net, images).accuracy > 0.5
    return net


LAYERS = ["relu1", "relu2", "relu3", "relu4", "fc3"]


def by_identity(rows: list[dict]) -> dict[str, dict]:
    return {row["condition"].removeprefix("identity="): row for row in rows}


def test_every_identity_holds_on_a_trained_network(model, images):
    rows = identity_rows("lenet-s0", model, images, LAYERS, seed=0)
    found = by_identity(rows)
    assert list(found) == NAMES
    assert all(row["value"] < 1e-10 for row in rows), {name: row["value"] for name, row in found.items()}
    assert all(row["value"] >= 0 and row["status"] == "ok" for row in rows)
    assert {(row["network_a"], row["quantity"]) for row in rows} == {("lenet-s0", "largest_difference")}
    # rounding is there: each compares two ways of computing, and not a number with itself
    for name in set(NAMES) - {"symmetry"}:
        assert found[name]["value"] > 0
    assert identity_rows("lenet-s0", model, images, LAYERS, seed=0) == rows
    measurements.table(rows)


@pytest.mark.mirror
@pytest.mark.parametrize(("architecture", "network"), [("tiny10", "in4-gn4"), ("resnet20_w1", "in0-gn0")])
def test_every_identity_holds_on_the_authors_networks(mirror, architecture, network):
    """Wide convolutional layers, whose units are rotated in many blocks."""
    net, _ = networks.load(mirror / "networks" / architecture / f"{network}.pt", architecture)
    images = data.load("cifar10", "test", mirror, limit=64)
    layers = networks.select_layers(net, ["blocks"])
    rows = identity_rows(network, net, images, layers[:: len(layers) // 3], seed=0)
    assert {row["status"] for row in rows} == {"ok"}
    assert max(row["value"] for row in rows) < 1e-10


def _squeeze(features, seed):
    return features * torch.linspace(0.5, 2, features.shape[1], dtype=features.dtype)


@pytest.mark.parametrize(
    ("version", "broken"),
    [("rotated", ["orthogonal_map", "cka_orthogonal_map"]), ("scaled", ["isotropic_scaling", "cka_isotropic_scaling"])],
)
def test_a_map_that_is_not_orthogonal_changes_the_similarity(model, images, monkeypatch, version, broken):
    monkeypatch.setitem(identities._VERSIONS, version, _squeeze)
    rows = identity_rows("lenet-s0", model, images, ["relu3", "fc3"], seed=0)
    assert sorted(name for name, row in by_identity(rows).items() if row["value"] > 1e-3) == sorted(broken)


@pytest.mark.parametrize(
    ("part", "broken"),
    [
        ("_residual", ["explained_share", "partial_correlation", "residual_with_inputs"]),
        ("_residual_similarity", ["partial_correlation"]),
    ],
)
def test_a_wrong_formula_is_seen(model, images, monkeypatch, part, broken):
    def wrong_residual(gram, confounder):
        return gram - 0.5 * confounder

    def wrong_similarity(first, second):
        return float((first * second).sum())

    wrong = {"_residual": wrong_residual, "_residual_similarity": wrong_similarity}
    monkeypatch.setattr(identities, part, wrong[part])
    rows = identity_rows("lenet-s0", model, images, ["relu3", "fc3"], seed=0)
    assert sorted(name for name, row in by_identity(rows).items() if row["value"] > 1e-3) == broken


@pytest.mark.parametrize("units", [3, 512, 1300])
def test_the_random_map_is_orthogonal_and_moves_every_unit(units):
    features = torch.randn(20, units, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = identities._rotated(features, seed=5)
    assert torch.allclose(moved @ moved.T, features @ features.T, atol=1e-10)
    of_units = identities._rotated(torch.eye(units, dtype=torch.float64), seed=5)
    assert torch.allclose(of_units @ of_units.T, torch.eye(units, dtype=torch.float64), atol=1e-12)
    assert of_units.abs().max() < (0.999999 if units == 3 else 0.5)  # mixed, and not only reordered
    assert not torch.equal(moved, identities._rotated(features, seed=6))


def test_a_layer_without_variance_leaves_no_number(model, images):
    dead = networks.build("lenet", 1, 10, seed=0)
    torch.nn.init.zeros_(dead.fc3.weight)
    rows = identity_rows("lenet-s0", dead, images, ["relu4", "fc3"], seed=0)
    assert [row["status"] for row in rows] == ["undefined: zero variance over the samples in layer fc3"] * 9
    assert all(math.isnan(row["value"]) for row in rows)
    measurements.table(rows)


def test_chance_level_is_that_of_theory():
    rows = chance_rows(range(60))
    assert [(row["estimator"], row["seed"]) for row in rows[:3]] == [("biased", 0), ("unbiased", 0), ("biased", 1)]
    assert {(row["quantity"], row["condition"], row["n_samples"]) for row in rows} == {
        ("chance_level", "network=noise", 40)
    }
    values = {
        name: np.array([row["value"] for row in rows if row["estimator"] == name]) for name in ("biased", "unbiased")
    }
    assert values["biased"].mean() == pytest.approx(1000 / 1040, abs=0.002)  # sqrt(p p / ((n + p) (n + p)))
    assert abs(values["unbiased"].mean()) < 3 * values["unbiased"].std(ddof=1) / math.sqrt(60)
    narrow = [row["value"] for row in chance_rows(range(20), samples=100, width=25) if row["estimator"] == "biased"]
    assert np.mean(narrow) == pytest.approx(25 / 125, abs=0.02)
    measurements.table(rows)


def test_a_constant_layer_has_no_value(images):
    (row,) = constant_layer_rows(images, seed=0)
    assert math.isnan(row["value"])
    assert row["status"].startswith("undefined: zero variance over the samples")
    assert (row["quantity"], row["estimator"], row["condition"]) == (
        "deconfounded_cka",
        "published",
        "control=constant_layer",
    )
    measurements.table([row])


def test_all_rows_know_their_number_of_samples(model, images):
    rows = all_rows("lenet-s0", model, images, ["relu4", "fc3"], seed=3, chances=2)
    counts = {(row["quantity"], row["n_samples"]) for row in rows}
    assert counts == {("largest_difference", 60), ("deconfounded_cka", 60), ("chance_level", 40)}
    assert [row["seed"] for row in rows if row["quantity"] == "chance_level"] == [3, 3, 4, 4]
    assert len(measurements.table(rows)) == 9 + 1 + 4
