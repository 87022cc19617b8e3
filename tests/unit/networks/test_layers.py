"""Layers by name: in order of execution, with shapes; hooks gone afterwards; patterns that fail say so."""

import pytest
import torch
from torch import nn

from netalike import networks
from netalike.errors import NetalikeError, UnknownNameError


class Recurrent(nn.Module):
    """Returns tuples, calls one layer twice, never calls another, and registers against the order of execution."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.unused = nn.Linear(1, 1)
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.sizes = Sizes()

    def forward(self, x):
        y, _ = self.lstm(x)
        self.sizes(y)
        return self.head(y[:, 0]) + self.head(y[:, 1])


class Sizes(nn.Module):
    def forward(self, x):
        return x.shape[0]


def table(model, example):
    return {layer.name: layer for layer in networks.layers(model, example)}


def test_a_container_comes_after_what_is_in_it():
    order = list(table(networks.build("resnet20"), torch.zeros(1, 3, 32, 32)))
    assert order[:3] == ["conv1", "bn1", "relu"]
    assert order.index("layer1.0.add") < order.index("layer1.0") < order.index("layer1.1.conv1") < order.index("layer1")


def test_a_layer_that_is_called_twice_says_so():
    found = table(networks.build("resnet20"), torch.zeros(1, 3, 32, 32))
    twice = {name for name, layer in found.items() if layer.calls == 2}
    assert twice == {f"layer{stage}.{block}.relu" for stage in (1, 2, 3) for block in range(3)}
    assert {layer.calls for name, layer in found.items() if name not in twice} == {1}


def test_parameters_of_a_container_are_those_within_it():
    found = table(networks.build("resnet20"), torch.zeros(1, 3, 32, 32))
    assert found["layer1.0"].parameters == 2 * (16 * 16 * 9 + 32)
    assert found["fc"].parameters == 650
    assert (found["layer1.0"].kind, found["layer1.0.relu"].parameters) == ("BasicBlock", 0)


def test_tuples_give_their_first_tensor_and_no_tensor_gives_no_layer():
    found = table(Recurrent(), torch.zeros(5, 7, 3))
    assert list(found) == ["lstm", "head"]
    assert (found["lstm"].kind, found["lstm"].shape) == ("LSTM (first of 2 outputs)", (7, 4))
    assert (found["head"].shape, found["head"].calls) == ((2,), 2)


def test_the_network_is_left_as_it_was():
    model = networks.build("tiny10", seed=0).train()
    model.get_submodule("bn3").eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    networks.layers(model, torch.ones(4, 3, 32, 32))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [name for name, module in model.named_modules() if not module.training] == ["bn3"]
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_are_removed_after_a_failure():
    model = networks.build("tiny10")
    with pytest.raises(NetalikeError):
        networks.layers(model, torch.zeros(1, 1, 32, 32))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("tiny10", [f"bn{n}" for n in range(1, 9)]),
        ("nbn_tiny10", [f"relu{n}" for n in range(1, 9)]),
        ("lenet", ["relu1", "relu2", "relu3", "relu4"]),
        ("dense", ["relu1", "relu2", "relu3"]),
        ("resnet20_w2", [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]),
    ],
)
def test_blocks_of_each_architecture(name, blocks):
    model = networks.build(name)
    assert networks.select_layers(model, ["blocks"]) == blocks
    names = [layer for layer, _ in model.named_modules() if layer]
    assert networks.select_layers(names, ["blocks"]) == blocks


def test_blocks_of_an_outside_network_are_the_stages_within_sequences():
    stage = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    nested = nn.Module()
    nested.body = nn.Sequential(stage, nn.ReLU(), nn.Sequential(nn.ReLU(), nn.ReLU()))
    nested.head = nn.Sequential(nn.Linear(3, 2))
    assert networks.blocks(nested) == ["body.0"]
    assert networks.blocks(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))) == ["0", "2"]


def test_names_and_globs_are_put_into_model_order_without_repeats():
    model = networks.build("tiny10")
    assert networks.select_layers(model, ["fc", "bn[12]", "conv2", "bn2"]) == ["bn1", "conv2", "bn2", "fc"]
    assert networks.select_layers(["b", "a"], ["a", "*"]) == ["b", "a"]


@pytest.mark.parametrize(("pattern", "guess"), [("bn11", "bn1"), ("batch*", None), ("relu_3", "relu3")])
def test_a_pattern_without_a_layer_is_refused(pattern, guess):
    with pytest.raises(UnknownNameError) as caught:
        networks.select_layers(networks.build("tiny10"), ["bn1", pattern])
    assert f"unknown layer {pattern!r}: expected one of conv1, bn1" in str(caught.value)
    assert ("Did you mean" in str(caught.value)) == (guess is not None)
    assert guess is None or f"{guess!r}?" in str(caught.value)


def test_blocks_of_unknown_names_and_a_bare_text_are_refused():
    with pytest.raises(NetalikeError, match="give the network itself"):
        networks.select_layers(["a", "b"], ["blocks"])
    with pytest.raises(NetalikeError, match=r"write \['bn1'\]"):
        networks.select_layers(networks.build("tiny10"), "bn1")
