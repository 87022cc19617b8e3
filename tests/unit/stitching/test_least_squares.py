"""Least squares from sums: it agrees with numpy on the explicit design, and obeys its laws."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from netalike import data, networks
from netalike.errors import NetalikeError, ShapeError
from netalike.stitching.least_squares import NormalEquations, fit
from netalike.stitching.splitting import split


def equations(x, y, batch=61):
    sums = NormalEquations()
    for start in range(0, len(x), batch):
        sums.update(torch.as_tensor(x[start : start + batch]), torch.as_tensor(y[start : start + batch]))
    return sums


def design(kind, n=900, seed=0):
    """Observations of 8 channels x and 5 channels y; x is what its kind says."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-8, 9, size=(n, 8)) / 4  # exact in float32: dependent channels are so exactly
    y = x @ rng.normal(size=(8, 5)) + rng.normal(size=(n, 5)) + 3
    if kind == "dead":
        x[:, 3] = 0
    elif kind == "constant":
        x[:, 3], x[:, 6] = 0.75, -2
    elif kind == "duplicated":
        x[:, 5] = x[:, 2]
    elif kind == "dependent":
        x[:, 5] = 2 * x[:, 2] - x[:, 1] + 4
    elif kind == "everything":
        x[:, 0], x[:, 3], x[:, 4], x[:, 5] = 0, 0.75, 2 * x[:, 1] + 1, x[:, 2]
    elif kind == "scaled":
        x *= 2.0 ** np.arange(-6, 10, 2)
    elif kind == "far":
        x += 512
    elif kind == "nothing":
        x[:] = 1.5
    return x, y


KINDS = ("plain", "dead", "constant", "duplicated", "dependent", "everything", "scaled", "far", "nothing")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_affine_map_is_that_of_numpy_on_the_explicit_design(kind, dtype):
    x, y = (array.astype(dtype) for array in design(kind))
    weight, bias = equations(x, y).affine()
    ones = np.hstack([x, np.ones((len(x), 1))]).astype(np.float64)
    expected, *_ = np.linalg.lstsq(ones, y.astype(np.float64), rcond=1e-9)
    np.testing.assert_allclose(weight, expected[:-1].T, atol=1e-8)
    np.testing.assert_allclose(bias, expected[-1], atol=1e-8)
    np.testing.assert_allclose(np.linalg.pinv(ones, rcond=1e-9) @ y, np.vstack([weight.T, bias]), atol=1e-8)


