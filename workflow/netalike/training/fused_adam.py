"""Adam and RMSprop in TensorFlow, one operation per weight.

Keras' own take about twenty operations per weight, which cost small networks more than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_EPSILON = 1e-7


class FusedAdam:
    """The optimiser's state, and its update.

    Parameters
    ----------
    weights : sequence of keras.Variable
    first, second : float
        Decay of the two moments. Adam without a first moment is Keras' RMSprop.

    Attributes
    ----------
    weights : list of tf.Variable
    variables : list of tf.Variable
        The state: first moments, second moments, and the number of updates so far.
    """

    def __init__(self, weights: Sequence[Any], first: float = 0.9, second: float = 0.999) -> None:
        self.weights = [weight.value for weight in weights]
        self._decays = (first, second)
        self._moments = [
            [tf.Variable(tf.zeros_like(weight), name=name) for weight in self.weights] for name in ("first", "second")
        ]
        self.iterations = tf.Variable(0, dtype=tf.int64, name="iterations")
        self.variables = [*self._moments[0], *self._moments[1], self.iterations]

    def reset(self) -> None:
        """Forget what was learned of the gradients."""
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    def apply(self, gradients: Sequence[Any], rate: Any, lr_decay: float = 0.0) -> None:
        """Move the weights.

        Parameters
        ----------
        gradients : sequence of tensor
            One per weight.
        rate : tensor, float32, shape ()
            Learning rate.
        lr_decay : float
            The rate is divided by 1 + this times the number of updates before.
        """
        first, second = self._decays
        steps = tf.cast(self.iterations.assign_add(1), tf.float32)
        now = rate / (1.0 + lr_decay * (steps - 1.0))
        # without these powers, the moments are not corrected for their start at 0: RMSprop does not do so
        powers = (first**steps, second**steps) if first else (tf.constant(0.0), tf.constant(0.0))
        for weight, m, v, gradient in zip(self.weights, *self._moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=now,
                beta1=first,
                beta2=second,
                epsilon=_EPSILON,
                grad=gradient,
            )
