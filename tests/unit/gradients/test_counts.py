"""Counts of neighbours, and nearest neighbours."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from netalike.errors import NetalikeError, ShapeError
from netalike.gradients import (
    EXPONENTS,
    THRESHOLDS,
    arrays,
    counts,
    hard_counts,
    less_soft_counts,
    nearest,
    nearest_to_values,
    similarity,
    soft_counts,
)

K = np.array([[1.0, 0.9, -0.5], [0.9, 1.0, 0.2], [-0.5, 0.2, 1.0]])


def test_soft_counts_by_hand():
    np.testing.assert_allclose(soft_counts(K), [1.4, 2.1, 0.7])
    np.testing.assert_allclose(soft_counts(K, include_self=False), [0.4, 1.1, -0.3])


def test_less_soft_counts_by_hand():
    np.testing.assert_allclose(less_soft_counts(K, [2]), [[1.81, 1.85, 1.04]])
    np.testing.assert_allclose(less_soft_counts(K, [3], include_self=False), [[0.729, 0.737, 0.008]])


def test_hard_counts_are_strict():
    assert hard_counts(K, [0.9, 0.5, 0.1]).tolist() == [[1, 1, 1], [2, 2, 1], [2, 3, 2]]
    assert hard_counts(K, [0.1], include_self=False).tolist() == [[1, 2, 1]]


def test_published_exponents_and_thresholds():
    assert EXPONENTS == (2, 3, 4)
    assert THRESHOLDS == (0.5, 0.6, 0.7, 0.8, 0.9, 0.925, 0.95, 0.975, 0.99)
    assert hard_counts(K).shape == (9, 3)


def test_a1_every_count_includes_the_sample_itself_by_default():
    # published: the fast soft count includes it, the counts from the matrix do not
    alone = np.eye(4)
    assert soft_counts(alone).tolist() == [1, 1, 1, 1]
    assert less_soft_counts(alone, [2, 4]).tolist() == [[1] * 4] * 2
    assert hard_counts(alone, [0.5]).tolist() == [[1] * 4]
    for count in (soft_counts, less_soft_counts, hard_counts):
        assert not np.asarray(count(alone, include_self=False)).any()


def test_a_zero_gradient_counts_nothing():
    x = np.random.default_rng(0).normal(size=(5, 7, 2))
    x[3] = 0
    k = similarity(x)
    assert soft_counts(k)[3] == 0
    assert hard_counts(k)[:, 3].tolist() == [0] * 9
    assert less_soft_counts(k)[:, 3].tolist() == [0] * 3
    assert hard_counts(k, include_self=False)[:, 3].tolist() == [0] * 9


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_samples(n):
    # published: chunks of min(10, n // 4) samples, so an error below 4
    x = np.random.default_rng(0).normal(size=(n, 7, 2))
    k = similarity(x)
    assert soft_counts(k).shape == (n,)
    np.testing.assert_allclose(soft_counts(k), k.sum(1))
    np.testing.assert_allclose(soft_counts(k[:1, :1]), [1], atol=1e-12)


def test_nearest_leaves_the_sample_out():
    indices, values = nearest(K, 2)
    assert indices.tolist() == [[1, 2], [0, 2], [1, 0]]
    np.testing.assert_allclose(values, [[0.9, -0.5], [0.9, 0.2], [0.2, -0.5]])


def test_b13_the_source_is_its_own_neighbour_only_if_asked():
    indices, values = nearest(K, 1, include_self=True)
    assert indices.ravel().tolist() == [0, 1, 2]
    assert values.ravel().tolist() == [1, 1, 1]


def test_ties_go_to_the_smaller_index():
    indices, _ = nearest(np.full((4, 4), 0.5), 3)
    assert indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


@pytest.mark.parametrize("k", [1, 4, 29])
def test_nearest_equals_a_sort_of_everything(k, monkeypatch):
    # few different values, so that the k-th is mostly one of several equal ones
    values = np.random.default_rng(0).integers(0, 4, (30, 30)) / 4
    keys = -values
    np.fill_diagonal(keys, np.inf)
    expected = np.argsort(keys, axis=1, kind="stable")[:, :k]
    for block in (counts._BLOCK, 100):
        monkeypatch.setattr(counts, "_BLOCK", block)
        found, similarities = nearest(values, k)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(similarities, np.take_along_axis(values, expected, axis=1))


def test_no_copies_of_the_whole_matrix_are_made(monkeypatch):
    monkeypatch.setattr(counts, "_BLOCK", 20_000)
    monkeypatch.setattr(arrays, "_BLOCK", 20_000)
    matrix = np.random.default_rng(0).random((1000, 1000), dtype=np.float32)
    for count in (soft_counts, less_soft_counts, hard_counts, lambda K: nearest(K, 5)):
        tracemalloc.start()
        count(matrix)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < matrix.nbytes / 4  # one copy, even of one byte per pair, is more


def test_blocks_of_rows_count_the_same(monkeypatch):
    matrix = np.random.default_rng(0).uniform(-1, 1, (50, 50))
    whole = [f(matrix, include_self=own) for f in (less_soft_counts, hard_counts) for own in (True, False)]
    monkeypatch.setattr(counts, "_BLOCK", 120)
    parts = [f(matrix, include_self=own) for f in (less_soft_counts, hard_counts) for own in (True, False)]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_nearest_to_values():
    assert nearest_to_values(np.array([5.0, 1.0, 3.0, 3.0]), [2.9, 0, 100, 4]).tolist() == [2, 1, 0, 0]


def test_tensors_give_tensors():
    k = torch.from_numpy(K)
    assert torch.equal(hard_counts(k, [0.5]), torch.tensor([[2, 2, 1]]))
    assert soft_counts(k.float()).dtype == torch.float32
    assert isinstance(nearest(k, 1)[0], torch.Tensor)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: soft_counts(K[:2]), ShapeError, r"\(n, n\) is needed, got \(2, 3\)"),
        (lambda: hard_counts(np.zeros((2, 2, 1, 1))), ShapeError, "`scalar` reduces a matrix kernel"),
        (lambda: less_soft_counts(K, [0.0]), NetalikeError, "exponents above 0, got 0.0"),
        (lambda: nearest(K, 3), NetalikeError, "3 nearest neighbours of 2 candidates: choose a k from 1 to 2"),
        (lambda: nearest(K, 0), NetalikeError, "choose a k from 1 to 2"),
        (lambda: soft_counts(K * np.inf), NetalikeError, r"the entry \(0, 0\) is inf"),
        (lambda: nearest_to_values(K, [0]), ShapeError, r"values: expected shape \(n\)"),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
