"""The studies of the stitching paper: their defaults, their pairs, and what is refused."""

import itertools
import json
from collections import Counter
from typing import get_args

import pytest

from netalike.configuration import Configuration, load
from netalike.configuration.models import ordered_pairs
from netalike.configuration.problems import ConfigurationError
from netalike.configuration.stitching_studies import Mask, Method, StitchingControl
from netalike.experiments import stitching as experiments
from netalike.stitching import names
from netalike.stitching.settings import Settings

NETWORKS = {
    "nets": {"architecture": "tiny10", "dataset": "digits", "seeds": "0-4", "training": {"epochs": 2}},
    "few": {"architecture": "lenet", "dataset": "digits", "seeds": [7, 3], "training": {"epochs": 2}},
    "one": {"architecture": "lenet", "dataset": "digits", "training": {"epochs": 2}},
    "turned": {"architecture": "lenet", "dataset": "digits", "seeds": 2, "task": "rotation", "training": {"epochs": 2}},
}


def configured(**kinds):
    return load({"networks": NETWORKS, "stitching": {kind: {"mine": study} for kind, study in kinds.items()}})


def message(**kinds):
    with pytest.raises(ConfigurationError) as error:
        configured(**kinds)
    return str(error.value)


def test_there_are_no_studies_unless_they_are_asked_for():
    empty = Configuration.model_validate({}).stitching
    assert empty.studies() == {}
    assert list(type(empty).model_fields) == ["layers", "sweeps"]


def test_what_a_study_of_layers_leaves_out():
    study = configured(layers={"networks": ["nets"]}).stitching.layers["mine"]
    assert study.methods == ("identity", "least_squares", "procrustes", "task_loss")
    assert study.controls == ("self", "permuted_twin", "untrained")
    assert (study.layers, study.pairs, study.n_train, study.n_images) == (("blocks",), None, None, 500)
    assert (study.batch_size, study.cka_images, study.control_pairs, study.pairs_per_job) == (125, 2000, 5, 1)
    assert study.training == Settings()


def test_what_a_sweep_leaves_out():
    study = configured(sweeps={"networks": ["nets"], "layers": ["bn3"]}).stitching.sweeps["mine"]
    assert study.ranks == (1, 2, 4, 8, 16, 32)
    assert (study.l1, study.cka_reg) == ((1.0, 10.0, 100.0), (0.1, 1.0, 10.0))
    assert study.masks == get_args(Mask)
    assert study.targets == ("soft_1", "soft_2", "soft_12", "soft_1_plus_2")


def test_one_key_of_the_training_leaves_the_papers_others():
    study = configured(layers={"networks": ["nets"], "training": {"epochs": 3}}).stitching.layers["mine"]
    assert (study.training.epochs, study.training.lr, study.training.optimizer) == (3, 1e-3, "adam")


def test_the_names_are_those_of_the_library():
    assert get_args(Method) == experiments.METHODS
    assert get_args(StitchingControl) == experiments.CONTROLS
    assert set(get_args(Mask)) == set(names.MASKS) - {"identity"}


def test_plain_values_read_back_to_the_same_studies():
    configuration = configured(layers={"networks": ["nets"]}, sweeps={"networks": ["few"], "layers": ["relu1"]})
    assert Configuration.model_validate(json.loads(json.dumps(configuration.as_dict()))) == configuration


def test_all_ordered_pairs_come_once_and_each_round_uses_every_network_twice():
    networks = [f"n{i}" for i in range(5)]
    pairs = list(ordered_pairs(networks))
    assert sorted(pairs) == sorted(itertools.permutations(networks, 2))
    for start in range(0, len(pairs), 5):
        fronts, ends = zip(*pairs[start : start + 5], strict=True)
        assert Counter(fronts) == Counter(ends) == Counter(networks)
    assert list(ordered_pairs(["a", "b"])) == [("a", "b"), ("b", "a")]
    assert list(ordered_pairs(["a"])) == []


def test_pairs_are_within_families_and_the_first_so_many_of_each():
    configuration = configured(layers={"networks": ["nets", "few"], "pairs": 2, "control_pairs": 1})
    study = configuration.stitching.layers["mine"]
    few = [("few-s7", "few-s3"), ("few-s3", "few-s7")]
    assert configuration.study_pairs(study) == [("nets-s0", "nets-s1"), ("nets-s1", "nets-s2"), *few]
    assert configuration.controlled_pairs(study) == [("nets-s0", "nets-s1"), ("few-s7", "few-s3")]


