"""Inversion of a panel: inverted CKA and STIR of each pair, both ways, and the controls whose values are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netalike import data, networks
from netalike.comparison import Member
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.evidence.measurements import table
from netalike.evidence.metering import Meter
from netalike.experiments.inversion import on_pixels, pairs_of
from netalike.experiments.inversion_comparison import N_BOOT
from netalike.experiments.panel_inversion import invert_members, inverted_rows
from netalike.experiments.panel_measures import PANEL_MEASURES
from netalike.inversion import invert_images, inverted_similarity, represent, stir

SETTINGS = {
    "pairs": 24,
    "iterations": 15,
    "step_size": 0.25,
    "batch_size": 8,
    "mode": "published",
    "seed_images": ["other_class", "noise"],
}
PANEL = {"members": {"mlp-s0": "mlp", "mlp-s1": "mlp", "lenet-s0": "lenet"}, "seed": 3}
TWIN, ROWS, UNITS = "mlp-s0@untrained", "mlp-s0@permuted_samples", "mlp-s0@permuted_units"
PAIRS = [
    ("mlp-s0", "mlp-s1"),
    ("mlp-s0", "lenet-s0"),
    ("mlp-s0", "mlp-s0"),
    ("mlp-s0", TWIN),
    ("mlp-s0", ROWS),
    ("mlp-s0", UNITS),
    ("mlp-s0", "noise"),
]


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "test", limit=60)


@pytest.fixture(scope="module")
def members():
    made = {name: networks.build(family, 1, 10, seed=int(name[-1])) for name, family in PANEL["members"].items()}
    made[TWIN] = networks.build("mlp", 1, 10, seed=77)
    return [Member(name, model.eval(), []) for name, model in made.items()]


@pytest.fixture(scope="module")
def inverted(members, images):
    return invert_members(members, images, PANEL, SETTINGS)


@pytest.fixture(scope="module")
def rows(members, inverted, images):
    return inverted_rows(members, inverted, images, PAIRS, PANEL, SETTINGS)


def one(rows, a, b, measure):
    found = [
        row
        for row in rows
        if (row["network_a"], row["network_b"], f"{row['quantity']}/{row['estimator']}") == (a, b, measure)
    ]
    assert len(found) == 1, (a, b, measure)
    return found[0]


def test_images_are_those_that_the_library_inverts(members, images, inverted):
    assert set(inverted) == {f"{member.name}/{kind}" for member in members for kind in SETTINGS["seed_images"]}
    pairs = pairs_of(images, {**SETTINGS, "seed": 3}, "noise")
    found = invert_images(
        on_pixels(members[2], images), pairs.seeds, pairs.targets, batch_size=8, iterations=15, step_size=0.25
    )
    assert torch.equal(inverted["lenet-s0/noise"], found.images)
    assert float((found.losses / found.seed_losses).mean()) < 0.9


def test_each_pair_has_both_directions_and_a_network_itself_one(rows):
    directions = [(row["network_a"], row["network_b"]) for row in rows if row["quantity"] == "stir"]
    both = [(a, b) for a, b in PAIRS[:2] + PAIRS[3:6]]
    assert sorted(directions) == sorted([*both, *((b, a) for a, b in both), PAIRS[2], PAIRS[6]])
    assert len(rows) == 3 * len(directions)
    assert {row["condition"] for row in rows} == {
        f"pair={word}"
        for word in (
            *("self", "same_family", "other_family", "trained_untrained"),
            *("permuted_samples", "permuted_units", "noise"),
        )
    }
    assert len(table(rows)) == len(rows)
    assert {f"{row['quantity']}/{row['estimator']}" for row in rows} <= set(PANEL_MEASURES)


def test_a_network_is_itself_exactly_and_directions_differ(rows):
    for estimator in ("biased", "unbiased"):
        own = one(rows, "mlp-s0", "mlp-s0", f"inverted_cka/{estimator}")
        assert (own["value"], own["low"], own["high"]) == (1.0, 1.0, 1.0)
    there, back = (
        one(rows, a, b, "inverted_cka/unbiased")["value"] for a, b in (("mlp-s0", "lenet-s0"), ("lenet-s0", "mlp-s0"))
    )
    assert abs(there - back) > 1e-3


def test_numbers_are_those_of_the_librarys_measures(rows, members, images, inverted):
    a, b = (on_pixels(member, images) for member in (members[0], members[2]))
    options = {"n_boot": N_BOOT, "seed": 3, "n_null": 0}
    shown = inverted["mlp-s0/other_class"]
    expected = inverted_similarity(represent(a, shown), represent(b, shown), **options).estimates
    targets = pairs_of(images, {**SETTINGS, "seed": 3}, "noise").targets
    shared = stir(represent(b, targets), represent(b, inverted["mlp-s0/noise"]), **options).estimates
    for measure, found in (
        ("inverted_cka/biased", expected["cka/published"]),
        ("inverted_cka/unbiased", expected["cka/unbiased"]),
        ("stir/cka", shared["cka/published"]),
    ):
        row = one(rows, "mlp-s0", "lenet-s0", measure)
        numbers = (row["value"], row["low"], row["high"])
        assert numbers == pytest.approx((float(found.value), float(found.low), float(found.high)), abs=1e-6), measure
        assert row["low"] < row["value"] < row["high"]
    assert (row["layer_a"], row["layer_b"], row["n_samples"]) == ("input:fc", "input:fc3", 24)


def test_units_in_another_order_change_nothing(rows):
    for a, b in ((UNITS, "mlp-s0"), ("mlp-s0", UNITS)):
        for estimator in ("biased", "unbiased"):
            assert one(rows, a, b, f"inverted_cka/{estimator}")["value"] == pytest.approx(1, abs=1e-12)
        own = one(rows, "mlp-s0", "mlp-s0", "stir/cka")["value"]
        assert one(rows, a, b, "stir/cka")["value"] == pytest.approx(own, abs=1e-12)
        assert 0.3 < own < 1


@pytest.mark.parametrize(("a", "b"), [("mlp-s0", ROWS), (ROWS, "mlp-s0"), ("mlp-s0", "noise")])
def test_other_images_and_noise_are_unlike(rows, a, b):
    found = one(rows, a, b, "inverted_cka/unbiased")
    assert abs(found["value"]) < 0.2
    assert one(rows, "mlp-s0", "mlp-s1", "inverted_cka/unbiased")["value"] > 0.3
    if b != "noise":  # whose bias is larger than anything that networks share, see the next test
        assert one(rows, a, b, "stir/cka")["value"] < one(rows, "mlp-s0", "mlp-s0", "stir/cka")["value"]


def test_noise_is_another_for_each_set_of_images_and_has_no_layer(rows):
    found = one(rows, "mlp-s0", "noise", "stir/cka")
    assert found["layer_b"] == "noise"
    # the bias of 1,024 independent units on 24 images: near 1, and not 1
    assert 0.9 < found["value"] < 0.99
    assert not [row for row in rows if row["network_a"] == "noise"]


def test_the_same_call_gives_the_same_bits_in_any_portions(rows, members, images, inverted):
    portions = [inverted_rows(members, inverted, images, [pair], PANEL, SETTINGS) for pair in PAIRS]
    found = {(r["network_a"], r["network_b"], r["quantity"], r["estimator"]): r for part in portions for r in part}
    assert len(found) == len(rows)
    for row in rows:
        assert found[row["network_a"], row["network_b"], row["quantity"], row["estimator"]] == row
    again = invert_members(members[:1], images, PANEL, SETTINGS)
    assert all(torch.equal(again[key], inverted[key]) for key in again)


def test_only_the_seeds_that_are_asked_for(members, images, inverted):
    alone = {**SETTINGS, "seed_images": ["noise"]}
    assert set(invert_members(members[:1], images, PANEL, alone)) == {"mlp-s0/noise"}
    found = inverted_rows(members, inverted, images, PAIRS[:1], PANEL, alone)
    assert [row["quantity"] for row in found] == ["stir", "stir"]


def test_a_network_that_says_nothing_has_no_number(images):
    dead = networks.build("lenet", 1, 10, seed=0).eval()
    with torch.no_grad():
        dead.fc2.weight.zero_()
        dead.fc2.bias.fill_(-1)
    members = [Member("a-s0", dead, []), Member("b-s0", networks.build("mlp", 1, 10, seed=1).eval(), [])]
    panel = {"members": {"a-s0": "a", "b-s0": "b"}, "seed": 0}
    inverted = invert_members(members, images, panel, SETTINGS)
    found = inverted_rows(members, inverted, images, [("a-s0", "b-s0")], panel, SETTINGS)
    row = one(found, "b-s0", "a-s0", "inverted_cka/unbiased")
    assert np.isnan(row["value"])
    assert row["status"] == "undefined: zero variance over the samples"
    assert len(table(found)) == 6


def test_what_a_panel_costs_is_told_by_measure(members, images):
    meter = Meter("inversion")
    made = invert_members(members[:2], images, PANEL, {**SETTINGS, "iterations": 2}, meter=meter)
    inverted_rows(members[:2], made, images, PAIRS[:1], PANEL, SETTINGS, meter=meter)
    costs = {row["measure"]: (row["networks"], row["pairs"]) for row in meter.rows()}
    assert costs == dict.fromkeys(("inverted_cka/biased", "inverted_cka/unbiased", "stir/cka"), (2, 1))
    assert all(row["seconds_networks"] > 0 and row["seconds_pairs"] > 0 for row in meter.rows())


def test_what_does_not_fit_is_refused(members, images, inverted):
    wrong = {**SETTINGS, "seed_images": ["same_class"]}
    with pytest.raises(UnknownNameError, match=r"seed images of a panel 'same_class': expected one of other_class"):
        invert_members(members, images, PANEL, wrong)
    with pytest.raises(NetalikeError, match="70 pairs need as many target images"):
        invert_members(members, images, PANEL, {**SETTINGS, "pairs": 70})
    with pytest.raises(UnknownNameError, match=r"network of the panel 'lenet-s0@permuted_units'"):
        inverted_rows(members[:2], inverted, images, [("mlp-s0", "lenet-s0@permuted_units")], PANEL, SETTINGS)
    part = {key: found for key, found in inverted.items() if "s1" not in key}
    with pytest.raises(UnknownNameError, match=r"inverted images 'mlp-s1/other_class'"):
        inverted_rows(members, part, images, PAIRS[:1], PANEL, SETTINGS)
    with pytest.raises(ShapeError, match="of mlp-s0/other_class: expected one per pair, 20, got 24"):
        inverted_rows(members, inverted, images, PAIRS[:1], PANEL, {**SETTINGS, "pairs": 20})
