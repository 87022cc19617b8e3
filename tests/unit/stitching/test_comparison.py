"""Comparisons of layers: every formula against a slow twin, groups weighted by images, and nothing left behind."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from netalike import data, measures, networks
from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.stitching import comparison
from netalike.stitching.splitting import split
from netalike.stitching.transform import StitchingLayer, initial

IMAGES = data.load("digits", "test", limit=40)
FRONT, END = (networks.build("tiny10", 1, 10, seed=seed).eval() for seed in (0, 1))


def activation(model, layer, images=IMAGES):
    """A layer's output, by running the modules one after another."""
    x = images.inputs()
    with torch.no_grad():
        for name, module in model.named_children():
            x = module(x)
            if name == layer:
                return x.double().numpy()
    raise AssertionError(layer)


def rows(x):
    return x.reshape(len(x), -1)


def positions(x):
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def biased_cka(x, y):
    x, y = (rows(part) - rows(part).mean(0) for part in (x, y))
    k, l = x @ x.T, y @ y.T
    return (k * l).sum() / np.linalg.norm(k) / np.linalg.norm(l)


def one(layer_a, layer_b, method, **options):
    (found,) = comparison.compare(FRONT, END, layer_a, layer_b, IMAGES, [method], **options)
    return found


@pytest.mark.parametrize("layers", [("bn3", "bn3"), ("bn8", "relu6")])
def test_cka_is_the_papers_biased_linear_cka(layers):
    found = one(*layers, "cka", batch_size=7)
    assert found.value == pytest.approx(biased_cka(activation(FRONT, layers[0]), activation(END, layers[1])), abs=1e-6)
    assert (found.n, found.status) == (40, "ok")


def test_cka_of_vectors():
    with torch.no_grad():
        x, y = (model(IMAGES.inputs()).double().numpy() for model in (FRONT, END))
    assert one("fc", "fc", "cka").value == pytest.approx(biased_cka(x, y), abs=1e-6)


def test_cka_in_several_blocks_is_that_of_the_whole(monkeypatch):
    whole = one("bn3", "bn3", "cka").value
    monkeypatch.setattr(comparison, "block_size", lambda *_: 7)
    assert one("bn3", "bn3", "cka").value == pytest.approx(whole, abs=1e-6)


def test_cka_of_a_network_with_itself_is_1_and_with_its_rotation_too():
    (found,) = comparison.compare(FRONT, FRONT, "bn5", "bn5", IMAGES, ["cka"])
    assert found.value == pytest.approx(1, abs=1e-6)
    x = torch.from_numpy(activation(FRONT, "bn8")).float()
    turned, _ = torch.linalg.qr(torch.randn(64, 64, generator=torch.Generator().manual_seed(0)))
    other = 3 * torch.einsum("oi,nihw->nohw", turned, x)
    (found,) = comparison.compare_activations(lambda _: (x, other), IMAGES, ["cka"], batch_size=40)
    assert found.value == pytest.approx(1, abs=1e-6)


def published_qr(x, y):
    q1, q2 = (np.linalg.qr(rows(part))[0] for part in (x, y))
    return q1, q2


@pytest.mark.parametrize(("p", "q", "n"), [(5, 6, 40), (6, 5, 40), (40, 6, 40), (6, 50, 40), (60, 50, 40), (50, 6, 40)])
def test_cca_and_lr_are_the_papers_formulas_at_every_width(p, q, n):
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(n, p)) + 1, draw.normal(size=(n, q)) - 0.5
    q1, q2 = published_qr(x, y)
    cca = np.linalg.norm(q2.T @ q1) ** 2 / q1.shape[1]
    lr = np.linalg.norm(q2.T @ x) ** 2 / np.linalg.norm(x) ** 2
    a, b = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    assert comparison.published_cca(a, b) == pytest.approx(cca, abs=1e-5)
    assert comparison.published_lr(a, b) == pytest.approx(lr, abs=1e-5)
    if q >= n:
        assert comparison.published_cca(a, b) == comparison.published_lr(a, b) == 1.0


