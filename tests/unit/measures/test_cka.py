"""CKA: its definition over quadruples of samples, its bias, its batches, and large means."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from netalike.errors import ShapeError, UnknownNameError
from netalike.measures import UndefinedMeasureError, cka
from netalike.measures import gram as gram_module
from netalike.measures.gram import (
    centred_gram,
    double_centre,
    flatten,
    flatten_in_memory_order,
    unit_vectors,
)
from netalike.measures.hsic import inner_products, own_products, unbiased_from_centred, unbiased_hsic
from netalike.measures.streaming import PairwiseCKA

ESTIMATORS = ("unbiased", "biased", "published")


def normal(n: int, width: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def correlated(n: int, p: int, q: int, seed: int) -> tuple[Tensor, Tensor]:
    x = normal(n, p, seed)
    return x, torch.tanh(x @ normal(p, q, seed + 1)) + 0.5 * normal(n, q, seed + 2)


def raw_gram(x: Tensor) -> Tensor:
    return x @ x.T


def hsic_over_quadruples(k: Tensor, l: Tensor) -> float:
    """The U-statistic itself: every ordered choice of four distinct samples, one by one."""
    rows_k, rows_l = k.tolist(), l.tolist()
    terms = [
        rows_k[i][j] * (rows_l[i][j] + rows_l[q][r] - 2 * rows_l[i][q])
        for i, j, q, r in itertools.permutations(range(len(k)), 4)
    ]
    return math.fsum(terms) / len(terms)


def hsic_in_feature_space(x: Tensor, y: Tensor) -> float:
    """(n - 1)^2 biased HSIC without any Gram matrix: ||Yc'Xc||_F^2."""
    return float(torch.linalg.norm((y - y.mean(0)).T @ (x - x.mean(0))) ** 2)


def biased_in_feature_space(x: Tensor, y: Tensor) -> float:
    return hsic_in_feature_space(x, y) / math.sqrt(hsic_in_feature_space(x, x) * hsic_in_feature_space(y, y))


def song_equation_5(x: Tensor, y: Tensor) -> float:
    """HSIC_1 as printed, on uncentred Gram matrices with their diagonals set to zero."""
    k, l = (g - torch.diag(g.diagonal()) for g in (raw_gram(x), raw_gram(y)))
    n, ones = len(x), torch.ones(len(x)).double()
    trace = float((k @ l).trace())
    sums = float(ones @ k @ ones) * float(ones @ l @ ones) / ((n - 1) * (n - 2))
    return (trace + sums - 2 / (n - 2) * float(ones @ k @ l @ ones)) / (n * (n - 3))


def unbiased_by_hand(batches: list[tuple[Tensor, Tensor]]) -> float:
    """Nguyen et al. 2021, eq. 3: sum each HSIC_1 over the batches, then one ratio."""
    cross, own_x, own_y = (
        sum(song_equation_5(*pair) for pair in pairs)
        for pairs in (batches, [(x, x) for x, _ in batches], [(y, y) for _, y in batches])
    )
    return cross / math.sqrt(own_x * own_y)


# ---- HSIC -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p", "q"), [(4, 3, 2), (5, 1, 9), (8, 3, 5)])
def test_unbiased_hsic_is_the_u_statistic(n, p, q):
    x, y = correlated(n, p, q, seed=n)
    found = unbiased_hsic(centred_gram(x)[None], centred_gram(y)[None]).item()
    assert found == pytest.approx(hsic_over_quadruples(raw_gram(x), raw_gram(y)), rel=1e-10, abs=1e-12)
    assert found == pytest.approx(song_equation_5(x, y), rel=1e-10, abs=1e-12)


def test_unbiased_hsic_of_stacks_is_pair_by_pair():
    stack = [normal(9, width, width) for width in (2, 3, 7)]
    grams = torch.stack([centred_gram(x) for x in stack])
    found = unbiased_hsic(grams[:2], grams)
    expected = [[song_equation_5(x, y) for y in stack] for x in stack[:2]]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_hsic_refuses_what_it_is_not_defined_for():
    grams = torch.stack([centred_gram(normal(8, 2, 0))])
    with pytest.raises(ShapeError, match=r"different samples: \(8, 8\) and \(9, 9\)"):
        inner_products(grams, centred_gram(normal(9, 2, 0))[None])
    with pytest.raises(ShapeError, match="at least 4 samples in a batch, got 3"):
        unbiased_from_centred(torch.ones(1, 1), torch.ones(1, 3), torch.ones(1, 3))


# ---- bias -----------------------------------------------------------------------------------------------------------


def independent(estimator: str, n: int, p: int, q: int, repetitions: int) -> np.ndarray:
    return np.array([cka(normal(n, p, s), normal(n, q, 1000 + s), estimator) for s in range(repetitions)])


