"""Similarity on inverted images: identities, the estimators against the registry, the null, and honest intervals."""

import itertools

import numpy as np
import pytest
import torch

from netalike import inversion
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.inversion.resampling import image_weights, products, weighted_gram
from netalike.measures import measure


def features(n, width, seed, offset=0.0):
    return np.random.default_rng(seed).normal(size=(n, width)) + offset


def related(n, width, seed, noise=1.0):
    """Two representations that share half of what they are."""
    common = features(n, width, seed)
    return common + noise * features(n, width, seed + 100), common @ features(width, width, seed + 300) / width**0.5


def test_a_network_is_like_itself_in_every_resample():
    x = features(40, 12, 0, offset=3.0)
    found = inversion.inverted_similarity(x, x, inputs=features(40, 30, 9), n_boot=50)
    for name, estimate in found.estimates.items():
        identical = measure("cka/biased" if name == "cka/published" else name).identical
        assert float(estimate) == pytest.approx(identical, abs=1e-9), name
        assert np.abs(estimate.samples - identical).max() < 1e-9, name
        assert str(estimate.status) == "ok"


@pytest.mark.parametrize(("n", "width"), [(40, 12), (20, 90)])
def test_values_are_those_of_the_registry(n, width):
    x, y = related(n, width, 1)
    inputs = features(n, 25, 5)
    found = inversion.inverted_similarity(x, y, inputs=inputs, n_boot=3).estimates
    twins = {"cka/published": "cka/biased"}
    assert set(found) == set(inversion.MEASURES)
    for name, estimate in found.items():
        assert float(estimate) == pytest.approx(measure(twins.get(name, name))(x, y, inputs), abs=1e-10), name


def test_published_cka_is_the_snippet():
    x, y = related(50, 8, 2)
    a, b = x - x.mean(0), y - y.mean(0)
    snippet = np.linalg.norm(a.T @ b) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    found = inversion.inverted_similarity(x, y, measures=["cka/published"], n_boot=0)
    assert float(found.estimates["cka/published"]) == pytest.approx(snippet, abs=1e-12)
    assert np.isnan(found.estimates["cka/published"].low)


def test_weighted_unbiased_products_agree_with_their_definition():
    """Over quadruples of different images, each with the product of its weights."""
    x, y = related(7, 3, 3)
    weights = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [2, 0, 1, 3, 1, 0, 0.0]], dtype=torch.float64)
    a, b = (weighted_gram(torch.from_numpy(part), weights) for part in (x, y))
    found = products(a, b, weights).unbiased
    k, l = a.gram.numpy(), b.gram.numpy()
    for row, w in enumerate(weights.numpy()):
        total, share = 0.0, 0.0
        for i, j, q, r in itertools.permutations(range(7), 4):
            mass = w[i] * w[j] * w[q] * w[r]
            share += mass
            total += mass * k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
        if row == 0:
            assert found[row].item() == pytest.approx(total / share, rel=1e-10)
        else:  # sums over pairs and triples run over all pairs and triples, not over those within quadruples
            pairs = sum(w[i] * w[j] * k[i, j] * l[i, j] for i, j in itertools.permutations(range(7), 2))
            pairs /= sum(w[i] * w[j] for i, j in itertools.permutations(range(7), 2))
            threes = list(itertools.permutations(range(7), 3))
            triples = sum(w[i] * w[j] * w[q] * k[i, j] * l[i, q] for i, j, q in threes)
            triples /= sum(w[i] * w[j] * w[q] for i, j, q in threes)
            fours = list(itertools.permutations(range(7), 4))
            quadruples = sum(w[i] * w[j] * w[q] * w[r] * k[i, j] * l[q, r] for i, j, q, r in fours) / share
            assert found[row].item() == pytest.approx(pairs + quadruples - 2 * triples, rel=1e-10)


