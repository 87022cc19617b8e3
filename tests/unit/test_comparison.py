"""Who takes part in a panel: members, twins that were never trained, controls, and each pair in one job."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from netalike import comparison, data, networks
from netalike.activations import record
from netalike.measures import PairwiseCKA, of_quantity
from netalike.measures.gram import centred_gram
from netalike.measures.sources import batch_permutation

CONTROLS = ["untrained", "permuted_samples", "noise"]
MEMBERS = {"tiny10-s0": "tiny10", "lenet-s0": "lenet", "lenet-s1": "lenet", "lenet-s2": "lenet"}


def panel(**other: object) -> dict[str, object]:
    return {
        "members": MEMBERS,
        "layers": ["blocks"],
        "controls": CONTROLS,
        "seed": 7,
        "measure_images": 12,
        "n_images": 20,
        "pairs_per_job": 4,
        **other,
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for name, family in MEMBERS.items():
        seed = int(name[-1])
        model = networks.build(family, channels=1, classes=10, seed=seed)
        card = networks.Card(architecture=family, dataset="digits", channels=1, classes=10, seed=seed)
        networks.save(model, folder / f"{name}.safetensors", card)
    return {name: folder / f"{name}.safetensors" for name in MEMBERS}


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# ---- members --------------------------------------------------------------------------------------------------------


def test_members_in_order_then_twins_of_at_most_two_of_each_family(weights):
    members = comparison.load_members(weights, panel())
    assert [m.name for m in members] == [
        *MEMBERS,
        "tiny10-s0@untrained",
        "lenet-s0@untrained",
        "lenet-s1@untrained",
    ]
    assert members[0].layers == [f"bn{i}" for i in range(1, 9)]
    assert members[1].layers == members[5].layers == ["relu1", "relu2", "relu3", "relu4"]
    assert not any(m.model.training for m in members)


def test_twins_are_other_draws_than_any_network_and_each_other(weights):
    members = {m.name: flat(m.model) for m in comparison.load_members(weights, panel()) if "lenet" in m.name}
    assert torch.equal(members["lenet-s1"], flat(networks.build("lenet", 1, 10, seed=1)))
    for first, second in itertools.combinations(members.values(), 2):
        assert (first != second).double().mean() > 0.9
    again = {m.name: flat(m.model) for m in comparison.load_members(weights, panel())}
    assert all(torch.equal(value, again[name]) for name, value in members.items())


def test_no_twins_unless_asked_for(weights):
    assert [m.name for m in comparison.load_members(weights, panel(controls=["noise"]))] == list(MEMBERS)


def test_layers_by_family(weights):
    layers = {"tiny10": ["bn1", "bn8"], "lenet": ["relu?"]}
    members = {m.name: m.layers for m in comparison.load_members(weights, panel(layers=layers))}
    assert members["tiny10-s0"] == members["tiny10-s0@untrained"] == ["bn1", "bn8"]
    assert members["lenet-s2"] == ["relu1", "relu2", "relu3", "relu4"]


@pytest.mark.parametrize(
    ("architecture", "untrained"),
    [
        ("torchvision:resnet18:IMAGENET1K_V1", "torchvision:resnet18"),
        ("torchvision:resnet18", "torchvision:resnet18"),
        ("lenet", "lenet"),
        ("file:nets.py:make", "file:nets.py:make"),
    ],
)
def test_a_twin_has_no_pretrained_weights(architecture, untrained):
    assert comparison.untrained_name(architecture) == untrained


# ---- sources --------------------------------------------------------------------------------------------------------


def test_sources_are_the_members_then_noise(weights):
    images = data.load("digits", "test", limit=12)
    members = comparison.load_members(weights, panel())
    sources, permuted = comparison.sources_of(members, images, panel())
    assert [s.name for s in sources] == [*(m.name for m in members), "noise"]
    assert permuted == ["tiny10-s0", "lenet-s0"]  # the first of each family
    sources, permuted = comparison.sources_of(members, images, panel(controls=["untrained"]))
    assert [s.name for s in sources] == [m.name for m in members]
    assert permuted == []


def test_untrained_twins_are_compared_as_networks_of_their_own(weights):
    images = data.load("digits", "test", limit=12)
    members = comparison.load_members(weights, panel(layers={"lenet": ["relu2"], "tiny10": ["bn8"]}))
    sources, _ = comparison.sources_of(members, images, panel())
    pairwise = PairwiseCKA(["published"])
    pairwise.update(torch.cat([s.grams(0, 12) for s in sources]), centred_gram(images.inputs()))
    values = pairwise.result().values["published"].numpy()
    assert (values[~np.eye(len(values), dtype=bool)] < 0.999).all()


# ---- recordings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("measure_images", "n_images"), [(12, 20), (50, 12), (50, 40)])
def test_recordings_with_their_permuted_twins(weights, tmp_path, measure_images, n_images):
    """Also where the data set has fewer images than were asked for."""
    images = data.load("digits", "test", limit=12)
    for member in comparison.load_members(weights, panel(controls=[])):
        record(member.model, images, member.layers[:2], tmp_path / member.name)
    (tmp_path / "done.txt").write_text("not a recording")
    settings = panel(measure_images=measure_images, n_images=n_images)
    recordings, orders = comparison.recordings_of(tmp_path, settings)
    twins = ["tiny10-s0@permuted_samples", "lenet-s0@permuted_samples"]
    assert sorted(recordings) == sorted([*MEMBERS, *twins, "noise"])
    assert sorted(orders) == sorted(twins)
    expected = batch_permutation(12, 12, seed=7).numpy()
    for twin in twins:
        np.testing.assert_array_equal(orders[twin], expected)
        original = recordings[twin.split("@")[0]]
        assert list(recordings[twin]) == list(original)
    assert recordings["lenet-s0"]["relu1"].shape[0] == 12


# ---- pairs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 4, 5, 100])
def test_the_chunks_cover_every_pair_once(size):
    settings = panel(controls=[], pairs_per_job=size)
    chunks = [comparison.pairs_of(settings, chunk) for chunk in range(-(-6 // size))]
    controls = {("tiny10-s0", "tiny10-s0"), ("lenet-s0", "lenet-s0")}
    pairs = [pair for chunk in chunks for pair in chunk if pair not in controls]
    assert Counter(pairs) == Counter(itertools.combinations(MEMBERS, 2))
    assert controls <= set(chunks[0])
    assert all(len(chunk) <= size for chunk in chunks[1:])
    assert comparison.pairs_of(settings, len(chunks)) == []


def test_controls_are_in_the_first_job_alone():
    first, second = (comparison.pairs_of(panel(), chunk) for chunk in (0, 1))
    assert first[:4] == list(itertools.combinations(MEMBERS, 2))[:4]
    assert first[4:] == [
        ("tiny10-s0", "tiny10-s0@permuted_samples"),
        ("lenet-s0", "lenet-s0@permuted_samples"),
        ("tiny10-s0", "noise"),
        ("lenet-s0", "noise"),
        ("tiny10-s0", "tiny10-s0"),
        ("tiny10-s0", "tiny10-s0@untrained"),
        ("lenet-s0", "lenet-s0"),
        ("lenet-s0", "lenet-s0@untrained"),
        ("lenet-s0", "lenet-s1@untrained"),
        ("lenet-s1", "lenet-s0@untrained"),
        ("lenet-s1", "lenet-s1@untrained"),
        ("lenet-s0@untrained", "lenet-s1@untrained"),
    ]
    assert second == list(itertools.combinations(MEMBERS, 2))[4:]


def test_the_pairs_name_only_who_takes_part(weights):
    names = {m.name for m in comparison.load_members(weights, panel())}
    known = names | {f"{name}@permuted_samples" for name in names} | {"noise"}
    asked = {name for chunk in (0, 1) for pair in comparison.pairs_of(panel(), chunk) for name in pair}
    assert asked <= known
    assert set(MEMBERS) <= asked


def test_a_panel_of_one_network_is_compared_with_itself_and_its_controls():
    found = comparison.pairs_of(panel(members={"lenet-s0": "lenet"}), 0)
    assert found == [
        ("lenet-s0", "lenet-s0@permuted_samples"),
        ("lenet-s0", "noise"),
        ("lenet-s0", "lenet-s0"),
        ("lenet-s0", "lenet-s0@untrained"),
    ]


# ---- controls on recordings, and networks that cannot be run ---------------------------------------------------------


def recorded(weights, folder):
    images = data.load("digits", "test", limit=12)
    for member in comparison.load_members(weights, panel(controls=[])):
        record(member.model, images, member.layers[:2], folder / member.name)


def test_permuted_units_are_the_same_units_in_another_order(weights, tmp_path):
    recorded(weights, tmp_path)
    recordings, orders = comparison.recordings_of(tmp_path, panel(controls=["permuted_units"]))
    assert not orders
    for network in ("tiny10-s0", "lenet-s0"):
        for layer, original in recordings[network].items():
            permuted = recordings[network + "@permuted_units"][layer]
            assert not np.array_equal(permuted, original)
            assert np.array_equal(np.sort(permuted, axis=1), np.sort(original, axis=1))
            again = comparison.recordings_of(tmp_path, panel(controls=["permuted_units"]))[0]
            assert np.array_equal(again[network + "@permuted_units"][layer], permuted)


def test_noise_has_as_many_samples_as_the_recordings(weights, tmp_path):
    recorded(weights, tmp_path)
    recordings, _ = comparison.recordings_of(tmp_path, panel(controls=["noise"]))
    assert recordings["noise"]["noise"].shape[0] == 12
    assert abs(float(recordings["noise"]["noise"].mean())) < 0.1


def test_every_control_is_a_pair_of_the_first_job():
    controls = ["untrained", "permuted_samples", "permuted_units", "noise"]
    pairs = comparison.pairs_of(panel(controls=controls))
    for control in ("@permuted_samples", "@permuted_units", "@untrained"):
        assert ("lenet-s0", f"lenet-s0{control}") in pairs
    assert ("tiny10-s0", "noise") in pairs
    assert ("tiny10-s0", "tiny10-s0") in pairs
    assert pairs[:6] == list(itertools.combinations(MEMBERS, 2))


def test_pairs_with_recorded_networks_are_left_out_where_networks_run():
    settings = panel(recorded={"lenet-s2": "file"}, controls=["untrained", "noise"])
    pairs = comparison.pairs_of(settings)
    assert ("lenet-s2", "lenet-s0") not in comparison.running_pairs(settings, pairs)
    assert {name for pair in comparison.running_pairs(settings, pairs) for name in pair if "lenet-s2" in name} == set()
    assert ("lenet-s0", "noise") in comparison.running_pairs(settings, pairs)


def test_cka_of_recorded_networks_is_computed_with_the_other_measures():
    pairs = [("tiny10-s0", "lenet-s0"), ("lenet-s0", "lenet-s2")]
    settings = panel(recorded={"lenet-s2": "file"}, measures=["procrustes"])
    found = {measure.key: chosen for measure, chosen in comparison.measures_of(settings, pairs, of_quantity)}
    assert found["procrustes/published"] == pairs
    assert found["cka/unbiased"] == [("lenet-s0", "lenet-s2")]
    alone = comparison.measures_of(panel(recorded={}, measures=["procrustes"]), pairs, of_quantity)
    assert [measure.key for measure, _ in alone] == ["procrustes/published"]


def test_nobody_makes_a_twin_of_a_file():
    assert comparison.twinned(panel(recorded={"lenet-s0": "file"})) == ["tiny10-s0", "lenet-s1", "lenet-s2"]
    assert comparison.twinned(panel(recorded={"lenet-s0": "keras"})) == ["tiny10-s0", "lenet-s0", "lenet-s1"]
