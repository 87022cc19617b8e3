"""The authors' demonstration: pairs of layers, the division error, and the published diagonal of 1.11."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from netalike import data, networks
from netalike.compat.simtorch import CKA, DeltaCKA, SimilarityModel
from netalike.errors import NetalikeError, UnknownNameError
from netalike.evidence import measurements
from netalike.experiments.demonstration import demonstration_rows, resnet18_rows
from netalike.measures import cka, deconfounded_cka

BATCHES, BATCH = 3, 16


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "test", limit=BATCHES * BATCH)


@pytest.fixture(scope="module")
def models():
    return {"lenet-s0": networks.build("lenet", 1, 10, 0), "dense-s1": networks.build("dense", 1, 10, 1)}


@pytest.fixture(scope="module")
def rows(models, images):
    return demonstration_rows(models, images, {"lenet-s0": ["conv", "fc"], "dense-s1": ["fc"]}, BATCH, seed=2)


def matrix(rows: list[dict], quantity: str, estimator: str, pair: str, first: str, second: str) -> np.ndarray:
    chosen = [
        r
        for r in rows
        if (r["quantity"], r["estimator"], r["condition"]) == (quantity, estimator, f"pair={pair}")
        and (r["network_a"], r["network_b"]) == (first, second)
    ]
    width = len({r["layer_b"] for r in chosen})
    return np.array([r["value"] for r in chosen]).reshape(-1, width)


def test_the_number_of_rows_by_hand(rows):
    lenet, dense = 5, 4
    pairs = Counter((r["network_a"], r["network_b"], r["condition"]) for r in rows)
    assert pairs == {
        ("lenet-s0", "dense-s1", "pair=two_networks"): 4 * lenet * dense,
        ("lenet-s0", "lenet-s0", "pair=self"): 4 * lenet * lenet,
        ("dense-s1", "dense-s1", "pair=self"): 4 * dense * dense,
        ("lenet-s0", "dense-s1@permuted_samples", "pair=permuted_samples"): 4 * lenet * dense,
    }
    assert {(r["quantity"], r["estimator"]) for r in rows} == {
        (quantity, estimator) for quantity in ("cka", "deconfounded_cka") for estimator in ("published", "division_bug")
    }
    assert len(measurements.table(rows)) == len(rows)


@pytest.mark.parametrize(("quantity", "metric"), [("cka", CKA), ("deconfounded_cka", DeltaCKA)])
def test_the_values_are_those_of_the_interface(rows, models, images, quantity, metric):
    loader = list(data.batches(images, BATCH))
    pair = [
        SimilarityModel(model, None, layers)
        for model, layers in zip(models.values(), (["conv", "fc"], ["fc"]), strict=True)
    ]
    for estimator, is_bug in (("published", False), ("division_bug", True)):
        expected = metric(*pair, bug_compat=is_bug).compute(loader)
        found = matrix(rows, quantity, estimator, "two_networks", "lenet-s0", "dense-s1")
        np.testing.assert_array_equal(found, expected)
    assert [r["layer_a"] for r in rows[:20:4]] == ["conv1", "conv2", "fc1", "fc2", "fc3"]


@pytest.mark.parametrize("quantity", ["cka", "deconfounded_cka"])
def test_the_diagonal_is_one_and_with_the_error_batches_over_layers(rows, quantity):
    for network, layers in (("lenet-s0", 5), ("dense-s1", 4)):
        corrected, bug = (matrix(rows, quantity, e, "self", network, network) for e in ("published", "division_bug"))
        np.testing.assert_allclose(np.diag(corrected), 1, atol=1e-9)
        np.testing.assert_allclose(np.diag(bug), BATCHES / layers, atol=1e-9)
        np.testing.assert_allclose(bug, corrected * BATCHES / layers, rtol=1e-9)


def test_the_control_is_the_second_network_on_the_samples_in_another_order(rows, models, images):
    order = torch.randperm(BATCH, generator=torch.Generator().manual_seed(2))
    first, second = models.values()
    expected = {"cka": 0.0, "deconfounded_cka": 0.0}
    for inputs, _ in data.batches(images, BATCH):
        with torch.no_grad():
            x, y = first(inputs), second(inputs[order])
        expected["cka"] += cka(x, y, "biased") / BATCHES
        expected["deconfounded_cka"] += deconfounded_cka(x, y, inputs) / BATCHES
    for quantity, value in expected.items():
        pair = ("permuted_samples", "lenet-s0", "dense-s1@permuted_samples")
        assert matrix(rows, quantity, "published", *pair)[-1, -1] == pytest.approx(value, abs=1e-5)


def test_the_control_leaves_the_models_as_they_were(rows, models, images):
    assert all(not module._forward_pre_hooks for model in models.values() for module in model.modules())
    again = demonstration_rows(models, images, {"lenet-s0": ["conv", "fc"], "dense-s1": ["fc"]}, BATCH, seed=2)
    assert again == rows


def test_a_published_diagonal_of_twenty_eighteenths():
    """Figure 2 of simtorch's README: 18 layers of a ResNet-18 on 20 batches."""
    images = data.load("digits", "test", limit=20 * 4)
    rows = resnet18_rows(images, 4, seed=1)
    assert len(rows) == 2 * 18 * 18
    corrected, bug = (
        matrix(rows, "deconfounded_cka", estimator, "self", "resnet18@untrained", "resnet18@untrained")
        for estimator in ("published", "division_bug")
    )
    assert corrected.shape == (18, 18)
    np.testing.assert_allclose(np.diag(corrected), 1, atol=1e-6)
    np.testing.assert_allclose(np.diag(bug), 20 / 18, atol=1e-6)
    assert round(float(bug.max()), 3) == 1.111


class Dead(nn.Module):
    """A second layer that is the same for all images."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(1024, 8)
        self.fc2 = nn.Linear(8, 3)
        nn.init.zeros_(self.fc2.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.fc1(x.flatten(1)))


def test_a_constant_layer_has_no_value_and_says_so(models, images):
    rows = demonstration_rows({"dead-s0": Dead(), "dense-s1": models["dense-s1"]}, images, ["fc"], BATCH)
    missing = [r for r in rows if r["status"] != "ok"]
    assert {r["layer_a"] for r in missing if r["network_b"] != "dead-s0"} == {"fc2"}
    assert len([r for r in missing if r["condition"] == "pair=two_networks"]) == 4 * 4
    assert {r["status"] for r in missing if r["quantity"] == "cka"} == {
        "undefined: zero variance over the samples of a batch"
    }
    measurements.table(rows)  # no number where there is none


def test_mistakes_are_named(models, images):
    with pytest.raises(NetalikeError, match="compares 2 networks, got 1: lenet-s0"):
        demonstration_rows({"lenet-s0": models["lenet-s0"]}, images, ["fc"], BATCH)
    with pytest.raises(UnknownNameError, match="layer of dense-s1 'conv'"):
        demonstration_rows(models, images, ["conv"], BATCH)
