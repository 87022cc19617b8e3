"""Settings: the published defaults and schedule, and no misspelt or impossible value."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from netalike.training import Settings, learning_rate, output_folder


def drops(settings):
    """Epochs, counted from 1, at which the learning rate changes."""
    rates = [learning_rate(settings, epoch) for epoch in range(settings.epochs)]
    return [epoch + 1 for epoch in range(1, len(rates)) if rates[epoch] != rates[epoch - 1]], rates


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(300, [101, 201]), (30, [11, 21]), (3, [2, 3]), (10, [5, 8]), (1000, [334, 667]), (2, [2]), (1, [])],
)
def test_the_learning_rate_falls_at_thirds(epochs, expected):
    assert drops(Settings(epochs=epochs))[0] == expected


def test_the_learning_rate_falls_to_a_tenth_each_time():
    _, rates = drops(Settings(epochs=30, lr=0.2))
    assert sorted(set(rates), reverse=True) == pytest.approx([0.2, 0.02, 0.002])


def test_defaults_are_the_published_ones():
    assert Settings().model_dump() == {
        "epochs": 300,
        "batch_size": 128,
        "lr": 0.1,
        "weight_decay": 1e-4,
        "optimizer": "sgd",
        "augment": True,
        "save_every": 10,
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "Extra inputs are not permitted"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"lr": 0}, "greater than 0"),
        ({"weight_decay": -1}, "greater than or equal to 0"),
        ({"optimizer": "rmsprop"}, "'sgd' or 'adam'"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Settings(**values)


def test_settings_and_names_need_no_framework():
    code = (
        "import sys, netalike.training, netalike.networks; netalike.networks.names(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("architecture", "dataset", "expected"),
    [
        ("tiny10", "cifar10", "out/Tiny10/CIFAR10/in1-gn2"),
        ("resnet20", "fashion", "out/ResNet20_w1/FashionMNIST/in1-gn2"),
        ("lenet", "digits", "out/LeNet/digits/in1-gn2"),
        ("lenet", "folder:/my/leaves/", "out/LeNet/folder-leaves/in1-gn2"),
    ],
)
def test_the_output_folder_is_the_published_one(architecture, dataset, expected):
    assert output_folder(Path("out"), architecture, dataset, 1, 2) == Path(expected)