def test_controls_are_of_no_more_pairs_than_there_are():
    configuration = configured(layers={"networks": ["nets"], "pairs": 2})
    study = configuration.stitching.layers["mine"]
    assert configuration.controlled_pairs(study) == configuration.study_pairs(study)


def test_more_pairs_than_there_are_takes_all():
    configuration = configured(layers={"networks": ["few"], "pairs": 10})
    assert len(configuration.study_pairs(configuration.stitching.layers["mine"])) == 2


def test_the_pairs_are_of_the_chosen_seeds():
    study = configured(layers={"networks": ["nets"], "seeds": "1-2"})
    pairs = study.study_pairs(study.stitching.layers["mine"])
    assert pairs == [("nets-s1", "nets-s2"), ("nets-s2", "nets-s1")]


def test_the_presets_stitch_enough_networks_for_an_interval():
    for preset, study in (("quick", "tiny10-digits"), ("standard", "tiny10-authors"), ("paper", "tiny10-authors")):
        configuration = load({"preset": preset})
        for kind in ("layers", "sweeps"):
            pairs = configuration.study_pairs(getattr(configuration.stitching, kind)[study])
            assert len({network for pair in pairs for network in pair}) >= 5
    standard = load({"preset": "standard"})
    assert len(standard.study_pairs(standard.stitching.layers["tiny10-authors"])) == 10


MISTAKES = {
    "method": (
        {"layers": {"networks": ["nets"], "methods": ["least_square"]}},
        ["stitching.layers.mine.methods[0]: unknown name", "nearest: least_squares", "methods: [least_squares]"],
    ),
    "key": (
        {"layers": {"networks": ["nets"], "method": ["identity"]}},
        ["stitching.layers.mine.method: unknown key", "nearest: methods"],
    ),
    "training": (
        {"layers": {"networks": ["nets"], "training": {"target": "soft_3"}}},
        ["stitching.layers.mine.training.target: unknown name", "nearest: soft_"],
    ),
    "one network": (
        {"layers": {"networks": ["one"]}},
        ["networks.one.seeds: the family one has one network here, one-s0, and no pair", "    seeds: 2"],
    ),
    "one seed": (
        {"layers": {"networks": ["nets"], "seeds": [1]}},
        ["stitching.layers.mine.seeds: the family nets has one network here, nets-s1", "seeds: null"],
    ),
    "task": (
        {"layers": {"networks": ["turned"]}},
        ["stitching.layers.mine.networks[0]: the family is trained on the task rotation"],
    ),
    "no layers of a sweep": (
        {"sweeps": {"networks": ["nets"]}},
        ["stitching.sweeps.mine.layers: required, but missing", "layers: [bn3]"],
    ),
    "layer": (
        {"sweeps": {"networks": ["nets"], "layers": ["bn9"]}},
        ["stitching.sweeps.mine.layers[0]: matches no layer of tiny10", "nearest: bn8"],
    ),
    "rank": (
        {"sweeps": {"networks": ["nets"], "layers": ["bn3"], "ranks": [0]}},
        ["stitching.sweeps.mine.ranks[0]: out of range", "at least 1"],
    ),
    "rank twice": (
        {"sweeps": {"networks": ["nets"], "layers": ["bn3"], "ranks": [4, 4]}},
        ["stitching.sweeps.mine.ranks: 4 is listed twice", "ranks: [4]"],
    ),
    "what a sweep varies": (
        {"sweeps": {"networks": ["nets"], "layers": ["bn3"], "training": {"l1": 2}}},
        ["stitching.sweeps.mine.training.l1: a sweep varies this itself", "list 2.0 in l1 instead", "l1: 0.0"],
    ),
    "images to train on": (
        {"layers": {"networks": ["nets"], "n_train": 100}},
        ["stitching.layers.mine.n_train: fewer images than a batch, which has 128", "n_train: 128"],
    ),
    "last batch for CKA": (
        {"layers": {"networks": ["nets"], "cka_images": 127}},
        ["stitching.layers.mine.batch_size: the last batch of 127 images would have 2"],
    ),
    "a truth value for a weight": (
        {"sweeps": {"networks": ["nets"], "layers": ["bn3"], "l1": [True]}},
        ["stitching.sweeps.mine.l1[0]: not a valid value", "a number of at least 0"],
    ),
}


@pytest.mark.parametrize(("kinds", "lines"), MISTAKES.values(), ids=MISTAKES.keys())
def test_the_message_says_what_to_do(kinds, lines):
    text = message(**kinds)
    for line in lines:
        assert line in text