def test_resamples_are_centred_on_the_value():
    """An image and its own copy are no pair of images: a plain resample of few images in many units is inflated."""
    x, y = related(60, 400, 4, noise=2.0)
    found = inversion.inverted_similarity(x, y, n_boot=400)
    plain = []
    for weights in image_weights(60, 100, 0)[1:]:
        rows = np.repeat(np.arange(60), weights.int().numpy())
        plain.append(measure("cka/unbiased")(x[rows], y[rows]))
    unbiased = found.estimates["cka/unbiased"]
    assert np.mean(plain) > float(unbiased) + 0.1
    for name in ("cka/published", "cka/unbiased", "procrustes/published"):
        estimate = found.estimates[name]
        spread = estimate.samples.std()
        assert abs(estimate.samples.mean() - float(estimate)) < spread, name
        assert estimate.low < float(estimate) < estimate.high, name


@pytest.mark.parametrize("name", ["cka/published", "cka/unbiased", "procrustes/published"])
def test_intervals_are_as_wide_as_fresh_samples_differ(name):
    def draw(seed):
        generator = np.random.default_rng(seed)
        common = generator.normal(size=(80, 5))
        return [
            np.hstack([common, generator.normal(size=(80, 5))]) @ np.diag(np.linspace(0.5, 1.5, 10)) for _ in range(2)
        ]

    fresh, within = [], []
    for seed in range(40):
        found = inversion.inverted_similarity(*draw(seed), measures=[name], n_boot=100, n_null=0).estimates[name]
        fresh.append(float(found))
        within.append(found.samples.std())
    assert np.mean(within) / np.std(fresh) == pytest.approx(1.0, abs=0.35)


def test_I9_the_null_shows_the_bias_and_the_unbiased_estimate_has_none():
    """Independent representations: published CKA is far from 0 where n is not far above the width."""
    n, width = 40, 1000
    found = inversion.inverted_similarity(features(n, width, 0), features(n, width, 1), n_boot=20, n_null=20)
    published, null = found.estimates["cka/published"], found.null["cka/published"]
    assert float(published) == pytest.approx(width / (n + width), abs=0.01)  # .961
    assert float(null) == pytest.approx(float(published), abs=0.01)
    assert abs(float(found.estimates["cka/unbiased"])) < 0.05
    assert abs(float(found.null["cka/unbiased"])) < 0.05


def test_deconfounding_removes_what_the_inputs_explain():
    inputs = features(60, 10, 7)
    x, y = (inputs @ features(10, 10, seed) + 0.3 * features(60, 10, seed + 50) for seed in (1, 2))
    found = inversion.inverted_similarity(x, y, inputs=inputs, n_boot=20).estimates
    assert float(found["deconfounded_cka/published"]) < float(found["cka/published"]) - 0.2


def networks(names=("a", "b", "c"), n=30):
    shared = features(n, 6, 0)
    return {name: np.hstack([shared, features(n, 3 + i, 10 + i)]) for i, name in enumerate(names)}


def test_matrix_has_a_diagonal_of_one_symmetric_targets_and_asymmetric_inverted_images():
    targets = networks()
    on = {
        row: {column: part + features(*part.shape, 20 + i) for column, part in targets.items()}
        for i, row in enumerate(targets)
    }
    found = inversion.similarity_matrix(on, targets, n_boot=40, n_null=5)
    published = found.inverted["cka/published"]
    assert np.abs(np.diagonal(published.value) - 1).max() < 1e-12
    assert np.abs(np.diagonal(found.targets["cka/unbiased"].value) - 1).max() < 1e-12
    assert np.array_equal(found.targets["cka/published"].value, found.targets["cka/published"].value.T)
    one = inversion.inverted_similarity(on["b"]["b"], on["b"]["c"], n_boot=40, n_null=5)
    assert published.value[1, 2] == float(one.estimates["cka/published"])
    assert published.low[1, 2] == float(one.estimates["cka/published"].low)
    asymmetry = found.asymmetry()
    assert asymmetry.value[0, 1] == published.value[0, 1] - published.value[1, 0]
    assert asymmetry.value[0, 1] == -asymmetry.value[1, 0] != 0
    assert asymmetry.low[0, 1] == pytest.approx(-asymmetry.high[1, 0])
    assert np.abs(asymmetry.value.diagonal()).max() == 0


