"""Inversion of networks: who takes part, the rows of losses and accuracies, and what a break does not change."""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from netalike import data, networks
from netalike.comparison import Member
from netalike.errors import NetalikeError
from netalike.evidence import measurements
from netalike.evidence.measurements import parse_condition, table
from netalike.experiments import inversion
from netalike.experiments.inversion import invert_network, mean_with_interval, pairs_of, participants
from netalike.inversion import represent
from netalike.networks import Card
from netalike.networks.pixels import pixel_network, pixels
from netalike.training.adversarial import robust_accuracy

STUDY = {
    "seed_images": ["other_class", "noise"],
    "pairs": 12,
    "iterations": 25,
    "step_size": 0.125,
    "batch_size": 8,
    "mode": "published",
    "attack_eps": [0.5, 2],
    "attack_steps": 3,
    "seed": 3,
    "members": {"mlp-s0": "mlp", "mlp-robust-s0": "mlp-robust", "mlp-s1": "mlp"},
    "untrained_twins": 2,
}
EPS = {"mlp-s0": 0.0, "mlp-robust-s0": 2.0, "mlp-s1": 0.0}


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "test", limit=60)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("networks"), {}
    for seed, name in enumerate(STUDY["members"]):
        found[name] = folder / f"{name}.safetensors"
        card = Card(architecture="mlp", dataset="digits", channels=1, classes=10, seed=seed)
        networks.save(networks.build("mlp", 1, 10, seed=seed), found[name], card)
    return found


@pytest.fixture(scope="module")
def member(files):
    return participants(files, STUDY, EPS)[1]


@pytest.fixture(scope="module")
def result(member, images):
    return invert_network(member, images, STUDY, eps=EPS)


def chosen(rows, quantity, estimator="", **factors):
    return [
        row
        for row in rows
        if row["quantity"] == quantity
        and row["estimator"].startswith(estimator)
        and factors.items() <= parse_condition(row["condition"]).items()
    ]


def same_weights(a: Member, b: Member) -> bool:
    first, second = a.model.state_dict(), b.model.state_dict()
    return all(torch.equal(first[key], second[key]) for key in first)


def test_standard_networks_have_untrained_twins_and_robust_ones_do_not(files):
    members = participants(files, STUDY, EPS)
    assert [member.name for member in members] == [*files, "mlp-s0@untrained", "mlp-s1@untrained"]
    assert not same_weights(members[3], members[4])
    assert not same_weights(members[3], members[0])


def test_a_portion_has_the_same_twins_as_the_whole(files):
    whole = {member.name: member for member in participants(files, STUDY, EPS)}
    portion = participants({"mlp-s1": files["mlp-s1"]}, STUDY, EPS)
    assert [member.name for member in portion] == ["mlp-s1", "mlp-s1@untrained"]
    assert all(same_weights(member, whole[member.name]) for member in portion)


def test_robust_networks_alone_have_twins(files):
    one = {"mlp-robust-s0": files["mlp-robust-s0"]}
    study = {**STUDY, "members": {"mlp-robust-s0": "mlp-robust"}}
    assert [member.name for member in participants(one, study, EPS)] == ["mlp-robust-s0", "mlp-robust-s0@untrained"]


def test_targets_are_the_same_for_all_kinds_of_seeds(images):
    other, noise, same = (pairs_of(images, STUDY, kind) for kind in inversion.SEED_KINDS)
    assert torch.equal(other.targets, noise.targets)
    assert torch.equal(other.targets, same.targets)
    assert torch.equal(other.targets, pixels(images.take(other.target_rows)))
    assert (other.seed_labels != other.target_labels).all()
    assert (same.seed_labels == same.target_labels).all()
    assert not torch.equal(same.seeds, same.targets)
    assert (noise.seed_labels == -1).all()
    assert float(noise.seeds.std()) == pytest.approx(0.05, abs=0.002)


def test_training_images_and_unknown_seeds_are_refused(images):
    with pytest.raises(NetalikeError, match="on the test split, got the split 'train'"):
        pairs_of(data.load("digits", "train", limit=60), STUDY, "noise")
    with pytest.raises(NetalikeError, match=r"kind of seed images 'other'.*other_class"):
        pairs_of(images, STUDY, "other")


