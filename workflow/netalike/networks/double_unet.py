"""The double U-Net that aligns polygons with images, in Keras 3 on TensorFlow.

Two branches, one for the image and one for the drawn polygons, meet at every level of resolution; from there one way up
ends in a map of displacements and another in a segmentation. All 3x3 convolutions but those after an up-sampling are
valid, so that an output pixel sees only real pixels, and a network trained on small patches runs on whole scenes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import keras

from netalike.errors import NetalikeError, ShapeError

LEVELS = 4
"""Resolutions: the full one, and three halvings."""
HEADS = 3
"""Levels that predict; the lowest one does not."""
BORDER = 120
"""Pixels by which an input is larger than its output, both sides together."""
PIXELS_PER_UNIT = 8.0
"""An output of 1 moves a vertex by so many pixels: +-4 px are stored as +-0.5."""
_SMALLEST_INPUT = 124
_STEP = 2 ** (LEVELS - 1) * 2  # pixels: every halving has to come out even, and be cropped evenly
_BIAS = -0.01
_TWO_CONVOLUTIONS = 4  # pixels that they take off a side's length
SEGMENTATION_CHANNELS = 4  # background, fill, edge, vertex


@dataclass(frozen=True)
class Widths:
    """Channels at full resolution; each halving of the resolution doubles them.

    Attributes
    ----------
    image, polygon : int
        Of the two branches.
    common : int
        Of everything after them.
    """

    image: int = 32
    polygon: int = 16
    common: int = 48

    def __post_init__(self) -> None:
        if min(astuple(self)) < 1:
            raise NetalikeError(
                f"widths {astuple(self)} of the double U-Net: every width needs at least 1 channel; "
                "the paper's are 32, 16 and 48."
            )


def output_size(input_size: int) -> int:
    """Return the height of the output of an input's height, in pixels; widths alike.

    Parameters
    ----------
    input_size : int
        124, 140, 156, ... pixels.

    Returns
    -------
    int
        120 less: 4, 20, 36, ...

    Raises
    ------
    ShapeError
        For a size that cannot be halved three times without a rest; names the nearest one that can.
    """
    if input_size < _SMALLEST_INPUT or (input_size - _SMALLEST_INPUT) % _STEP:
        steps = max(0, round((input_size - _SMALLEST_INPUT) / _STEP))
        raise ShapeError(
            f"the double U-Net takes no input of {input_size} pixels: expected {_SMALLEST_INPUT}, "
            f"{_SMALLEST_INPUT + _STEP}, {_SMALLEST_INPUT + 2 * _STEP}, ... (steps of {_STEP}). "
            f"The nearest is {_SMALLEST_INPUT + steps * _STEP}."
        )
    return input_size - BORDER


def input_size_for(wanted: int) -> int:
    """Return the smallest input whose output is at least so many pixels high.

    Parameters
    ----------
    wanted : int

    Returns
    -------
    int
    """
    steps = max(0, math.ceil((wanted - (_SMALLEST_INPUT - BORDER)) / _STEP))
    return int(_SMALLEST_INPUT + _STEP * steps)


def _cut(maps: Any, top: Any, left: Any, height: Any, width: Any) -> Any:
    """Cut a part out of a map; the gradient of this operation takes a fraction of what that of an index takes."""
    shape = keras.ops.shape(maps)
    return keras.ops.slice(maps, (0, top, left, 0), (shape[0], height, width, shape[3]))


@keras.saving.register_keras_serializable(package="netalike")
class CropLike(keras.layers.Layer):  # type: ignore[misc]
    """Cut the middle out of a map, as large as another map; neither size need be known beforehand."""

    def call(self, inputs: Sequence[Any]) -> Any:
        """Return the middle of the first map, with the height and width of the second."""
        whole, like = inputs
        size, wanted = keras.ops.shape(whole), keras.ops.shape(like)
        top, left = (size[1] - wanted[1]) // 2, (size[2] - wanted[2]) // 2
        return _cut(whole, top, left, wanted[1], wanted[2])

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Return the second map's height and width, and the first one's channels."""
        whole, like = input_shape
        return (whole[0], like[1], like[2], whole[3])


