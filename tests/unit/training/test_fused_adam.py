"""The optimiser of one operation per weight, against Keras' own."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from netalike.networks.double_unet import Widths  # noqa: E402
from netalike.training.map_alignment import MapTrainer  # noqa: E402
from netalike.training.map_settings import MapTraining  # noqa: E402


@pytest.mark.parametrize(
    "options", [{}, {"clip_norm": 0.5}, {"weight_decay": 0.1}, {"clip_norm": 5, "weight_decay": 1}]
)
def test_weights_move_as_with_the_adam_of_keras(options: dict[str, float]) -> None:
    trainer = MapTrainer(MapTraining(steps=3, **options), Widths(1, 1, 1))
    trainer.begin(0)
    twins = [keras.Variable(weight.numpy()) for weight in trainer.variables]
    optimizer = keras.optimizers.Adam(
        0.01, weight_decay=options.get("weight_decay"), global_clipnorm=options.get("clip_norm")
    )
    random = np.random.default_rng(0)
    for _ in range(3):
        gradients = [tf.constant(random.normal(size=twin.shape), tf.float32) for twin in twins]
        trainer._move(gradients, tf.constant(0.01))
        optimizer.apply(gradients, twins)
    for weight, twin in zip(trainer.variables, twins, strict=True):
        np.testing.assert_allclose(weight.numpy(), twin.numpy(), rtol=1e-4, atol=1e-6)
