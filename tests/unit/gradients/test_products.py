"""Products of layers equal gradients by autograd, for every kind of layer (claim P6)."""

from __future__ import annotations

import gradient_networks as networks
import pytest
import torch
from torch import nn
from torch.nn import functional

from netalike.errors import NetalikeError, ShapeError
from netalike.gradients import (
    LayerProducts,
    gradient_norms,
    kernel_block,
    per_sample_gradients,
    self_kernels,
    similarity_block,
)
from netalike.gradients.layers import Patches

# Layers in product form, and parameters that fall back to stored gradients.
FORMS = {
    "mlp": (("0", "2", "4"), ()),
    "conv": (("0", "2", "4"), ()),
    "padded": (("0", "2", "4"), ()),
    "norms": (("0", "1", "3", "4", "6", "7", "8", "9"), ()),
    "prelu": (("0", "1", "2", "3", "5"), ()),
    "residual": (("0", "1.first", "1.second", "4"), ()),
    "twice": (("inner", "last"), ()),
    "tied": (("c",), ("scale", "a.weight", "a.bias", "outside.weight", "outside.bias")),
    "attention": (
        ("embed", "norm", "head"),
        tuple(f"attention.{part}" for part in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")),
    ),
}


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("name", networks.BUILDERS)
def test_each_layer_takes_the_expected_form(name):
    products = LayerProducts(*networks.build(name))
    assert (products.products, products.stored) == FORMS[name]


@pytest.mark.parametrize("name", networks.BUILDERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_p6_products_equal_autograd(name, dtype, tolerance):
    model, x = networks.build(name, dtype=dtype)
    gradients = networks.by_backward(model, x)
    kernel = networks.pairwise(gradients)
    assert relative(LayerProducts(model, x).gradients(0, 5), gradients) < tolerance
    assert relative(kernel_block(model, x, chunk=2), kernel) < tolerance
    assert relative(kernel_block(model, x[:2], x[2:], chunk=2), kernel[:2, 2:]) < tolerance
    assert relative(self_kernels(model, x, chunk=2), kernel.diagonal(dim1=0, dim2=1).permute(2, 0, 1)) < tolerance
    assert relative(gradient_norms(model, x), gradients.flatten(1).norm(dim=1)) < tolerance


@pytest.mark.parametrize("name", networks.BUILDERS)
def test_similarity_equals_pairs(name):
    model, x = networks.build(name)
    expected = networks.pairwise_similarity(networks.by_backward(model, x))
    torch.testing.assert_close(similarity_block(model, x, chunk=2), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(similarity_block(model, x[3:], x, chunk=2), expected[3:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("outputs", ["sum", "true-class", "two"])
def test_outputs_are_chosen(outputs):
    model, x = networks.build("prelu")
    labels = torch.tensor([0, 2, 1, 1, 0])
    chosen = (lambda z: z[:, :2].tanh()) if outputs == "two" else outputs
    gradients = per_sample_gradients(model, x, chosen, labels)
    assert relative(kernel_block(model, x, None, chosen, labels), networks.pairwise(gradients)) < 1e-12
    assert relative(LayerProducts(model, x, chosen, labels).gradients(0, 5), gradients) < 1e-12


def test_p6_formula_by_hand():
    layer = nn.Linear(2, 1)
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]])
    # activities . activities, + 1 for the bias, times signals 1 . 1
    assert kernel_block(layer, a, b).item() == 1 * 3 + 2 * -1 + 1


@pytest.mark.parametrize("shape", [(40, 30, 2), (3, 4, 6)])
def test_both_forms_of_many_positions_agree(shape):
    wide, out, positions = shape
    model = nn.Sequential(nn.Linear(wide, out), nn.Tanh(), nn.Flatten(), nn.Linear(out * positions, 2)).double()
    x = torch.randn(5, positions, wide, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    factors = LayerProducts(model, x).factors(0, 5)
    forms = [type(item).__name__ for item in factors.expanded().items]
    assert forms[0] == ("Outer" if positions == 2 else "Stored")
    gradients = networks.by_backward(model, x)
    for form in (factors, factors.expanded()):
        assert relative(form.kernels(form), networks.pairwise(gradients)) < 1e-12
        assert relative(form.own(), gradients.mT @ gradients) < 1e-12
        ones = torch.eye(2, dtype=torch.float64).expand(5, 2, 2)
        total = torch.cat(form.total(ones), dim=1)
        assert relative(total.norm(), gradients.sum(0).norm()) < 1e-12
        assert relative(form.projected(form.total(ones)), gradients.mT @ gradients.sum(0)) < 1e-12


@pytest.mark.parametrize("channels", [1, 2, 16])  # cut out pixel by pixel, or in runs of channels
@pytest.mark.parametrize("options", [{}, {"padding": 1, "stride": 2}, {"dilation": (2, 1), "padding": (0, 1)}])
def test_patches_are_those_of_unfold(channels, options):
    module = nn.Conv2d(channels, 5, (3, 2), **options)
    images = torch.randn(4, channels, 9, 8, generator=torch.Generator().manual_seed(0))
    patches = Patches(module)
    found = patches(images)
    expected = functional.unfold(images, (3, 2), **options)  # units in the order of the parameters
    assert torch.equal(patches.ordered(found.mT).mT, expected)
    # the weights of `apply` are in the order of the patches
    weights = torch.randn(7, found.shape[1], generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(patches.apply(images, weights), weights @ found)


@pytest.mark.parametrize("outputs", ["sum", "logits"])
def test_the_smaller_form_of_each_layer_gives_the_same(outputs):
    model, x = networks.build("conv")
    factors = LayerProducts(model, x, outputs).factors(0, 5)
    ready = factors.expanded()
    small = ready.smaller(factors)
    for item, one, other in zip(small.items, ready.items, factors.items, strict=True):
        assert item.numbers == min(one.numbers, other.numbers)
    assert small.numbers <= min(ready.numbers, factors.numbers)
    total = ready.total(torch.eye(factors.d, dtype=torch.float64).expand(5, -1, -1))
    for form in (small, factors):
        torch.testing.assert_close(form.projected(total), ready.projected(total), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("outputs", "advice"), [("logits", True), ("sum", False), ("true-class", False)])
def test_fewer_outputs_are_advised_only_where_there_are_several(outputs, advice):
    model, x = networks.build("conv")
    with pytest.raises(NetalikeError, match=r"Raise the limit \d+-fold") as refused:
        LayerProducts(model, x, outputs, torch.zeros(5, dtype=torch.long)).chunk(1e-9)
    assert ("outputs='sum'" in str(refused.value)) == advice
    assert f"one sample of {'3 outputs' if advice else '1 output'} and 166 parameters" in str(refused.value)


def test_a_batch_for_the_cache_is_larger_for_smaller_networks():
    small = LayerProducts(*networks.build("mlp"))
    assert small.cached_chunk() == 256
    wide = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 32 * 32, 1)).eval()
    large = LayerProducts(wide, torch.zeros(1, 3, 32, 32))
    assert large.cached_chunk() == max(8, int(64e6 / large.bytes_per_sample)) < 32


def test_frozen_parameters_and_modes_stay_as_they_were():
    model, x = networks.build("norms")
    model[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kernel_block(model, x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()].count(False) == 1
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_one_sample():
    model, x = networks.build("conv", n=1)
    gradients = networks.by_backward(model, x)
    assert relative(kernel_block(model, x), networks.pairwise(gradients)) < 1e-12
    assert similarity_block(model, x).item() == pytest.approx(1, abs=1e-12)


def test_different_numbers_of_outputs_are_refused():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Conv2d(1, 2, 2), nn.Flatten())

    def first(z):
        return z[:, :1] if z.shape[0] == 1 and z.abs().max() > 50 else z

    with pytest.raises(ShapeError, match="2 and 1 outputs per sample"):
        kernel_block(model, torch.zeros(1, 1, 4, 4), 1e6 * torch.ones(1, 1, 4, 4), first)


def test_p5_shifted_inputs_are_alike_after_convolution_and_global_pooling():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 1),
    ).double()  # fmt: skip
    x = torch.randn(1, 1, 9, 9, dtype=torch.float64)
    shifted = x.roll((2, 3), dims=(2, 3))
    assert similarity_block(model, x, shifted).item() == pytest.approx(1, abs=1e-12)
    assert similarity_block(model, x, torch.randn_like(x)).item() < 0.999
