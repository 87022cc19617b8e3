"""Alignment of the pairs of a panel: controls whose outcome is known, and numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from netalike.alignment import SharedResponse
from netalike.comparison import UnitsInAnotherOrder
from netalike.errors import ShapeError, UnknownNameError
from netalike.evidence import measurements
from netalike.evidence.metering import Meter
from netalike.experiments import panel_alignment

N = 120
SETTINGS = {"features": None, "max_units": 12, "iterations": 10}
PANEL = {"members": {"a": "one", "b": "one", "c": "two"}, "seed": 3}
CODES = np.random.default_rng(0).normal(size=(N, 8))


def network(seed: int, widths=(30, 12)) -> dict[str, np.ndarray]:
    """Layers that respond to the same 8 codes, and a little to nothing."""
    generator = np.random.default_rng(seed)
    layers = {}
    for place, width in enumerate(widths):
        response = CODES @ generator.normal(size=(8, width)) + 0.1 * generator.normal(size=(N, width))
        layers[f"layer{place}"] = np.maximum(response, 0).astype(np.float32)
    return layers


@pytest.fixture(scope="module")
def recordings():
    found = {name: network(seed) for seed, name in enumerate("abc", start=1)}
    found["c"] = network(3, widths=(30, 20, 12))
    found["a@permuted_samples"] = found["a"]
    found["a@permuted_units"] = UnitsInAnotherOrder(found["a"], 3)
    found["noise"] = {"noise": np.random.default_rng(9).normal(size=(N, 64)).astype(np.float32)}
    return found


ORDERS = {"a@permuted_samples": np.random.default_rng(4).permutation(N)}


def aligned(recordings, *pairs, **changes):
    rows = panel_alignment.align_pairs(recordings, ORDERS, pairs, PANEL, {**SETTINGS, **changes}, progress=False)
    return measurements.table(rows, paper="comparison", seed=3)


def values(table, quantity):
    return table.loc[table["quantity"] == quantity, "value"].tolist()


QUANTITIES = ("shared_variance", "rsm_similarity", "shared_rsm_similarity")


def test_a_network_with_itself_is_explained_in_full(recordings):
    table = aligned(recordings, ("a", "a"))
    assert set(table["condition"]) == {"pair=self"}
    assert list(table["layer_b"]) == ["layer0"] * 3 + ["layer1"] * 3
    assert set(table["n_samples"]) == {N // 2}
    for quantity in QUANTITIES:
        assert values(table, quantity) == pytest.approx([1, 1], abs=1e-9), quantity


def test_units_in_another_order_are_the_same_network(recordings):
    table = aligned(recordings, ("a", "a@permuted_units"))
    assert set(table["condition"]) == {"pair=permuted_units"}
    itself = aligned(recordings, ("a", "a"))
    assert values(table, "shared_variance") == values(itself, "shared_variance")
    assert values(table, "shared_rsm_similarity") == values(itself, "shared_rsm_similarity")
    assert values(table, "rsm_similarity") == pytest.approx([1, 1], abs=1e-9)


def test_of_fewer_features_a_network_with_itself_is_explained_as_far_as_its_principal_components(recordings):
    found = values(aligned(recordings, ("a", "a"), features=3, iterations=60), "shared_variance")
    for layer, value in zip(("layer0", "layer1"), found, strict=True):
        one = panel_alignment.prepare(recordings["a"][layer], 3, 12)
        basis = np.linalg.svd(one.fit, full_matrices=False)[2][:3]
        # about the mean of the held-out images, since their variance is what is explained
        left = one.held_out - one.held_out @ basis.T @ basis
        assert value == pytest.approx(1 - (left**2).mean() / one.held_out.var(axis=0).mean(), abs=0.01)


def test_noise_and_other_samples_are_far_below_networks_that_respond_to_the_same(recordings):
    related = aligned(recordings, ("a", "b"))
    for control, pair in (("noise", ("a", "noise")), ("permuted_samples", ("a", "a@permuted_samples"))):
        table = aligned(recordings, pair)
        assert set(table["condition"]) == {f"pair={control}"}
        for quantity in QUANTITIES:
            assert max(values(table, quantity)) < min(values(related, quantity)) - 0.15, (control, quantity)
        assert max(map(abs, values(table, "rsm_similarity"))) < 0.1
        assert max(values(table, "shared_variance")) < 0.6


def test_noise_is_compared_with_every_layer(recordings):
    table = aligned(recordings, ("c", "noise"))
    assert values(table, "rsm_similarity") == pytest.approx([0, 0, 0], abs=0.1)
    assert table["layer_a"].drop_duplicates().tolist() == ["layer0", "layer1", "layer2"]
    assert set(table["layer_b"]) == {"noise"}


def test_the_order_of_the_two_does_not_matter(recordings):
    one, other = aligned(recordings, ("a", "c")), aligned(recordings, ("c", "a"))
    assert one["value"].tolist() == other["value"].tolist()
    assert one["layer_b"].drop_duplicates().tolist() == ["layer0", "layer2"]  # matched by depth
    assert one["network_a"].tolist() == other["network_b"].tolist()


def test_the_order_of_the_pairs_does_not_matter_and_the_same_call_gives_the_same_bits(recordings):
    pairs = [("a", "b"), ("c", "a"), ("b", "c")]
    table = aligned(recordings, *pairs)
    assert table.equals(aligned(recordings, *pairs))
    turned = aligned(recordings, *pairs[::-1])
    assert sorted(table["value"]) == sorted(turned["value"])
    assert table["network_a"].drop_duplicates().tolist() == ["a", "c", "b"]


def test_the_numbers_are_those_of_a_shared_response_fitted_by_hand(recordings):
    table = aligned(recordings, ("a", "b"))
    a, b = (recordings[name]["layer1"].astype(float) for name in "ab")  # 12 units: all of them
    drawn = np.random.default_rng([3, 0]).permutation(N)
    fit, held_out = np.sort(drawn[:60]), np.sort(drawn[60:])
    scaled = []
    for X in (a, b):
        X = X[:, np.argsort(-X[fit].var(axis=0))]
        scaled.append((X - X[fit].mean(axis=0)) / np.sqrt(X[fit].var(axis=0).mean()))
    model = SharedResponse(12, iterations=10, seed=3).fit([X[fit] for X in scaled])
    score = model.score([X[held_out] for X in scaled]).mean()
    assert values(table, "shared_variance")[1] == pytest.approx(score, abs=1e-9)
    below = np.tril_indices(60, -1)
    rsms = [np.corrcoef(X[held_out])[below] for X in (a, b)]
    assert values(table, "rsm_similarity")[1] == pytest.approx(np.corrcoef(rsms)[0, 1], abs=1e-9)


def test_the_scale_of_a_network_does_not_matter(recordings):
    louder = {**recordings, "b": {layer: 50 * X for layer, X in recordings["b"].items()}}
    for quantity in QUANTITIES:
        expected = values(aligned(recordings, ("a", "b")), quantity)
        assert values(aligned(louder, ("a", "b")), quantity) == pytest.approx(expected, abs=1e-5), quantity


def test_units_are_chosen_whatever_their_order():
    X = np.random.default_rng(1).normal(size=(50, 40)) * np.linspace(1, 3, 40)
    order = np.random.default_rng(2).permutation(40)
    chosen = panel_alignment.chosen_units(X, 0, 10)
    assert len(set(chosen)) == 10
    assert np.array_equal(X[:, chosen], X[:, order][:, panel_alignment.chosen_units(X[:, order], 0, 10)])
    assert not np.array_equal(chosen, panel_alignment.chosen_units(X, 1, 10))
    assert len(panel_alignment.chosen_units(X, 0, 99)) == 40


def test_halves_hold_every_image_once():
    fit, held_out = panel_alignment.halves(9, 0)
    assert (len(fit), len(held_out)) == (5, 4)
    assert sorted([*fit, *held_out]) == list(range(9))


@pytest.mark.parametrize(
    ("fill", "status"),
    [
        (0.0, "undefined: the activations do not vary over the images (layer layer1 of b)"),
        (np.nan, "undefined: the activations hold numbers that are not finite (layer layer1 of b)"),
    ],
)
def test_a_layer_that_cannot_be_aligned_says_why(recordings, fill, status):
    broken = {**recordings, "b": {**recordings["b"], "layer1": np.full((N, 12), fill, dtype=np.float32)}}
    table = aligned(broken, ("a", "b"))
    assert (table["status"] == "ok").tolist() == [True] * 3 + [False] * 3
    assert set(table["status"][3:]) == {status}
    assert table["value"][3:].isna().all()


def test_a_dead_pattern_leaves_the_shared_response_alone(recordings):
    dead = recordings["b"]["layer1"].copy()
    dead[panel_alignment.halves(N, 3)[1][0]] = 0
    table = aligned({**recordings, "b": {**recordings["b"], "layer1": dead}}, ("a", "b"))
    undefined = table["status"].str.startswith("undefined: the patterns of 1 of 60 images")
    assert undefined.tolist() == [False] * 4 + [True, False]


def test_a_pair_that_answers_no_question_has_no_rows(recordings):
    assert len(aligned(recordings, ("noise", "a@permuted_samples"))) == 0


def test_wrong_recordings_are_refused(recordings):
    with pytest.raises(UnknownNameError, match=r"unknown recorded network 'A'.*Did you mean 'a'"):
        aligned(recordings, ("A", "b"))
    short = {**recordings, "b": {"layer0": recordings["b"]["layer0"][:50]}}
    with pytest.raises(ShapeError, match=f"same images, at least 8; got a {N}, b 50"):
        aligned(short, ("a", "b"))


def test_the_meter_counts_networks_and_pairs(recordings):
    meter = Meter("alignment")
    pairs = [("a", "b"), ("a", "c")]
    panel_alignment.align_pairs(recordings, ORDERS, pairs, PANEL, SETTINGS, False, meter)
    assert [(row["networks"], row["pairs"]) for row in meter.rows()] == [(3, 2)] * 3
    assert {row["measure"] for row in meter.rows()} == set(panel_alignment.MEASURES)
    assert all(row["seconds_pairs"] > 0 and row["seconds_networks"] > 0 for row in meter.rows())
