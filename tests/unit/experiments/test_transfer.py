"""Transfer: paired fine-tuning that survives interruptions, and the rows that claims are judged on."""

import copy
import math

import pytest
import torch
from torch import nn

from netalike import data, networks, training
from netalike.data import shift_domain
from netalike.errors import NetalikeError, ShapeError
from netalike.evidence import measurements
from netalike.experiments.transfer import domain_rows, finetune, transfer_rows
from netalike.measures import panel
from netalike.measures.sources import NetworkSource
from netalike.training import Settings

LAYERS = ["conv1", "relu2", "fc3"]
SETTINGS = Settings(epochs=2, batch_size=32, lr=0.01, augment=False)
DOMAINS = ["rotation:15", "inversion:1"]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", "train", limit=400), data.load("digits", "test", limit=120)


@pytest.fixture(scope="module")
def base(digits):
    settings = Settings(epochs=6, batch_size=32, lr=0.02, augment=False)
    return training.train_network("lenet", digits, settings, (0, 0))[0]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def rows(base, digits, checkpoints):
    return transfer_rows("a-s0", base, *digits, DOMAINS, SETTINGS, LAYERS, 0, 100, 50, checkpoints=checkpoints)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(value, b.state_dict()[key]) for key, value in a.state_dict().items())


def values(rows, **wanted):
    return [row["value"] for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def test_fine_tuning_trains_a_copy_on_the_shifted_images(base, digits):
    before = copy.deepcopy(base)
    tuned = finetune(base, *digits, "rotation:60", SETTINGS, 0)
    assert same(base, before)
    assert not same(tuned, base)
    turned = shift_domain(digits[1], "rotation:60", 0)
    assert networks.evaluate(tuned, turned).loss < networks.evaluate(base, turned).loss - 0.2


def test_fine_tuning_is_training_on_the_shifted_set_with_the_seeds_batches(base, digits):
    by_hand = copy.deepcopy(base)
    shifted = [shift_domain(images, "rotation:30", 3) for images in digits]
    training.train(by_hand, *shifted, SETTINGS, 3)
    assert same(finetune(base, *digits, "rotation:30", SETTINGS, 3), by_hand)
    assert not same(finetune(base, *digits, "rotation:30", SETTINGS, 4), by_hand)


def test_all_domains_see_the_same_batches_and_start_from_the_same_weights(base, digits, monkeypatch):
    seen = []

    def record(model, train_set, test_set, settings, seed, checkpoint, device):
        generator = torch.Generator().manual_seed(seed)
        seen.append((copy.deepcopy(model), seed, torch.randperm(len(train_set), generator=generator).tolist()))

    monkeypatch.setattr("netalike.experiments.transfer.training.train", record)
    for domain in ("none", "noise:0.2"):
        finetune(base, *digits, domain, SETTINGS, 5)
    assert same(seen[0][0], seen[1][0])
    assert seen[0][1:] == seen[1][1:]


def test_rows_hold_every_pair_layer_and_estimator_once(rows):
    compared = [row for row in rows if row["quantity"] != "accuracy"]
    keys = {(row["network_b"], row["layer_a"], row["quantity"], row["estimator"]) for row in compared}
    others = ["a-s0@none", "a-s0@rotation:15", "a-s0@inversion:1", "a-s0@untrained", "a-s0@permuted_samples", "noise"]
    estimators = [("cka", "published"), ("cka", "unbiased"), ("deconfounded_cka", "published")]
    assert keys == {(other, layer, *estimator) for other in others for layer in LAYERS for estimator in estimators}
    assert len(compared) == len(keys)
    assert {row["network_a"] for row in compared} == {"a-s0"}
    assert {row["n_samples"] for row in compared} == {100}
    assert {row["seed"] for row in rows} == {0}


def test_conditions_of_similarities(rows):
    conditions = {
        (row["network_b"], row["condition"])
        for row in rows
        if row["estimator"] == "unbiased" and row["layer_a"] == "relu2"
    }
    assert conditions == {
        ("a-s0@none", "depth=0.500;domain=none;pair=finetuned"),
        ("a-s0@rotation:15", "depth=0.500;domain=rotation:15;pair=finetuned"),
        ("a-s0@inversion:1", "depth=0.500;domain=inversion:1;pair=finetuned"),
        ("a-s0@untrained", "depth=0.500;pair=trained_untrained"),
        ("a-s0@permuted_samples", "depth=0.500;pair=permuted_samples"),
        ("noise", "depth=0.500;pair=noise"),
    }


def test_similarities_are_those_of_the_networks_on_the_first_test_images(rows, base, digits):
    tuned = finetune(base, *digits, "inversion:1", SETTINGS, 0)
    images = digits[1].take(slice(100))
    sources = [NetworkSource(name, model, LAYERS, images) for name, model in (("a", base), ("b", tuned))]
    result = panel.compare_networks(sources, images, ["deconfounded"], 50, progress=False)
    found = values(rows, network_b="a-s0@inversion:1", quantity="deconfounded_cka")
    assert found == pytest.approx(result.matrix("a", "b", "deconfounded").diagonal().tolist(), abs=1e-6)


def test_the_further_domain_is_less_like_the_base_network_and_controls_are_near_chance(rows):
    def mean(other):
        found = values(rows, network_b=other, quantity="deconfounded_cka")
        return sum(found) / len(found)

    assert mean("a-s0@none") > mean("a-s0@rotation:15") > mean("a-s0@inversion:1")
    assert abs(mean("a-s0@permuted_samples")) < 0.1
    assert abs(mean("noise")) < 0.1


def test_accuracies_are_those_of_the_networks(rows, base, digits):
    accuracies = {(row["network_a"], row["condition"]): row["value"] for row in rows if row["quantity"] == "accuracy"}
    assert len(accuracies) == 9
    tuned = finetune(base, *digits, "inversion:1", SETTINGS, 0)
    inverted = shift_domain(digits[1], "inversion:1", 0)
    where = "domain=inversion:1;tested_on="
    assert accuracies["a-s0@inversion:1", f"{where}domain"] == networks.evaluate(tuned, inverted).accuracy
    assert accuracies["a-s0@inversion:1", f"{where}base"] == networks.evaluate(tuned, digits[1]).accuracy
    assert accuracies["a-s0", f"{where}domain"] == networks.evaluate(base, inverted).accuracy
    assert accuracies["a-s0", "domain=none;tested_on=domain"] == networks.evaluate(base, digits[1]).accuracy


def test_rows_make_a_table(rows):
    table = measurements.table(rows, paper="deconfounded_cka", experiment="transfer_x", dataset="digits", split="test")
    assert len(table) == len(rows) == 6 * 3 * 3 + 9
    assert set(table["status"]) == {"ok"}


def test_what_is_finished_is_not_trained_again(rows, base, digits, checkpoints, monkeypatch):
    monkeypatch.setattr("netalike.training.plain._Run.epoch", lambda *arguments: pytest.fail("trained again"))
    assert sorted(file.name for file in checkpoints.iterdir()) == [
        "a-s0@inversion_1.safetensors",
        "a-s0@none.safetensors",
        "a-s0@rotation_15.safetensors",
    ]
    again = transfer_rows("a-s0", base, *digits, DOMAINS, SETTINGS, LAYERS, 0, 100, 50, checkpoints=checkpoints)
    assert again == rows


def test_a_killed_fine_tuning_goes_on_to_the_same_weights(base, digits, tmp_path, monkeypatch):
    settings = Settings(epochs=3, batch_size=32, lr=0.01, save_every=1)
    whole = finetune(base, *digits, "blur:1", settings, 0)
    epoch = training.plain._Run.epoch

    def killed(run, number, bar):
        if number == 2:
            raise KeyboardInterrupt
        return epoch(run, number, bar)

    monkeypatch.setattr("netalike.training.plain._Run.epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        finetune(base, *digits, "blur:1", settings, 0, tmp_path / "cut.safetensors")
    monkeypatch.setattr(
        "netalike.training.plain._Run.epoch",
        lambda run, number, bar: epoch(run, number, bar) if number == 2 else pytest.fail("began again"),
    )
    assert same(finetune(base, *digits, "blur:1", settings, 0, tmp_path / "cut.safetensors"), whole)


def test_untrained_twins_of_two_base_networks_differ(rows, base, digits, checkpoints):
    other = transfer_rows("a-s1", base, *digits, [], SETTINGS, LAYERS, 0, 100, 50)
    first, second = (
        values(some, network_b=f"{name}@untrained", quantity="cka") for some, name in ((rows, "a-s0"), (other, "a-s1"))
    )
    assert len(first) == len(second) == 6
    assert not set(first) & set(second)


def test_a_network_from_outside_names_its_architecture(base, digits):
    outside = nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))
    with pytest.raises(NetalikeError, match="a Sequential does not say which architecture it is: name it with"):
        transfer_rows("x", outside, *digits, [], SETTINGS, ["1"], 0, 100, 50)