def test_losses_are_those_of_the_inverted_images(result, member, images):
    rows, inverted = result
    network = pixel_network(member.model, images.spec)
    for kind in STUDY["seed_images"]:
        pairs = pairs_of(images, STUDY, kind)
        wanted = represent(network, pairs.targets)
        found = represent(network, inverted[f"mlp-robust-s0/{kind}"])
        losses = ((found - wanted).norm(dim=1) / wanted.norm(dim=1)).double().numpy()
        [mean] = chosen(rows, "inversion_loss", "final", seeds=kind, statistic="mean")
        assert mean["value"] == pytest.approx(losses.mean(), rel=1e-4)
        assert mean["low"] < mean["value"] < mean["high"]
        [quantile] = chosen(rows, "inversion_loss", "final", seeds=kind, statistic="q95")
        assert quantile["value"] == pytest.approx(np.quantile(losses, 0.95), rel=1e-4)
        [start] = chosen(rows, "inversion_loss", "start", seeds=kind, statistic="q50")
        assert start["value"] > 1.5 * np.median(losses)
        assert start["layer_a"] == "input:fc"


def test_distances_are_of_pixels(result, images):
    rows, inverted = result
    pairs = pairs_of(images, STUDY, "other_class")
    for of, others in (("target", pairs.targets), ("seed", pairs.seeds)):
        [row] = chosen(rows, "pixel_distance", "final", seeds="other_class", of=of)
        distances = (inverted["mlp-robust-s0/other_class"] - others).flatten(1).norm(dim=1)
        assert row["value"] == pytest.approx(float(distances.mean()), rel=1e-5)
    assert not chosen(rows, "pixel_distance", "start", of="seed")


def test_the_curve_begins_at_the_seeds_and_its_best_never_rises(result):
    rows, _ = result
    best = chosen(rows, "inversion_loss_curve", "best", seeds="noise")
    assert [row["step"] for row in best] == list(range(26))
    values = [row["value"] for row in best]
    assert (np.diff(values) <= 0).all()
    [start] = chosen(rows, "inversion_loss", "start", seeds="noise", statistic="mean")
    [final] = chosen(rows, "inversion_loss", "final", seeds="noise", statistic="mean")
    assert values[0] == pytest.approx(start["value"], rel=1e-5)
    assert values[-1] == pytest.approx(final["value"], rel=1e-5)


def test_accuracies_are_clean_and_under_attack(result, member, images):
    rows, _ = result
    network = pixel_network(member.model, images.spec)
    for eps in (0.5, 2):
        clean, robust = robust_accuracy(network, pixels(images), images.labels, eps, steps=3)
        [row] = chosen(rows, "accuracy", "pgd3", eps_test=f"{eps:g}")
        assert (row["value"], row["n_samples"]) == (robust, 60)
        assert parse_condition(row["condition"])["own_eps"] == ("yes" if eps == 2 else "no")
        assert 0 <= row["low"] <= robust <= row["high"] <= 1
    [row] = chosen(rows, "accuracy", "clean")
    assert row["value"] == clean
    assert row["condition"] == "architecture=mlp;eps=2;eps_test=0;own_eps=no"


def test_wilson_interval_of_nine_in_ten():
    row = inversion._share(0.9, 100)
    assert (row["low"], row["high"]) == (pytest.approx(0.8256, abs=1e-4), pytest.approx(0.9448, abs=1e-4))
    assert inversion._share(1.0, 20)["high"] == 1.0


def test_twins_are_inverted_and_not_attacked(files, images):
    twin = participants(files, STUDY, EPS)[3]
    rows, inverted = invert_network(twin, images, {**STUDY, "seed_images": ["noise"]}, eps=EPS)
    assert list(inverted) == ["mlp-s0@untrained/noise"]
    assert not chosen(rows, "accuracy")
    assert {parse_condition(row["condition"])["eps"] for row in rows} == {"none"}


