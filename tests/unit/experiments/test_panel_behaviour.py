"""Behaviour of the networks of a panel: by other implementations, resample by resample, and where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from sklearn.metrics import cohen_kappa_score

from netalike import data, networks
from netalike.comparison import Member
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.evidence.measurements import table
from netalike.evidence.metering import Meter
from netalike.experiments.panel_behaviour import MEASURES, behaviour_rows, record_outputs
from netalike.inversion.resampling import image_weights
from netalike.measures.sources import batch_permutation

AGREEMENT, KAPPA, JACCARD, JSD, DIFFERENCE = MEASURES
A, B = "lenet-s0", "tiny10-s0"
PANEL = {"members": {A: "lenet", B: "tiny10", "turn-s0": "turn", "turn-s1": "turn"}, "seed": 3, "dataset": "digits"}
N, CLASSES = 60, 10


def panel(**facts: dict[str, str]) -> dict[str, object]:
    return {**PANEL, "facts": facts}


def said(seed: int, labels: np.ndarray, share: float = 0.7, classes: int = CLASSES) -> np.ndarray:
    """Logits that are right about some of the images."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(len(labels), classes)).astype(np.float32)
    right = random.random(len(labels)) < share
    logits[right, labels[right]] += 5
    return logits


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).integers(0, CLASSES, N)


@pytest.fixture(scope="module")
def outputs(labels):
    return {A: said(1, labels), B: said(2, labels, 0.5)}


def rows_of(outputs, labels, pairs, told=PANEL, n_boot=200):
    rows = behaviour_rows(outputs, labels, pairs, told, n_boot)
    table(rows)  # value and status agree, intervals are in order
    return rows


def by_key(rows, a=A, b=B):
    found = {
        f"{row['quantity']}/{row['estimator']}": row
        for row in rows
        if (row["network_a"], row.get("network_b")) == (a, b)
    }
    assert list(found) == list(MEASURES)
    return found


# ---- values ---------------------------------------------------------------------------------------------------------


def test_each_measure_by_another_implementation(outputs, labels):
    found = by_key(rows_of(outputs, labels, [(A, B)]))
    said_a, said_b = (outputs[name].argmax(1) for name in (A, B))
    wrong_a, wrong_b = said_a != labels, said_b != labels
    bits = (
        jensenshannon(softmax(outputs[A].astype(float), 1), softmax(outputs[B].astype(float), 1), base=2, axis=1) ** 2
    )
    assert found[AGREEMENT]["value"] == pytest.approx(np.mean(said_a == said_b), abs=1e-15)
    assert found[KAPPA]["value"] == pytest.approx(cohen_kappa_score(wrong_a, wrong_b), abs=1e-12)
    assert found[JACCARD]["value"] == pytest.approx((wrong_a & wrong_b).sum() / (wrong_a | wrong_b).sum(), abs=1e-15)
    assert found[JSD]["value"] == pytest.approx(bits.mean(), abs=1e-12)
    assert found[DIFFERENCE]["value"] == pytest.approx(abs(wrong_a.mean() - wrong_b.mean()), abs=1e-15)
    assert {row["condition"] for row in found.values()} == {"pair=other_family"}
    assert {row["n_samples"] for row in found.values()} == {N}


def test_outputs_that_share_nothing_are_one_bit_apart(labels):
    a, b = (np.full((N, CLASSES), -100.0) for _ in range(2))
    a[:, 0] = b[:, 1] = 100.0
    found = by_key(rows_of({A: a, B: b}, labels, [(A, B)]))
    assert found[JSD]["value"] == pytest.approx(1, abs=1e-12)
    assert found[AGREEMENT]["value"] == 0


@pytest.mark.parametrize("other", [A, f"{A}@permuted_units"])
def test_a_network_is_like_itself(outputs, labels, other):
    found = by_key(rows_of(outputs, labels, [(A, other)]), b=other)
    for key, expected in zip(MEASURES, (1, 1, 1, 0, 0), strict=True):
        assert (found[key]["value"], found[key]["low"], found[key]["high"]) == (expected, expected, expected), key


def test_the_order_of_two_networks_does_not_matter(outputs, labels):
    one, other = (by_key(rows_of(outputs, labels, [pair]), *pair) for pair in ((A, B), (B, A)))
    for key in MEASURES:
        assert [one[key][end] for end in ("value", "low", "high")] == pytest.approx(
            [other[key][end] for end in ("value", "low", "high")], abs=1e-12
        )


def test_images_in_another_order(outputs, labels):
    found = by_key(rows_of(outputs, labels, [(A, f"{A}@permuted_samples")]), b=f"{A}@permuted_samples")
    classes, order = outputs[A].argmax(1), batch_permutation(N, N, PANEL["seed"]).numpy()
    assert found[AGREEMENT]["value"] == pytest.approx(np.mean(classes == classes[order]), abs=1e-15)
    assert found[KAPPA]["value"] == pytest.approx(
        cohen_kappa_score(classes != labels, classes[order] != labels), abs=1e-12
    )