def test_large_means_cost_no_digits():
    x, y = design("plain")
    near, far = equations(x, y), equations(x + 2.0**20, y)
    torch.testing.assert_close(far.affine()[0], near.affine()[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(far.correlation(), near.correlation(), rtol=0, atol=1e-9)
    assert far.mse(*far.affine()) == pytest.approx(near.mse(*near.affine()), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_residual_is_orthogonal_to_the_design(kind):
    x, y = design(kind)
    weight, bias = equations(x, y).affine()
    residual = y - x @ weight.numpy().T - bias.numpy()
    ones = np.hstack([x, np.ones((len(x), 1))])
    scale = np.linalg.norm(ones, axis=0)[:, None] * np.linalg.norm(residual, axis=0)
    assert np.abs(ones.T @ residual / np.maximum(scale, 1)).max() < 1e-9


@pytest.mark.parametrize("kind", ["plain", "everything"])
@pytest.mark.parametrize("rank", [1, 2, 3, 5, 9])
def test_reduced_rank_is_the_published_formula_on_the_explicit_design(kind, rank):
    x, y = design(kind)
    full = np.linalg.pinv(x, rcond=1e-9) @ y
    v = np.linalg.svd(x @ full, full_matrices=False)[2][:rank].T
    weight, bias = equations(x, y).reduced_rank(rank, affine=False)
    np.testing.assert_allclose(weight, (full @ v @ v.T).T, atol=1e-8)
    assert not bias.any()


@pytest.mark.parametrize("kind", ["plain", "everything"])
def test_reduced_rank_with_a_bias_is_that_of_the_centred_design(kind):
    x, y = design(kind)
    sums = equations(x, y)
    centred = x - x.mean(0)
    full = np.linalg.pinv(centred, rcond=1e-9) @ (y - y.mean(0))
    v = np.linalg.svd(centred @ full, full_matrices=False)[2][:2].T
    weight, bias = sums.reduced_rank(2)
    np.testing.assert_allclose(centred @ weight.numpy().T, centred @ full @ v @ v.T, atol=1e-8)
    np.testing.assert_allclose(weight @ torch.as_tensor(x.mean(0)) + bias, y.mean(0), atol=1e-10)


@pytest.mark.parametrize("affine", [True, False])
def test_the_error_falls_with_the_rank_to_that_of_least_squares(affine):
    sums = equations(*design("plain"))
    solutions = [sums.reduced_rank(rank, affine) for rank in range(1, 8)]
    errors = [sums.mse(*solution) for solution in solutions]
    assert all(low <= high + 1e-12 for high, low in itertools.pairwise(errors))
    assert errors[0] > 1.5 * errors[3]
    assert [int(torch.linalg.matrix_rank(weight)) for weight, _ in solutions] == [1, 2, 3, 4, 5, 5, 5]
    if affine:
        assert errors[-1] == pytest.approx(sums.mse(*sums.affine()), rel=1e-12)
        torch.testing.assert_close(solutions[-1], sums.affine(), rtol=0, atol=1e-10)


def test_no_map_of_the_same_rank_is_better_than_the_reduced_rank_solution():
    sums = equations(*design("plain"))
    best = sums.mse(*sums.reduced_rank(2))
    u, s, vh = torch.linalg.svd(sums.affine()[0], full_matrices=False)
    truncated = u[:, :2] * s[:2] @ vh[:2]
    assert best <= sums.mse(truncated, sums.affine()[1])
    weight, bias = sums.reduced_rank(2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        left = torch.randn(5, 5, generator=generator, dtype=torch.float64) * 0.05
        assert best <= sums.mse(weight + left @ weight, bias)


@pytest.mark.parametrize("centred", [False, True])
def test_procrustes_is_the_published_formula_on_the_explicit_design(centred):
    x, y = design("plain")
    a, b = (x - x.mean(0), y - y.mean(0)) if centred else (x, y)
    u, _, vh = np.linalg.svd(a.T @ b, full_matrices=False)
    weight, bias = equations(x, y).procrustes(centred)
    np.testing.assert_allclose(weight, (u @ vh).T, atol=1e-10)
    np.testing.assert_allclose(weight @ weight.T, np.eye(5), atol=1e-12)
    np.testing.assert_allclose(bias, y.mean(0) - x.mean(0) @ u @ vh if centred else np.zeros(5), atol=1e-10)


def test_least_squares_is_never_worse_than_procrustes():
    sums = equations(*design("plain"))
    assert sums.mse(*sums.affine()) <= sums.mse(*sums.procrustes(centred=True))
    assert sums.mse(*sums.procrustes(centred=True)) <= sums.mse(*sums.procrustes())


def test_the_error_is_the_mean_over_observations_and_channels():
    x, y = design("far")
    sums = equations(x, y)
    generator = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(5, 8, generator=generator), torch.randn(5, generator=generator)
    expected = np.mean((x @ weight.double().numpy().T + bias.double().numpy() - y) ** 2)
    assert sums.mse(weight, bias) == pytest.approx(expected, rel=1e-10)


def test_the_correlation_is_numpys_and_zero_for_constant_channels():
    x, y = design("constant")
    y[:, 1] = 0.1
    sums = equations(x.astype(np.float32), y.astype(np.float32))
    live = [channel for channel in range(8) if channel not in (3, 6)]
    expected = np.corrcoef(y[:, 0], x[:, live].T)[0, 1:]
    np.testing.assert_allclose(sums.correlation()[0, live], expected, atol=1e-6)
    assert sums.correlation().shape == (5, 8)
    assert not sums.correlation()[:, [3, 6]].any()
    assert not sums.correlation()[1].any()
    assert sums.constant_inputs == [3, 6]
    assert sums.constant_outputs == [1]


def test_a_map_counts_each_position_of_each_image():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(7, 4, 5, 6, generator=generator), torch.randn(7, 3, 5, 6, generator=generator)
    rows = [tensor.permute(0, 2, 3, 1).reshape(-1, tensor.shape[1]) for tensor in (x, y)]
    maps, vectors = NormalEquations(), NormalEquations()
    maps.update(x, y.to(memory_format=torch.channels_last))
    vectors.update(*rows)
    assert maps.positions == vectors.positions == 7 * 5 * 6
    torch.testing.assert_close(maps.affine(), vectors.affine(), rtol=0, atol=1e-12)


def test_chunks_and_batches_do_not_matter(monkeypatch):
    x, y = design("everything")
    whole = equations(x, y, batch=len(x))
    monkeypatch.setattr("netalike.stitching.least_squares._CHUNK", 100)
    torch.testing.assert_close(equations(x, y, batch=7).affine(), whole.affine(), rtol=0, atol=1e-10)


def test_b17_groups_are_pooled_and_not_averaged():
    x, y = design("plain", n=30)
    first, rest = equations(x[:10], y[:10]).affine()[0], equations(x[10:], y[10:]).affine()[0]
    pooled = equations(x, y, batch=10).affine()[0]
    expected = np.linalg.lstsq(np.hstack([x, np.ones((30, 1))]), y, rcond=None)[0][:-1].T
    np.testing.assert_allclose(pooled, expected, atol=1e-10)
    assert (pooled - (first + rest) / 2).abs().max() > 0.1


def test_more_batches_after_a_solution_change_it():
    x, y = design("plain")
    sums = equations(x[:100], y[:100])
    early = sums.affine()[0]
    sums.update(torch.as_tensor(x[100:]), torch.as_tensor(y[100:]))
    torch.testing.assert_close(sums.affine(), equations(x, y).affine(), rtol=0, atol=1e-10)
    assert (early - sums.affine()[0]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((4, 3, 5, 5), (4, 2, 4, 4), r"same positions are needed, got \(4, 3, 5, 5\) and \(4, 2, 4, 4\)"),
        ((4, 3), (5, 2), r"same images .* got \(4, 3\) and \(5, 2\)"),
        ((4, 3, 5, 5), (4, 2), r"expected activations \(n, C, h, w\) or \(n, C\)"),
        ((0, 3), (0, 2), "n > 0"),
    ],
)
def test_activations_that_do_not_fit_are_refused(x, y, message):
    with pytest.raises(ShapeError, match=message):
        NormalEquations().update(torch.zeros(x), torch.zeros(y))


def test_batches_of_other_channels_are_refused():
    sums = equations(*design("plain"))
    with pytest.raises(ShapeError, match="batches before had 8 and 5 channels"):
        sums.update(torch.zeros(3, 7), torch.zeros(3, 5))
    with pytest.raises(ShapeError, match=r"\(5, 8\) and \(5,\), got \(8, 5\) and \(5,\)"):
        sums.mse(torch.zeros(8, 5), torch.zeros(5))


def test_values_that_are_not_finite_are_refused():
    x = torch.zeros(3, 4)
    x[1, 2] = torch.nan
    with pytest.raises(NetalikeError, match="values that are not finite"):
        NormalEquations().update(x, x)


@pytest.mark.parametrize("kind", ["plain", "everything"])
def test_every_solution_can_be_stored(kind, tmp_path):
    sums = equations(*design(kind))
    for weight, bias in (sums.affine(), sums.procrustes(), sums.procrustes(True), sums.reduced_rank(2)):
        save_file({"weight": weight, "bias": bias}, tmp_path / "solution.safetensors")
        assert torch.equal(load_file(tmp_path / "solution.safetensors")["weight"], weight)


def test_nothing_has_no_solution():
    with pytest.raises(NetalikeError, match="no activations were added"):
        NormalEquations().affine()
    with pytest.raises(NetalikeError, match="at least 1, got 0"):
        equations(*design("plain")).reduced_rank(0)


def network(seed):
    model = networks.build("tiny10", channels=1, seed=seed)
    with torch.no_grad():
        model(data.load("digits", "train", limit=64).inputs())
    return model.eval()


def permuted(model, order, n=3):
    """The same network, with the channels of its n-th block in another order."""
    twin = networks.build("tiny10", channels=1)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    for key, value in state.items():
        if key.startswith((f"conv{n}.", f"bn{n}.")) and value.ndim:
            state[key] = value[order]
    state[f"conv{n + 1}.weight"] = state[f"conv{n + 1}.weight"][:, order]
    twin.load_state_dict(state)
    return twin.eval()


def test_a_network_with_permuted_channels_is_recovered_by_every_method():
    from netalike.stitching.masks import abs_semi_match, semi_match
    from netalike.stitching.transform import StitchedNetwork, StitchingLayer

    images = data.load("digits", "train", limit=200)
    model, order = network(0), torch.randperm(32, generator=torch.Generator().manual_seed(3))
    front, end = split(model, "bn3"), split(permuted(model, order), "bn3")
    sums = fit(front, end, images, batch_size=64)
    expected = torch.eye(32)[order]
    torch.testing.assert_close(sums.affine()[0].float(), expected, rtol=0, atol=1e-3)
    assert sums.mse(*sums.affine()) < 1e-10
    for centred in (False, True):
        torch.testing.assert_close(sums.procrustes(centred)[0].float(), expected, rtol=0, atol=1e-3)
    assert torch.equal(semi_match(sums.correlation()), expected)
    assert torch.equal(abs_semi_match(sums.correlation()), expected)
    with torch.no_grad():
        stitched = StitchedNetwork(front, StitchingLayer.from_matrix(*sums.affine()), end)(images.inputs())
        torch.testing.assert_close(stitched, model(images.inputs()), rtol=0, atol=1e-3)


def test_fit_is_numpy_on_the_activations_of_both_networks():
    images = data.load("digits", "train", limit=90)
    front, end = split(network(0), "relu6"), split(network(1), "relu6")
    weight, bias = fit(front, end, images, batch_size=40).affine()
    with torch.no_grad():
        x, y = (part.head(images.inputs()).double().movedim(1, -1).flatten(0, -2).numpy() for part in (front, end))
    expected = np.linalg.lstsq(np.hstack([x, np.ones((len(x), 1))]), y, rcond=1e-9)[0]
    # The two layouts in memory round activations differently: 1e-7 of them.
    np.testing.assert_allclose(weight, expected[:-1].T, atol=1e-4)
    np.testing.assert_allclose(bias, expected[-1], atol=1e-4)


def test_fit_leaves_the_networks_as_they_were():
    models = network(0), network(1).train()
    states = [{key: value.clone() for key, value in model.state_dict().items()} for model in models]
    fit(split(models[0], "bn3"), split(models[1], "bn3"), data.load("digits", "train", limit=20))
    for model, state in zip(models, states, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
        assert all(parameter.is_contiguous() for parameter in model.parameters())
    assert models[1].training


def test_fit_refuses_other_sizes_unless_it_may_resize():
    images = data.load("digits", "train", limit=10)
    front, end = split(network(0), "bn2"), split(network(1), "bn3")
    with pytest.raises(ShapeError, match=r"\(16, 28, 28\) for an image and the end layer \(32, 13, 13\)"):
        fit(front, end, images)
    sums = fit(front, end, images, resize=True)
    assert (sums.inputs, sums.outputs, sums.positions) == (16, 32, 10 * 13 * 13)


def test_fit_flattens():
    images = data.load("digits", "train", limit=10)
    sums = fit(split(network(0), "bn8"), split(network(1), "fc"), images, flatten=True)
    assert (sums.inputs, sums.outputs, sums.positions) == (256, 10, 10)
    assert sums.mse(*sums.affine()) < 1e-12  # fewer images than units


def test_fit_augments_both_networks_alike():
    images = data.load("digits", "train", limit=30)
    images = dataclasses.replace(images, spec=dataclasses.replace(images.spec, augmentation="crop_flip"))
    part = split(network(0), "bn3")
    plain = fit(part, part, images)
    augmented = fit(part, part, images, augment=torch.Generator().manual_seed(0))
    again = fit(part, part, images, augment=torch.Generator().manual_seed(0))
    assert torch.equal(augmented.affine()[0], again.affine()[0])
    assert augmented.mse(torch.eye(32), torch.zeros(32)) == pytest.approx(0, abs=1e-12)
    zero = torch.zeros(32, 32), torch.zeros(32)  # its error is the mean square of the activations
    assert abs(augmented.mse(*zero) / plain.mse(*zero) - 1) > 1e-3


def test_fit_of_nothing_is_refused():
    images = data.load("digits", "train", limit=10)
    part = split(network(0), "bn3")
    with pytest.raises(NetalikeError, match="a batch size from 1, got 10 and 0"):
        fit(part, part, images, batch_size=0)
