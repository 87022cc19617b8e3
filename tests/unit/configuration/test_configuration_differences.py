"""Where a run differs from the papers."""

import pytest

from netalike.configuration import Difference, explain, load
from netalike.configuration.differences import ABSENT
from netalike.configuration.reading import PRESETS


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_does_not_differ_from_itself(preset):
    assert explain(load({"preset": preset}), preset) == []


def test_each_changed_value_is_listed_with_both():
    ours = load({"preset": "paper", "networks": {"tiny10-cifar10": {"training": {"epochs": 30}, "seeds": 2}}})
    assert explain(ours) == [
        Difference("networks.tiny10-cifar10.seeds", [0, 1], list(range(10))),
        Difference("networks.tiny10-cifar10.training.epochs", 30, 300),
    ]


def test_a_network_or_panel_of_one_side_is_one_difference():
    found = {difference.path: difference for difference in explain(load({"preset": "quick"}))}
    assert found["panels.digits"].theirs == ABSENT
    assert found["networks.densenet121"].ours == ABSENT
    assert found["networks.densenet121"].theirs["architecture"] == "torchvision:densenet121:IMAGENET1K_V1"


def test_what_cannot_change_a_result_is_left_out():
    ours = load({"preset": "paper", "page": {"title": "x"}, "data": {"offline": True}, "resources": {"memory_gb": 9}})
    assert explain(ours) == []


def test_what_a_job_does_at_once_is_left_out():
    networks = {"tiny10-cifar10": {"threads": 2, "networks_per_job": 3}}
    ours = load({"preset": "paper", "networks": networks, "panels": {"tiny10-cifar10": {"pairs_per_job": 5}}})
    assert explain(ours) == []


def test_a_study_and_its_keys_are_differences():
    study = {"networks": ["tiny10-cifar10", "resnet20_w1-cifar10"], "n_images": 250, "batch_size": 50}
    base = load({"preset": "paper", "deconfounded_cka": {"demonstrations": {"mine": study}}})
    ours = load({"preset": "paper", "deconfounded_cka": {"demonstrations": {"mine": {**study, "n_images": 500}}}})
    assert explain(ours, base) == [Difference("deconfounded_cka.demonstrations.mine.n_images", 500, 250)]
    found = {difference.path: difference for difference in explain(base)}
    assert list(found) == ["deconfounded_cka.demonstrations.mine"]
    assert found["deconfounded_cka.demonstrations.mine"].ours["layers"] == ["conv", "fc"]


def test_the_task_and_the_training_images_are_differences():
    ours = load({"preset": "paper", "networks": {"tiny10-cifar10": {"n_train": 5000}}})
    assert explain(ours) == [Difference("networks.tiny10-cifar10.n_train", 5000, None)]


def test_the_seed_is_a_difference():
    assert explain(load({"preset": "paper", "seed": 3})) == [Difference("seed", 3, 0)]