def test_noise_is_consistent_with_no_network():
    labels = np.random.default_rng(0).integers(0, CLASSES, 4000)
    found = by_key(rows_of({A: said(1, labels)}, labels, [(A, "noise")]), b="noise")
    assert abs(found[KAPPA]["value"]) < 0.03
    assert found[KAPPA]["low"] < 0 < found[KAPPA]["high"]
    assert found[AGREEMENT]["value"] == pytest.approx(1 / CLASSES, abs=0.02)


def test_accuracy_of_trained_and_untrained_networks(outputs, labels):
    twin = f"{A}@untrained"
    rows = rows_of({**outputs, twin: outputs[B]}, labels, [])
    assert [(row["network_a"], row["condition"]) for row in rows] == [
        (A, "network=trained"),
        (B, "network=trained"),
        (twin, "network=untrained"),
    ]
    assert rows[0]["value"] == pytest.approx(np.mean(outputs[A].argmax(1) == labels), abs=1e-15)
    assert rows[0]["low"] < rows[0]["value"] < rows[0]["high"]


# ---- intervals ------------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_resamples_one_by_one(outputs, labels):
    found = by_key(rows_of(outputs, labels, [(A, B)], n_boot=40))
    wrong_a, wrong_b = (outputs[name].argmax(1) != labels for name in (A, B))
    drawn = {KAPPA: [], JACCARD: [], DIFFERENCE: []}
    for often in image_weights(N, 40, PANEL["seed"]).numpy().astype(int)[1:]:
        a, b = np.repeat(wrong_a, often), np.repeat(wrong_b, often)
        drawn[KAPPA].append(cohen_kappa_score(a, b))
        drawn[JACCARD].append((a & b).sum() / (a | b).sum())
        drawn[DIFFERENCE].append(b.mean() - a.mean())
    for key in (KAPPA, JACCARD, DIFFERENCE):
        ends = np.quantile(drawn[key], [0.025, 0.975])
        assert [found[key]["low"], found[key]["high"]] == pytest.approx(ends, abs=1e-12), key


def test_the_same_call_gives_the_same_rows(outputs, labels):
    assert rows_of(outputs, labels, [(A, B)]) == rows_of(outputs, labels, [(A, B)])
    other = behaviour_rows(outputs, labels, [(A, B)], {**PANEL, "seed": 4}, 200)
    assert by_key(other)[KAPPA]["low"] != by_key(rows_of(outputs, labels, [(A, B)]))[KAPPA]["low"]


def test_pairs_beyond_the_first_product(outputs, labels):
    many = rows_of(outputs, labels, [(A, B)] * 33, n_boot=20)
    assert [row["value"] for row in many[-5:]] == pytest.approx([row["value"] for row in many[2:7]], abs=1e-12)
    assert len(many) == 2 + 33 * 5


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth, covered, trials = 0.7, 0, 200
    labels = np.zeros(100, dtype=int)
    for trial in range(trials):
        random = np.random.default_rng(trial)
        same = random.random(100) < truth
        a, b = np.eye(CLASSES)[np.zeros(100, int)], np.eye(CLASSES)[np.where(same, 0, 1)]
        row = by_key(behaviour_rows({A: a, B: b}, labels, [(A, B)], {**PANEL, "seed": trial}, 200))[AGREEMENT]
        covered += row["low"] <= truth <= row["high"]
    assert 0.88 <= covered / trials <= 0.99


def test_the_interval_of_equal_accuracies_begins_at_zero(labels):
    found = by_key(
        rows_of({A: said(1, labels, 0.6), B: said(1, np.roll(labels, 1), 0.6)[np.r_[1:N, 0]]}, labels, [(A, B)])
    )
    assert found[DIFFERENCE]["low"] == 0 < found[DIFFERENCE]["high"] < 0.5


# ---- where there is no number ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "classes"),
    [
        (PANEL, 4),
        (panel(**{B: {"task": "rotation"}}), CLASSES),
        (panel(**{B: {"task": "classes", "dataset": "cifar10"}}), CLASSES),
    ],
    ids=["numbers of classes", "tasks", "data sets"],
)
def test_networks_of_different_tasks_have_no_number(outputs, labels, told, classes):
    found = by_key(rows_of({A: outputs[A], B: said(2, labels % classes, classes=classes)}, labels, [(A, B)], told))
    for row in found.values():
        assert np.isnan([row["value"], row["low"], row["high"]]).all()
        assert row["status"] == "undefined: networks of different tasks"


@pytest.mark.parametrize(
    "facts", [{"task": "shortcut", "dataset": "digits"}, {"task": "classes", "dataset": "mnist"}, {"dataset": ""}]
)
def test_networks_whose_outputs_mean_the_same_are_compared(outputs, labels, facts):
    found = by_key(rows_of(outputs, labels, [(A, B)], panel(**{B: facts})))
    assert {row["status"] for row in found.values()} == {"ok"}


