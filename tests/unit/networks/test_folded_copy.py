"""Folding batch norm: the same function, the same names, no batch norm after a convolution."""

import pytest
import torch
from torch import nn

from netalike import networks
from netalike.networks.folding import folded_copy

# two of a shape would say nothing new; those without batch norm come out as they went in
NAMES = ["tiny10", "nbn_tiny10", "lenet", "resnet20_w1", "mlp", "vgg_small", "resnet8", "mobile", "densenet_small"]
SIZE = 32


def trained(name):
    """A network in eval mode whose batch norm has statistics of its own."""
    model = networks.build(name, channels=3, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for values, low, high in (
                    (module.running_mean, -0.5, 0.5),
                    (module.running_var, 0.5, 2.0),
                    (module.weight, 0.5, 1.5),
                    (module.bias, -0.5, 0.5),
                ):
                    values.uniform_(low, high, generator=generator)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_the_function_and_the_names_are_the_same(name):
    model, images = trained(name), torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    other = folded_copy(model)
    with torch.no_grad():
        torch.testing.assert_close(other(images), model(images), rtol=1e-4, atol=1e-5)
    assert [key for key, _ in other.named_modules()] == [key for key, _ in model.named_modules()]
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize(("name", "left"), [("tiny10", 0), ("resnet20_w1", 0), ("mobile", 0), ("densenet_small", 9)])
def test_how_many_batch_norms_are_left(name, left):
    # the batch norms of DenseNet come before their convolutions
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded_copy(trained(name)).modules()) == left


def test_a_layer_that_is_looked_at_keeps_its_output():
    model, images = trained("tiny10"), torch.rand(2, 3, SIZE, SIZE)
    other = folded_copy(model, keep=["conv2"])
    outputs = {}
    for key, net in (("model", model), ("other", other)):
        net.conv2.register_forward_hook(lambda module, inputs, output, key=key: outputs.update({key: output}))
        net(images)
    torch.testing.assert_close(outputs["other"], outputs["model"], rtol=1e-4, atol=1e-5)
    assert isinstance(other.bn2, nn.BatchNorm2d)
    assert isinstance(other.bn3, nn.Identity)


def test_a_network_from_outside_is_left_alone():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert folded_copy(model) is model
