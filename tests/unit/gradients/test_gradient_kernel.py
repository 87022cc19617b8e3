"""The kernel of gradients: definitions, bounds (P3), influence of a step (P1, P2), invariances, degenerate samples."""

from __future__ import annotations

import gradient_networks as networks
import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform
from torch.func import functional_call

from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.gradients import inverse_roots, kernel_matrix, normalise, per_sample_gradients, scalar, similarity


def gradients(n: int = 6, p: int = 9, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, p, d))


def own(x: np.ndarray) -> np.ndarray:
    return np.stack([one.T @ one for one in x])


def rotation(d: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def test_kernel_is_the_product_of_each_pair():
    x, y = gradients(), gradients(n=4, seed=1)
    k = kernel_matrix(x, y)
    assert k.shape == (6, 4, 3, 3)
    np.testing.assert_allclose(k[2, 3], x[2].T @ y[3], rtol=1e-13)
    np.testing.assert_allclose(kernel_matrix(x)[1, 4], kernel_matrix(x)[4, 1].T, rtol=1e-13)


def test_tensors_give_tensors():
    x = torch.from_numpy(gradients())
    found = similarity(x)
    assert isinstance(found, torch.Tensor)
    assert isinstance(similarity(x.numpy()), np.ndarray)
    np.testing.assert_array_equal(found.numpy(), similarity(x.numpy()))
    assert similarity(x.float()).dtype == torch.float32


def test_normalised_kernel_is_by_inverse_roots():
    x = gradients()
    roots = inverse_roots(own(x))
    np.testing.assert_allclose(roots @ own(x) @ roots, np.broadcast_to(np.eye(3), (6, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(roots, roots.transpose(0, 2, 1), atol=1e-13)
    k = normalise(kernel_matrix(x), own(x), own(x))
    np.testing.assert_allclose(k[0, 1], roots[0] @ x[0].T @ x[1] @ roots[1], atol=1e-13)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_p3_bounds(d):
    x = gradients(n=12, p=5, d=d)
    k = normalise(kernel_matrix(x), own(x), own(x))
    for i in range(12):
        np.testing.assert_allclose(k[i, i], np.eye(d), atol=1e-12)
    trace, nuclear, frobenius = (scalar(k, kind) for kind in ("trace", "nuclear", "frobenius"))
    assert (np.abs(trace) <= nuclear + 1e-12).all()
    assert (nuclear <= frobenius + 1e-12).all()
    assert (frobenius <= 1 + 1e-12).all()
    assert np.linalg.svd(k, compute_uv=False).max() <= 1 + 1e-12


@pytest.mark.parametrize("d", [1, 2, 3])
def test_scalars_by_definition(d):
    blocks = np.random.default_rng(1).normal(size=(4, 5, d, d))
    values = np.linalg.svd(blocks, compute_uv=False)
    np.testing.assert_allclose(scalar(blocks, "nuclear"), values.sum(-1) / d, rtol=1e-10)
    np.testing.assert_allclose(scalar(blocks, "frobenius"), np.sqrt((values**2).sum(-1) / d), rtol=1e-12)
    np.testing.assert_allclose(scalar(blocks)[1, 2], np.trace(blocks[1, 2]) / d, rtol=1e-13)


def test_p3_nuclear_is_the_largest_trace_over_rotations():
    block = np.random.default_rng(2).normal(size=(3, 3))
    u, _, vt = np.linalg.svd(block)
    best = u @ vt
    assert np.trace(block @ best.T) / 3 == pytest.approx(scalar(block[None], "nuclear")[0], rel=1e-12)
    others = [np.trace(block @ rotation(3, seed)) / 3 for seed in range(200)]
    assert max(others) < scalar(block[None], "nuclear")[0]


@pytest.mark.parametrize("kind", ["trace", "nuclear", "frobenius"])
def test_invariances(kind):
    x = gradients()
    k = similarity(x, kind=kind)
    scales = np.random.default_rng(3).uniform(1e-3, 1e3, size=(6, 1, 1))
    np.testing.assert_allclose(similarity(x * scales, kind=kind), k, atol=1e-11)
    order = np.random.default_rng(4).permutation(6)
    np.testing.assert_allclose(similarity(x[order], kind=kind), k[np.ix_(order, order)], atol=1e-12)
    np.testing.assert_allclose(similarity(x @ rotation(3), kind=kind), k, atol=1e-11)  # common to all samples
    np.testing.assert_allclose(similarity(x[:, ::-1], kind=kind), k, atol=1e-12)  # order of the parameters


def test_only_nuclear_and_frobenius_ignore_a_rotation_of_one_sample():
    x = gradients()
    turned = x.copy()
    turned[0] = turned[0] @ rotation(3)
    for kind in ("nuclear", "frobenius"):
        np.testing.assert_allclose(similarity(turned, kind=kind), similarity(x, kind=kind), atol=1e-11)
    assert np.abs(similarity(turned) - similarity(x))[0, 1:].max() > 0.05


def test_one_output_is_the_cosine():
    x = gradients(d=1)[..., 0]
    cosine = 1 - squareform(pdist(x, "cosine"))
    np.testing.assert_allclose(similarity(x), cosine, atol=1e-12)


def test_the_diagonal_is_one_and_not_the_published_zero():
    # the published matrix is squareform(1 - pdist), whose diagonal is 0
    x = gradients(d=1)[..., 0]
    assert np.diag(squareform(1 - pdist(x, "cosine"))).max() == 0
    np.testing.assert_allclose(np.diag(similarity(x)), 1, atol=1e-12)


def test_zero_gradient_is_similar_to_nothing_not_even_itself():
    x = gradients()
    x[2] = 0
    for kind in ("trace", "nuclear", "frobenius"):
        k = similarity(x, kind=kind)
        assert not k[2].any()
        assert not k[:, 2].any()
        assert np.isfinite(k).all()
    one = similarity(x[..., :1])  # the published code gives NaN
    assert one[2].tolist() == [0] * 6


def test_rank_deficient_kernel_is_inverted_on_its_range():
    x = gradients()
    x[1, :, 2] = x[1, :, 0] - 2 * x[1, :, 1]  # rank 2 of 3
    x[4, :, 1:] = 0  # dead outputs: rank 1
    k = normalise(kernel_matrix(x), own(x), own(x))
    np.testing.assert_allclose(scalar(k).diagonal(), [1, 2 / 3, 1, 1, 1 / 3, 1], atol=1e-10)
    np.testing.assert_allclose(k[1, 1] @ k[1, 1], k[1, 1], atol=1e-10)  # a projection
    assert np.linalg.svd(k, compute_uv=False).max() <= 1 + 1e-10


def test_tiny_gradients_do_not_underflow():
    x = gradients().astype(np.float32)
    np.testing.assert_allclose(similarity(x * np.float32(1e-18)), similarity(x), atol=1e-5)


def move(model, x, direction, step):
    """Change of the outputs at other inputs after one step of all parameters along a direction."""
    parameters = dict(model.named_parameters())
    moved, start = {}, 0
    for name, value in parameters.items():
        part = direction[start : start + value.numel()].view_as(value)
        moved[name], start = value.detach() + step * part, start + value.numel()
    return (functional_call(model, moved, (x,)) - model(x)).detach()


@pytest.mark.parametrize("outputs", [1, 3])
def test_p1_p2_influence_of_a_step(outputs):
    model, x = networks.build("mlp", n=4)
    gradient = per_sample_gradients(model, x, lambda z: z[:, :outputs])
    k = kernel_matrix(gradient)
    wanted = torch.tensor([0.7, -0.4, 0.2], dtype=torch.float64)[:outputs]
    # the smallest step of the parameters that moves f(x_0) by `wanted`, to first order
    direction = gradient[0] @ torch.linalg.solve(k[0, 0], wanted)
    errors = []
    for step in (1e-2, 1e-3):
        change = move(model, x, direction, step)[:, :outputs]
        predicted = step * torch.stack([k[i, 0] @ torch.linalg.solve(k[0, 0], wanted) for i in range(4)])
        torch.testing.assert_close(predicted[0], step * wanted)
        errors.append(float((change - predicted).norm()))
    assert errors[1] < errors[0] / 50  # of second order in the step
    assert errors[1] < 1e-5


def test_p4_equal_gradients_need_equal_inputs():
    # the last bias has gradient 1 for every input: collinear gradients of one output are then equal
    model, x = networks.build("mlp", n=30)
    k = similarity(per_sample_gradients(model, x, "sum"))
    assert (k - torch.eye(30)).max() < 1 - 1e-6


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: kernel_matrix(x, x[:, :-1]), ShapeError, r"different shapes .p, d.: \(9, 3\) and \(8, 3\)"),
        (lambda x: kernel_matrix(x[0, 0]), ShapeError, r"X: expected shape \(n, p, d\)"),
        (lambda x: similarity(x * np.nan), NetalikeError, r"X: the entry \(0, 0, 0\) is nan"),
        (lambda x: scalar(kernel_matrix(x), "frobenious"), UnknownNameError, "Did you mean 'frobenius'"),
        (lambda x: scalar(x), ShapeError, r"blocks \(..., d, d\)"),
        (lambda x: inverse_roots(x), ShapeError, r"K_ii: expected shape \(n, d, d\)"),
        (lambda x: normalise(kernel_matrix(x), own(x)[:2], own(x)), ShapeError, r"K_aa of shape \(6, 3, 3\)"),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(gradients())