def test_mean_and_difference_are_over_pairs_of_different_networks():
    targets = networks()
    on = {row: {column: part[::-1] ** 3 for column, part in targets.items()} for row in targets}
    found = inversion.similarity_matrix(on, targets, n_boot=30, n_null=0)
    mask = ~np.eye(3, dtype=bool)
    values = found.inverted["cka/published"].value[mask], found.targets["cka/published"].value[mask]
    assert float(found.mean()) == pytest.approx(values[0].mean())
    difference = found.difference()
    assert float(difference) == pytest.approx(values[0].mean() - values[1].mean())
    assert difference.low < float(difference) < difference.high
    with pytest.raises(UnknownNameError, match=r"unknown set of images 'target'.*Did you mean 'targets'"):
        found.mean(on="target")


def test_one_seed_gives_the_same_bits_and_another_does_not():
    x, y = related(30, 5, 0)
    one, two, other = (inversion.inverted_similarity(x, y, n_boot=20, seed=seed) for seed in (3, 3, 4))
    samples = [result.estimates["cka/unbiased"].samples for result in (one, two, other)]
    assert np.array_equal(samples[0], samples[1])
    assert not np.array_equal(samples[0], samples[2])
    assert np.array_equal(one.null["cka/published"].samples, two.null["cka/published"].samples)


def test_a_dead_representation_is_undefined_and_says_why():
    x, dead = features(20, 4, 0), np.ones((20, 3))
    found = inversion.inverted_similarity(x, dead, n_boot=5)
    for estimate in (*found.estimates.values(), *found.null.values()):
        assert np.isnan(float(estimate))
        assert str(estimate.status) == "undefined: zero variance over the samples"
    targets = {"a": x, "b": dead, "c": features(20, 4, 1)}
    matrix = inversion.similarity_matrix({"a": targets}, targets, n_boot=5)
    assert matrix.inverted["cka/published"].status.tolist() == [
        ["ok", "undefined: zero variance over the samples", "ok"]
    ]
    assert float(matrix.mean()) == matrix.inverted["cka/published"].value[0, 2]


def test_stir_is_one_network_on_two_sets_of_images():
    originals, others = related(40, 6, 0)
    found = inversion.stir(originals, others, n_boot=10)
    assert float(found.estimates["cka/published"]) == pytest.approx(measure("cka/biased")(originals, others))
    assert float(inversion.stir(originals, originals, n_boot=10).estimates["cka/unbiased"]) == pytest.approx(1.0)
    targets = {"a": originals, "b": others}
    on = {"a": {"a": originals, "b": others[::-1].copy()}}
    matrix = inversion.stir_matrix(on, targets, n_boot=10)["cka/published"]
    # exact through its own network: 1; the other network's representations are of other images
    assert matrix.value[0, 0] == pytest.approx(1.0)
    assert matrix.value[0, 1] == pytest.approx(measure("cka/biased")(others, others[::-1]))
    # Jones et al. compare two networks on one set of images: another number
    jones = inversion.similarity_matrix(on, targets, n_boot=10).inverted["cka/published"]
    assert jones.value[0, 1] == pytest.approx(measure("cka/biased")(originals, others[::-1]))
    assert abs(jones.value[0, 1] - matrix.value[0, 1]) > 0.02


def test_what_does_not_fit_is_refused():
    x = features(10, 3, 0)
    with pytest.raises(ShapeError, match="one row per image: 10 and 9"):
        inversion.inverted_similarity(x, x[:9])
    with pytest.raises(
        UnknownNameError, match=r"unknown measure on inverted images 'cka/publishd'.*Did you mean 'cka/published'"
    ):
        inversion.inverted_similarity(x, x, measures=["cka/publishd"])
    with pytest.raises(ShapeError, match="adjusts for the inputs: give the images"):
        inversion.inverted_similarity(x, x, measures=["deconfounded_cka/published"])
    with pytest.raises(NetalikeError, match="at least 4 images, got 3"):
        inversion.inverted_similarity(x[:3], x[:3])
    with pytest.raises(UnknownNameError, match="unknown network among the columns 'c'"):
        inversion.similarity_matrix({"c": {"a": x}}, {"a": x})
    with pytest.raises(UnknownNameError, match="representations of the targets 'b'"):
        inversion.similarity_matrix({"a": {"a": x, "b": x}}, {"a": x})
    with pytest.raises(ShapeError, match="same networks as columns"):
        inversion.similarity_matrix({"a": {"a": x, "b": x}, "b": {"b": x}}, {"a": x, "b": x})
