"""All pairs of layers of real networks in one pass: the same numbers as layer by layer, and nothing left behind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netalike import data, networks
from netalike.data import ImageSet
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.measures import cka, deconfounded_cka, explained_by_inputs
from netalike.measures.panel import PERMUTED, PanelResult, compare_networks
from netalike.measures.sources import MatrixSource, NetworkSource, batch_permutation, noise
from netalike.measures.whole_set import WholeSetCKA, block_pairs, block_size

LAYERS = ["relu1", "relu2", "relu4"]
EVERY = ("published", "biased", "unbiased", "deconfounded", "deconfounded_psd")
BATCH = 24
N = 64  # two batches of 24 and one of 16


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return data.load("digits", "test", limit=N)


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    return {f"lenet-s{seed}": networks.build("lenet", channels=1, seed=seed) for seed in (0, 1)}


def sources(models: dict[str, nn.Module], images: ImageSet) -> list[NetworkSource]:
    return [NetworkSource(name, model, LAYERS, images) for name, model in models.items()]


def outputs(model: nn.Module, layers: list[str], inputs: Tensor) -> list[Tensor]:
    """What the layers return, by hooks of this test's own, on contiguous inputs."""
    kept: dict[str, Tensor] = {}
    modules = dict(model.named_modules())
    hooks = [
        modules[layer].register_forward_hook(lambda _m, _i, out, layer=layer: kept.update({layer: out.clone()}))
        for layer in layers
    ]
    model.eval()
    with torch.no_grad():
        model(inputs)
    for hook in hooks:
        hook.remove()
    return [kept[layer] for layer in layers]


def expected_value(estimator: str, x: Tensor, y: Tensor, inputs: Tensor) -> float:
    if estimator.startswith("deconfounded"):
        return deconfounded_cka(x, y, inputs, psd=estimator.endswith("psd"), batch_size=BATCH)
    return cka(x, y, estimator, batch_size=BATCH)


@pytest.fixture(scope="module")
def recorded(models: dict[str, nn.Module], images: ImageSet) -> list[Tensor]:
    inputs = images.inputs()
    return [output for model in models.values() for output in outputs(model, LAYERS, inputs)]


@pytest.fixture(scope="module")
def panel(models: dict[str, nn.Module], images: ImageSet) -> PanelResult:
    members = [*sources(models, images), noise(N, seed=3)]
    return compare_networks(members, images, EVERY, BATCH, ["lenet-s1"], seed=5, progress=False)


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", EVERY)
def test_equals_the_comparison_of_each_two_recorded_layers(panel, recorded, images, estimator):
    count = len(recorded)
    inputs = images.inputs()
    expected = [[expected_value(estimator, x, y, inputs) for y in recorded] for x in recorded]
    assert panel.values[estimator].shape == (10, 10)
    np.testing.assert_allclose(panel.values[estimator][:count, :count], expected, atol=1e-6)
    np.testing.assert_allclose(np.diag(panel.values[estimator]), 1.0, atol=1e-6)


def test_the_representations_are_in_order(panel):
    own = [(name, layer) for name in ("lenet-s0", "lenet-s1") for layer in LAYERS]
    assert panel.representations == [*own, ("noise", "noise"), *(("lenet-s1" + PERMUTED, layer) for layer in LAYERS)]
    block = panel.matrix("lenet-s0", "noise", "biased")
    assert block.shape == (3, 1)
    np.testing.assert_array_equal(block[:, 0], panel.values["biased"][:3, 6])


def test_what_the_inputs_explain(panel, recorded, images):
    batches = [slice(0, 24), slice(24, 48), slice(48, 64)]
    inputs = images.inputs()
    expected = [np.mean([explained_by_inputs(x[b], inputs[b]) for b in batches]) for x in recorded]
    np.testing.assert_allclose(panel.explained[:6], expected, atol=1e-6)
    assert ((panel.negative_share >= 0) & (panel.negative_share <= 1)).all()