def test_l2_is_the_mean_squared_difference():
    x, y = activation(FRONT, "bn4"), activation(END, "bn4")
    assert one("bn4", "bn4", "l2", batch_size=9).value == pytest.approx(((x - y) ** 2).mean(), rel=1e-6)


def test_least_squares_is_the_affine_pseudo_inverse():
    found = one("bn4", "bn4", "ps_inv", batch_size=9)
    x, y = positions(activation(FRONT, "bn4")), positions(activation(END, "bn4"))
    design = np.c_[x, np.ones(len(x))]
    solution = np.linalg.pinv(design) @ y
    assert found.method == "least_squares"
    assert np.allclose(found.weight.numpy(), solution[:-1].T, atol=1e-5)
    assert np.allclose(found.bias.numpy(), solution[-1], atol=1e-5)
    assert found.value == pytest.approx(((design @ solution - y) ** 2).mean(), rel=1e-5)


def test_orthogonal_is_procrustes_without_centring():
    found = one("bn4", "bn4", "ls_orth")
    x, y = positions(activation(FRONT, "bn4")), positions(activation(END, "bn4"))
    u, _, v = np.linalg.svd(x.T @ y)
    assert np.allclose(found.weight.numpy(), (u @ v).T, atol=1e-5)
    assert found.bias.abs().max() == 0


def test_reduced_rank_gives_4_8_16_and_the_full_rank():
    found = comparison.compare(FRONT, END, "bn4", "bn4", IMAGES, ["ls_sum"])
    assert [(c.method, c.rank) for c in found] == [("reduced_rank", rank) for rank in (4, 8, 16, 32)]
    assert [int(torch.linalg.matrix_rank(c.weight, rtol=1e-9)) for c in found] == [4, 8, 16, 32]
    errors = [c.value for c in found]
    assert errors == sorted(errors, reverse=True)
    x, y = positions(activation(FRONT, "bn4")), positions(activation(END, "bn4"))
    full = np.linalg.pinv(x) @ y
    _, _, v = np.linalg.svd(x @ full, full_matrices=False)
    assert np.allclose(found[0].weight.numpy(), (full @ v[:4].T @ v[:4]).T, atol=1e-4)


def test_correlation_is_pearsons():
    found = one("bn4", "bn4", "corr")
    x, y = positions(activation(FRONT, "bn4")), positions(activation(END, "bn4"))
    expected = np.corrcoef(y.T, x.T)[: y.shape[1], y.shape[1] :]
    assert np.allclose(found.weight.numpy(), expected, atol=1e-6)
    assert found.value is None


@pytest.mark.parametrize("name", ["svcca", "rsa", "procrustes", "cka/unbiased", "deconfounded_cka"])
def test_measures_of_netalike_are_understood(name):
    found = one("bn8", "bn8", name)
    x, y = activation(FRONT, "bn8"), activation(END, "bn8")
    measure = measures.measure(name)
    inputs = (IMAGES.inputs().numpy(),) if measure.needs_inputs else ()
    assert found.method == measure.key
    assert found.value == pytest.approx(measure(x, y, *inputs), abs=1e-5)


def test_an_undefined_measure_has_its_reason_and_no_number():
    found = one("bn8", "bn8", "cca/mean_squared")  # 40 images of 256 units
    assert np.isnan(found.value)
    assert found.status.startswith("undefined: 40 samples of 256 dimensions")
    zeros = torch.zeros(40, 3)
    for name in ("cka", "lr"):
        (found,) = comparison.compare_activations(lambda _: (zeros, zeros), IMAGES, [name], batch_size=40)
        assert found.status.startswith("undefined: ")
        assert np.isnan(found.value)


def test_b17_groups_are_weighted_by_their_images():
    sizes = [range(0, 16), range(16, 32), range(32, 40)]
    parts = [biased_cka(activation(FRONT, "bn8")[list(g)], activation(END, "bn8")[list(g)]) for g in sizes]
    found = one("bn8", "bn8", "cka", group_at=16, batch_size=5)
    assert found.value == pytest.approx(np.average(parts, weights=[16, 16, 8]), abs=1e-6)
    assert abs(found.value - np.mean(parts)) > 1e-4


