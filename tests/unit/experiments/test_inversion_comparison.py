"""Networks compared on inverted images: by the formulas, pair by pair, and the means over pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netalike import data, networks
from netalike.comparison import Member
from netalike.errors import NetalikeError, ShapeError
from netalike.evidence.measurements import parse_condition, table
from netalike.experiments import inversion_comparison
from netalike.experiments.inversion import pairs_of
from netalike.experiments.inversion_behaviour import fitted_head
from netalike.experiments.inversion_comparison import compare_networks
from netalike.experiments.inversion_pictures import shown_networks
from netalike.experiments.inversion_published import INVERTED, NETWORKS, TARGETS, off_diagonal_mean
from netalike.experiments.inversion_roles import Role, pair_kind, training_of
from netalike.inversion import represent
from netalike.networks.pixels import pixel_network

STUDY = {
    "seed_images": ["other_class", "noise"],
    "pairs": 24,
    "batch_size": 16,
    "seed": 1,
    "members": {"mlp-s0": "mlp", "lenet-s0": "lenet", "mlp-eps1-s0": "mlp-eps1"},
}
EPS = {"mlp-s0": 0.0, "lenet-s0": 0.0, "mlp-eps1-s0": 1.0}
NAMES = [*EPS, "mlp-s0@untrained"]


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "test", limit=80)


@pytest.fixture(scope="module")
def members():
    architectures = ["mlp", "lenet", "mlp", "mlp"]
    built = [networks.build(architecture, 1, 10, seed=i).eval() for i, architecture in enumerate(architectures)]
    return [Member(name, model, []) for name, model in zip(NAMES, built, strict=True)]


@pytest.fixture(scope="module")
def inverted(images):
    generator = torch.Generator().manual_seed(0)
    targets = pairs_of(images, STUDY, "noise").targets
    return {
        f"{name}/{kind}": (targets + 0.3 * torch.randn(targets.shape, generator=generator)).clamp(0, 1)
        for name in NAMES
        for kind in STUDY["seed_images"]
    }


@pytest.fixture(scope="module")
def result(members, inverted, images):
    return compare_networks(members, inverted, images, STUDY, EPS)


def chosen(rows, quantity, estimator="published", a=None, b=None, **factors):
    return [
        row
        for row in rows
        if (row["quantity"], row["estimator"]) == (quantity, estimator)
        and (a is None or row["network_a"] == a)
        and (b is None or row["network_b"] == b)
        and factors.items() <= parse_condition(row["condition"]).items()
    ]


def value(rows, *arguments, **options):
    [row] = chosen(rows, *arguments, **{"control": "none", **options})
    return row["value"]


def cka(a: torch.Tensor, b: torch.Tensor) -> float:
    """As the article's snippet has it."""
    a, b = (x.double() - x.double().mean(0) for x in (a, b))
    return float((a.T @ b).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm()))


def of(members, name, images, pixels):
    model = next(member.model for member in members if member.name == name)
    return represent(pixel_network(model, images.spec), pixels)


def test_rows_make_a_table_with_layers(result):
    rows, _ = result
    made = table(rows)
    pairs = made[made["quantity"] == "cka"]
    assert set(pairs["layer_a"]) == set(pairs["layer_b"]) == {"input:fc", "input:fc3"}
    assert (pairs["n_samples"] == 24).all()


@pytest.mark.parametrize("estimator", ["published", "unbiased"])
def test_a_network_is_the_same_as_itself(result, estimator):
    rows, _ = result
    own = [row["value"] for row in chosen(rows, "cka", estimator, pair="self")]
    assert len(own) == 4 * 3  # on targets and from two kinds of seeds
    assert own == pytest.approx([1.0] * len(own), abs=1e-9)


def test_similarity_is_of_the_row_network_s_images_and_therefore_not_symmetric(result, members, inverted, images):
    rows, _ = result
    for kind in STUDY["seed_images"]:
        for a, b in (("mlp-s0", "lenet-s0"), ("lenet-s0", "mlp-s0"), ("mlp-eps1-s0", "lenet-s0")):
            own = inverted[f"{a}/{kind}"]
            wanted = cka(of(members, a, images, own), of(members, b, images, own))
            assert value(rows, "cka", a=a, b=b, images="inverted", seeds=kind) == pytest.approx(wanted, abs=1e-6)
    one, other = (value(rows, "cka", a=a, b=b, seeds="noise") for a, b in (NAMES[:2], NAMES[1::-1]))
    assert abs(one - other) > 1e-3


def test_similarity_on_targets_is_symmetric_and_the_same_for_all_seeds(result, members, images):
    rows, _ = result
    targets = pairs_of(images, STUDY, "noise").targets
    wanted = cka(of(members, "mlp-s0", images, targets), of(members, "lenet-s0", images, targets))
    both = [value(rows, "cka", a=a, b=b, images="targets") for a, b in (NAMES[:2], NAMES[1::-1])]
    assert both == pytest.approx([wanted] * 2, abs=1e-6)


