"""Deconfounded CKA: a regression spelled out, its closed form, and where nothing is left to compare."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netalike.errors import ShapeError, UnknownNameError
from netalike.measures import PairwiseCKA, UndefinedMeasureError, cka, deconfounded_cka, explained_by_inputs
from netalike.measures.gram import centred_gram
from netalike.measures.streaming import project_psd


def case(seed: int, n: int = 20, widths: tuple[int, int, int] = (7, 30, 12)) -> tuple[np.ndarray, ...]:
    """A layer, another layer, and the inputs that confound them."""
    rng = np.random.default_rng(seed)
    p, q, d = widths
    inputs = rng.normal(size=(n, d)) * np.linspace(0.2, 3, d)
    x = np.tanh(inputs @ rng.normal(size=(d, p))) + 0.3 * rng.normal(size=(n, p))
    y = np.maximum(inputs @ rng.normal(size=(d, q)), 0) + 0.5 * rng.normal(size=(n, q))
    return x, y, inputs


def centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(0)


def gram(x: np.ndarray) -> np.ndarray:
    """As simtorch: centred, of Frobenius norm one features."""
    c = centred(x) / np.linalg.norm(centred(x))
    return c @ c.T


def residual(k: np.ndarray, k0: np.ndarray) -> np.ndarray:
    """Of the ordinary least squares regression of vec(K) on vec(K0) and an intercept."""
    design = np.column_stack([np.ones(k0.size), k0.ravel()])
    coefficients = np.linalg.lstsq(design, k.ravel(), rcond=None)[0]
    return (k.ravel() - design @ coefficients).reshape(k.shape)


def projected(r: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh((r + r.T) / 2)
    return (vectors * np.where(values > 0, values, 0)) @ vectors.T


def hsic(k: np.ndarray, l: np.ndarray) -> float:
    h = np.eye(len(k)) - 1 / len(k)
    return float(((h @ k @ h) * (h @ l @ h)).sum())


def naive(x: np.ndarray, y: np.ndarray, inputs: np.ndarray, psd: bool) -> float:
    residuals = [residual(gram(part), gram(inputs)) for part in (x, y)]
    a, b = (projected(r) for r in residuals) if psd else residuals
    return hsic(a, b) / math.sqrt(hsic(a, a) * hsic(b, b))


def update(estimators: list[str], *representations: np.ndarray, inputs: np.ndarray) -> PairwiseCKA:
    pairwise = PairwiseCKA(estimators)
    tensors = [torch.from_numpy(part) for part in representations]
    pairwise.update(torch.stack([centred_gram(part) for part in tensors]), centred_gram(torch.from_numpy(inputs)))
    return pairwise


@pytest.mark.parametrize("psd", [False, True])
@given(seed=st.integers(0, 10_000), n=st.integers(5, 25))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_agrees_with_the_regression_spelled_out(psd, seed, n):
    x, y, inputs = case(seed, n)
    assert deconfounded_cka(x, y, inputs, psd=psd) == pytest.approx(naive(x, y, inputs, psd), abs=1e-9)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_is_the_partial_correlation_of_the_gram_matrices(seed):
    x, y, inputs = case(seed)
    r12, r10, r20 = (cka(a, b, "biased") for a, b in ((x, y), (x, inputs), (y, inputs)))
    expected = (r12 - r10 * r20) / math.sqrt((1 - r10**2) * (1 - r20**2))
    assert deconfounded_cka(x, y, inputs) == pytest.approx(expected, abs=1e-10)


def test_the_projection_changes_the_value_and_keeps_it_above_zero():
    found = [[deconfounded_cka(*case(seed), psd=psd) for seed in range(20)] for psd in (False, True)]
    assert min(found[0]) < 0
    assert min(found[1]) > 0
    assert max(abs(a - b) for a, b in zip(*found, strict=True)) > 0.1


def test_is_the_mean_over_batches():
    x, y, inputs = case(1, n=45)
    for psd in (False, True):
        parts = [naive(x[s], y[s], inputs[s], psd) for s in (slice(0, 20), slice(20, 40), slice(40, 45))]
        assert deconfounded_cka(x, y, inputs, psd, batch_size=20) == pytest.approx(np.mean(parts), abs=1e-9)


@pytest.mark.parametrize("psd", [False, True])
def test_a_layer_that_is_a_rotated_multiple_of_the_inputs_is_undefined(psd):
    x, _, inputs = case(0)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0]
    copy = 4.5 * inputs @ rotation + 3
    for pair in ((copy, x), (x, copy), (copy, copy)):
        with pytest.raises(UndefinedMeasureError, match="is a multiple of the inputs' Gram matrix"):
            deconfounded_cka(*pair, inputs, psd=psd)
    single = copy.astype(np.float32), x.astype(np.float32), inputs.astype(np.float32)
    with pytest.raises(UndefinedMeasureError, match="is a multiple of the inputs' Gram matrix"):
        deconfounded_cka(*single, psd=psd)


def test_different_samples_and_constant_inputs_are_refused():
    x, y, inputs = case(0)
    with pytest.raises(ShapeError, match="CKA of different samples: 20 and 20 and 19"):
        deconfounded_cka(x, y, inputs[:19])
    with pytest.raises(UndefinedMeasureError, match="the inputs are constant over the samples"):
        deconfounded_cka(x, y, np.full_like(inputs, 0.5))
    blank = inputs.copy()
    blank[10:] = 1.0
    with pytest.raises(UndefinedMeasureError, match="the inputs are constant over the samples"):
        deconfounded_cka(x, y, blank, batch_size=10)
    with pytest.raises(ShapeError, match="CKA of different samples: 20 and 19"):
        explained_by_inputs(x, inputs[:19])
    with pytest.raises(UndefinedMeasureError, match="the inputs are constant"):
        explained_by_inputs(x, np.ones_like(inputs))
    with pytest.raises(UndefinedMeasureError, match="zero variance over the samples"):
        explained_by_inputs(np.ones_like(x), inputs)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_the_share_that_the_inputs_explain(seed):
    x, y, inputs = case(seed)
    explained = update(["deconfounded"], x, y, inputs=inputs).result().explained
    assert explained is not None
    for part, found in zip((x, y), explained.tolist(), strict=True):
        k = gram(part)
        by_variance = 1 - residual(k, gram(inputs)).var(ddof=1) / k.var(ddof=1)
        assert found == pytest.approx(by_variance, abs=1e-10)
        assert found == pytest.approx(cka(part, inputs, "biased") ** 2, abs=1e-10)
        assert explained_by_inputs(part, inputs) == pytest.approx(found, abs=1e-12)


def test_the_negative_share_by_hand():
    x, y, inputs = case(3)
    found = update(["deconfounded_psd"], x, y, inputs=inputs).result().negative_share
    assert found is not None
    for part, share in zip((x, y), found.tolist(), strict=True):
        eigenvalues = np.linalg.eigvalsh(residual(gram(part), gram(inputs)))
        assert share == pytest.approx(-eigenvalues[eigenvalues < 0].sum() / abs(eigenvalues).sum(), abs=1e-9)
        assert 0 < share < 1


def test_the_negative_share_of_what_the_inputs_explain_wholly_is_undefined():
    x, _, inputs = case(0)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0]
    result = update(["deconfounded_psd"], x, 2 * inputs @ rotation + 1, inputs=inputs).result()
    assert result.negative_share is not None
    assert result.explained is not None
    assert 0 < float(result.negative_share[0]) < 1
    assert math.isnan(float(result.negative_share[1]))
    assert float(result.explained[1]) == pytest.approx(1.0, abs=1e-12)


def test_projection_on_the_cone():
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).double())[0]
    matrix = rotation @ torch.diag(torch.tensor([3.0, -1.0, 0.0]).double()) @ rotation.T
    kept = 3 * torch.outer(rotation[:, 0], rotation[:, 0])
    found, share = project_psd(torch.stack([matrix, kept, torch.full((3, 3), torch.nan).double()]))
    torch.testing.assert_close(found[:2], torch.stack([kept, kept]))
    assert share[:2].tolist() == [pytest.approx(0.25), pytest.approx(0.0, abs=1e-12)]
    assert found[2].isnan().all()
    assert share[2].isnan()


def test_one_pass_over_all_pairs_is_pair_by_pair():
    x, y, inputs = case(5, n=24)
    z = x[:, ::-1] ** 2
    names = ["published", "unbiased", "deconfounded", "deconfounded_psd"]
    values = update(names, x, y, z, inputs=inputs).result().values
    assert list(values) == names
    for i, a in enumerate((x, y, z)):
        for j, b in enumerate((x, y, z)):
            assert float(values["published"][i, j]) == pytest.approx(cka(a, b, "biased"), abs=1e-10)
            assert float(values["unbiased"][i, j]) == pytest.approx(cka(a, b), abs=1e-10)
            assert float(values["deconfounded"][i, j]) == pytest.approx(naive(a, b, inputs, False), abs=1e-9)
            assert float(values["deconfounded_psd"][i, j]) == pytest.approx(naive(a, b, inputs, True), abs=1e-9)


def test_a_constant_representation_spoils_its_own_pairs_alone():
    x, y, inputs = case(6)
    result = update(["published", "unbiased", "deconfounded"], x, np.ones_like(y), y, inputs=inputs).result()
    assert result.reasons == {1: "zero variance over the samples of batch 0"}
    for values in result.values.values():
        missing = values.isnan()
        assert missing[1].all()
        assert missing[:, 1].all()
        assert missing.sum() == 5


def test_what_the_accumulator_refuses():
    grams = torch.stack([centred_gram(torch.from_numpy(part)) for part in case(0)[:2]])
    with pytest.raises(UnknownNameError, match="'biased': expected one of published, unbiased, deconfounded"):
        PairwiseCKA(["biased"])
    with pytest.raises(UnknownNameError, match="Did you mean 'deconfounded'"):
        PairwiseCKA(["deconfunded"])
    with pytest.raises(ShapeError, match="CKA of no samples: no batch was added"):
        PairwiseCKA(["published"]).result()
    with pytest.raises(ShapeError, match=r"inputs' Gram matrix of shape \(20, 20\), got None"):
        PairwiseCKA(["deconfounded"]).update(grams)
    with pytest.raises(ShapeError, match=r"of shape \(20, 20\), got \(19, 19\)"):
        PairwiseCKA(["deconfounded"]).update(grams, torch.eye(19).double())
    with pytest.raises(ShapeError, match="at least 4 samples, got one of 3"):
        PairwiseCKA(["published"]).update(grams[:, :3, :3])
