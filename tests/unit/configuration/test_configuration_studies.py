"""The studies of the deconfounded-CKA paper: their defaults, and what the rules ask of them."""

import json

import pytest

from netalike.configuration import Configuration, load
from netalike.data.shift_names import CORRUPTIONS
from netalike.training import Settings

NETWORKS = {
    "classes": {"architecture": "lenet", "dataset": "digits", "seeds": "0-3", "training": {"epochs": 2}},
    "turned": {
        "architecture": "lenet_w2",
        "dataset": "digits",
        "seeds": [5, 1],
        "training": {"epochs": 2},
        "task": "rotation",
        "n_train": 256,
        "networks_per_job": 2,
    },
    "colours": {"architecture": "tiny10_w2", "dataset": "cifar10", "seeds": [4, 2], "training": {}},
    "dense-colours": {"architecture": "dense", "dataset": "cifar10"},
}
TRANSFER = {"networks": "classes", "domains": ["rotation:30", "noise:0.1", "none"], "training": {"epochs": 3}}
STUDIES = {
    "tasks": {"mine": {"networks": ["classes", "turned"], "seeds": "0-1"}},
    "transfers": {"mine": TRANSFER},
    "populations": {"mine": {"networks": ["classes"]}},
    "demonstrations": {"colours": {"networks": ["dense-colours", "colours"], "layers": ["fc"]}},
}


def configured(**studies):
    return load({"networks": NETWORKS, "deconfounded_cka": studies})


configuration = configured(**STUDIES)
section = configuration.deconfounded_cka


def test_there_are_no_studies_unless_they_are_asked_for():
    empty = Configuration.model_validate({}).deconfounded_cka
    assert empty.studies() == {}
    assert list(type(empty).model_fields) == ["tasks", "transfers", "populations", "demonstrations"]


def test_studies_are_listed_by_kind_and_name():
    own = {path: study for path, study in section.studies().items() if path[1] in ("mine", "colours")}
    assert own[("tasks", "mine")] is section.tasks["mine"]
    assert own[("demonstrations", "colours")] is section.demonstrations["colours"]
    assert {kind for kind, _ in own} == set(STUDIES)


def test_a_family_has_the_task_classes_and_all_images_unless_it_says_otherwise():
    plain, turned = configuration.networks["classes"], configuration.networks["turned"]
    assert (plain.task, plain.n_train, plain.networks_per_job) == ("classes", None, 1)
    assert (turned.task, turned.n_train, turned.networks_per_job) == ("rotation", 256, 2)


def test_what_a_study_of_tasks_leaves_out():
    study = configured(tasks={"mine": {"networks": ["classes"]}}).deconfounded_cka.tasks["mine"]
    assert (study.untrained_twins, study.layers, study.n_images, study.batch_size) == (5, ("blocks",), 500, 125)
    assert study.seeds is None


def test_what_a_transfer_leaves_out():
    study = section.transfers["mine"]
    assert (study.n_train, study.networks_per_job, study.n_images, study.batch_size) == (None, 1, 500, 125)
    assert study.training == Settings(epochs=3)
    assert (study.discriminator.architecture, study.discriminator.seeds) == ("lenet", (0,))
    expected = Settings(epochs=5, batch_size=64, lr=0.02, augment=False)
    assert study.discriminator.training.model_dump() == expected.model_dump()


def test_one_key_of_the_discriminators_training_leaves_the_others():
    changed = {**TRANSFER, "discriminator": {"training": {"epochs": 9}}}
    training = configured(transfers={"mine": changed}).deconfounded_cka.transfers["mine"].discriminator.training
    assert (training.epochs, training.batch_size, training.lr, training.augment) == (9, 64, 0.02, False)


def test_what_a_population_and_a_demonstration_leave_out():
    population = section.populations["mine"]
    assert (population.corruptions, population.severities) == (CORRUPTIONS, (1, 3, 5))
    demonstration = configured(demonstrations={"a": {"networks": ["classes", "turned"]}}).deconfounded_cka
    study = demonstration.demonstrations["a"]
    assert (study.layers, study.n_images, study.batch_size) == (("conv", "fc"), 500, 25)


def test_plain_values_read_back_to_the_same_studies():
    plain = json.loads(json.dumps(configuration.as_dict()))
    assert Configuration.model_validate(plain) == configuration


def test_null_removes_one_study_of_a_preset():
    before = load({}).deconfounded_cka.studies()
    kind, name = next(iter(before))
    after = load({"deconfounded_cka": {kind: {name: None}}}).deconfounded_cka.studies()
    assert list(after) == [path for path in before if path != (kind, name)]


def test_a_value_replaces_one_key_of_a_study_of_a_preset():
    before = load({}).deconfounded_cka.tasks["digits"]
    after = load({"deconfounded_cka.tasks.digits.n_images": "250"}).deconfounded_cka.tasks["digits"]
    assert after == before.model_copy(update={"n_images": 250})


@pytest.mark.parametrize("kind", list(STUDIES))
def test_a_heading_of_studies_without_values_says_nothing(kind):
    assert load({"deconfounded_cka": {kind: None}}) == load({})


def test_the_layers_of_one_family_can_be_removed_from_a_study():
    layers = {"classes": ["fc1"], "turned": None}
    study = configured(tasks={"a": {"networks": ["classes"], "layers": layers}}).deconfounded_cka.tasks["a"]
    assert study.layers == {"classes": ("fc1",)}


class TestWhatRulesAsk:
    def test_the_networks_of_a_study_are_those_of_its_seeds(self):
        assert configuration.study_networks(section.tasks["mine"]) == ["classes-s0", "classes-s1", "turned-s1"]
        assert configuration.study_networks(section.transfers["mine"]) == [f"classes-s{seed}" for seed in range(4)]
        assert len(configuration.study_networks(section.populations["mine"])) == 4

    def test_a_demonstration_takes_the_first_network_of_each_family(self):
        assert configuration.study_networks(section.demonstrations["colours"]) == ["dense-colours-s0", "colours-s4"]

    def test_the_data_set_of_a_study_is_that_of_its_networks(self):
        assert configuration.study_dataset(section.tasks["mine"]) == "digits"
        assert configuration.study_dataset(section.transfers["mine"]) == "digits"
        assert configuration.study_dataset(section.demonstrations["colours"]) == "cifar10"

    def test_the_tasks_of_a_study_are_by_network(self):
        assert configuration.tasks_of(section.tasks["mine"]) == {
            "classes-s0": "classes",
            "classes-s1": "classes",
            "turned-s1": "rotation",
        }
        assert set(configuration.tasks_of(section.populations["mine"]).values()) == {"classes"}

    def test_the_data_sets_of_studies_are_needed(self):
        bare = {"dense-colours": NETWORKS["dense-colours"], "more": {"architecture": "lenet", "dataset": "cifar100"}}
        assert "cifar100" not in load({"networks": bare}).datasets()
        study = {"networks": ["more", "other"], "layers": ["fc"]}
        bare["other"] = {"architecture": "dense", "dataset": "cifar100"}
        user = {"networks": bare, "deconfounded_cka": {"demonstrations": {"mine": study}}}
        assert load(user).datasets()[-1] == "cifar100"
