"""The double U-Net has the published sizes and numbers of parameters, and weights that the seed alone decides."""

from collections import Counter

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from netalike.errors import NetalikeError, ShapeError  # noqa: E402
from netalike.networks.double_unet import (  # noqa: E402
    Widths,
    displacement_only,
    double_unet,
    input_size_for,
    output_size,
)

SMALL = Widths(2, 1, 3)


def run(model, image, polygons):
    return {name: np.asarray(found) for name, found in model({"image": image, "polygons": polygons}).items()}


def inputs(height, width, seed=0):
    generator = np.random.default_rng(seed)
    return tuple(generator.random((1, height, width, 3), dtype=np.float32) for _ in range(2))


def test_numbers_of_parameters_are_the_published_ones():
    model = double_unet()
    parts = Counter()
    for variable in model.trainable_variables:
        name = variable.path.split("/")[0]
        parts[name.split("_")[0] + ("_heads" if "head" in name else "")] += int(np.prod(variable.shape))
    assert parts == {
        "image": 1_172_256,
        "polygon": 293_520,
        "common": 3_526_560,
        "displacement": 2_178_288,
        "displacement_heads": 678,
        "segmentation": 2_178_288,
        "segmentation_heads": 1_356,
    }
    assert model.count_params() == 9_350_946
    assert displacement_only(model).count_params() == 7_171_302


@pytest.mark.parametrize(("widths", "count"), [((4, 2, 6), 112_698), ((8, 4, 12), 449_310), ((16, 8, 24), 1_794_294)])
def test_narrower_networks_reach_the_displacement_with_fewer_parameters(widths, count):
    assert displacement_only(double_unet(Widths(*widths))).count_params() == count


@pytest.mark.parametrize(("given", "out"), [(124, 4), (140, 20), (156, 36), (172, 52), (188, 68), (220, 100)])
def test_input_and_output_sizes(given, out):
    assert output_size(given) == out
    assert input_size_for(out) == given
    assert input_size_for(out - 15) == given


@pytest.mark.parametrize("given", [100, 125, 150])
def test_an_impossible_input_size_names_the_nearest_one(given):
    nearest = {100: 124, 125: 124, 150: 156}[given]
    with pytest.raises(ShapeError, match=f"no input of {given} pixels.*The nearest is {nearest}"):
        output_size(given)


def test_outputs_have_three_levels_and_any_rectangle_goes_in():
    found = run(double_unet(SMALL), *inputs(124, 156))
    assert found["displacement"].shape == (1, 3, 4, 36, 2)
    assert found["segmentation"].shape == (1, 3, 4, 36, 4)
    assert np.abs(found["displacement"]).max() < 1


def test_a_larger_input_gives_the_same_numbers_where_the_patches_overlap():
    """Valid convolutions: nothing but real pixels enters, so that whole scenes may be computed at once."""
    model = double_unet(SMALL)
    image, polygons = inputs(188, 188)
    whole = run(model, image, polygons)["displacement"][0, 0]  # 68 x 68
    part = run(model, image[:, 32:156, 32:156], polygons[:, 32:156, 32:156])["displacement"][0, 0]  # 4 x 4 from 32 on
    # Convolutions after an up-sampling pad, and up-sampling continues the border: the middle agrees most closely.
    assert np.abs(whole[33:35, 33:35] - part[1:3, 1:3]).max() < 0.05


def test_only_what_the_way_up_needs_is_computed_of_the_common_maps():
    model = double_unet(SMALL)
    shapes = keras.Model(model.input, [model.get_layer(f"common_{level}_b").output for level in range(4)])
    image, polygons = inputs(156, 220)
    found = [tuple(maps.shape[1:3]) for maps in shapes({"image": image, "polygons": polygons})]
    assert found == [(40, 104), (24, 56), (16, 32), (8, 16)]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (double_unet(SMALL, seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_initial_weights_are_truncated_normal_with_a_bias_below_zero():
    layer = double_unet(Widths(8, 4, 12)).get_layer("common_3_b")
    kernel, bias = (np.asarray(weight) for weight in layer.get_weights())
    spread = np.sqrt(2 / (9 * 96 + 96))
    assert np.abs(kernel).max() <= 2 * spread * (1 + 1e-6)
    assert kernel.std() == pytest.approx(0.88 * spread, rel=0.02)  # a normal cut off at two standard deviations
    assert np.array_equal(bias, np.full(96, -0.01, np.float32))


def test_widths_of_zero_are_refused():
    with pytest.raises(NetalikeError, match="every width needs at least 1 channel"):
        Widths(8, 0, 12)
