"""The networks whose activations are aligned, in Keras 3 on TensorFlow: layers by name, weights by seed.

The last layer, ``logits``, is linear: the softmax belongs to the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from netalike.errors import NetalikeError, ShapeError, unknown_name

_L = keras.layers


class _Builder:
    """Makes layers whose initial weights and dropout depend on the seed and on their place alone."""

    def __init__(self, seed: int, dropout: bool) -> None:
        self._seeds: Iterator[int] = iter(np.random.default_rng(seed).integers(2**31 - 1, size=128).tolist())
        self._dropout = dropout

    def conv(self, maps: Any, channels: int, name: str, padding: str = "same") -> Any:
        """Apply a 3x3 convolution and a ReLU."""
        initial = keras.initializers.GlorotUniform(seed=next(self._seeds))
        layer = _L.Conv2D(channels, 3, padding=padding, activation="relu", kernel_initializer=initial, name=name)
        return layer(maps)

    def dense(self, features: Any, units: int, name: str, initializer: str = "GlorotUniform") -> Any:
        """Apply a linear layer; what is recorded of it comes before the ReLU."""
        initial = getattr(keras.initializers, initializer)(seed=next(self._seeds))
        return _L.Dense(units, kernel_initializer=initial, name=name)(features)

    def drop(self, features: Any, rate: float, name: str) -> Any:
        """Apply dropout, if there is to be any."""
        seed = next(self._seeds)  # drawn in any case: the weights are the same with and without dropout
        return _L.Dropout(rate, seed=seed, name=name)(features) if self._dropout else features

    def resnet_conv(self, maps: Any, channels: int, name: str, kernel: int = 3, stride: int = 1) -> Any:
        """Apply a convolution with He's normal weights, nothing after it."""
        initial = keras.initializers.HeNormal(seed=next(self._seeds))
        # a projection takes every other pixel: nothing to pad
        padding = "same" if kernel > 1 else "valid"
        return _L.Conv2D(channels, kernel, stride, padding, kernel_initializer=initial, name=name)(maps)


def _conv(builder: _Builder, images: Any, n_classes: int) -> Any:
    return _four_convolutions(builder, images, n_classes, (32, 64), 512, "valid")


def _conv_small(builder: _Builder, images: Any, n_classes: int) -> Any:
    # of 8 pixels, valid convolutions would leave nothing to the second pooling
    return _four_convolutions(builder, images, n_classes, (16, 32), 64, "same")


def _four_convolutions(
    builder: _Builder, images: Any, n_classes: int, channels: tuple[int, int], hidden: int, padding: str
) -> Any:
    maps = images
    for block, width in enumerate(channels, start=1):
        maps = builder.conv(maps, width, f"conv{block}a")
        maps = builder.conv(maps, width, f"conv{block}b", padding)
        maps = _L.MaxPooling2D(2, name=f"pool{block}")(maps)
        maps = builder.drop(maps, 0.25, f"drop{block}")
    features = _L.ReLU(name="relu")(builder.dense(_L.Flatten(name="flat")(maps), hidden, "dense"))
    return builder.dense(builder.drop(features, 0.5, "drop"), n_classes, "logits")


def _mlp(builder: _Builder, images: Any, n_classes: int) -> Any:
    features = _L.Flatten(name="flat")(images)
    for number, width in enumerate((512, 256), start=1):
        features = _L.ReLU(name=f"relu{number}")(builder.dense(features, width, f"dense{number}"))
    return builder.dense(features, n_classes, "logits")


def _preact_resnet18(builder: _Builder, images: Any, n_classes: int) -> Any:
    depth = iter(range(1, 18))

    def normalised(maps: Any) -> Any:
        number = next(depth)
        return _L.ReLU(name=f"relu{number}")(_L.BatchNormalization(name=f"bn{number}")(maps))

    maps = normalised(builder.resnet_conv(images, 64, "stem", kernel=7, stride=2))
    maps = _L.MaxPooling2D(3, 2, "same", name="stem_pool")(maps)
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in (1, 2):
            name, first = f"stage{stage}_{block}", stage == block == 1
            stride = 2 if stage > 1 and block == 1 else 1
            # the very first block sees maps that are normalised already
            inner = builder.resnet_conv(maps if first else normalised(maps), width, f"{name}a", stride=stride)
            inner = builder.resnet_conv(normalised(inner), width, f"{name}b")
            if inner.shape != maps.shape:
                maps = builder.resnet_conv(maps, width, f"{name}_shortcut", kernel=1, stride=stride)
            maps = _L.Add(name=f"{name}_sum")([maps, inner])
    pooled = _L.GlobalAveragePooling2D(name="pool")(normalised(maps))
    return builder.dense(pooled, n_classes, "logits", "HeNormal")


