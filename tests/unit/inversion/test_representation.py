"""The representation: found, named, computed without what is behind it, and the network as it was afterwards."""

import pytest
import torch
from torch import nn

from netalike import inversion, networks
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.inversion.passes import representing
from netalike.networks.folding import folded
from netalike.networks.grey import convolve, is_grey


def images(n=5, channels=3, size=32, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def trained_statistics(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
    return model


def by_hook(model, images, name, before):
    seen = []
    module = dict(model.named_modules())[name]
    hook = module.register_forward_hook(lambda _m, inputs, output: seen.append(inputs[0] if before else output))
    with torch.no_grad():
        model.eval()(images)
    hook.remove()
    return seen[0].flatten(1)


@pytest.mark.parametrize(
    ("name", "layer", "width"),
    [("tiny10", "fc", 64), ("resnet20_w1", "fc", 64), ("lenet", "fc3", 84), ("dense", "fc4", 300)],
)
def test_the_default_is_the_input_of_the_last_linear_layer(name, layer, width):
    model = trained_statistics(networks.build(name, seed=0))
    assert inversion.representation_layer(model) == f"input:{layer}"
    found = inversion.represent(model, images(), batch_size=2)
    assert found.shape == (5, width)
    assert found.dtype == torch.float32
    expected = by_hook(model, images(), layer, before=True)
    assert (found - expected).norm() < 1e-5 * expected.norm()


def test_the_last_linear_layer_is_the_one_that_runs_last():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.body = nn.Linear(5, 2), nn.Linear(12, 5)

        def forward(self, x):
            return self.head(torch.relu(self.body(x.flatten(1))))

    model = Backwards()
    assert inversion.representation_layer(model) == "input:body"  # as listed
    assert inversion.representation_layer(model, images(1, 3, 2)) == "input:head"
    assert inversion.represent(model, images(2, 3, 2)).shape == (2, 5)


@pytest.mark.parametrize(
    ("layer", "before"), [("bn3", False), ("conv5", False), ("input:conv5", True), ("relu8", False)]
)
def test_a_named_layer_stands_for_its_output_and_input_for_what_goes_in(layer, before):
    model = trained_statistics(networks.build("tiny10", seed=0))
    found = inversion.represent(model, images(), layer=layer)
    expected = by_hook(model, images(), layer.removeprefix("input:"), before)
    assert (found - expected).norm() < 1e-5 * expected.norm()


def test_normalised_networks_take_pixels_and_keep_the_names_of_their_layers():
    model = trained_statistics(networks.build("tiny10", seed=0))
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    wrapped = inversion.Normalised(model, mean, std)
    assert inversion.representation_layer(wrapped, images()) == "input:fc"
    inside = (images() - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    expected = by_hook(model, inside, "bn2", before=False)
    assert (inversion.represent(wrapped, images(), layer="bn2") - expected).norm() < 1e-5 * expected.norm()
    with pytest.raises(NetalikeError, match="std above 0"):
        inversion.Normalised(model, (0.5,), (0.0,))


def test_folding_batch_norm_changes_neither_values_nor_gradients_nor_the_network():
    model = trained_statistics(networks.build("resnet20_w1", seed=0)).eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    x = images(3).requires_grad_()
    expected = model(x)
    (gradient,) = torch.autograd.grad(expected.norm(), x)
    with folded(model, model, images(1)) as fast:
        assert "forward" in model.layer2[0].bn1.__dict__
        found = fast(x)
        (folded_gradient,) = torch.autograd.grad(found.norm(), x)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (folded_gradient - gradient).norm() < 1e-4 * gradient.norm()
    assert all("forward" not in module.__dict__ for module in model.modules())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert model.conv1.weight.is_contiguous()


class Awkward(nn.Module):
    """The output of the convolution is used twice, and viewed."""

    def __init__(self, twice):
        super().__init__()
        self.twice = twice
        self.conv, self.bn, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4 * 64, 3)

    def forward(self, x):
        y = self.conv(x)
        y = self.bn(y) + y if self.twice else self.bn(y)
        return self.fc(y.view(len(y), -1))


@pytest.mark.parametrize("twice", [True, False])
def test_a_network_that_does_not_bear_folding_or_layout_is_run_as_it_is(twice):
    model = trained_statistics(Awkward(twice))
    x = images(4, 3, 8)
    expected = by_hook(model, x, "fc", before=True)
    found = inversion.represent(model, x)
    assert (found - expected).norm() < 1e-5 * expected.norm()


def test_nothing_behind_the_representation_runs():
    model, ran = networks.build("lenet", seed=0), []
    model.relu4.register_forward_hook(lambda *_: ran.append("relu4"))
    with representing(model, images(1), "relu3") as representation:
        before = len(ran)
        assert representation(images(4)).shape == (4, 120)
        assert len(ran) == before


def test_layers_that_cannot_be_meant_are_refused():
    model = networks.build("tiny10", seed=0)
    with pytest.raises(
        UnknownNameError, match=r"unknown layer 'relu9'.*Did you mean 'relu8'\?.*'input:' ahead of a name"
    ):
        inversion.represent(model, images(), layer="relu9")
    with pytest.raises(NetalikeError, match=r"layer 'layer1.0.relu' of ResNet20 runs 2 times"):
        inversion.represent(networks.build("resnet20_w1"), images(), layer="layer1.0.relu")
    with pytest.raises(NetalikeError, match=r"no linear layer, so its representation has to be named"):
        inversion.representation_layer(nn.Sequential(nn.Conv2d(3, 2, 3)))
    with pytest.raises(NetalikeError, match="batch size must be at least 1, got 0"):
        inversion.represent(model, images(), batch_size=0)
    with pytest.raises(ShapeError, match="images: expected a float tensor"):
        inversion.represent(model, images()[0])


@pytest.mark.parametrize("name", ["tiny10", "resnet20_w1"])
def test_passes_are_equal_to_the_models_own_bit_for_bit(name):
    model = trained_statistics(networks.build(name, seed=0)).eval()
    seen = []
    hook = model.fc.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    x = images(3).requires_grad_()
    model(x)
    hook.remove()
    (gradient,) = torch.autograd.grad(seen[0].norm(dim=1).sum(), x)
    with representing(model, images(1), "input:fc") as representation:
        assert sum("forward" in module.__dict__ for module in model.modules()) > 0  # the shorter way is taken
        found = representation(x)
        assert torch.equal(found, seen[0])
        assert torch.equal(torch.autograd.grad(found.norm(dim=1).sum(), x)[0], gradient)
    assert all("forward" not in module.__dict__ for module in model.modules())


def test_a_convolution_whose_output_is_used_twice_keeps_its_batch_norm():
    model = trained_statistics(Awkward(twice=True)).eval()
    x = images(4, 3, 8)
    expected = by_hook(model, x, "fc", before=True)
    with representing(model, x[:1], "input:fc") as representation:
        assert "forward" not in model.bn.__dict__
        assert torch.equal(representation(x), expected)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(5, 1, 0), (3, 2, 1), ((2, 3), (3, 1), (0, 2))])
def test_the_convolution_of_grey_images_has_the_values_and_the_gradient_of_pytorchs(kernel, stride, padding):
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 4, kernel, stride, padding).double()
    x = torch.rand(3, 1, 11, 14, dtype=torch.float64, requires_grad=True)
    expected, found = convolution(x), convolve(x, convolution.weight.detach(), convolution.bias.detach(), convolution)
    assert torch.equal(found, expected)
    gradients = [torch.autograd.grad(y.sin().sum(), x)[0] for y in (found, expected)]
    assert torch.allclose(*gradients, rtol=0, atol=1e-12)


def test_a_depthwise_convolution_is_none_of_grey_images():
    assert is_grey(nn.Conv2d(1, 4, 3), torch.zeros(4, 1, 3, 3))
    assert not is_grey(nn.Conv2d(4, 4, 3, groups=4), torch.zeros(4, 1, 3, 3))