@pytest.mark.parametrize("estimator", EVERY)
def test_the_permuted_twin_is_the_network_with_its_samples_permuted(panel, recorded, images, estimator):
    order = batch_permutation(N, BATCH, seed=5)
    inputs = images.inputs()
    found = panel.matrix("lenet-s0", "lenet-s1" + PERMUTED, estimator)
    expected = [[expected_value(estimator, x, y[order], inputs) for y in recorded[3:]] for x in recorded[:3]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_noise_is_unlike_every_layer_only_without_bias(panel):
    unbiased = np.concatenate([panel.matrix(name, "noise", "unbiased") for name in ("lenet-s0", "lenet-s1")])
    published = np.concatenate([panel.matrix(name, "noise", "published") for name in ("lenet-s0", "lenet-s1")])
    assert abs(unbiased).max() < 0.1
    assert published.min() > 0.25


def test_a_permutation_stays_within_its_batch():
    order = batch_permutation(60, 24, seed=0)
    for start, stop in ((0, 24), (24, 48), (48, 60)):
        part = order[start:stop]
        assert sorted(part.tolist()) == list(range(start, stop))
        assert part.tolist() != list(range(start, stop))
    assert torch.equal(order, batch_permutation(60, 24, seed=0))
    assert not torch.equal(order, batch_permutation(60, 24, seed=1))


def test_the_noise_is_that_of_its_seed():
    one, again, other = (noise(20, seed).grams(0, 20) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert noise(20, 0).units() == 1024


# ---- the whole set --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [24, 9])
def test_biased_in_blocks_is_biased_of_the_whole_set(models, images, recorded, panel, batch_size):
    small = 10 * 1e-9  # room for nothing: the smallest blocks
    members = [*sources(models, images), noise(N, seed=3)]
    n = N if batch_size == 24 else 63
    found = compare_networks(members, images.take(range(n)), ["biased"], batch_size, memory_gb=small, progress=False)
    for i, x in enumerate(recorded):
        for j, y in enumerate(recorded):
            assert found.values["biased"][i, j] == pytest.approx(cka(x[:n], y[:n], "biased"), abs=1e-6)
    if n == N:
        np.testing.assert_allclose(found.values["biased"], panel.values["biased"][:7, :7], atol=1e-6)


def test_sources_can_be_compared_again(models, images, panel):
    members = [*sources(models, images), noise(N, seed=3)]
    for batch_size in (BATCH, 16, BATCH):
        found = compare_networks(members, images, ["biased"], batch_size, memory_gb=1e-8, progress=False)
        np.testing.assert_allclose(found.values["biased"], panel.values["biased"][:7, :7], atol=1e-6)


def test_permuted_twins_in_blocks(models, images, panel):
    members = [*sources(models, images), noise(N, seed=3)]
    found = compare_networks(members, images, ["biased"], BATCH, ["lenet-s1"], 5, memory_gb=1e-8, progress=False)
    np.testing.assert_allclose(found.values["biased"], panel.values["biased"], atol=1e-6)


def test_forward_passes_of_one_image_in_a_block():
    """A block is run 125 images at a time: of 126, the last alone, whose memory layout is ambiguous."""
    images = data.load("digits", "test", limit=126)
    model = networks.build("tiny10", channels=1, seed=0)
    layers = ["bn1", "bn8"]
    found = compare_networks([NetworkSource("t", model, layers, images)], images, ["biased"], 126, progress=False)
    x, y = outputs(model, layers, images.inputs())
    assert found.values["biased"][0, 1] == pytest.approx(cka(x, y, "biased"), abs=1e-6)


def test_bfloat16_moves_the_whole_set_by_less_than_it_says():
    """At n = 300, where fewer roundings average out than on the sets it is meant for."""
    images = data.load("digits", "test", limit=300)
    found = {}
    for precision in ("float32", "bfloat16"):
        members = [
            NetworkSource(f"lenet-s{s}", networks.build("lenet", channels=1, seed=s), LAYERS, images) for s in (0, 1)
        ]
        found[precision] = compare_networks(
            members, images, ["biased"], 100, ["lenet-s1"], precision=precision, progress=False
        ).values["biased"]
    difference = abs(found["bfloat16"] - found["float32"])
    assert 0 < difference.max() < 1e-4


def test_blocks_cover_every_pair_of_samples_once():
    for samples, size in ((10, 3), (9, 3), (4, 8)):
        counts = np.zeros((samples, samples), int)
        for rows, columns in block_pairs(samples, size):
            counts[rows, columns] += 1
            if rows != columns:
                counts[columns, rows] += 1
        assert (counts == 1).all()


def test_the_block_size_keeps_to_the_memory():
    for memory in (1e5, 1e6, 1e7):
        size = block_size(1000, 8, 200, 25, memory)
        assert size % 25 == 0
        assert (8 * size**2 + 2 * 200 * size) * 4 <= memory
    assert block_size(1000, 8, 200, 25, 1.0) == 25  # never less than a batch
    assert block_size(1000, 8, 200, 300, 1e12) == 1200  # whole set, rounded up to batches
    # 400 would fit; two even blocks of 300 do as well
    limit = (8 * 400**2 + 2 * 200 * 400) * 4
    assert block_size(500, 8, 200, 50, limit) == 250
    assert block_size(1000, 8, 200, 25, 1e6, torch.bfloat16) > block_size(1000, 8, 200, 25, 1e6)


def test_the_accumulator_of_blocks_refuses_another_number_of_representations():
    with pytest.raises(ShapeError, match="blocks of 3 representations, expected 2"):
        WholeSetCKA(2).update(torch.ones(3, 4, 4), diagonal=True)


# ---- memory layout --------------------------------------------------------------------------------------------------


class Weightless(nn.Module):
    """Feature maps without weights, so that their layout is that of the inputs."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Hardtanh(-0.3, 1.5)
        self.pool = nn.AvgPool2d(5, 3)

    def forward(self, images: Tensor) -> Tensor:
        wide = torch.cat([images, images.flip(3), images**2], 1)
        return self.pool(self.shift(wide))


def test_channels_last_inputs_give_the_same_as_contiguous_ones(images):
    model, layers = Weightless(), ["shift", "pool"]

    class Contiguous(NetworkSource):
        def _inputs(self, start: int, stop: int) -> Tensor:
            return self._images.inputs(start, stop).contiguous()

    found = [
        compare_networks([kind("w", model, layers, images)], images, EVERY, BATCH, progress=False).values
        for kind in (NetworkSource, Contiguous)
    ]
    x, y = outputs(model, layers, images.inputs())
    for estimator in EVERY:
        np.testing.assert_allclose(found[0][estimator], found[1][estimator], atol=1e-5)
        assert found[0][estimator][0, 1] == pytest.approx(expected_value(estimator, x, y, images.inputs()), abs=1e-5)


class Offset(nn.Module):
    """A layer with a mean far larger than its spread, from the second batch on or throughout."""

    def __init__(self, offset: float):
        super().__init__()
        self.mix = nn.Conv2d(1, 3, 5, 3, bias=False)
        self.moved = nn.Identity()
        self.offset = offset

    def forward(self, images: Tensor) -> Tensor:
        return self.moved(self.mix(images) + self.offset)


@pytest.mark.parametrize("offset", [3.0, 200.0])
def test_a_large_mean_changes_nothing(images, offset):
    torch.manual_seed(0)
    model = Offset(offset)
    members = [NetworkSource("m", model, ["mix", "moved"], images)]
    found = compare_networks(members, images, EVERY, BATCH, memory_gb=1e-8, progress=False)
    (x,) = outputs(model, ["mix"], images.inputs())
    for estimator in EVERY:
        values = found.values[estimator]
        # both are one representation: 1 with each other, and alike to anything else
        np.testing.assert_allclose(values, 1.0, atol=1e-4)
    np.testing.assert_allclose(found.explained, found.explained[0], atol=1e-4)
    assert found.explained[0] == pytest.approx(
        np.mean([explained_by_inputs(x[b], images.inputs()[b]) for b in (slice(0, 24), slice(24, 48), slice(48, 64))]),
        abs=1e-4,
    )


# ---- undefined ------------------------------------------------------------------------------------------------------


def test_a_constant_layer_is_undefined_by_name_and_spoils_no_other(models, images):
    dead = networks.build("lenet", channels=1, seed=0)
    for parameter in dead.get_submodule("conv2").parameters():
        nn.init.constant_(parameter, 0.0)
    with torch.no_grad():
        dead.get_submodule("conv2").bias.fill_(0.1)
    members = [NetworkSource("dead", dead, LAYERS, images), NetworkSource("alive", models["lenet-s1"], LAYERS, images)]
    found = compare_networks(members, images, EVERY, BATCH, memory_gb=1e-8, progress=False)
    for estimator in EVERY:
        values = found.values[estimator]
        constant = [1, 2]  # relu2 and, after it, relu4
        assert np.isnan(values[constant]).all()
        assert np.isnan(values[:, constant]).all()
        assert not np.isnan(values[np.ix_([0, 3, 4, 5], [0, 3, 4, 5])]).any()
        assert found.status(estimator, 0, 3) == "ok"
        assert found.status(estimator, 0, 1) == "undefined: zero variance over the samples of batch 0 in layer relu2"


def test_a_layer_that_is_the_input_has_no_deconfounded_value(images):
    model = nn.Sequential(nn.Identity(), nn.Flatten())
    found = compare_networks([NetworkSource("i", model, ["0"], images)], images, EVERY, BATCH, progress=False)
    for estimator in ("deconfounded", "deconfounded_psd"):
        assert math.isnan(found.values[estimator][0, 0])
        assert found.status(estimator, 0, 0) == "undefined: the Gram matrix is a multiple of the inputs' Gram matrix"
    assert found.status("published", 0, 0) == "ok"
    assert found.explained[0] == pytest.approx(1.0, abs=1e-6)


# ---- what is left behind, and what is refused -----------------------------------------------------------------------


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 2:
            raise RuntimeError("out of something")
        return self.first(images).flatten(1)


def test_hooks_are_removed_and_the_mode_restored_also_after_an_error(images):
    model = Fails().train()
    model.first.eval()
    with pytest.raises(RuntimeError, match="out of something"):
        compare_networks([NetworkSource("f", model, ["first"], images)], images, ["unbiased"], 32, progress=False)
    assert not model.first._forward_hooks
    assert model.training
    assert not model.first.training


def test_a_layer_that_runs_twice_is_refused_by_name(images):
    model = networks.build("resnet20_w1", channels=1, seed=0)
    with pytest.raises(NetalikeError, match=r"layer 'layer1\.0\.relu' of \w+ runs more than once"):
        compare_networks([NetworkSource("r", model, ["layer1.0.relu"], images)], images, progress=False)


def test_a_network_takes_part_once(models, images):
    members = sources(models, images)
    with pytest.raises(NetalikeError, match=r"names each network once; more than once: lenet-s0\.$"):
        compare_networks([members[0], members[1], members[0]], images, progress=False)


def test_what_a_panel_refuses(models, images, panel):
    members = sources(models, images)
    with pytest.raises(UnknownNameError, match=r"unknown CKA estimator 'unbiasd': .*Did you mean 'unbiased'"):
        compare_networks(members, images, ["unbiasd"], progress=False)
    with pytest.raises(UnknownNameError, match="unknown precision 'float16': expected one of float32, bfloat16"):
        compare_networks(members, images, precision="float16", progress=False)
    with pytest.raises(UnknownNameError, match=r"network to permute 'lenet-s9': .*Did you mean 'lenet-s"):
        compare_networks(members, images, permuted=["lenet-s9"], progress=False)
    with pytest.raises(ShapeError, match="at least 4 samples, got one of 1"):
        compare_networks(members, images, ["published"], batch_size=21, progress=False)
    with pytest.raises(UnknownNameError, match="estimator of this panel 'cka'"):
        panel.matrix("lenet-s0", "lenet-s1", "cka")
    with pytest.raises(UnknownNameError, match=r"network of this panel 'lenet-s7': .*Did you mean"):
        panel.matrix("lenet-s7", "lenet-s1", "biased")


def test_a_matrix_source_is_its_rows():
    features = torch.randn(12, 2, 3, generator=torch.Generator().manual_seed(0))
    source = MatrixSource("inputs", "pixels", features)
    assert source.units() == 6
    flat = features.flatten(1) - features.flatten(1).mean(0)
    (block,) = source.blocks(slice(0, 4), slice(4, 12), torch.float32)
    torch.testing.assert_close(block, flat[:4] @ flat[4:].T)
