"""The small architectures: sizes, layers and names, work and cost, and that they learn."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from netalike import networks
from netalike.errors import ShapeError
from netalike.networks.small import Resize

NAMES = ["mlp", "vgg_small", "resnet8", "mobile", "densenet_small"]
SMALLEST = {"mlp": 1, "vgg_small": 8, "resnet8": 8, "mobile": 8, "densenet_small": 8}


def layer_table(name, channels=1, size=32):
    found = networks.layers(networks.build(name, channels=channels, seed=0), torch.zeros(1, channels, size, size))
    return {layer.name: layer for layer in found}


def multiplications(name, size):
    model, total = networks.build(name, channels=1).eval(), []

    def count(module, _inputs, output):
        if isinstance(module, nn.Conv2d):
            total.append(output.numel() * module.weight[0].numel())
        elif isinstance(module, nn.Linear):
            total.append(module.weight.numel())

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    model(torch.zeros(1, 1, size, size))
    for hook in hooks:
        hook.remove()
    return sum(total) / 1e6


@pytest.mark.parametrize(
    ("name", "parameters", "at28", "width"),
    [
        ("mlp", 330_762, 0.33, 256),
        ("vgg_small", 17_986, 0.96, 64),
        ("resnet8", 19_810, 0.65, 32),
        ("mobile", 11_154, 0.35, 96),
        ("densenet_small", 18_186, 0.79, 56),
    ],
)
def test_parameters_multiplications_and_width_of_the_representation(name, parameters, at28, width):
    model = networks.build(name, channels=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert multiplications(name, 28) == pytest.approx(at28, abs=0.01)
    assert multiplications(name, 28) < 1
    linear = [layer for layer, module in model.named_modules() if isinstance(module, nn.Linear)]
    assert linear[-1] == "fc"
    assert model.fc.in_features == width


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 28, 32])
def test_images_of_8_to_32_pixels_pass(name, channels, size):
    model = networks.build(name, channels=channels, classes=7, seed=0)
    images = torch.rand(3, channels, size, size, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    logits = model(images)
    assert logits.shape == (3, 7)
    (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, torch.tensor([0, 1, 2])), images)
    assert bool((gradient.flatten(1).norm(dim=1) > 0).all())


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("mlp", ["relu1", "relu2"]),
        ("vgg_small", [f"relu{n}" for n in range(1, 6)]),
        ("resnet8", ["layer1", "layer2", "layer3"]),
        ("mobile", ["block1", "block2", "block3", "block4"]),
        ("densenet_small", ["block1", "block2", "block3"]),
    ],
)
def test_blocks_of_each_architecture(name, blocks):
    model = networks.build(name)
    assert networks.select_layers(model, ["blocks"]) == blocks
    names = [layer for layer, _ in model.named_modules() if layer]
    assert networks.select_layers(names, ["blocks"]) == blocks
    ran = layer_table(name)
    assert all(ran[block].calls == 1 for block in blocks)
    assert set(ran) == set(names)


def test_shapes_of_the_blocks():
    expected = {
        "vgg_small": [(8, 32, 32), (16, 16, 16), (32, 8, 8), (32, 8, 8), (64,)],
        "resnet8": [(8, 16, 16), (16, 8, 8), (32, 4, 4)],
        "mobile": [(24, 16, 16), (48, 8, 8), (48, 8, 8), (96, 4, 4)],
        "densenet_small": [(24, 16, 16), (40, 8, 8), (56, 4, 4)],
    }
    for name, shapes in expected.items():
        table = layer_table(name)
        assert [table[block].shape for block in networks.blocks(networks.build(name))] == shapes


@pytest.mark.parametrize("name", NAMES)
def test_no_layer_changes_what_an_earlier_one_returned(name):
    model = networks.build(name, seed=0).eval()
    recorded: list[tuple[torch.Tensor, torch.Tensor]] = []
    for layer, module in model.named_modules():
        if layer:
            module.register_forward_hook(lambda _m, _i, out: recorded.append((out, out.clone())))
    model(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert len(recorded) >= 6
    assert all(torch.equal(now, then) for now, then in recorded)


@pytest.mark.parametrize("name", NAMES)
def test_weights_tell_the_architecture(name):
    state = networks.build(name, channels=1, classes=4, seed=0).state_dict()
    assert networks.fitting_architectures(state) == [f"{name} (channels=1, classes=4)"]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_saved_and_loaded(name, tmp_path):
    model = networks.build(name, channels=1, seed=0)
    networks.save(model, tmp_path / "a.safetensors", networks.Card(name, channels=1))
    loaded, card = networks.load(tmp_path / "a.safetensors")
    assert card.architecture == name
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_folders_and_names():
    assert networks.names()[-5:] == NAMES
    assert [networks.folder_name(name) for name in NAMES] == ["MLP", "VGGSmall", "ResNet8", "Mobile", "DenseNetSmall"]


def test_too_small_images_are_refused():
    for name, size in SMALLEST.items():
        if size > 1:
            with pytest.raises(ShapeError, match=rf"{name} takes images of shape .*8 x 8 or larger"):
                networks.build(name)(torch.zeros(1, 3, 7, 8))


@pytest.mark.parametrize("size", [8, 28, 45])
def test_resizing_is_bilinear_interpolation(size):
    x = torch.rand(2, 3, size, size + 3, generator=torch.Generator().manual_seed(0))
    expected = functional.interpolate(x, (32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(Resize(32)(x), expected, atol=1e-5, rtol=0)
    same = torch.rand(1, 1, 32, 32)
    assert Resize(32)(same) is same


def test_mobile_convolves_each_channel_by_itself_and_dense_layers_keep_their_input():
    block = networks.build("mobile", 1, seed=0).block2
    assert block.depthwise.weight.shape == (24, 1, 3, 3)
    dense = networks.build("densenet_small", 1, seed=0).eval().block1
    x = torch.rand(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dense(x)[:, :8], x)
    assert dense(x).shape == (1, 24, 4, 4)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_an_image_does_not_depend_on_the_other_images(name):
    model = networks.build(name, 1, seed=0).eval()
    x = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    (whole,) = torch.autograd.grad(model(x).square().sum(), x)
    for row in range(4):
        alone = x.detach()[row : row + 1].requires_grad_(True)
        (gradient,) = torch.autograd.grad(model(alone).square().sum(), alone)
        torch.testing.assert_close(gradient[0], whole[row], atol=1e-5, rtol=1e-4)


def test_torchvision_is_not_imported_for_them():
    code = "import sys, netalike.networks.small; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
