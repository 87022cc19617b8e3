"""The stitching layer: what it computes, what it starts from, and that it comes back as it was."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from netalike import networks
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.stitching.least_squares import NormalEquations
from netalike.stitching.splitting import split
from netalike.stitching.transform import StitchedNetwork, StitchingLayer, initial


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


MASK = torch.eye(6)[torch.tensor([5, 0, 0, 3])]  # (4, 6)


def layer(kind, **options):
    end = {"map": None, "vector": None, "flatten": (1, 2, 2)}[kind]
    return StitchingLayer.from_matrix(normal(4, 6), normal(4, seed=1), kind=kind, end_shape=end, **options)


def activation(kind):
    return normal(*{"map": (3, 6, 5, 7), "vector": (3, 6), "flatten": (3, 6, 1, 1)}[kind], seed=2)


MODES = [
    (kind, options)
    for kind in ("map", "vector", "flatten")
    for options in ({}, {"rank": 2}, {"rank": 4}, {"mask": MASK})
]


@pytest.mark.parametrize(("kind", "options"), MODES)
def test_a_layer_is_its_matrix_at_every_position(kind, options):
    stitch, x = layer(kind, **options), activation(kind)
    assert stitch.weight.shape == (4, 6)
    expected = torch.einsum("oi,ni...->no...", stitch.weight, x)
    expected = expected + stitch.bias.view(1, -1, *[1] * (x.ndim - 2))
    if kind == "flatten":
        expected = expected.reshape(3, 1, 2, 2)
    torch.testing.assert_close(stitch(x), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kind", "options"), MODES)
def test_b2_b8_a_layer_comes_back_from_a_file_bit_for_bit(tmp_path, kind, options):
    stitch, x = layer(kind, **options), activation(kind)
    save_file(stitch.state_dict(), tmp_path / "layer.safetensors")
    again = StitchingLayer.from_state(load_file(tmp_path / "layer.safetensors"), kind, stitch.end_shape)
    assert torch.equal(again(x), stitch(x))
    assert again.rank == stitch.rank
    assert (again.mask is None) == (stitch.mask is None)


def test_b2_a_square_layer_of_low_rank_is_not_transposed():
    weight = normal(5, 2) @ normal(2, 5, seed=1)
    stitch = StitchingLayer.from_matrix(weight, torch.zeros(5), rank=2)
    torch.testing.assert_close(stitch.weight.detach(), weight, rtol=0, atol=1e-5)
    x = normal(1, 5, 3, 3)
    torch.testing.assert_close(stitch(x), functional.conv2d(x, weight[:, :, None, None]), rtol=0, atol=1e-4)
    assert (stitch(x) - functional.conv2d(x, weight.T[:, :, None, None])).abs().max() > 0.1


@pytest.mark.parametrize("options", [{}, {"rank": 2}, {"mask": MASK}])
def test_b1_a_snapshot_does_not_follow_the_training(options):
    stitch = layer("map", **options)
    weight, bias = stitch.snapshot()
    kept = weight.clone(), bias.clone()
    optimizer = torch.optim.SGD(stitch.parameters(), lr=0.1)
    stitch(activation("map")).square().sum().backward()
    optimizer.step()
    assert torch.equal(weight, kept[0])
    assert torch.equal(bias, kept[1])
    assert (stitch.snapshot()[0] - weight).abs().max() > 1e-3
    assert (stitch.snapshot()[1] - bias).abs().max() > 1e-3


def test_a_layer_made_from_a_transposed_matrix_can_be_stored(tmp_path):
    stitch = StitchingLayer.from_matrix(normal(6, 4).T, normal(4))
    save_file(stitch.state_dict(), tmp_path / "layer.safetensors")
    assert torch.equal(load_file(tmp_path / "layer.safetensors")["matrix"], normal(6, 4).T)


def test_b1_a_layer_does_not_share_memory_with_the_matrix_it_was_made_from():
    weight, bias = normal(4, 6), normal(4)
    stitch = StitchingLayer.from_matrix(weight, bias)
    with torch.no_grad():
        stitch.matrix.zero_()
        stitch.bias.zero_()
    assert weight.abs().min() > 0
    assert bias.abs().min() > 0


def test_a_mask_stays_whatever_the_optimiser_does():
    stitch = layer("map", mask=MASK)
    optimizer = torch.optim.Adam(stitch.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (stitch(activation("map")) - 1).square().sum().backward()
        optimizer.step()
    assert ((stitch.weight != 0) == (MASK != 0)).all()


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_rank_stays_whatever_the_optimiser_does(rank):
    stitch = layer("map", rank=rank)
    assert sum(parameter.numel() for parameter in stitch.parameters()) == rank * (4 + 6) + 4
    optimizer = torch.optim.Adam(stitch.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (stitch(activation("map")) - 1).square().sum().backward()
        optimizer.step()
    assert torch.linalg.matrix_rank(stitch.weight) == rank


def equations():
    sums = NormalEquations()
    x = normal(500, 6)
    sums.update(x, x @ normal(6, 4, seed=1) + 0.3 * normal(500, 4, seed=2) + 2)
    return sums


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_a_factorisation_of_the_reduced_rank_solution_equals_it(rank):
    sums = equations()
    weight, bias = initial("least_squares", 6, 4, seeded(), sums, rank=rank)
    expected = sums.reduced_rank(rank)
    torch.testing.assert_close((weight, bias), tuple(part.float() for part in expected), rtol=0, atol=1e-6)
    stitch = StitchingLayer.from_matrix(weight, bias, rank=rank)
    torch.testing.assert_close(stitch.weight.double(), expected[0], rtol=0, atol=1e-6)
    assert stitch.left.shape == (4, rank)
    assert stitch.right.shape == (rank, 6)


def test_least_squares_starts_from_the_affine_solution():
    sums = equations()
    weight, bias = initial("ps_inv", 6, 4, seeded(), sums)
    torch.testing.assert_close((weight, bias), tuple(part.float() for part in sums.affine()), rtol=0, atol=0)
    assert torch.equal(initial("least_squares", 6, 4, seeded(), sums.affine())[0], weight)


def test_random_is_uniform_as_pytorch_has_it_for_a_convolution():
    weight, bias = initial("random", 16, 4000, seeded())
    bound = 1 / math.sqrt(16)
    for values in (weight, bias):
        assert values.abs().max() <= bound
        assert float(values.std()) == pytest.approx(bound / math.sqrt(3), rel=0.03)
    reference = nn.Conv2d(16, 4000, 1)
    assert float(weight.std()) == pytest.approx(float(reference.weight.detach().std()), rel=0.03)
    assert torch.equal(weight, initial("random", 16, 4000, seeded())[0])
    assert not torch.equal(weight, initial("random", 16, 4000, seeded(1))[0])


def test_a_random_layer_of_low_rank_has_orthonormal_factors_and_no_bias():
    weight, bias = initial("random", 6, 4, seeded(), rank=2)
    torch.testing.assert_close(torch.linalg.svdvals(weight), torch.tensor([1.0, 1.0, 0.0, 0.0]), rtol=0, atol=1e-5)
    assert not bias.any()
    stitch = StitchingLayer((6, 3, 3), (4, 3, 3), rank=2, generator=seeded())
    torch.testing.assert_close(stitch.left.T @ stitch.left, torch.eye(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(stitch.right @ stitch.right.T, torch.eye(2), rtol=0, atol=1e-5)


def test_the_square_initialisations():
    identity, bias = initial("eye", 5, 5, seeded())
    assert torch.equal(identity, torch.eye(5))
    assert not bias.any()
    permutation, bias = initial("perm", 32, 32, seeded())
    assert torch.equal(permutation @ permutation.T, torch.eye(32))
    assert set(permutation.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(permutation, torch.eye(32))
    assert not bias.any()
    ones, bias = initial("ones-zeros", 5, 5, seeded())
    assert torch.equal(ones, torch.ones(5, 5))
    assert not bias.any()


@pytest.mark.parametrize("name", ["identity", "permutation", "ones_zeros"])
def test_a_square_initialisation_of_other_channels_is_refused(name):
    with pytest.raises(ShapeError, match=f"{name} needs as many input as output channels, got 6 and 4"):
        initial(name, 6, 4, seeded())
    with pytest.raises(NetalikeError, match=f"rank 2 cannot start from {name}"):
        initial(name, 4, 4, seeded(), rank=2)


def test_initialisations_that_cannot_be_are_refused():
    with pytest.raises(NetalikeError, match="needs the normal equations of the two layers, got none"):
        initial("least_squares", 6, 4, seeded())
    with pytest.raises(ShapeError, match=r"\(4, 7\) and \(4,\), got \(4, 6\) and \(4,\)"):
        initial("least_squares", 7, 4, seeded(), equations())
    with pytest.raises(UnknownNameError, match=r"value of init 'psinv'.*Did you mean 'ps_inv'\?"):
        initial("psinv", 6, 4, seeded())
    with pytest.raises(NetalikeError, match="from 1 to 4, got 5"):
        initial("random", 6, 4, seeded(), rank=5)


def test_the_kind_follows_from_the_shapes():
    assert StitchingLayer((6, 9, 9), (4, 9, 9)).kind == "map"
    assert StitchingLayer((6,), (4,)).kind == "vector"
    flat = StitchingLayer((2, 3, 3), (4, 1, 2), flatten=True)
    assert (flat.kind, flat.inputs, flat.outputs) == ("flatten", 18, 8)
    assert flat(normal(5, 2, 3, 3)).shape == (5, 4, 1, 2)
    with pytest.raises(ShapeError, match="expected two maps"):
        StitchingLayer((6, 9, 9), (4,))


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        ("map", (3, 5, 2, 2), r"takes \(n, 6, h, w\), got an activation \(3, 5, 2, 2\)"),
        ("map", (3, 6), r"takes \(n, 6, h, w\), got an activation \(3, 6\)"),
        ("vector", (3, 6, 2, 2), r"takes \(n, 6\), got an activation \(3, 6, 2, 2\)"),
        ("flatten", (3, 6, 2, 2), r"takes 6 units for each image, got an activation \(3, 6, 2, 2\)"),
    ],
)
def test_an_activation_that_does_not_fit_is_refused(kind, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer(kind)(torch.zeros(shape))


def test_layers_that_cannot_be_are_refused():
    weight, bias = normal(4, 6), normal(4)
    with pytest.raises(NetalikeError, match=r"a rank \(here 2\) or a mask, not both"):
        StitchingLayer.from_matrix(weight, bias, rank=2, mask=MASK)
    with pytest.raises(NetalikeError, match="from 1 to 4, got 0"):
        StitchingLayer.from_matrix(weight, bias, rank=0)
    with pytest.raises(ShapeError, match=r"has the shape \(4, 6\), got \(6, 4\)"):
        StitchingLayer.from_matrix(weight, bias, mask=MASK.T)
    with pytest.raises(NetalikeError, match="zeros and ones alone"):
        StitchingLayer.from_matrix(weight, bias, mask=MASK * 2)
    with pytest.raises(ShapeError, match=r"got \(4, 6\) and \(6,\)"):
        StitchingLayer.from_matrix(weight, torch.zeros(6))
    with pytest.raises(NetalikeError, match="unknown kind of stitching layer 'conv': expected one of map, vector"):
        StitchingLayer.from_matrix(weight, bias, kind="conv")
    with pytest.raises(ShapeError, match=r"4 outputs needs the shape of the end layer.*end_shape=None"):
        StitchingLayer.from_matrix(weight, bias, kind="flatten")
    with pytest.raises(NetalikeError, match="has the keys bias, w: expected"):
        StitchingLayer.from_state({"w": weight, "bias": bias})


def trained(name, seed=0, **options):
    model = networks.build(name, seed=seed, **options)
    with torch.no_grad():
        model(3 * normal(16, 3, 32, 32, seed=seed) + 1)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "layer_name", "kind", "channels"),
    [
        ("tiny10", "bn3", "map", 32),
        ("tiny10", "fc", "vector", 10),
        ("resnet20", "layer2.1", "map", 32),
        ("resnet20", "layer3.0.add", "map", 64),
        ("lenet", "fc1", "vector", 120),
        ("dense", "relu2", "vector", 300),
    ],
)
def test_a_self_stitch_with_the_identity_gives_identical_logits(name, layer_name, kind, channels):
    model = trained(name)
    part = split(model, layer_name)
    stitch = StitchingLayer.from_matrix(*initial("identity", channels, channels, seeded()), kind=kind)
    images = normal(4, 3, 32, 32, seed=5)
    with torch.no_grad():
        difference = StitchedNetwork(part, stitch, part)(images) - model(images)
    assert difference.abs().max() == 0


def test_a_stitched_network_is_head_layer_tail():
    front, end = split(trained("tiny10"), "bn3"), split(trained("tiny10", seed=1), "bn3")
    stitch = StitchingLayer((32, 13, 13), (32, 13, 13), generator=seeded())
    images = normal(2, 3, 32, 32)
    with torch.no_grad():
        found = StitchedNetwork(front, stitch, end)(images)
        assert torch.equal(found, end.tail(stitch(front.head(images))))
    assert found.shape == (2, 10)


def test_a_stitched_network_resizes_to_the_end_layer():
    front, end = split(trained("tiny10"), "bn2"), split(trained("tiny10", seed=1), "bn3")
    stitch = StitchingLayer((16, 28, 28), (32, 13, 13), generator=seeded())
    images, seen = normal(2, 3, 32, 32), []
    stitch.register_forward_hook(lambda *found: seen.append(tuple(found[2].shape)))
    with torch.no_grad():
        StitchedNetwork(front, stitch, end, resize=True)(images)
    assert seen == [(2, 32, 13, 13)]


def test_a_flattened_stitch_joins_a_map_to_a_vector():
    front, end = split(trained("tiny10"), "bn8"), split(trained("dense"), "relu3")
    stitch = StitchingLayer((64, 2, 2), (300,), flatten=True)
    with torch.no_grad():
        assert StitchedNetwork(front, stitch, end)(normal(2, 3, 32, 32)).shape == (2, 10)


def test_a_stitched_network_moves_as_one():
    front, end = split(trained("tiny10"), "bn3"), split(trained("resnet20", seed=1), "layer3.0.add")
    stitched = StitchedNetwork(front, StitchingLayer((32, 8, 8), (64, 8, 8)), end, resize=True).double()
    assert all(parameter.dtype == torch.float64 for parameter in stitched.parameters())
    with torch.no_grad():
        assert stitched(normal(2, 3, 32, 32).double()).dtype == torch.float64


def test_a_printed_layer_says_what_it_is():
    assert repr(layer("map", rank=2)) == "StitchingLayer(6, 4, kind='map', rank=2)"
    assert repr(layer("vector", mask=MASK)) == "StitchingLayer(6, 4, kind='vector', masked)"
