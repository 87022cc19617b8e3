"""Architectures: the sizes, shapes and names that the stitching paper's code has, and nothing in place."""

import pytest
import torch
from torch import nn

from netalike import networks
from netalike.errors import BadFileError, NetalikeError, ShapeError, UnknownNameError
from netalike.networks import naming, registry


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def shapes(name: str, channels: int = 3) -> dict[str, tuple[int, ...]]:
    found = networks.layers(networks.build(name, channels=channels, seed=0), torch.zeros(1, channels, 32, 32))
    return {layer.name: layer.shape for layer in found}


@pytest.mark.parametrize(
    ("name", "channels", "count"),
    [
        ("tiny10", 3, 86_778),
        ("nbn_tiny10", 3, 86_138),
        ("lenet", 1, 61_706),
        ("lenet", 3, 62_006),
        ("dense", 1, 491_110),
        ("dense", 3, 1_105_510),
        # by hand, from k times as many channels and units in every hidden layer
        ("lenet_w2", 1, sum((12 * 26, 32 * (12 * 25 + 1), 240 * 801, 168 * 241, 10 * 169))),
        ("tiny10_w2", 3, 343_018),
        ("nbn_tiny10_w2", 3, 341_738),
        ("resnet20_w1", 3, 272_474),
        ("resnet20_w2", 3, 1_084_586),
        ("resnet20_w3", 3, 2_436_346),
        ("resnet20_w4", 3, 4_327_754),
        ("resnet20_w5", 3, 6_758_810),
    ],
)
def test_has_the_published_number_of_parameters(name, channels, count):
    with torch.device("meta"):
        assert parameters(networks.build(name, channels=channels)) == count


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("nbntiny10", "nbn_tiny10"),
        ("resnet20", "resnet20_w1"),
        ("lenet_w1", "lenet"),
        ("tiny10_w1", "tiny10"),
        ("nbn_tiny10_w1", "nbn_tiny10"),
    ],
)
def test_an_alias_is_the_same_network(alias, name):
    assert networks.canonical(alias) == name
    assert networks.build(alias).architecture == name


def test_tiny10_has_the_published_layers_and_shapes():
    sizes = [(16, 30), (16, 28), (32, 13), (32, 11), (32, 9), (64, 4), (64, 2), (64, 2)]
    expected = {
        f"{kind}{n}": (channels, side, side)
        for n, (channels, side) in enumerate(sizes, start=1)
        for kind in ("conv", "bn", "relu")
    }
    found = shapes("tiny10")
    assert found == expected | {"fc": (10,)}
    assert list(found) == [*expected, "fc"]


def test_nbn_tiny10_has_the_published_layers():
    assert list(shapes("nbn_tiny10")) == [f"{kind}{n}" for n in range(1, 9) for kind in ("conv", "relu")] + ["fc"]


def test_lenet_has_the_published_layers_and_shapes():
    assert shapes("lenet", channels=1) == {
        "conv1": (6, 28, 28),
        "relu1": (6, 28, 28),
        "pool1": (6, 14, 14),
        "conv2": (16, 10, 10),
        "relu2": (16, 10, 10),
        "pool2": (16, 5, 5),
        "fc1": (120,),
        "relu3": (120,),
        "fc2": (84,),
        "relu4": (84,),
        "fc3": (10,),
    }


def test_resnet20_has_the_published_layers_and_shapes():
    found = shapes("resnet20_w2")
    assert len(found) == 77
    assert set(found) == {name for name, _ in networks.build("resnet20_w2").named_modules() if name}
    assert found["layer1.2"] == (32, 32, 32)
    assert found["layer2.0.downsample.1"] == found["layer2.0.add"] == found["layer2"] == (64, 16, 16)
    assert found["layer3.1.bn2"] == (128, 8, 8)
    assert found["avgpool"] == (128, 1, 1)


def test_a_block_adds_its_two_branches_before_the_last_relu():
    model = networks.build("resnet20", seed=0).eval()
    block = model.get_submodule("layer2.0")
    x = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    inner = torch.relu(block.bn1(block.conv1(x)))
    expected = torch.relu(block.bn2(block.conv2(inner)) + block.downsample(x))
    torch.testing.assert_close(block(x), expected)


def test_tiny10_means_over_space_and_then_classifies():
    model = networks.build("tiny10", seed=0).eval()
    x = torch.randn(2, 3, 40, 36, generator=torch.Generator().manual_seed(0))
    y = x
    for n, stride in enumerate((1, 1, 2, 1, 1, 2, 1, 1), start=1):
        convolution, norm = model.get_submodule(f"conv{n}"), model.get_submodule(f"bn{n}")
        y = torch.relu(norm(nn.functional.conv2d(y, convolution.weight, convolution.bias, stride)))
    torch.testing.assert_close(model(x), y.mean((2, 3)) @ model.fc.weight.T + model.fc.bias)


@pytest.mark.parametrize("name", ["tiny10", "nbn_tiny10", "lenet", "dense", "resnet20"])
def test_no_layer_changes_what_an_earlier_one_returned(name):
    model = networks.build(name, seed=0).eval()
    recorded: list[tuple[torch.Tensor, torch.Tensor]] = []
    for layer, module in model.named_modules():
        if layer:
            module.register_forward_hook(lambda _m, _i, out: recorded.append((out, out.clone())))
    model(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert len(recorded) >= 7
    assert all(torch.equal(now, then) for now, then in recorded)


def test_the_seed_alone_decides_the_weights_and_leaves_the_state_of_pytorch():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = networks.build("lenet", seed=1)
    assert torch.equal(torch.rand(3), expected)
    again, other = networks.build("lenet", seed=1), networks.build("lenet", seed=2)
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_resnet_convolutions_have_the_published_initial_spread():
    weight = networks.build("resnet20_w4", seed=0).get_submodule("layer3.2.conv2").weight
    assert weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)


