"""A split is exact, runs each part once, and leaves the network as it was."""

import pytest
import torch
from torch import nn

from netalike import networks
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.stitching.splitting import check_shapes, resized, split

ARCHITECTURES = ("tiny10", "nbn_tiny10", "lenet", "dense", "resnet20")
BLOCKS = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in (0, 1, 2)]


def images(n=3, channels=3, seed=0):
    return torch.randn(n, channels, 32, 32, generator=torch.Generator().manual_seed(seed))


def trained(name, seed=0):
    """A network whose batch norms have statistics of their own, in eval mode."""
    model = networks.build(name, seed=seed)
    with torch.no_grad():
        model(3 * images(16, seed=seed) + 1)
    return model.eval()


class Outside(nn.Module):
    """A small network with all that makes a split hard: in-place operations, a constant, a bare parameter."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv3 = nn.Conv2d(4, 4, 3, padding=1)
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.unused = nn.Linear(2, 2)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        x = self.bn1(self.conv1(x))
        x = self.relu(x)
        y = self.conv2(x)
        y = self.conv3(y)
        y += x * torch.tensor(2.0)
        y = self.relu(y) * self.scale
        return self.fc(y.mean((2, 3)))


def outside(seed=0):
    torch.manual_seed(seed)
    return Outside().eval()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tail_of_head_is_the_network_bit_for_bit(name):
    model = trained(name)
    refused = []
    with torch.no_grad():
        logits = model(images())
        for layer in (layer for layer, _ in model.named_modules() if layer):
            try:
                part = split(model, layer)
            except NetalikeError:
                refused.append(layer)
                continue
            assert torch.equal(part.tail(part.head(images())), logits), layer
    inner = ("conv1", "bn1", "relu", "conv2", "bn2")
    residual = [f"{block}.{layer}" for block in BLOCKS for layer in inner]
    residual += [f"{block}.downsample{part}" for block in ("layer2.0", "layer3.0") for part in ("", ".0", ".1")]
    assert sorted(refused) == (sorted(residual) if name == "resnet20" else [])


@pytest.mark.parametrize("layer", ["layer2", "layer2.1", "layer2.1.add", "relu", "avgpool"])
def test_head_returns_what_a_hook_on_the_layer_sees(layer):
    model, seen = trained("resnet20"), []
    with torch.no_grad():
        head = split(model, layer).head(images())
        handle = model.get_submodule(layer).register_forward_hook(lambda *found: seen.append(found[2].clone()))
        model(images())
        handle.remove()
    assert torch.equal(head, seen[0])
    assert split(model, layer).shape(images()) == tuple(seen[0].shape[1:])


def calls(model, function, *arguments):
    """The leaf modules that run while a function does."""
    names = []
    handles = [
        module.register_forward_hook(lambda *_, name=name: names.append(name))
        for name, module in model.named_modules()
        if not any(True for _ in module.children())
    ]
    with torch.no_grad():
        function(*arguments)
    for handle in handles:
        handle.remove()
    return names


def test_head_and_tail_share_the_work_of_one_forward_pass():
    model = trained("tiny10")
    part = split(model, "bn3")
    activation = part.head(images()).detach()
    before, after = calls(model, part.head, images()), calls(model, part.tail, activation)
    assert before[-1] == "bn3"
    assert after[0] == "relu3"
    assert before + after == calls(model, model, images())


def test_within_a_container_the_work_is_shared_as_well():
    model = trained("resnet20")
    part = split(model, "layer2.1.add")
    before, after = calls(model, part.head, images()), calls(model, part.tail, part.head(images()).detach())
    assert before[-1] == "layer2.1.add"
    assert after[0] == "layer2.1.relu"
    assert before + after == calls(model, model, images())


def test_b3_the_head_returns_what_the_layer_computed_and_not_its_rectified_self():
    model, activation = outside(), []
    model.bn1.register_forward_hook(lambda *found: activation.append(found[2].clone()))
    head = split(model, "bn1").head(images())
    assert (head < 0).any()
    assert torch.equal(head, activation[0])
    assert (split(trained("resnet20"), "bn1").head(images()) < 0).any()


def test_b3_the_tail_does_not_change_the_activation():
    model = outside()
    part = split(model, "bn1")
    activation = part.head(images()).detach()
    kept = activation.clone()
    logits = part.tail(activation)
    assert torch.equal(activation, kept)
    assert torch.equal(logits, model(images()))
    assert torch.equal(part.tail(activation), logits)


def test_a_leaf_that_requires_a_gradient_can_be_the_activation():
    activation = torch.zeros(2, 4, 30, 30, requires_grad=True)
    split(outside(), "bn1").tail(activation).sum().backward()
    assert activation.grad is not None
    assert activation.grad.shape == activation.shape


@pytest.mark.parametrize("name", ["tiny10", "resnet20"])
def test_b9_no_hook_and_no_attribute_stays_on_the_network(name):
    model = trained(name)
    attributes = {layer: set(vars(module)) for layer, module in model.named_modules()}
    split(model, "layer2.1" if name == "resnet20" else "bn3").head(images())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert {layer: set(vars(module)) for layer, module in model.named_modules()} == attributes


def test_the_constants_of_a_traced_network_do_not_stay_on_it():
    model = outside()
    attributes, state = set(vars(model)), set(model.state_dict())
    part = split(model, "bn1")
    assert set(vars(model)) == attributes
    assert set(model.state_dict()) == state
    assert torch.equal(part.tail(part.head(images())), model(images()))


def test_b16_the_parts_run_in_eval_mode_and_the_mode_is_put_back():
    model = trained("tiny10")
    with torch.no_grad():
        expected = model(images())
    model.train()
    model.bn2.eval()
    statistics = {key: value.clone() for key, value in model.state_dict().items()}
    part = split(model, "bn3")
    with torch.no_grad():
        assert torch.equal(part.tail(part.head(images())), expected)
    assert model.training
    assert model.bn3.training
    assert not model.bn2.training
    assert all(torch.equal(value, statistics[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(("name", "layer"), [("tiny10", "bn3"), ("resnet20", "layer1.1"), ("outside", "bn1")])
def test_a_split_follows_its_network_to_another_precision(name, layer):
    model = outside() if name == "outside" else trained(name)
    part = split(model, layer)
    model.double()
    with torch.no_grad():
        assert torch.equal(part.tail(part.head(images().double())), model(images().double()))


def test_b20_an_unknown_layer_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown layer of tiny10 'bn_3': .*Did you mean 'bn3'\?"):
        split(trained("tiny10"), "bn_3")
    with pytest.raises(UnknownNameError, match="unknown layer of tiny10 ''"):
        split(trained("tiny10"), "")


def test_b26_a_layer_that_runs_twice_is_refused_and_the_block_is_named():
    with pytest.raises(NetalikeError, match=r"'layer2.1.relu': it runs more than once .* 'layer2.1'\."):
        split(trained("resnet20"), "layer2.1.relu")
    with pytest.raises(NetalikeError, match="'relu': it runs more than once"):
        split(outside(), "relu")


@pytest.mark.parametrize("inner", ["conv1", "bn1", "conv2", "bn2", "downsample", "downsample.1"])
def test_a_layer_on_a_residual_branch_is_refused_and_the_block_is_named(inner):
    with pytest.raises(NetalikeError, match=r"one of several branches.*does not determine the logits.* 'layer3.0'\."):
        split(trained("resnet20"), f"layer3.0.{inner}")


def test_a_branch_of_a_network_from_outside_is_refused():
    model = outside()
    assert split(model, "bn1").shape(images()) == (4, 30, 30)
    with pytest.raises(NetalikeError, match="'conv2': it lies on one of several branches"):
        split(model, "conv2")


def test_a_layer_that_does_not_run_is_refused():
    with pytest.raises(NetalikeError, match="Outside cannot be split at layer 'unused': it does not run"):
        split(outside(), "unused")


def test_a_forward_pass_that_cannot_be_traced_is_refused_with_the_reason():
    class Branching(Outside):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    with pytest.raises(NetalikeError, match=r"cannot be traced \(TraceError: .*nn.Sequential"):
        split(Branching(), "bn1")


def test_what_cannot_be_traced_may_lie_beside_the_layer():
    class Checked(nn.Module):
        def forward(self, x):
            return x if bool(torch.isfinite(x).all()) else x.nan_to_num()

    model = nn.Sequential(Checked(), nn.Conv2d(3, 4, 3), Checked(), nn.Flatten(), nn.Linear(3600, 10))
    part = split(model, "1")
    assert torch.equal(part.tail(part.head(images())), model(images()))


def test_a_layer_without_one_tensor_is_refused():
    class Two(nn.Module):
        def forward(self, x):
            return x, x

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.two = Two()

        def forward(self, x):
            return self.two(x)[0]

    with pytest.raises(NetalikeError, match="layer 'two' of Model returns tuple for 3 images, expected one tensor"):
        split(Model(), "two").head(images())


def test_images_of_another_size_are_refused_by_the_head():
    with pytest.raises(ShapeError, match=r"lenet takes images of shape .* got \(3, 3, 32, 32\)"):
        split(networks.build("lenet", channels=1), "relu1").head(images())


def test_sizes_that_differ_are_refused_with_both_shapes():
    with pytest.raises(ShapeError, match=r"\(16, 28, 28\) for an image and the end layer \(32, 13, 13\): heights"):
        check_shapes((16, 28, 28), (32, 13, 13), resize=False)
    with pytest.raises(ShapeError, match=r"\(16, 28, 28\) .* \(10,\): expected two maps .* or flatten"):
        check_shapes((16, 28, 28), (10,), resize=True)


@pytest.mark.parametrize(
    ("front", "end", "options"),
    [
        ((16, 28, 28), (32, 28, 28), {"resize": False}),
        ((16, 28, 28), (32, 13, 13), {"resize": True}),
        ((84,), (120,), {"resize": False}),
        ((16, 28, 28), (10,), {"resize": False, "flatten": True}),
    ],
)
def test_shapes_that_fit_are_accepted(front, end, options):
    assert check_shapes(front, end, **options) is None


def test_resizing_is_bilinear_without_aligned_corners():
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert resized(ramp, (7, 2, 2))[0, 0].tolist() == [[0.5, 2.5], [0.5, 2.5]]
    assert resized(ramp, (7, 4, 4)) is ramp
    vector = torch.zeros(2, 5)
    assert resized(vector, (3,)) is vector