def test_stir_is_of_one_network_on_targets_and_inverted_images(result, members, inverted, images):
    rows, _ = result
    targets = pairs_of(images, STUDY, "noise").targets
    own = inverted["mlp-s0/noise"]
    wanted = cka(of(members, "lenet-s0", images, targets), of(members, "lenet-s0", images, own))
    found = value(rows, "stir", a="mlp-s0", b="lenet-s0", seeds="noise")
    assert found == pytest.approx(wanted, abs=1e-6)
    assert not chosen(rows, "stir", images="targets")


def test_asymmetry_is_the_robust_row_less_the_standard_one(result):
    rows, _ = result
    there = value(rows, "cka", a="mlp-eps1-s0", b="lenet-s0", images="inverted", seeds="other_class")
    back = value(rows, "cka", a="lenet-s0", b="mlp-eps1-s0", images="inverted", seeds="other_class")
    [row] = chosen(rows, "cka_asymmetry", a="mlp-eps1-s0", b="lenet-s0", seeds="other_class")
    assert row["value"] == pytest.approx(there - back, abs=1e-12)
    assert row["low"] < row["value"] < row["high"]
    assert parse_condition(row["condition"])["training"] == "robust_row"
    assert not chosen(rows, "cka_asymmetry", a="lenet-s0", b="mlp-eps1-s0")
    assert not chosen(rows, "cka_asymmetry", pair="trained_untrained")


def test_means_and_differences_are_those_of_the_pairs(result):
    rows, _ = result
    told = {"pair": "other_architecture", "eps_a": "0", "eps_b": "0"}
    noise = chosen(rows, "cka", images="inverted", seeds="noise", control="none", **told)
    on_inverted = [row["value"] for row in noise]
    on_targets = [row["value"] for row in chosen(rows, "cka", images="targets", control="none", **told)]
    assert len(on_inverted) == len(on_targets) == 2
    mean = value(rows, "mean_cka", images="inverted", seeds="noise", **told)
    lost = value(rows, "cka_difference", images="inverted", seeds="noise", **told)
    assert mean == pytest.approx(np.mean(on_inverted), abs=1e-12)
    assert lost == pytest.approx(np.mean(on_inverted) - np.mean(on_targets), abs=1e-12)


def test_shuffled_images_have_no_unbiased_similarity_and_a_biased_one(result):
    rows, _ = result
    biased = [row["value"] for row in chosen(rows, "cka", images="targets", control="shuffled")]
    unbiased = [row["value"] for row in chosen(rows, "cka", "unbiased", images="targets", control="shuffled")]
    assert len(biased) == 12  # no network with itself
    assert min(biased) > 0.05
    assert abs(np.mean(unbiased)) < 0.1


def test_agreement_is_of_predictions(result, members, images):
    rows, _ = result
    pairs = pairs_of(images, STUDY, "noise")
    with torch.no_grad():
        said = [pixel_network(member.model, images.spec)(pairs.targets).argmax(1) for member in members]
    found = value(rows, "agreement", "own_heads", "mlp-s0", "lenet-s0", images="targets")
    assert found == pytest.approx(float((said[0] == said[1]).double().mean()))
    [row] = chosen(rows, "target_accuracy", "own_head", "mlp-s0")
    assert row["value"] == pytest.approx(float((said[0] == pairs.target_labels).double().mean()))
    assert parse_condition(row["condition"]) == {"architecture": "mlp", "eps": "0"}


def test_new_classification_layers_are_fitted_on_other_images_than_the_targets(result):
    rows, _ = result
    refitted = [row["value"] for row in chosen(rows, "target_accuracy", "refitted_head")]
    untrained = [row["value"] for row in chosen(rows, "target_accuracy", "own_head")]
    assert min(refitted) > max(untrained)  # none of these networks is trained
    assert max(refitted) < 1.0


def test_a_new_layer_finds_classes_that_are_linear():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    x = 4 * torch.eye(3)[labels] @ torch.randn(3, 8, generator=generator) + torch.randn(60, 8, generator=generator)
    head = fitted_head(x, labels, 3)
    assert float((head(x) == labels).double().mean()) > 0.9


def test_too_few_images_to_fit_leave_refitted_layers_out(members, images):
    study = {**STUDY, "pairs": 70, "seed_images": ["noise"]}
    targets = pairs_of(images, study, "noise").targets
    rows, _ = compare_networks(members[:2], {f"{n}/noise": targets for n in NAMES[:2]}, images, study, EPS)
    assert chosen(rows, "agreement", "own_heads")
    assert not chosen(rows, "agreement", "refitted_heads")


