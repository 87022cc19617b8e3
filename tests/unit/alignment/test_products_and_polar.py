"""Products from images and from cross products agree, and orthogonal factors are those of the full decomposition."""

import numpy as np
import pytest

from netalike.alignment import polar
from netalike.alignment.products import FromCrossProducts, FromImages, products


def activations(widths=(5, 7), n=40, mean=3.0, dtype=np.float64, seed=0):
    random = np.random.default_rng(seed)
    return [(random.standard_normal((n, p)) + mean * random.random(p)).astype(dtype) for p in widths]


@pytest.mark.parametrize("mean", [0.0, 3.0, 1e6])
@pytest.mark.parametrize(("dtype", "precision"), [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_both_ways_are_the_definition(mean, dtype, precision):
    X = activations(mean=mean if dtype is np.float64 else min(mean, 100.0), dtype=dtype)
    random = np.random.default_rng(1)
    weights, mix = [random.standard_normal((3, x.shape[1])) for x in X], random.standard_normal((3, 3))
    means = [x.mean(0, dtype=np.float64) for x in X]
    centred = [x - m for x, m in zip(X, means, strict=True)]
    summed = sum(w @ x.T for w, x in zip(weights, centred, strict=True))
    for way in (FromImages(X, means, 3), FromCrossProducts(X, means)):
        cross, inner = way.cross(iter(weights), mix)
        scale = np.abs(summed @ summed.T).max()
        assert inner / scale == pytest.approx(summed @ summed.T / scale, abs=precision)
        for found, x in zip(cross, centred, strict=True):
            assert found.dtype == np.float64
            assert found == pytest.approx(mix @ summed @ x, abs=1e3 * precision)
        assert way.shared() == pytest.approx(mix @ summed, abs=100 * precision)


def test_activations_are_copied_only_where_the_mean_is_large():
    X = activations(mean=3.0)
    kept, copied = (FromImages(x, [one.mean(0) for one in x], 2) for x in (X, [one + 1e4 for one in X]))
    assert all(a is b for a, b in zip(kept._X, X, strict=True))
    assert np.abs(copied._X[0].mean(0)).max() < 1e-9


def test_cross_products_are_taken_where_they_are_cheaper():
    narrow, wide = activations((8, 8), n=1000), activations((80, 80), n=100)
    means = [[x.mean(0) for x in X] for X in (narrow, wide)]
    assert isinstance(products(narrow, means[0], 8, 10), FromCrossProducts)
    assert isinstance(products(narrow, means[0], 8, 1), FromImages)
    assert isinstance(products(wide, means[1], 8, 10), FromImages)


def with_condition(number, k=6, p=9, seed=0):
    random = np.random.default_rng(seed)
    left, right = (np.linalg.qr(random.standard_normal((size, k)))[0] for size in (k, p))
    return (left * np.geomspace(1, 1 / number, k)) @ right.T, left @ right.T


@pytest.mark.parametrize(("number", "by_gram"), [(10, True), (1e3, True), (1e5, False), (1e9, False)])
def test_the_factor_is_that_of_the_singular_value_decomposition(number, by_gram):
    matrix, expected = with_condition(number)
    factor, well_conditioned = polar.polar_rows(matrix)
    assert well_conditioned == by_gram
    assert factor == pytest.approx(expected, abs=1e-8 if number < 1e9 else 1e-6)


def test_a_matrix_of_lower_rank_still_gives_orthonormal_rows():
    matrix, _ = with_condition(10)
    matrix[-1] = matrix[0]
    factor, well_conditioned = polar.polar_rows(matrix)
    assert not well_conditioned
    assert factor @ factor.T == pytest.approx(np.eye(6), abs=1e-12)


def test_an_ill_conditioned_network_is_tried_again_less_and_less(monkeypatch):
    done, tried = [], []

    def counted(matrix):
        tried.append(len(done))
        return polar.polar_rows_by_svd(matrix), None

    monkeypatch.setattr(polar, "polar_rows_and_axes", counted)
    factors = polar.PolarFactors(1)
    for _ in range(20):
        done += factors([with_condition(1e9)[0]])
    assert tried == [0, 1, 4, 11]


def test_networks_side_by_side_give_the_same_factors(monkeypatch):
    matrices = [with_condition(100, seed=seed)[0] for seed in range(5)]
    alone = polar.PolarFactors(5)
    assert alone._blas.threads >= 1
    monkeypatch.setattr(alone._blas, "threads", 1)
    together = polar.PolarFactors(5)
    monkeypatch.setattr(together._blas, "threads", 3)
    for a, b in zip(alone(matrices), together(matrices), strict=True):
        assert a == pytest.approx(b, abs=1e-14)


def settled_near(distance, number=500, k=64, seed=0):
    """A square matrix, its orthogonal factor, and what is known of a matrix at a distance from it."""
    random = np.random.default_rng(seed)
    matrix, expected = with_condition(number, k, k, seed)
    other, axes = polar.polar_rows_and_axes(matrix + distance * random.standard_normal((k, k)) / number)
    return matrix, expected, polar.Settled(axes, axes.T @ other)


@pytest.mark.parametrize("distance", [0.0, 1e-5, 1e-3])
def test_the_factor_of_a_matrix_nearby_is_turned_into_the_factor(distance):
    matrix, expected, settled = settled_near(distance)
    before = np.abs(settled.axes @ settled.turned - expected).max()
    factor, now = polar.polar_nearby(matrix, settled)
    assert np.abs(factor - expected).max() < 1e-3 * before + 1e-11
    assert factor @ factor.T == pytest.approx(np.eye(64), abs=1e-13)
    assert now.axes @ now.turned == pytest.approx(factor, abs=1e-13)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_turning_does_not_depend_on_the_scale(scale):
    matrix, expected, settled = settled_near(1e-3)
    assert polar.polar_nearby(scale * matrix, settled)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("change", [lambda m: -m, lambda m: m[::-1], lambda m: m * np.nan, lambda m: 0 * m])
def test_a_factor_that_is_not_near_is_not_turned(change):
    matrix, _, settled = settled_near(1e-3)
    assert polar.polar_nearby(change(matrix), settled) is None


def test_a_network_that_jumps_is_decomposed_again():
    factors, (first, _), (second, expected) = (
        polar.PolarFactors(1),
        with_condition(10, 6, 6),
        with_condition(9, 6, 6, 7),
    )
    factors([first])
    assert factors([second])[0] == pytest.approx(expected, abs=1e-12)


def test_square_matrices_that_change_little_are_decomposed_twice_only(monkeypatch):
    decomposed = []
    by_axes = polar.polar_rows_and_axes
    monkeypatch.setattr(polar, "polar_rows_and_axes", lambda matrix: decomposed.append(1) or by_axes(matrix))
    factors, (matrix, _) = polar.PolarFactors(1), with_condition(100, 6, 6)
    for step in range(6):
        changed = matrix + 1e-6 * step * np.eye(6)
        assert factors([changed])[0] == pytest.approx(polar.polar_rows_by_svd(changed), abs=1e-8)
    assert len(decomposed) == 2