@pytest.mark.parametrize("name", ["ps_inv", "ls_orth", "l2"])
def test_b17_a_matrix_is_that_of_all_images_whatever_the_groups(name):
    whole, grouped = one("bn4", "bn4", name), one("bn4", "bn4", name, group_at=9)
    assert grouped.value == pytest.approx(whole.value, rel=1e-9)
    if whole.weight is not None:
        assert torch.allclose(grouped.weight, whole.weight, atol=1e-9)


def test_a_last_group_too_small_for_cka_joins_the_one_before():
    assert [len(g) for g in comparison._groups(42, 10)] == [10, 10, 10, 12]
    assert [len(g) for g in comparison._groups(44, 10)] == [10, 10, 10, 10, 4]
    assert [len(g) for g in comparison._groups(44, None)] == [44]
    with pytest.raises(NetalikeError, match="groups need at least 4 images, got group_at=3"):
        list(comparison._groups(44, 3))


def test_b18_a_comparison_can_be_repeated():
    methods = ["cka", "l2", "ps_inv"]
    first, second = (comparison.compare(FRONT, END, "bn4", "bn4", IMAGES, methods) for _ in range(2))
    assert [c.value for c in first] == [c.value for c in second]


def test_b9_no_hook_stays_and_the_modes_are_put_back():
    model = networks.build("tiny10", 1, 10, seed=3).train()
    statistics = model.bn1.running_mean.clone()
    comparison.compare(model, model, "bn4", "bn4", IMAGES, ["l2"])
    cut = split(model, "bn4")
    layer = StitchingLayer.from_matrix(torch.eye(32), torch.zeros(32))
    comparison.compare_stitched(cut, cut, layer, IMAGES, ["l2"], at="bn6")
    assert all(not module._forward_hooks for module in model.modules())
    assert model.training
    assert torch.equal(model.bn1.running_mean, statistics)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("ps_inv", "least_squares"),
        ("ls_orth", "orthogonal"),
        ("ls_sum", "reduced_rank"),
        ("corr", "correlation"),
        ("cka_torch", "cka"),
        ("cca_torch", "cca"),
        ("lr_torch", "lr"),
        ("l2", "l2"),
        ("rsa", "rsa/spearman"),
    ],
)
def test_old_and_new_names(given, canonical):
    assert comparison.canonical_method(given) == canonical


def test_mistakes_name_the_nearest_choice():
    with pytest.raises(UnknownNameError, match=r"unknown method of comparison 'psinv'.*Did you mean 'ps_inv'"):
        one("bn4", "bn4", "psinv")
    with pytest.raises(UnknownNameError, match=r"unknown layer of Tiny10 'bn33'.*Did you mean 'bn3'"):
        one("bn33", "bn3", "cka")
    with pytest.raises(NetalikeError, match="no method of comparison was named"):
        comparison.compare(FRONT, END, "bn4", "bn4", IMAGES, [])


def test_b26_a_layer_that_runs_twice_is_refused():
    model = networks.build("resnet20_w1", 1, 10, seed=0)
    with pytest.raises(NetalikeError, match=r"'layer1\.0\.relu' of ResNet20 runs more than once"):
        comparison.compare(model, model, "layer1.0.relu", "layer1.0", IMAGES, ["l2"])


def test_shapes_that_do_not_fit_are_told_with_both():
    with pytest.raises(ShapeError, match=r"\(32, 11, 11\).*\(32, 13, 13\).*resize"):
        one("bn4", "bn3", "ps_inv")
    assert one("bn4", "bn3", "ps_inv", resize=True).weight.shape == (32, 32)
    assert 0 < one("bn4", "bn3", "cka").value < 1
    with pytest.raises(ShapeError, match=r"l2 needs activations of one shape, got \(16, 13, 13\) and \(32, 13, 13\)"):
        one("bn2", "bn3", "l2", resize=True)


