"""Gradient kernels of a panel: by stored gradients, compared by other implementations, and controls."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from netalike import data, networks
from netalike.comparison import Member
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.evidence.measurements import table
from netalike.evidence.metering import Meter
from netalike.experiments import panel_gradients
from netalike.experiments.panel_gradients import MEASURES, gradient_kernels, kernel_rows, noise_kernel
from netalike.gradients import per_sample_gradients, similarity, similarity_block
from netalike.inversion.resampling import image_weights
from netalike.measures import cka
from netalike.measures.sources import batch_permutation

PEARSON, SPEARMAN, BIASED, UNBIASED = MEASURES
A, B = "lenet-s0", "tiny10-s0"
PANEL = {"members": {A: "lenet", B: "tiny10"}, "seed": 3}
N = 40


def features(seed: int, n: int = N, shared: float = 0.5) -> np.ndarray:
    """Unit vectors per image, of which a part is the same for every seed."""
    common = np.random.default_rng([99, n]).normal(size=(n, 20))
    own = np.random.default_rng(seed).normal(size=(n, 20))
    mixed = np.concatenate([shared * common, (1 - shared) * own], axis=1)
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def kernels():
    found = {name: features(seed) for seed, name in enumerate((A, B))}
    return {name: x @ x.T for name, x in found.items()}


def rows_of(kernels, pairs, n_boot=50, told=PANEL):
    rows = kernel_rows(kernels, pairs, told, n_boot)
    table(rows)  # value and status agree, intervals are in order
    return rows


def by_key(rows):
    found = {f"{row['quantity']}/{row['estimator']}": row for row in rows}
    assert list(found) == list(MEASURES)
    return found


def cells(kernel, often=None):
    """Entries above the diagonal, each as often as a resample has its two images."""
    rows, columns = np.triu_indices(len(kernel), 1)
    often = np.ones(len(kernel), int) if often is None else often
    return np.repeat(kernel[rows, columns], often[rows] * often[columns])


# ---- kernels --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "test", limit=12)


@pytest.mark.parametrize("architecture", ["lenet", "tiny10"])
@pytest.mark.parametrize("outputs", ["logits", "true-class"])
def test_kernels_are_those_of_stored_gradients(images, architecture, outputs):
    model = networks.build(architecture, 1, 10, seed=0).train()
    found = gradient_kernels([Member("x", model, [])], images, {"n_images": 8, "outputs": outputs}, progress=False)["x"]
    assert model.training  # batch norm was in eval mode while gradients were computed, and is put back
    some = images.take(slice(0, 8))
    expected = similarity(per_sample_gradients(model.eval(), some, outputs, some.labels).double()).numpy()
    assert found.dtype == np.float64
    assert np.array_equal(found, found.T)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_gradients_that_do_not_fit_are_computed_again(monkeypatch):
    held = []
    monkeypatch.setattr(
        panel_gradients, "similarity_block", lambda *args, **more: held.append(1) or block(*args, **more)
    )
    block, images = similarity_block, data.load("digits", "test", limit=110)
    member = Member("x", networks.build("lenet", 1, 10, seed=0), [])
    found = []
    for memory_gb, calls in ((2.5, 1), (0.02, 1)):  # the gradients of 110 images take 12.5 MB, and 12 may be held
        found.append(gradient_kernels([member], images, {"memory_gb": memory_gb}, progress=False)["x"])
        assert len(held) == calls
    np.testing.assert_allclose(*found, atol=2e-5)


def test_the_first_images_are_taken(images):
    member = Member("x", networks.build("lenet", 1, 10, seed=0), [])
    some, every = (gradient_kernels([member], images, {"n_images": n}, progress=False)["x"] for n in (5, 12))
    assert some.shape == (5, 5)
    np.testing.assert_allclose(some, every[:5, :5], atol=1e-5)


def permuted(model: nn.Sequential, order: torch.Tensor) -> nn.Sequential:
    """The same perceptron with the units of its hidden layer in another order."""
    _, first, _, last = model
    new = nn.Sequential(nn.Flatten(), nn.Linear(1024, 16), nn.Tanh(), nn.Linear(16, 10))
    new[1].load_state_dict({"weight": first.weight[order], "bias": first.bias[order]})
    new[3].load_state_dict({"weight": last.weight[:, order], "bias": last.bias})
    return new


def test_a_network_with_its_units_in_another_order_is_the_same(images):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(1024, 16), nn.Tanh(), nn.Linear(16, 10))
    names = A, f"{A}@permuted_units"
    members = [Member(names[0], model, []), Member(names[1], permuted(model, torch.randperm(16)), [])]
    found = gradient_kernels(members, images, {}, progress=False)
    assert not np.array_equal(found[names[0]], found[names[1]])  # it was computed, not copied
    np.testing.assert_allclose(found[names[0]], found[names[1]], atol=1e-5)
    for row in rows_of(found, [names]):
        assert row["value"] == pytest.approx(1, abs=1e-4)
        assert row["condition"] == "pair=permuted_units"


def test_networks_of_different_tasks_are_compared(images):
    members = [Member(name, networks.build("lenet", 1, classes, seed=1), []) for name, classes in ((A, 10), (B, 4))]
    meter = Meter("gradients")
    kernels = gradient_kernels(members, images, {}, progress=False, meter=meter)
    rows = kernel_rows(kernels, [(A, B)], PANEL, 20, meter)
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert all(0 < row["value"] < 0.9999 for row in rows)
    costs = {row["measure"]: (row["networks"], row["pairs"]) for row in meter.rows()}
    assert costs == dict.fromkeys(MEASURES, (2, 1))


def test_labels_of_another_task_name_the_network(images):
    member = Member("turn-s0", networks.build("lenet", 1, 4, seed=0), [])
    with pytest.raises(ShapeError, match="gradients of turn-s0: the network has 4 logits, but there is a label"):
        gradient_kernels([member], images, {"outputs": "true-class"}, progress=False)


def test_a_choice_of_outputs_that_does_not_exist(images):
    member = Member("x", networks.build("lenet", 1, 10, seed=0), [])
    with pytest.raises(UnknownNameError, match=r"gradients of x: unknown choice of outputs 'logit'.*'logits'"):
        gradient_kernels([member], images, {"outputs": "logit"}, progress=False)


# ---- values ---------------------------------------------------------------------------------------------------------


def test_each_measure_by_another_implementation(kernels):
    found = by_key(rows_of(kernels, [(A, B)]))
    a, b = (cells(kernels[name]) for name in (A, B))
    assert found[PEARSON]["value"] == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-12)
    assert found[SPEARMAN]["value"] == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    for key, estimator in ((BIASED, "biased"), (UNBIASED, "unbiased")):  # of the vectors whose products the kernels are
        assert found[key]["value"] == pytest.approx(cka(features(0), features(1), estimator), abs=1e-10), key
    assert {row["condition"] for row in found.values()} == {"pair=other_family"}
    assert {row["n_samples"] for row in found.values()} == {N}


@pytest.mark.parametrize("other", [A, f"{A}@permuted_units"])
def test_a_network_is_like_itself(kernels, other):
    for row in rows_of(kernels, [(A, other)]):
        assert (row["value"], row["low"], row["high"]) == (1, 1, 1), row["estimator"]


def test_the_order_of_two_networks_does_not_matter(kernels):
    one, other = (by_key(rows_of(kernels, [pair])) for pair in ((A, B), (B, A)))
    for key, end in itertools.product(MEASURES, ("value", "low", "high")):
        assert one[key][end] == pytest.approx(other[key][end], abs=1e-12)


def test_noise_is_like_no_network():
    x = features(0, 128)
    kernels = {A: x @ x.T}
    found = by_key(rows_of(kernels, [(A, "noise")]))
    for key in (PEARSON, SPEARMAN, UNBIASED):
        assert abs(found[key]["value"]) < 0.05, key
        assert found[key]["low"] < 0 < found[key]["high"], key
    assert found[BIASED]["value"] > 0.2  # its bias: both kernels are 1 on the diagonal


def test_noise_is_the_cosine_of_random_gradients():
    kernel = noise_kernel(100, seed=1)
    np.testing.assert_allclose(kernel.diagonal(), 1, atol=1e-12)
    off = cells(kernel)
    assert off.std() == pytest.approx(1 / 32, rel=0.05)
    assert abs(off.mean()) < 0.002
    assert not np.array_equal(kernel, noise_kernel(100, seed=2))


def test_images_in_another_order(kernels):
    found = by_key(rows_of(kernels, [(A, f"{A}@permuted_samples")]))
    order = batch_permutation(N, N, PANEL["seed"]).numpy()
    moved = kernels[A][order][:, order]
    expected = stats.pearsonr(cells(kernels[A]), cells(moved)).statistic
    assert found[PEARSON]["value"] == pytest.approx(expected, abs=1e-12)
    assert found[UNBIASED]["value"] < 0.3


# ---- intervals ------------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_resamples_one_by_one(kernels):
    rounded = {name: np.round(kernel, 1) for name, kernel in kernels.items()}  # with many ties
    found = by_key(rows_of(rounded, [(A, B)], n_boot=30))
    drawn = {PEARSON: [], SPEARMAN: []}
    for often in image_weights(N, 30, PANEL["seed"]).numpy().astype(int)[1:]:
        a, b = (cells(rounded[name], often) for name in (A, B))
        drawn[PEARSON].append(stats.pearsonr(a, b).statistic)
        drawn[SPEARMAN].append(stats.spearmanr(a, b).statistic)
    for key in (PEARSON, SPEARMAN):
        ends = np.quantile(drawn[key], [0.025, 0.975])
        assert [found[key]["low"], found[key]["high"]] == pytest.approx(ends, abs=1e-10), key


def test_the_same_call_gives_the_same_rows(kernels):
    pairs = [(A, B), (A, A), (A, "noise")]
    assert rows_of(kernels, pairs) == rows_of(kernels, pairs)
    other = kernel_rows(kernels, [(A, B)], {**PANEL, "seed": 4}, 50)
    assert by_key(other)[PEARSON]["low"] != by_key(rows_of(kernels, [(A, B)]))[PEARSON]["low"]


def test_a_pair_has_the_same_rows_beside_others(kernels):
    alone, beside = rows_of(kernels, [(A, B)]), rows_of(kernels, [(A, "noise"), (A, B)])[4:]
    for one, other in zip(alone, beside, strict=True):
        assert [one[end] for end in ("value", "low", "high")] == pytest.approx(
            [other[end] for end in ("value", "low", "high")], abs=1e-12
        )


def drawn_kernels(random: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    common = random.normal(size=(n, 5))
    both = [np.concatenate([common, random.normal(size=(n, 5))], axis=1) for _ in range(2)]
    return {name: x @ x.T for name, x in zip((A, B), both, strict=True)}


@pytest.mark.parametrize("key", [PEARSON, UNBIASED])
def test_intervals_hold_the_truth_about_as_often_as_they_say(key):
    truth = by_key(kernel_rows(drawn_kernels(np.random.default_rng(0), 1500), [(A, B)], PANEL, 0))[key]["value"]
    trials = [
        by_key(kernel_rows(drawn_kernels(np.random.default_rng([1, trial]), 40), [(A, B)], PANEL, 100))[key]
        for trial in range(40)
    ]
    assert 0.8 <= np.mean([row["low"] <= truth <= row["high"] for row in trials]) <= 1
    assert np.mean([row["high"] - row["low"] for row in trials]) < 0.4


def test_without_resamples_there_is_no_interval(kernels):
    for row in kernel_rows(kernels, [(A, B)], PANEL, 0):
        assert np.isfinite(row["value"])
        assert np.isnan([row["low"], row["high"]]).all()


# ---- where there is no number, and mistakes -------------------------------------------------------------------------


def test_a_kernel_that_does_not_vary_has_no_number(kernels):
    rows = rows_of({A: kernels[A], B: np.ones((N, N))}, [(A, B)])
    assert [row["status"] for row in rows] == [f"undefined: the kernel of {B} is the same for all pairs of images"] * 4
    assert np.isnan([row["value"] for row in rows]).all()


def test_orthogonal_gradients_have_a_biased_number_alone(kernels):
    found = by_key(rows_of({A: kernels[A], B: np.eye(N)}, [(A, B)]))
    assert found[BIASED]["value"] == pytest.approx(cka(features(0), np.eye(N), "biased"), abs=1e-10)
    for key in (PEARSON, SPEARMAN, UNBIASED):
        assert np.isnan(found[key]["value"]), key


def test_pairs_without_a_relation_are_left_out(kernels):
    assert rows_of(kernels, [("noise", f"{A}@permuted_samples")]) == []


def test_a_network_without_a_kernel_is_named(kernels):
    with pytest.raises(
        UnknownNameError, match="unknown network with a gradient kernel 'tiny10-s0': expected one of len"
    ):
        kernel_rows({A: kernels[A]}, [(A, B)], PANEL)


@pytest.mark.parametrize(
    ("other", "error", "text"),
    [
        (np.eye(10), ShapeError, "kernels of different images: lenet-s0 has 40, tiny10-s0 has 10"),
        (np.ones((N, 3)), ShapeError, r"the kernel of tiny10-s0 has shape \(40, 3\), expected \(n, n\)"),
        (np.full((N, N), np.nan), NetalikeError, "the kernel of tiny10-s0 is not finite"),
    ],
)
def test_kernels_that_do_not_fit_are_refused(kernels, other, error, text):
    with pytest.raises(error, match=text):
        kernel_rows({A: kernels[A], B: other}, [(A, B)], PANEL)


def test_too_few_images_are_refused():
    with pytest.raises(NetalikeError, match="at least 4 images, got 3"):
        kernel_rows({A: np.eye(3)}, [(A, A)], PANEL)


def test_no_kernels_are_refused():
    with pytest.raises(NetalikeError, match="no gradient kernels were given"):
        kernel_rows({}, [], PANEL)