def test_mistakes_are_told_before_anything_is_trained(base, digits, monkeypatch):
    monkeypatch.setattr("netalike.training.plain._Run.epoch", lambda *arguments: pytest.fail("trained"))
    with pytest.raises(NetalikeError, match="Did you mean 'rotation'"):
        transfer_rows("a", base, *digits, ["blur:1", "rotatoin:3"], SETTINGS, LAYERS, 0, 100, 50)
    with pytest.raises(ShapeError, match="n_images: expected 1 to 120, the number of test images; got 121"):
        transfer_rows("a", base, *digits, ["blur:1"], SETTINGS, LAYERS, 0, 121, 50)
    with pytest.raises(NetalikeError, match="'x' is not a number"):
        domain_rows(*digits, ["blur:x"], SETTINGS, "lenet", [0])


def test_domain_rows(digits, tmp_path, monkeypatch):
    settings = Settings(epochs=5, batch_size=32, lr=0.02)
    rows = domain_rows(*digits, ["inversion:1"], settings, "lenet", [0, 4], checkpoints=tmp_path)
    keys = [(row["condition"], row["seed"], row["estimator"]) for row in rows]
    assert keys == [
        (f"domain={domain}", seed, estimator)
        for domain in ("none", "inversion:1")
        for seed in (0, 4)
        for estimator in ("discriminator_loss", "discriminator_accuracy")
    ]
    assert {row["quantity"] for row in rows} == {"domain_similarity"}
    assert min(values(rows, condition="domain=none", estimator="discriminator_loss")) > math.log(2) - 0.02
    assert max(values(rows, condition="domain=inversion:1", estimator="discriminator_loss")) < 0.2
    assert len(measurements.table(rows)) == 8
    monkeypatch.setattr("netalike.training.plain._Run.epoch", lambda *arguments: pytest.fail("trained again"))
    assert domain_rows(*digits, ["inversion:1"], settings, "lenet", [0, 4], checkpoints=tmp_path) == rows
