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


def test_the_seed_is_a_difference():
    assert explain(load({"preset": "paper", "seed": 3})) == [Difference("seed", 3, 0)]
