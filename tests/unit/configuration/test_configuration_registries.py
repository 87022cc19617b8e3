"""The names that the configuration knows without a framework are those of the registries."""

from typing import get_args

import pytest
from pydantic import TypeAdapter

from netalike.configuration import names
from netalike.configuration.fields import Corruption, Severity, Task
from netalike.configuration.panels import ActivationMeasure
from netalike.data import shift_names


def test_architectures_by_form():
    for known in (
        "tiny10",
        "resnet20",
        "resnet20_w12",
        "lenet_w1",
        "lenet_w3",
        "nbn_tiny10_w2",
        "torchvision:resnet18",
        "torchvision:resnet18:DEFAULT",
        "robustness:wide_resnet50_4",
        "robustness:cifar_resnet50",
        "file:a/b.py:f",
    ):
        assert names.is_architecture(known), known
    for unknown in (
        "resnet20_w",
        "resnet20_w0",
        "lenet_w0",
        "lenet_w02",
        "dense_w2",
        "torchvision:",
        "robustness:resnet50",
        "file:a.py",
        "vgg",
        "tiny10 ",
    ):
        assert not names.is_architecture(unknown), unknown


def test_only_torchvision_with_weights_is_pretrained():
    assert names.is_pretrained("torchvision:resnet18:DEFAULT")
    assert not names.is_pretrained("torchvision:resnet18")
    assert not names.is_pretrained("file:a.py:f")


@pytest.mark.parametrize(
    ("architecture", "count"),
    [("tiny10", 25), ("nbn_tiny10", 17), ("resnet20_w3", 77), ("lenet", 11), ("lenet_w2", 11), ("tiny10_w4", 25)],
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
        spec = data.specification(name)
        assert (spec.channels, spec.size) == (facts.channels, facts.size)


def test_names_of_tasks_and_corruptions_are_those_of_the_data():
    assert TypeAdapter(Task).json_schema()["enum"] == list(shift_names.TASKS)
    assert TypeAdapter(Corruption).json_schema()["enum"] == list(shift_names.CORRUPTIONS)
    bounds = TypeAdapter(Severity).json_schema()
    assert list(range(bounds["minimum"], bounds["maximum"] + 1)) == list(shift_names.SEVERITIES)


def test_the_digits_are_as_many_as_the_configuration_says():
    pytest.importorskip("torch")
    from netalike import data

    facts = names.DATASETS["digits"]
    assert len(data.load("digits", "train")) == facts.train_images == 1297
    assert len(data.load("digits", "test")) == facts.test_images == 500


@pytest.mark.mirror
@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_data_sets_are_as_large_as_the_configuration_says(dataset, mirror):
    pytest.importorskip("torch")
    from netalike import data

    facts = names.DATASETS[dataset]
    assert len(data.load(dataset, "train", mirror)) == facts.train_images
    assert len(data.load(dataset, "test", mirror)) == facts.test_images


def test_published_networks_are_those_that_can_be_had():
    from netalike.data import published
    from netalike.networks.robust_names import robust_checkpoint, robust_names

    robust = set(robust_names())
    assert set(names.COLLECTIONS) == robust | {name for name in published.collections() if name != "aerial"}
    for name, found in names.COLLECTIONS.items():
        files = [robust_checkpoint(name).file] if name in robust else published.files(name)
        assert [found.pattern.replace("{seed}", str(seed)) for seed in found.seeds] == [file.path for file in files]
        assert names.is_architecture(found.architecture), found.architecture
        assert found.dataset in names.DATASETS
    eps = {name: names.COLLECTIONS[name].eps for name in ("tiny10-authors", "robust-imagenet-l2:vgg16_bn:3")}
    assert eps == {"tiny10-authors": 0, "robust-imagenet-l2:vgg16_bn:3": 3}
    assert names.COLLECTIONS["robust-cifar10-linf:resnet50:8"].eps == pytest.approx(8 / 255)


def test_a_message_lists_the_published_networks_that_may_be_meant():
    assert names.published_names("tiny10") == ["tiny10-authors", "resnet20_w1-authors"]
    assert names.published_names("robust-imagenet-l2:vgg16:3") == [
        f"robust-imagenet-l2:vgg16_bn:{eps}" for eps in (0, 3)
    ]
    near = names.published_names("robust-imagnet-l2:resnet18:3")
    assert near == ["tiny10-authors", "resnet20_w1-authors", "robust-imagenet-l2:resnet18:3"]
    assert len(names.published_names("robust-imagenet-l2:?")) == 52


def test_architectures_are_those_of_the_registry():
    networks = pytest.importorskip("netalike.networks", exc_type=ImportError)
    registered = {name for name in networks.names() if ":" not in name}
    assert set(names.ARCHITECTURES) <= registered | {"resnet20"}
    assert all(names.is_architecture(name) for name in registered)


@pytest.mark.parametrize(
    "architecture",
    [
        *names.ARCHITECTURES[:4],
        *names.ARCHITECTURES[9:],
        "resnet20_w1",
        "resnet20_w2",
        "lenet_w2",
        "tiny10_w2",
        "nbn_tiny10_w3",
        "lenet_w1",
    ],
)
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