def test_networks_of_another_task_than_the_labels_agree_but_are_not_right(labels):
    turned = {name: said(seed, labels % 4, classes=4) for seed, name in enumerate(("turn-s0", "turn-s1"))}
    told = panel(**{name: {"task": "rotation", "dataset": "digits"} for name in turned})
    rows = rows_of(turned, labels, [("turn-s0", "turn-s1")], told)
    assert [row["status"] for row in rows[:2]] == ["undefined: the labels are of another task"] * 2
    found = by_key(rows, "turn-s0", "turn-s1")
    assert found[AGREEMENT]["status"] == found[JSD]["status"] == "ok"
    for key in (KAPPA, JACCARD, DIFFERENCE):
        assert found[key]["status"] == "undefined: the labels are of another task than the networks"


def test_networks_that_make_no_error_share_none(labels):
    found = by_key(rows_of(dict.fromkeys((A, B), np.eye(CLASSES)[labels]), labels, [(A, B)]))
    assert found[KAPPA]["status"] == found[JACCARD]["status"] == "undefined: neither network is wrong about any image"
    assert (found[AGREEMENT]["value"], found[DIFFERENCE]["value"]) == (1, 0)


def test_networks_that_are_always_wrong_have_no_kappa(labels):
    found = by_key(rows_of(dict.fromkeys((A, B), np.eye(CLASSES)[(labels + 1) % CLASSES]), labels, [(A, B)]))
    assert found[KAPPA]["status"] == "undefined: both networks are wrong about every image"
    assert found[JACCARD]["value"] == 1


def test_resamples_without_an_error_are_left_out(labels):
    """One image in sixty is wrong: a third of the resamples do not draw it."""
    logits = np.eye(CLASSES)[labels]
    logits[0] = np.roll(logits[0], 1)
    found = by_key(rows_of({A: logits, B: logits}, labels, [(A, B)]))
    assert (found[KAPPA]["low"], found[KAPPA]["high"]) == (1, 1)


def test_a_recording_without_logits_has_no_behaviour(outputs, labels):
    told = {**PANEL, "members": {**PANEL["members"], "mine": "mine"}, "recorded": {"mine": "file"}}
    rows = rows_of(outputs, labels, [("mine", A), ("mine", "mine@permuted_units"), (A, B)], told)
    assert {row["status"] for row in by_key(rows).values()} == {"ok"}
    for other in (A, "mine@permuted_units"):
        found = by_key(rows, "mine", other)
        assert {row["status"] for row in found.values()} == {
            "undefined: mine was recorded without a layer called logits"
        }


def test_a_pair_without_a_relation_is_left_out(outputs, labels):
    assert not [row for row in rows_of(outputs, labels, [("noise", f"{A}@permuted_samples")]) if "network_b" in row]


# ---- mistakes -------------------------------------------------------------------------------------------------------


def test_a_network_without_outputs_is_named(outputs, labels):
    with pytest.raises(UnknownNameError, match="unknown network with outputs 'tiny10-s0': expected one of lenet-s0"):
        behaviour_rows({A: outputs[A]}, labels, [(A, B)], PANEL)


def test_other_numbers_of_images_are_refused(outputs, labels):
    with pytest.raises(ShapeError, match=r"outputs of tiny10-s0 have shape \(50, 10\), expected \(60, classes\)"):
        behaviour_rows({A: outputs[A], B: outputs[B][:50]}, labels, [(A, B)], PANEL)


def test_outputs_that_are_not_finite_are_refused(outputs, labels):
    with pytest.raises(NetalikeError, match="outputs of tiny10-s0 are not all finite"):
        behaviour_rows({A: outputs[A], B: outputs[B] * np.nan}, labels, [(A, B)], PANEL)


# ---- recording ------------------------------------------------------------------------------------------------------


def test_outputs_are_those_of_the_networks_in_eval_mode():
    images = data.load("digits", "test", limit=20)
    members = [Member(name, networks.build(name, 1, 10, seed=0).train(), []) for name in ("tiny10", "lenet")]
    meter = Meter("behaviour")
    found = record_outputs(members, images, batch_size=8, progress=False, meter=meter)
    for member in members:
        assert member.model.training
        with torch.no_grad():
            expected = member.model.eval()(images.inputs()).numpy()
        assert found[member.name].dtype == np.float32
        np.testing.assert_allclose(found[member.name], expected, atol=1e-5)
    assert [(row["measure"], row["networks"], row["pairs"]) for row in meter.rows()] == [
        (key, 2, 0) for key in MEASURES
    ]


def test_a_network_without_logits_is_named():
    with pytest.raises(ShapeError, match=r"mine has to return logits of shape \(n, classes\), got \(5, 1, 32, 32\)"):
        record_outputs([Member("mine", torch.nn.Identity(), [])], data.load("digits", "test", limit=5), progress=False)