def test_unbiased_is_zero_on_average_for_independent_representations_and_not_clamped():
    estimates = independent("unbiased", 40, 200, 300, 200)
    standard_error = estimates.std(ddof=1) / math.sqrt(len(estimates))
    assert abs(estimates.mean()) < 3 * standard_error < 0.01
    assert 60 < (estimates < 0).sum() < 140


@pytest.mark.parametrize(("n", "p", "q"), [(40, 1000, 1000), (40, 200, 300), (100, 50, 400)])
def test_biased_is_at_its_chance_level_for_independent_representations(n, p, q):
    chance = math.sqrt(p * q / ((n + p) * (n + q)))
    estimates = independent("biased", n, p, q, 8)
    assert estimates.mean() == pytest.approx(chance, abs=0.01)
    assert (n, p) != (40, 1000) or estimates.mean() == pytest.approx(0.961, abs=0.002)


def test_small_batches_bring_the_published_estimator_near_one():
    x, y = normal(160, 1000, 0), normal(160, 1000, 1)
    whole, batched = cka(x, y, "published"), cka(x, y, "published", batch_size=40)
    assert whole == pytest.approx(1000 / 1160, abs=0.01)
    assert batched == pytest.approx(0.961, abs=0.003)
    assert abs(cka(x, y, "unbiased", batch_size=40)) < 0.05


# ---- values and batches ---------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), n=st.integers(4, 30), p=st.integers(1, 40), q=st.integers(1, 40))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_biased_is_the_feature_space_form(seed, n, p, q):
    x, y = correlated(n, p, q, seed)
    expected = biased_in_feature_space(x, y)
    assert cka(x, y, "biased") == pytest.approx(expected, abs=1e-10)
    assert cka(x, y, "published") == pytest.approx(expected, abs=1e-10)


def test_published_is_the_unweighted_mean_over_batches_also_of_a_short_last_one():
    x, y = correlated(45, 6, 8, seed=1)
    parts = [slice(0, 20), slice(20, 40), slice(40, 45)]
    by_batch = [biased_in_feature_space(x[part], y[part]) for part in parts]
    found = cka(x, y, "published", batch_size=20)
    assert found == pytest.approx(sum(by_batch) / 3, abs=1e-12)
    weighted = (20 * by_batch[0] + 20 * by_batch[1] + 5 * by_batch[2]) / 45
    assert abs(found - weighted) > 0.01


def test_unbiased_sums_hsic_over_batches_before_the_ratio():
    x, y = correlated(45, 6, 8, seed=2)
    parts = [(x[part], y[part]) for part in (slice(0, 20), slice(20, 40), slice(40, 45))]
    found = cka(x, y, "unbiased", batch_size=20)
    assert found == pytest.approx(unbiased_by_hand(parts), abs=1e-12)
    mean_of_ratios = sum(unbiased_by_hand([part]) for part in parts) / 3
    assert abs(found - mean_of_ratios) > 1e-3


def test_biased_does_not_depend_on_the_batch_size():
    x, y = correlated(45, 6, 8, seed=3)
    assert cka(x, y, "biased", batch_size=20) == cka(x, y, "biased")


def test_unbiased_where_its_own_term_is_not_positive_is_undefined():
    # four samples at the corners of a regular simplex have HSIC_1 of 0 with themselves, or less
    corners = torch.eye(4).double()
    assert song_equation_5(corners, corners) <= 1e-15
    with pytest.raises(UndefinedMeasureError, match="unbiased HSIC of a representation with itself is not positive"):
        cka(corners, corners * torch.tensor([1.0, 1.0, 1.0, 1.0]))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_too_small_batches_and_unknown_estimators_are_refused(estimator):
    x, y = correlated(43, 3, 4, seed=0)
    with pytest.raises(ShapeError, match="at least 4 samples, got one of 3"):
        cka(x[:3], y[:3], estimator)
    if estimator != "biased":
        with pytest.raises(ShapeError, match="at least 4 samples, got one of 3"):
            cka(x, y, estimator, batch_size=20)
    with pytest.raises(ShapeError, match=r"CKA of different samples: 43 and 42\."):
        cka(x, y[:42], estimator)
    with pytest.raises(UnknownNameError, match=r"unknown CKA estimator 'unbiassed': .*Did you mean 'unbiased'"):
        cka(x, y, "unbiassed")


def test_a_layer_that_is_constant_in_one_batch_names_the_batch():
    x, y = correlated(40, 3, 4, seed=0)
    x[20:30] = 7.0
    with pytest.raises(UndefinedMeasureError, match="zero variance over the samples of batch 2"):
        cka(x, y, "published", batch_size=10)
    assert math.isfinite(cka(x, y, "unbiased", batch_size=10))