# --- stitched networks ----------------------------------------------------------------------------------------------


@pytest.fixture
def cuts():
    return split(FRONT, "bn4"), split(END, "bn4")


def test_a_stitched_activation_is_compared_with_the_one_it_replaces(cuts):
    layer = StitchingLayer.from_matrix(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)), torch.ones(32))
    (found,) = comparison.compare_stitched(*cuts, layer, IMAGES, ["l2"])
    x, y = activation(FRONT, "bn4"), activation(END, "bn4")
    mapped = np.einsum("oi,nihw->nohw", layer.weight.detach().double().numpy(), x) + 1
    assert found.value == pytest.approx(((mapped - y) ** 2).mean(), rel=1e-5)


def test_a_network_stitched_into_itself_is_itself():
    cut = split(END, "bn4")
    layer = StitchingLayer.from_matrix(torch.eye(32), torch.zeros(32))
    for at in (None, "bn4", "relu6", "fc"):
        (found,) = comparison.compare_stitched(cut, cut, layer, IMAGES, ["l2"], at=at)
        assert found.value == 0


def test_b6_another_layer_gives_another_number(cuts):
    layer = StitchingLayer.from_matrix(torch.eye(32), torch.zeros(32))
    at_stitch, later = (
        comparison.compare_stitched(*cuts, layer, IMAGES, ["l2"], at=at)[0].value for at in (None, "bn6")
    )
    assert later != at_stitch
    twin = copy.deepcopy(END)
    with torch.no_grad():
        x = torch.from_numpy(activation(FRONT, "bn4")).float()
        y = torch.from_numpy(activation(END, "bn4")).float()
        for name in ("relu4", "conv5", "bn5", "relu5", "conv6", "bn6"):
            x, y = twin.get_submodule(name)(x), twin.get_submodule(name)(y)
    assert later == pytest.approx(float((x - y).double().square().mean()), rel=1e-5)


def test_a_layer_before_the_stitch_is_refused(cuts):
    layer = StitchingLayer.from_matrix(torch.eye(32), torch.zeros(32))
    with pytest.raises(NetalikeError, match="layer 'bn2' does not come after the stitch at 'bn4'"):
        comparison.compare_stitched(*cuts, layer, IMAGES, ["l2"], at="bn2")
    with pytest.raises(UnknownNameError, match="Did you mean 'bn6'"):
        comparison.compare_stitched(*cuts, layer, IMAGES, ["l2"], at="bn66")


def test_b14_a_low_rank_output_in_any_memory_layout_has_a_cka(cuts):
    affine = initial("random", 32, 32, torch.Generator().manual_seed(0), rank=3)
    layer = StitchingLayer.from_matrix(*affine, rank=3)
    (found,) = comparison.compare_stitched(*cuts, layer, IMAGES, ["cka"])
    x = np.einsum("oi,nihw->nohw", layer.weight.detach().double().numpy(), activation(FRONT, "bn4"))
    assert found.value == pytest.approx(biased_cka(x, activation(END, "bn4")), abs=1e-5)
    strided = torch.from_numpy(x).float().permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    (found,) = comparison.compare_activations(lambda _: (strided, strided), IMAGES, ["cka"], batch_size=40)
    assert found.value == pytest.approx(1, abs=1e-6)


def test_a_stitch_between_two_sizes_is_resized_as_it_was_trained():
    front, end = split(FRONT, "bn4"), split(END, "bn3")
    layer = StitchingLayer.from_matrix(torch.eye(32), torch.zeros(32))
    (found,) = comparison.compare_stitched(front, end, layer, IMAGES, ["l2"], resize=True)
    x = torch.nn.functional.interpolate(torch.from_numpy(activation(FRONT, "bn4")), (13, 13), mode="bilinear")
    assert found.value == pytest.approx(((x.numpy() - activation(END, "bn3")) ** 2).mean(), rel=1e-5)