@pytest.mark.parametrize(
    ("name", "guess"), [("tiny11", "tiny10"), ("resnet20_w0", "resnet20_w"), ("Lenet", "lenet"), ("lenet_w0", "lenet")]
)
def test_an_unknown_architecture_is_refused_with_the_nearest(name, guess):
    with pytest.raises(UnknownNameError, match=f"unknown architecture '{name}'.*Did you mean '{guess}"):
        networks.build(name)


@pytest.mark.parametrize("family", ["tiny10", "nbn_tiny10", "lenet", "resnet20"])
def test_a_wide_network_has_the_layers_of_its_family_and_so_many_times_the_channels(family):
    plain, wide = shapes(family, channels=1), shapes(f"{family}_w3", channels=1)
    assert list(wide) == list(plain)
    last = list(plain)[-1]
    for name, shape in plain.items():
        factor = 1 if name == last else 3
        assert wide[name] == (factor * shape[0], *shape[1:]), name
    model = networks.build(f"{family}_w3", classes=7)
    assert model.architecture == f"{family}_w3"
    assert networks.blocks(model) == networks.blocks(networks.build(family))


@pytest.mark.parametrize(
    ("name", "first", "total"), [("lenet", -0.0014973640, 61_706), ("tiny10", -0.0024956069, 86_490)]
)
def test_the_published_width_is_initialised_as_before_there_were_others(name, first, total):
    model = networks.build(name, channels=1, seed=0)
    weight = next(model.parameters())
    assert weight[0, 0, 0, 0].item() == pytest.approx(first, abs=1e-8)
    assert parameters(model) == total


def test_widths_are_built_for_every_family_that_has_them():
    assert set(registry._WIDE) == set(naming.WIDE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenet_w2", ("lenet", 2)),
        ("nbn_tiny10_w12", ("nbn_tiny10", 12)),
        ("resnet20", ("resnet20", 1)),
        ("lenet_w0", ("lenet_w0", 1)),
        ("dense_w2", ("dense_w2", 1)),
        ("file:lenet_w2.py:make", ("file:lenet_w2.py:make", 1)),
    ],
)
def test_a_name_is_split_into_family_and_width(name, expected):
    assert naming.split_width(name) == expected


@pytest.mark.parametrize(
    ("name", "classes"),
    [("lenet_w2", 4), ("tiny10_w3", 10), ("nbn_tiny10_w2", 2), ("resnet20_w7", 10), ("lenet", 10), ("dense", 10)],
)
def test_weights_tell_the_architecture_and_its_width(name, classes):
    state = networks.build(name, channels=1, classes=classes, seed=0).state_dict()
    assert networks.fitting_architectures(state) == [f"{name} (channels=1, classes={classes})"]


def test_a_wide_network_is_saved_and_loaded_under_its_name(tmp_path):
    model = networks.build("lenet_w2", channels=1, classes=4, seed=0)
    networks.save(model, tmp_path / "wide.safetensors", networks.Card("lenet_w2", channels=1, classes=4))
    loaded, card = networks.load(tmp_path / "wide.safetensors")
    assert card.architecture == "lenet_w2"
    assert torch.equal(loaded.fc3.weight, model.fc3.weight)
    assert loaded.fc3.weight.shape == (4, 168)


def test_weights_of_another_width_are_refused_with_the_one_that_fits(tmp_path):
    model = networks.build("lenet_w3", channels=1, seed=0)
    networks.save(model, tmp_path / "wide.safetensors", networks.Card("lenet_w2", channels=1, classes=10))
    with pytest.raises(BadFileError, match=r"The weights fit lenet_w3 \(channels=1, classes=10\)"):
        networks.load(tmp_path / "wide.safetensors")


def test_any_width_of_resnet20_is_a_network():
    assert networks.build("resnet20_w7").get_submodule("conv1").weight.shape == (112, 3, 3, 3)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("tiny10", (1, 1, 32, 32), r"\(n, 3, height, width\), 27 x 27 or larger; got \(1, 1, 32, 32\)"),
        ("tiny10", (1, 3, 26, 32), "27 x 27 or larger"),
        ("lenet", (1, 3, 28, 28), r"32 x 32; got \(1, 3, 28, 28\)"),
        ("dense", (3, 32, 32), r"got \(3, 32, 32\)"),
    ],
)
def test_images_that_do_not_fit_are_refused(name, shape, expected):
    with pytest.raises(ShapeError, match=expected):
        networks.build(name)(torch.zeros(shape))


def test_the_smallest_image_of_tiny10_passes():
    assert networks.build("tiny10").eval()(torch.zeros(1, 3, 27, 27)).shape == (1, 10)


def test_no_classes_are_refused():
    with pytest.raises(NetalikeError, match="at least 1 channel and 1 class, got 3 and 0"):
        networks.build("tiny10", classes=0)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("tiny10", "Tiny10"),
        ("nbntiny10", "NbnTiny10"),
        ("resnet20", "ResNet20_w1"),
        ("resnet20_w12", "ResNet20_w12"),
        ("lenet_w1", "LeNet"),
        ("lenet_w2", "LeNet_w2"),
        ("nbn_tiny10_w3", "NbnTiny10_w3"),
        ("torchvision:resnet18", "torchvision-resnet18"),
        ("file:a/b/mine.py:make", "file-mine-make"),
    ],
)
def test_the_folder_of_a_network_is_one_path_component(name, folder):
    assert networks.folder_name(name) == folder
