"""Settings of Keras networks: what is left out is what the paper's code has, and mistakes are named."""

import math
import subprocess
import sys

import pytest
from pydantic import ValidationError

from netalike.training.keras_settings import KerasTraining, learning_rate, training_of


def test_the_published_training_of_the_convolutional_network():
    found = KerasTraining().complete()
    assert (found.optimizer, found.lr, found.lr_decay, found.batch_size, found.epochs) == (
        "rmsprop",
        1e-4,
        1e-6,
        32,
        50,
    )
    assert (found.augment, found.l2, found.dropout, found.plateau_on, found.min_lr) == ("none", 0, True, "test", 1e-5)
    assert found.logged == (0, 1, 2, 4, 6, 9, 14, 21, 32, 50)
    assert found.layers == ("pool1", "pool2", "dense", "logits")
    assert found.max_units == 1000


def test_the_published_training_of_the_resnet():
    found = KerasTraining(architecture="preact_resnet18").complete()
    assert (found.optimizer, found.lr, found.lr_decay, found.batch_size, found.epochs) == ("adam", 1e-3, 0, 32, 100)
    assert (found.augment, found.l2, found.min_lr) == ("shift_flip", 1e-4, 5e-7)
    assert found.logged == (0, 1, 2, 3, 5, 8, 13, 22, 36, 60, 100)
    assert found.layers == tuple(f"bn{depth}" for depth in (1, 3, 5, 7, 9, 11, 13, 15, 17))
    assert found.complete() == found


def test_a_shorter_training_records_its_last_epoch():
    assert KerasTraining(epochs=10).complete().logged == (0, 1, 2, 4, 6, 9, 10)
    assert KerasTraining(epochs=10, logged=(5, 0, 5)).complete().logged == (0, 5)
    assert training_of({"training": {"epochs": 1, "lr": 0.5}, "dataset": "digits"}).logged == (0, 1)


def test_N9_the_plateau_rule_lowers_the_rate_as_keras_does():
    settings = KerasTraining(lr=1.0, plateau_patience=2, min_lr=0.05)
    falling, flat = [3.0, 2.0, 1.0], [1.0, 1.0 - 5e-5]
    assert learning_rate(settings, 3, falling) == 1
    assert learning_rate(settings, 5, falling + flat) == pytest.approx(math.sqrt(0.1))
    assert learning_rate(settings, 6, [*falling, 1.0, 0.5, 0.5]) == 1  # a lower loss begins the count anew
    assert learning_rate(settings, 7, falling + 2 * flat) == pytest.approx(0.1)
    assert learning_rate(settings, 9, falling + 5 * flat) == 0.05


def test_the_cosine_ends_near_a_hundredth():
    settings = KerasTraining(lr=1.0, epochs=10, lr_schedule="cosine")
    assert [learning_rate(settings, epoch) for epoch in (0, 5, 10)] == pytest.approx([1, 0.505, 0.01])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layers": ["pool3"]}, "conv has no layer 'pool3': it has pool1, pool2, dense, logits. Did you mean 'pool"),
        ({"layers": ["dense", "dense"]}, "a layer is named twice among dense, dense"),
        ({"logged": [51]}, r"epoch 51 cannot be recorded: a training of 50 epochs has 0 \(before it\) to 50"),
        ({"epochs": 3, "logged": [-1]}, "epoch -1 cannot be recorded"),
        ({"learning_rate": 1}, "Extra inputs are not permitted"),
    ],
)
def test_mistakes_are_named(given, message):
    with pytest.raises(ValidationError, match=message):
        KerasTraining(**given)


def test_no_framework_is_imported():
    code = "import sys, netalike.training.keras_settings; print({'torch', 'tensorflow', 'keras'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
