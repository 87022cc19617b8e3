"""The Keras networks have the published sizes and numbers of parameters, and weights that the seed alone decides."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")
import tensorflow as tf  # noqa: E402

from netalike.errors import NetalikeError, ShapeError, UnknownNameError  # noqa: E402
from netalike.networks.keras_networks import build, recorded_layers  # noqa: E402
from netalike.training.keras_settings import ALL_LAYERS, LAYERS  # noqa: E402

CIFAR, DIGITS, MNIST = (32, 32, 3), (8, 8, 1), (28, 28, 1)


def sizes(model, layers):
    return {layer: tuple(model.get_layer(layer).output.shape[1:]) for layer in layers}


def weights_of(model):
    return [variable.numpy() for variable in model.trainable_variables]


def test_conv_has_the_published_sizes():
    model = build("conv", CIFAR)
    assert sizes(model, LAYERS["conv"]) == {
        "pool1": (15, 15, 32),
        "pool2": (6, 6, 64),
        "dense": (512,),
        "logits": (10,),
    }
    assert model.count_params() == 896 + 9_248 + 18_496 + 36_928 + (2304 * 512 + 512) + (512 * 10 + 10)


def test_N10_the_resnet_has_its_published_layers():
    # in the published code, asking for the layers of the ResNet was a NameError
    model = build("preact_resnet18", CIFAR, 100)
    units = [int(np.prod(shape)) for shape in sizes(model, LAYERS["preact_resnet18"]).values()]
    assert units == [16384, 4096, 4096, 2048, 2048, 1024, 1024, 512, 512]
    assert sizes(model, ("bn1", "bn5", "bn9", "bn13", "bn17")) == {
        "bn1": (16, 16, 64),
        "bn5": (8, 8, 64),
        "bn9": (4, 4, 128),
        "bn13": (2, 2, 256),
        "bn17": (1, 1, 512),
    }


def test_the_resnet_has_the_published_number_of_parameters():
    stages = 4 * (9 * 64 * 64 + 64)
    for width in (128, 256, 512):
        half = width // 2
        stages += 9 * half * width + width + 3 * (9 * width * width + width) + half * width + width
    normalised = 4 * (5 * 64 + 4 * 128 + 4 * 256 + 4 * 512)
    expected = 49 * 3 * 64 + 64 + stages + normalised + 512 * 10 + 10
    assert build("preact_resnet18", CIFAR).count_params() == expected == 11_192_458


def test_small_networks():
    small = build("conv_small", DIGITS)
    assert sizes(small, LAYERS["conv_small"]) == {
        "pool1": (4, 4, 16),
        "pool2": (2, 2, 32),
        "dense": (64,),
        "logits": (10,),
    }
    assert small.count_params() == 160 + 2_320 + 4_640 + 9_248 + (128 * 64 + 64) + (64 * 10 + 10)
    mlp = build("mlp", MNIST)
    assert sizes(mlp, LAYERS["mlp"]) == {"dense1": (512,), "dense2": (256,), "logits": (10,)}
    assert mlp.count_params() == 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10


def test_recorded_layers_come_before_the_relu_but_pooled_ones_after():
    images = np.random.default_rng(0).normal(size=(3, *DIGITS)).astype(np.float32)
    model = recorded_layers(build("conv_small", DIGITS, seed=1), ("pool1", "dense"))
    logits, pooled, dense = (found.numpy() for found in model(images))
    assert logits.shape == (3, 10)
    assert pooled.min() >= 0
    assert dense.min() < 0


@pytest.mark.parametrize(
    ("stage", "before", "norms", "stride"), [(1, "stem_pool", (2,), 1), (2, "stage1_2_sum", (5, 6), 2)]
)
def test_blocks_normalise_before_they_convolve(stage, before, norms, stride):
    model = build("preact_resnet18", CIFAR, seed=3)
    generator = np.random.default_rng(0)
    for layer in model.layers:  # statistics that are not those of the start, where normalising does nothing
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(generator.normal(size=layer.moving_mean.shape))
            layer.moving_variance.assign(generator.uniform(0.5, 2, layer.moving_variance.shape))
    images = generator.normal(size=(2, *CIFAR)).astype(np.float32)
    name = f"stage{stage}_1"
    _, maps, found = recorded_layers(model, (before, f"{name}_sum"))(images)

    def normalised(maps, number):
        layer = model.get_layer(f"bn{number}")
        scale = layer.gamma / tf.sqrt(layer.moving_variance + 1e-3)
        return tf.nn.relu((maps - layer.moving_mean) * scale + layer.beta)

    def convolved(maps, layer, strides=1, padding="SAME"):
        kernel, bias = model.get_layer(layer).variables
        return tf.nn.conv2d(maps, kernel.value, strides, padding) + bias.value

    inner = convolved(normalised(maps, norms[0]) if stage > 1 else maps, f"{name}a", stride)
    inner = convolved(normalised(inner, norms[-1]), f"{name}b")
    shortcut = maps if stage == 1 else convolved(maps, f"{name}_shortcut", stride, "VALID")
    np.testing.assert_allclose(found.numpy(), (shortcut + inner).numpy(), atol=1e-4)


@pytest.mark.parametrize(("architecture", "shape"), [("conv_small", DIGITS), ("mlp", DIGITS)])
def test_the_seed_alone_decides_the_weights(architecture, shape):
    first = weights_of(build(architecture, shape, seed=4))
    keras.utils.set_random_seed(9)
    again, other = weights_of(build(architecture, shape, seed=4)), weights_of(build(architecture, shape, seed=5))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True) if a.any())


def test_without_dropout_the_weights_are_the_same():
    dropping, plain = build("conv_small", DIGITS, seed=4), build("conv_small", DIGITS, seed=4, dropout=False)
    assert all(np.array_equal(a, b) for a, b in zip(weights_of(dropping), weights_of(plain), strict=True))
    rates = [layer.rate for layer in dropping.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.25, 0.25, 0.5]
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in plain.layers)


def test_layers_that_can_be_recorded_exist():
    for architecture, layers in ALL_LAYERS.items():
        names = {layer.name for layer in build(architecture, CIFAR).layers}
        assert set(layers) <= names
        assert set(LAYERS[architecture]) <= set(layers)


def test_mistakes_are_named():
    with pytest.raises(UnknownNameError, match=r"unknown Keras architecture 'convv'.*Did you mean 'conv'"):
        build("convv", CIFAR)
    with pytest.raises(ShapeError, match=r"conv takes no images of shape \(8, 8, 1\).*at least 10 x 10.*conv_small"):
        build("conv", DIGITS)
    with pytest.raises(NetalikeError, match="at least 2 classes to tell apart, got 1"):
        build("mlp", DIGITS, 1)
    with pytest.raises(UnknownNameError, match=r"unknown layer of mlp 'dense3'.*Did you mean"):
        recorded_layers(build("mlp", DIGITS), ("dense3",))