@keras.saving.register_keras_serializable(package="netalike")
class CropForWayUp(keras.layers.Layer):  # type: ignore[misc]
    """Cut out the middle of a level that its two convolutions have to see so that the way up finds what it needs.

    The rest would be computed and then thrown away: at full resolution, nine tenths of it.

    Parameters
    ----------
    level : int
        0 is the full resolution.
    """

    def __init__(self, level: int, **names: Any) -> None:
        super().__init__(**names)
        self.level = level

    def call(self, inputs: Sequence[Any]) -> Any:
        """Return the middle of the first map; the second is that of a branch at the lowest level."""
        whole, lowest = inputs
        size, below = keras.ops.shape(whole), keras.ops.shape(lowest)
        wanted = [_seen_by_way_up(below[axis], self.level) for axis in (1, 2)]
        top, left = (size[1] - wanted[0]) // 2, (size[2] - wanted[1]) // 2
        return _cut(whole, top, left, wanted[0], wanted[1])

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Return the first map's channels, and the height and width that follow from the second's."""
        whole, lowest = input_shape
        sides = [None if side is None else _seen_by_way_up(side, self.level) for side in lowest[1:3]]
        return (whole[0], *sides, whole[3])

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of, for Keras."""
        return {**super().get_config(), "level": self.level}


def _seen_by_way_up(lowest: Any, level: int) -> Any:
    """Return the height that goes into the two convolutions of a level, from that of the lowest level."""
    size = lowest
    for _ in range(LEVELS - 1 - level):
        size = 2 * (size - _TWO_CONVOLUTIONS)
    return size + _TWO_CONVOLUTIONS


def _doubled(maps: Any, name: str) -> Any:
    """Make a map twice as high and wide, bilinearly, with half-pixel centres."""
    return keras.layers.UpSampling2D(2, interpolation="bilinear", name=name)(maps)


class _Builder:
    """Makes layers with names, and with initial weights that depend on the seed and their place alone."""

    def __init__(self, seed: int) -> None:
        self._seeds: Iterator[int] = iter(keras.random.randint((64,), 0, 2**31 - 1, seed=seed).numpy().tolist())

    def convolution(self, maps: Any, channels: int, name: str, padding: str = "valid", activation: str = "elu") -> Any:
        """Apply a 3x3 convolution; truncated normal weights of variance 2 / (9 inputs + outputs)."""
        spread = math.sqrt(2.0 / (9 * maps.shape[-1] + channels))
        layer = keras.layers.Conv2D(
            channels,
            3,
            padding=padding,
            activation=activation,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=spread, seed=next(self._seeds)),
            bias_initializer=keras.initializers.Constant(_BIAS),
            name=name,
        )
        return layer(maps)

    def two(self, maps: Any, channels: int, name: str) -> Any:
        """Apply two valid convolutions."""
        return self.convolution(self.convolution(maps, channels, f"{name}_a"), channels, f"{name}_b")

    def way_down(self, maps: Any, width: int, name: str) -> list[Any]:
        """Return the maps of a branch at every level."""
        found: list[Any] = []
        for level in range(LEVELS):
            below = keras.layers.MaxPooling2D(2, name=f"{name}_pool_{level}")(found[-1]) if found else maps
            found.append(self.two(below, width * 2**level, f"{name}_{level}"))
        return found

    def way_up(self, common: Sequence[Any], width: int, name: str) -> list[Any]:
        """Return the maps of an output branch at every level but the lowest, the full resolution first."""
        maps, found = common[-1], []
        for level in reversed(range(LEVELS - 1)):
            channels = width * 2**level
            maps = _doubled(maps, f"{name}_double_{level}")
            maps = self.convolution(maps, channels, f"{name}_{level}_up", padding="same", activation="relu")
            beside = CropLike(name=f"{name}_crop_{level}")([common[level], maps])
            maps = keras.layers.Concatenate(name=f"{name}_join_{level}")([maps, beside])
            maps = self.two(maps, channels, f"{name}_{level}")
            found.append(maps)
        return found[::-1]

    def heads(self, maps: Sequence[Any], channels: int, name: str, activation: str) -> list[Any]:
        """Return one prediction per level, each at full resolution."""
        found: list[Any] = []
        for level, at_level in enumerate(maps):
            head = keras.layers.Conv2D(
                channels,
                1,
                activation=activation,
                kernel_initializer=keras.initializers.GlorotUniform(seed=next(self._seeds)),
                name=f"{name}_head_{level}",
            )(at_level)
            for time in range(level):
                head = _doubled(head, f"{name}_head_{level}_double_{time}")
            found.append(CropLike(name=f"{name}_head_{level}_crop")([head, found[0]]) if level else head)
        return found