def test_a_break_changes_nothing(result, member, images, tmp_path, monkeypatch):
    rows, inverted = result
    done = []

    def broken(*arguments, **options):
        if done:
            raise KeyboardInterrupt
        done.append(True)
        return invert(*arguments, **options)

    invert = inversion.invert_images
    monkeypatch.setattr(inversion, "invert_images", broken)
    with pytest.raises(KeyboardInterrupt):
        invert_network(member, images, STUDY, tmp_path, EPS)
    monkeypatch.undo()
    assert inversion.checkpoint_of(tmp_path, member.name, "other_class").is_file()
    again, resumed = invert_network(member, images, STUDY, tmp_path, EPS)
    assert all(torch.equal(resumed[key], inverted[key]) for key in inverted)
    assert table(again).equals(table(rows))


def test_inverted_images_are_stored_and_read_back(result, tmp_path):
    _, inverted = result
    inversion.write_inverted(inverted, tmp_path / "a.safetensors")
    inversion.write_inverted({"other/noise": torch.zeros(2, 1, 4, 4)}, tmp_path / "b.safetensors")
    read = inversion.read_inverted([tmp_path / "a.safetensors", tmp_path / "b.safetensors"])
    assert set(read) == {*inverted, "other/noise"}
    assert all(torch.equal(read[key], inverted[key]) for key in inverted)


def test_targets_without_a_representation_are_no_zeros():
    [row] = inversion._loss_rows(np.full(5, np.nan), {"seeds": "noise"})
    assert np.isnan(row["value"])
    assert row["status"] == "undefined: the network represents every target by zeros"


def test_the_interval_of_a_mean_narrows_with_the_number_of_pairs():
    values = np.random.default_rng(0).normal(size=400)
    wide, narrow = mean_with_interval(values[:25]), mean_with_interval(values)
    assert wide["high"] - wide["low"] == pytest.approx(4 * (narrow["high"] - narrow["low"]), rel=0.3)


def test_scripts_invert_in_portions_and_compare_the_whole(files, tmp_path, repository, monkeypatch):
    monkeypatch.chdir(repository)
    study = {**STUDY, "seed_images": ["noise"], "iterations": 3, "untrained_twins": 1}
    study |= {"dataset": "digits", "n_images": 60, "pairs": 10}
    params = SimpleNamespace(study=study, eps=EPS, checkpoints=str(tmp_path / "checkpoints"))
    portions = [["mlp-s0", "mlp-robust-s0"], ["mlp-s1"]]
    for chunk, names in enumerate(portions):
        output = {"measurements": tmp_path / f"{chunk}.parquet", "images": tmp_path / f"{chunk}.safetensors"}
        run_script("invert_networks", [files[name] for name in names], params, output, tmp_path)
    assert not list((tmp_path / "checkpoints").glob("*"))
    output = {"measurements": tmp_path / "all.parquet", "pictures": tmp_path / "pictures.npz"}
    images = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]
    run_script("compare_inverted", list(files.values()), params, output, tmp_path, images=images)
    inverted = measurements.read([tmp_path / "0.parquet", tmp_path / "1.parquet"])
    assert set(inverted["network_a"]) == {*files, "mlp-s0@untrained"}
    assert set(inverted["experiment"]) == {"inversion_digits"}
    compared = measurements.read(tmp_path / "all.parquet")
    assert len(compared[(compared["quantity"] == "stir") & (compared["estimator"] == "published")]) == 4 * 4
    assert set(compared["dataset"]) == {"digits"}
    assert set(compared["split"]) == {"test"}
    with np.load(tmp_path / "pictures.npz", allow_pickle=False) as pictures:
        assert pictures["inverted"].shape == (2, 8, 1, 32, 32)


def run_script(name, files, params, output, folder, images=()):
    job = SimpleNamespace(
        log=[str(folder / "log.txt")],
        threads=1,
        wildcards=SimpleNamespace(study="digits"),
        config={"data": {"root": str(folder), "offline": True}, "resources": {"device": "cpu"}},
        params=params,
        input=SimpleNamespace(networks=[str(file) for file in files], images=[str(path) for path in images]),
        output=SimpleNamespace(**{key: str(path) for key, path in output.items()}),
    )
    runpy.run_path(f"workflow/scripts/{name}.py", init_globals={"snakemake": job})