# ---- rounding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [1.0, 30.0, 1000.0])
def test_a_large_mean_in_float32_does_not_matter(offset):
    x, y = (part.float() for part in correlated(64, 20, 30, seed=4))
    shifted = torch.stack([centred_gram(x + offset), centred_gram(y - offset)])
    plain = torch.stack([centred_gram(x), centred_gram(y)])
    for name in ("published", "unbiased"):
        values = []
        for grams in (plain, shifted):
            pairwise = PairwiseCKA([name])
            pairwise.update(grams)
            values.append(float(pairwise.result().values[name][0, 1]))
        assert values[1] == pytest.approx(values[0], abs=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -1000.1, 1e-20])
def test_a_constant_layer_is_found_in_float32(value):
    constant = torch.full((50, 300), value)
    assert centred_gram(constant).abs().max() == 0
    per_unit = normal(1, 300, 0, torch.float32).expand(50, 300)
    assert centred_gram(per_unit).abs().max() == 0
    with pytest.raises(UndefinedMeasureError, match="zero variance"):
        cka(normal(50, 3, 0, torch.float32), constant)


def test_a_little_variance_beside_a_large_mean_is_not_constant():
    x = normal(50, 30, 0, torch.float32)
    gram = centred_gram(x * 0.1 + 100)
    assert float(gram.diagonal().sum()) == pytest.approx(0.01 * float(((x - x.mean(0)) ** 2).sum()), rel=1e-3)


# ---- Gram matrices --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 0.5, 20.0])  # on both sides of the choice of when to centre
def test_the_gram_matrix_is_that_of_the_centred_features(offset):
    x = normal(15, 40, 1) + offset
    centred = x - x.mean(0)
    found = centred_gram(x)
    torch.testing.assert_close(found, centred @ centred.T, rtol=0, atol=1e-10)
    assert found.sum(0).abs().max() < 1e-9
    assert centred_gram(x.float()).dtype == torch.float64
    torch.testing.assert_close(centred_gram(x.float(), torch.float64), centred_gram(x.float().double()))


def test_double_centring_is_h_k_h():
    k = raw_gram(normal(9, 4, 0) + 3)
    h = torch.eye(9).double() - 1 / 9
    torch.testing.assert_close(double_centre(torch.stack([k, 2 * k])), torch.stack([h @ k @ h, 2 * h @ k @ h]))


@pytest.mark.parametrize(("n", "p"), [(9, 4), (128, 2048), (131, 3000), (260, 2048)])
def test_a_product_with_the_own_transpose(n, p):
    x = normal(n, p, 0)
    found = gram_module.symmetric_product(x)
    torch.testing.assert_close(found, x @ x.T, rtol=0, atol=1e-9)


@pytest.mark.parametrize("scratch", [None, torch.full((999,), torch.nan).double()])
def test_a_product_after_centring_is_zero_where_only_rounding_is_left(scratch):
    x = normal(20, 5, 0) + 4
    centred = x - x.mean(0)
    torch.testing.assert_close(gram_module.centred_product(x, scratch), centred @ centred.T)
    assert gram_module.centred_product(torch.full((20, 5), 0.1).double(), scratch).abs().max() == 0
    assert torch.equal(x - x.mean(0), centred)  # the features stay as they are


def test_inner_products_leave_the_gram_matrices_as_they_were():
    grams = torch.stack([centred_gram(normal(9, width, width)) for width in (2, 7)])
    before = grams.clone()
    products, diagonals = own_products(grams)
    assert torch.equal(grams, before)
    torch.testing.assert_close(products, inner_products(before, before))
    torch.testing.assert_close(diagonals, before.diagonal(dim1=1, dim2=2))


def test_flattening_keeps_the_rows_and_the_set_of_units():
    maps = normal(6, 3 * 4 * 5, 0).reshape(6, 3, 4, 5)
    last = maps.to(memory_format=torch.channels_last)
    assert torch.equal(flatten(last), maps.reshape(6, 60))
    in_order = flatten_in_memory_order(last)
    assert in_order.data_ptr() == last.data_ptr()  # no copy
    assert torch.equal(in_order.sort(1).values, maps.reshape(6, 60).sort(1).values)
    torch.testing.assert_close(centred_gram(in_order), centred_gram(maps))
    with pytest.raises(ShapeError, match=r"shape \(\) has no samples"):
        flatten(torch.tensor(3.0))


def test_unit_vectors_have_norm_one_and_a_zero_matrix_none():
    grams = torch.stack([raw_gram(normal(5, 3, 0)), torch.zeros(5, 5).double()])
    units, norms = unit_vectors(grams)
    assert norms.tolist() == [pytest.approx(float(grams[0].norm())), 0.0]
    torch.testing.assert_close(units[0] * norms[0], grams[0].flatten())
    assert units[1].isnan().all()


def test_samples_that_are_equally_far_apart_have_no_unbiased_similarity():
    # every centred Gram matrix is that of a simplex: off its diagonal there is nothing that varies
    with pytest.raises(UndefinedMeasureError, match="is not positive"):
        cka(np.eye(8), np.random.default_rng(0).normal(size=(8, 3)))
