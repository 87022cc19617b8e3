"""A Keras network, its optimiser, and the functions that are compiled once for one training after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from netalike.data.image_arrays import ImageArrays
from netalike.errors import NetalikeError
from netalike.networks.keras_networks import build, recorded_layers
from netalike.networks.keras_weights import set_all, set_variables, variables_of
from netalike.training.fused_adam import FusedAdam
from netalike.training.keras_settings import KerasTraining

_PIXEL_SCALE = 128.0
_STEPS_PER_CALL = 50  # of the compiled function: the progress bar moves in between
_EVALUATED = 256  # images per forward pass
_SHIFT = 0.1  # of a side, at most, either way
# Streams of random numbers of an epoch.
_ORDER, _MOVES = 0, 1
# Decay of the first and of the second moment.
_MOMENTS = {"adam": (0.9, 0.999), "rmsprop": (0.0, 0.9)}


class TrainingImages(NamedTuple):
    """Training images in TensorFlow's memory.

    Attributes
    ----------
    images : tensor, uint8, shape (n, height, width, channels)
    labels : tensor, int64, shape (n,)
    mean : tensor, float32, shape (height, width, channels)
    """

    images: Any
    labels: Any
    mean: Any

    @classmethod
    def of(cls, images: ImageArrays, mean: NDArray[np.float32]) -> TrainingImages:
        """Copy images to TensorFlow."""
        return cls(tf.constant(images.images), tf.constant(images.labels), tf.constant(mean))


class KerasTrainer:
    """A network, its optimiser and the functions compiled for them, for one training after the other.

    Parameters
    ----------
    settings : KerasTraining
    input_shape : tuple of int
        Height, width and channels.
    n_classes : int
    """

    def __init__(self, settings: KerasTraining, input_shape: tuple[int, int, int], n_classes: int) -> None:
        self.settings = settings.complete()
        self.shape, self.n_classes = input_shape, n_classes
        self.model = self._new(0)
        self.recorder = recorded_layers(self.model, self.settings.layers or ())
        self._optimizer = FusedAdam(self.model.trainable_variables, *_MOMENTS[self.settings.optimizer or "adam"])
        self._weights = self._optimizer.weights
        self._steps, self._forward = self._compiled()

    def _new(self, seed: int) -> Any:
        return build(self.settings.architecture, self.shape, self.n_classes, seed, self.settings.dropout)

    def _compiled(self) -> tuple[Any, Any]:
        # of any number of images: a second compilation, for the last and shorter part, might round otherwise
        pixels, mean = tf.TensorSpec((None, *self.shape), tf.uint8), tf.TensorSpec(self.shape, tf.float32)
        positions, moves = tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None, 3), tf.int32)
        of_steps = [pixels, positions, mean, positions, moves, tf.TensorSpec((), tf.float32)]
        return (
            tf.function(self._run_steps, input_signature=of_steps),
            tf.function(self._run_forward, input_signature=[pixels, mean]),
        )

    def begin(self, seed: int) -> None:
        """Give the network the initial weights of a seed, and forget what the optimiser knew."""
        set_all(self.model.variables, [variable.numpy() for variable in self._new(seed).variables])
        self._optimizer.reset()

    # ---- one epoch ----

    def epoch(self, images: TrainingImages, seed: int, epoch: int, rate: float, bar: Any) -> tuple[float, float]:
        """Train on every image once; return the mean loss and the accuracy on the way.

        Parameters
        ----------
        images : TrainingImages
        seed : int
            Of the network: order and augmentation follow from it and the epoch.
        epoch : int
            Counted from 0.
        rate : float
            Learning rate at its start.
        bar : tqdm
            Moved by steps.

        Returns
        -------
        loss, accuracy : float

        Raises
        ------
        NetalikeError
            If the loss is not finite.
        """
        order = np.random.default_rng([seed, epoch, _ORDER]).permutation(len(images.labels))
        moves = _moves(len(order), self.shape, np.random.default_rng([seed, epoch, _MOVES]), self.settings.augment)
        size = _STEPS_PER_CALL * self.settings.batch_size
        loss, right = 0.0, 0
        for start in range(0, len(order), size):
            rows = slice(start, start + size)
            chosen = (tf.constant(order[rows]), tf.constant(moves[rows]), tf.constant(rate, tf.float32))
            lost, found = self._steps(images.images, images.labels, images.mean, *chosen)
            loss, right = loss + float(lost), right + int(found)
            bar.update(math.ceil(len(order[rows]) / self.settings.batch_size))
        if not math.isfinite(loss):
            raise NetalikeError(
                f"{self.settings.architecture} of seed {seed}: the loss is {loss} in epoch {epoch + 1}, at learning "
                f"rate {rate:g}: training diverged. Try a learning rate ten times smaller."
            )
        return loss / len(order), right / len(order)

    def _run_steps(self, images: Any, labels: Any, mean: Any, order: Any, moves: Any, rate: Any) -> Any:
        size = self.settings.batch_size
        loss, right = tf.constant(0.0, tf.float64), tf.constant(0, tf.int64)
        for start in tf.range(0, tf.shape(order)[0], size):
            rows = order[start : start + size]
            inputs = _standardised(tf.gather(images, rows), mean)
            if self.settings.augment != "none":
                inputs = _moved(inputs, moves[start : start + size])
            entropy, found = self._step(inputs, tf.gather(labels, rows), rate)
            loss += tf.cast(entropy, tf.float64)
            right += found
        return loss, right

    def _step(self, inputs: Any, labels: Any, rate: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = self.model(inputs, training=True)
            entropy = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            total = entropy / tf.cast(tf.shape(labels)[0], tf.float32) + self._penalty()
        self._update(tape.gradient(total, self._weights), rate)
        return entropy, tf.math.count_nonzero(tf.argmax(logits, axis=1) == labels)

    def _penalty(self) -> Any:
        if not self.settings.l2:
            return tf.constant(0.0)
        # the published ResNet does not decay its last, linear layer; the mlp has nothing else
        kernels = [weight for weight in self._weights if len(weight.shape) == 4] or [
            weight for weight in self._weights if len(weight.shape) == 2
        ]
        return self.settings.l2 * tf.add_n([tf.reduce_sum(tf.square(kernel)) for kernel in kernels])

    def _update(self, gradients: Sequence[Any], rate: Any) -> None:
        self._optimizer.apply(gradients, rate, self.settings.lr_decay or 0.0)

    # ---- looking at images ----

    def _run_forward(self, images: Any, mean: Any) -> Any:
        return self.recorder(_standardised(images, mean), training=False)

    def outputs(self, images: ImageArrays, mean: NDArray[np.float32]) -> Iterator[list[NDArray[np.float32]]]:
        """Yield the logits and the layers' outputs of images, batch by batch."""
        for start in range(0, len(images), _EVALUATED):
            batch = tf.constant(images.images[start : start + _EVALUATED])
            yield [found.numpy() for found in self._forward(batch, tf.constant(mean))]

    def evaluate(self, images: ImageArrays, mean: NDArray[np.float32]) -> tuple[float, float]:
        """Return the cross-entropy in nats and the accuracy, without dropout."""
        return scores(np.concatenate([batch[0] for batch in self.outputs(images, mean)]), images.labels)

    def penalty(self) -> float:
        """Return what the weights add to the loss."""
        return float(self._penalty())

    # ---- its state ----

    def state(self) -> dict[str, NDArray[Any]]:
        """Return weights, dropout's and the optimiser's state, by name."""
        found = variables_of(self.model.variables, "model")
        found |= {f"optimizer/{i:04d}": slot.numpy() for i, slot in enumerate(self._optimizer.variables)}
        return found

    def restore(self, arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
        """Take over what `state` returned."""
        set_variables(self.model.variables, arrays, "model", path)
        for i, slot in enumerate(self._optimizer.variables):
            slot.assign(arrays[f"optimizer/{i:04d}"])


def scores(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean cross-entropy in nats, and the accuracy.

    Parameters
    ----------
    logits : ndarray, shape (n, n_classes)
    labels : ndarray, int64, shape (n,)

    Returns
    -------
    loss, accuracy : float
    """
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    of_class = shifted[np.arange(len(labels)), labels]
    loss = np.log(np.exp(shifted).sum(1)) - of_class
    return float(loss.mean()), float((logits.argmax(1) == labels).mean())


def _standardised(images: Any, mean: Any) -> Any:
    return (tf.cast(images, tf.float32) - mean) / _PIXEL_SCALE


def _moves(
    n: int, shape: tuple[int, int, int], generator: np.random.Generator, augment: str | None
) -> NDArray[np.int32]:
    """Draw how far each image is shifted down and right, in pixels, and whether it is mirrored: shape (n, 3)."""
    if augment == "none":
        return np.zeros((n, 3), np.int32)
    shifts = generator.uniform(-_SHIFT, _SHIFT, (n, 2)) * shape[:2]
    mirrored = generator.integers(2, size=(n, 1)) * (augment == "shift_flip")
    return np.concatenate([np.rint(shifts), mirrored], axis=1).astype(np.int32)


def _moved(images: Any, moves: Any) -> Any:
    """Shift images, whose edge is repeated, and mirror them."""
    height, width = images.shape[1:3]
    rows = tf.clip_by_value(tf.range(height)[None] - moves[:, :1], 0, height - 1)
    columns = tf.clip_by_value(tf.range(width)[None] - moves[:, 1:2], 0, width - 1)
    columns = tf.where(moves[:, 2:] == 1, columns[:, ::-1], columns)
    return tf.gather(tf.gather(images, rows, batch_dims=1, axis=1), columns, batch_dims=1, axis=2)