def test_the_gallery_has_a_standard_and_a_robust_network(result, inverted, images):
    _, pictures = result
    assert pictures["networks"].tolist() == ["mlp-s0", "mlp-eps1-s0", "lenet-s0"]
    assert pictures["inverted"].shape == (3, 8, 1, 32, 32)
    assert pictures["target_classes"].tolist() == [str(i) for i in range(8)]
    targets = pairs_of(images, STUDY, "noise").targets
    places = [int((targets == torch.from_numpy(image)).flatten(1).all(1).nonzero()[0]) for image in pictures["targets"]]
    assert np.array_equal(pictures["inverted"][2], inverted["lenet-s0/other_class"][places].numpy())
    assert (pictures["losses"] > 0).all()


def test_the_same_twice(result, members, inverted, images):
    rows, pictures = compare_networks(members, inverted, images, STUDY, EPS)
    assert table(rows).equals(table(result[0]))
    assert all(np.array_equal(pictures[key], result[1][key]) for key in pictures)


def test_representations_are_computed_once(members, inverted, images, monkeypatch):
    seen = []

    def counted(network, pixels, *arguments):
        seen.append(len(pixels))
        return represent(network, pixels, *arguments)

    monkeypatch.setattr(inversion_comparison, "represent", counted)
    compare_networks(members, inverted, images, STUDY, EPS)
    # targets and images to fit on of each network, and each network on each row, for two kinds of seeds
    assert len(seen) == 2 * 4 + 2 * 4 * 4


def test_a_dead_network_is_undefined_and_says_why(members, inverted, images):
    dead = Member("lenet-s0", networks.build("lenet", 1, 10, seed=0).eval(), [])
    for parameter in dead.model.parameters():
        torch.nn.init.zeros_(parameter)
    study = {**STUDY, "seed_images": ["noise"]}
    rows, _ = compare_networks([members[0], dead], inverted, images, study, EPS)
    [row] = chosen(rows, "cka", a="mlp-s0", b="lenet-s0", images="inverted", control="none")
    assert np.isnan(row["value"])
    assert row["status"] == "undefined: zero variance over the samples"
    assert len(table(rows)) == len(rows)


def test_missing_and_misfitting_images_are_named(members, inverted, images):
    without = {key: found for key, found in inverted.items() if key != "lenet-s0/noise"}
    with pytest.raises(NetalikeError, match=r"'lenet-s0/noise'"):
        compare_networks(members, without, images, STUDY, EPS)
    short = {**inverted, "mlp-s0/other_class": inverted["mlp-s0/other_class"][:5]}
    with pytest.raises(ShapeError, match="inverted images of mlp-s0/other_class: expected one per pair, 24, got 5"):
        compare_networks(members, short, images, STUDY, EPS)


@pytest.mark.parametrize(
    ("a", "b", "kind", "training"),
    [
        (("x-s0", "x", "mlp", "0"), ("x-s0", "x", "mlp", "0"), "self", "both_standard"),
        (("x-s0", "x", "mlp", "0"), ("x-s1", "x", "mlp", "0"), "same_family", "both_standard"),
        (("y-s0", "y", "mlp", "1"), ("x-s1", "x", "mlp", "0"), "same_architecture", "robust_row"),
        (("x-s0", "x", "mlp", "0"), ("z-s0", "z", "lenet", "2"), "other_architecture", "robust_column"),
        (("x-s0", "x", "mlp", "1"), ("z-s0", "z", "lenet", "2"), "other_architecture", "both_robust"),
        (("x-s0", "x", "mlp", "0"), ("x-s0@untrained", "x", "mlp", "none"), "trained_untrained", "untrained"),
        (("x-s0@untrained", "x", "mlp", "none"), ("z@untrained", "z", "lenet", "none"), "untrained", "untrained"),
    ],
)
def test_what_two_networks_are_to_each_other(a, b, kind, training):
    assert (pair_kind(Role(*a), Role(*b)), training_of(Role(*a), Role(*b))) == (kind, training)


def test_the_gallery_shows_the_most_robust_network_of_each_architecture():
    names = [("a", "0"), ("a", "0.5"), ("a", "2"), ("b", "0"), ("b", "2"), ("c", "0")]
    roles = {f"{a}{eps}": Role(f"{a}{eps}", a + eps, a, eps) for a, eps in names}
    assert shown_networks(roles) == ["a0", "a2", "b0", "b2", "c0"]
    assert shown_networks(roles, 3) == ["a0", "a2", "b0"]


def test_published_matrices_have_the_published_means():
    assert TARGETS.shape == INVERTED.shape == (len(NETWORKS), len(NETWORKS)) == (9, 9)
    assert np.array_equal(TARGETS, TARGETS.T)
    assert (np.diag(INVERTED) == 1).all()
    assert off_diagonal_mean(TARGETS) == pytest.approx(0.672, abs=5e-4)
    assert off_diagonal_mean(INVERTED) == pytest.approx(0.095, abs=5e-4)
    rows = (INVERTED.sum(1) - 1) / 8
    assert rows.round(3).tolist() == [0.111, 0.039, 0.065, 0.076, 0.178, 0.073, 0.028, 0.161, 0.128]
    assert np.abs(INVERTED - INVERTED.T).max() == pytest.approx(0.14)
