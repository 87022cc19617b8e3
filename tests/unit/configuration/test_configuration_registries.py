"""The names that the configuration knows without a framework are those of the registries."""

from typing import get_args

import pytest

from netalike.configuration import names
from netalike.configuration.models import ActivationMeasure


def test_architectures_by_form():
    for known in (
        "tiny10",
        "resnet20",
        "resnet20_w12",
        "torchvision:resnet18",
        "torchvision:resnet18:DEFAULT",
        "file:a/b.py:f",
    ):
        assert names.is_architecture(known), known
    for unknown in ("resnet20_w", "resnet20_w0", "torchvision:", "file:a.py", "vgg", "tiny10 "):
        assert not names.is_architecture(unknown), unknown


def test_only_torchvision_with_weights_is_pretrained():
    assert names.is_pretrained("torchvision:resnet18:DEFAULT")
    assert not names.is_pretrained("torchvision:resnet18")
    assert not names.is_pretrained("file:a.py:f")


@pytest.mark.parametrize(
    ("architecture", "count"), [("tiny10", 25), ("nbn_tiny10", 17), ("resnet20_w3", 77), ("lenet", 11)]
)
def test_layers_are_as_many_as_the_specification_counts(architecture, count):
    layers = names.layer_names(architecture)
    assert len(layers) == len(set(layers)) == count


def test_activation_measures_are_the_measures_but_cka():
    assert set(names.MEASURES) - set(get_args(ActivationMeasure)) == {"cka", "deconfounded_cka"}
    assert set(get_args(ActivationMeasure)) < set(names.MEASURES)


def test_data_sets_are_those_of_the_registry():
    pytest.importorskip("torch")
    data = pytest.importorskip("netalike.data", exc_type=ImportError)
    assert set(names.DATASETS) == set(data.names())
    for name, facts in names.DATASETS.items():
        assert data.specification(name).channels == facts.channels


def test_architectures_are_those_of_the_registry():
    networks = pytest.importorskip("netalike.networks", exc_type=ImportError)
    registered = {name for name in networks.names() if ":" not in name}
    assert set(names.ARCHITECTURES) <= registered | {"resnet20"}
    assert all(names.is_architecture(name) for name in registered)


@pytest.mark.parametrize("architecture", [*names.ARCHITECTURES[:4], "resnet20_w1", "resnet20_w2"])
def test_layers_are_those_of_the_network(architecture):
    torch = pytest.importorskip("torch")
    networks = pytest.importorskip("netalike.networks", exc_type=ImportError)
    model = networks.build(architecture, channels=3, classes=10, seed=0)
    found = {layer.name for layer in networks.layers(model, torch.zeros(2, 3, 32, 32))}
    assert found == set(names.layer_names(architecture))


def test_measures_are_those_of_the_registry():
    pytest.importorskip("torch")
    registry = pytest.importorskip("netalike.measures.registry", exc_type=ImportError)
    assert set(names.MEASURES) == set(registry.names())