def double_unet(widths: Widths | None = None, seed: int = 0) -> Any:
    """Build the double U-Net with untrained weights.

    Parameters
    ----------
    widths : Widths, optional
        The paper's when left out: 9,350,946 parameters, of which 7,171,302 reach the displacements.
    seed : int
        Of the initial weights; the same seed gives the same bits.

    Returns
    -------
    keras.Model
        Inputs ``image``, shape (n, s, t, 3), in [-1, 1], and ``polygons``, shape (n, s, t, 3), in [0, 1]: the fill, the
        edges and the vertices. Height and width are free among those of `output_size`. Outputs ``displacement``, shape
        (n, 3, s - 120, t - 120, 2), in [-1, 1] for -8 to 8 pixels down and to the right, and ``segmentation``, shape
        (n, 3, s - 120, t - 120, 4), logits of background, fill, edge and vertex. The second axis is the level; 0, the
        full resolution, is the prediction, and the others are for the loss.

    Notes
    -----
    Architecture of the published code of Charpiat et al. (2019): specs of the displacement branch and the segmentation
    branch are equal, neither batch normalisation nor dropout is used.
    """
    widths = widths or Widths()
    builder = _Builder(seed)
    image = keras.Input((None, None, 3), name="image")
    polygons = keras.Input((None, None, 3), name="polygons")
    image_maps = builder.way_down(image, widths.image, "image")
    polygon_maps = builder.way_down(polygons, widths.polygon, "polygon")
    common = _common_maps(builder, image_maps, polygon_maps, widths.common)
    outputs = {}
    for name, channels, activation in (
        ("displacement", 2, "tanh"),
        ("segmentation", SEGMENTATION_CHANNELS, "linear"),
    ):
        maps = builder.way_up(common, widths.common, name)
        outputs[name] = _Stack(name=name)(builder.heads(maps, channels, name, activation))
    return keras.Model({"image": image, "polygons": polygons}, outputs, name="double_unet")


def _common_maps(builder: _Builder, image: Sequence[Any], polygon: Sequence[Any], width: int) -> list[Any]:
    """Join the two branches at every level, as far as the way up needs it, the full resolution first."""
    found = []
    for level, pair in enumerate(zip(image, polygon, strict=True)):
        if level < LEVELS - 1:
            # before they are joined: most of a joined map would be copied for nothing
            pair = tuple(
                CropForWayUp(level, name=f"common_{level}_crop_{branch}")([maps, image[-1]])
                for branch, maps in zip(("image", "polygon"), pair, strict=True)
            )
        maps = keras.layers.Concatenate(name=f"common_{level}_join")(list(pair))
        found.append(builder.two(maps, width * 2**level, f"common_{level}"))
    return found


@keras.saving.register_keras_serializable(package="netalike")
class _Stack(keras.layers.Layer):  # type: ignore[misc]
    """Put the predictions of the levels side by side, along a new second axis."""

    def call(self, inputs: Sequence[Any]) -> Any:
        return keras.ops.stack(inputs, axis=1)

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return (input_shape[0][0], len(input_shape), *input_shape[0][1:])


def displacement_only(model: Any) -> Any:
    """Take the part of a double U-Net that predicts displacements, with the same weights.

    Parameters
    ----------
    model : keras.Model
        Of `double_unet`.

    Returns
    -------
    keras.Model
        Same inputs; output of shape (n, 3, h, w, 2). Its variables are those that reach the displacements; the heads of
        the two lower levels among them (580 at full width) have gradient 0 for the prediction itself.
    """
    return keras.Model(model.input, model.output["displacement"], name="displacements")