_MAKERS: dict[str, Callable[[_Builder, Any, int], Any]] = {
    "conv": _conv,
    "preact_resnet18": _preact_resnet18,
    "conv_small": _conv_small,
    "mlp": _mlp,
}
_SMALLEST = {"conv": 10, "preact_resnet18": 8, "conv_small": 4, "mlp": 1}  # pixels


def build(
    architecture: str, input_shape: tuple[int, int, int], n_classes: int = 10, seed: int = 0, dropout: bool = True
) -> Any:
    """Build a network with fresh weights.

    Parameters
    ----------
    architecture : {"conv", "preact_resnet18", "conv_small", "mlp"}
    input_shape : tuple of int
        Height, width and channels of the images.
    n_classes : int
        Number of logits.
    seed : int
        Of the initial weights and of dropout; the random state of Keras is neither read nor changed.
    dropout : bool
        Whether the dropout of `conv` and `conv_small` is there; the weights do not depend on it.

    Returns
    -------
    keras.Model
        From images, shape (n, height, width, channels), to logits, shape (n, n_classes).

        - ``conv``: the network of Keras' CIFAR-10 example. Of 32 x 32 pixels, ``pool1`` has 15 x 15 x 32 units,
          ``pool2`` 6 x 6 x 64, and ``dense`` (before its ReLU) 512.
        - ``preact_resnet18``: pre-activation blocks [2, 2, 2, 2] behind the stem for ImageNet. ``bn1`` to ``bn17`` are
          the outputs of the batch normalisations, before their ReLUs.
        - ``conv_small``: as ``conv``, of half the width, with 64 dense units, all convolutions padded.
        - ``mlp``: ``dense1`` of 512 and ``dense2`` of 256 units, before their ReLUs.

    Raises
    ------
    UnknownNameError
        If there is no such architecture.
    ShapeError
        If the images are too small for it.
    NetalikeError
        If there are fewer than two classes.

    Notes
    -----
    Architectures of the published code of Lu et al. (2018): Keras' example ``cifar10_cnn``, and a ResNet after He et
    al., Identity Mappings in Deep Residual Networks, 2016, arXiv:1603.05027, whose convolutions have biases.
    """
    if architecture not in _MAKERS:
        raise unknown_name("Keras architecture", architecture, _MAKERS)
    smallest = _SMALLEST[architecture]
    if len(input_shape) != 3 or min(input_shape[:2]) < smallest:
        raise ShapeError(
            f"{architecture} takes no images of shape {tuple(input_shape)}: expected (height, width, channels) with "
            f"at least {smallest} x {smallest} pixels. conv_small takes images from 4 x 4 pixels on."
        )
    if n_classes < 2:
        raise NetalikeError(f"{architecture} needs at least 2 classes to tell apart, got {n_classes}.")
    images = keras.Input(tuple(input_shape), name="images")
    logits = _MAKERS[architecture](_Builder(seed, dropout), images, n_classes)
    return keras.Model(images, logits, name=architecture)


def recorded_layers(model: Any, layers: tuple[str, ...]) -> Any:
    """Make a model that returns the logits and the outputs of layers.

    Parameters
    ----------
    model : keras.Model
        Of `build`.
    layers : tuple of str

    Returns
    -------
    keras.Model
        From images to a list: the logits, and one tensor per layer. The weights are those of `model`.

    Raises
    ------
    UnknownNameError
        If the network has no such layer.
    """
    names = [layer.name for layer in model.layers]
    for layer in layers:
        if layer not in names:
            raise unknown_name(f"layer of {model.name}", layer, names)
    return keras.Model(model.input, [model.output, *(model.get_layer(layer).output for layer in layers)])
