"""Procrustes, canonical correlations, linear regression and RSA against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, rankdata, spearmanr

from netalike import measures
from netalike.errors import ShapeError
from netalike.measures import UndefinedMeasureError
from netalike.measures.procrustes import gram_factor
from netalike.measures.rsa import average_ranks, dissimilarities


def case(seed: int, n: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * np.linspace(0.3, 2, p) + rng.normal(size=p)
    y = np.tanh(x @ rng.normal(size=(p, q)) / np.sqrt(p)) + 0.4 * rng.normal(size=(n, q)) + 5
    return x, y


def centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(0)


def call(name: str, x: np.ndarray, y: np.ndarray) -> float:
    return measures.measure(name)(x, y)


# ---- Procrustes -----------------------------------------------------------------------------------------------------


def explicit_procrustes(x: np.ndarray, y: np.ndarray) -> float:
    """The p x q matrix itself, as simtorch has it."""
    a, b = (centred(part) / np.linalg.norm(centred(part)) for part in (x, y))
    return 1 - np.linalg.norm(a.T @ b, "nuc")


def root(x: np.ndarray) -> np.ndarray:
    """The symmetric square root of the normalised, centred Gram matrix."""
    values, vectors = np.linalg.eigh(centred(x) @ centred(x).T / np.linalg.norm(centred(x)) ** 2)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


@pytest.mark.parametrize(("n", "p", "q"), [(30, 5, 8), (12, 40, 60), (20, 6, 70), (20, 70, 6), (20, 20, 20)])
def test_procrustes_is_the_nuclear_norm_at_any_width(n, p, q):
    x, y = case(0, n, p, q)
    expected = explicit_procrustes(x, y)
    assert call("procrustes", x, y) == pytest.approx(expected, abs=1e-9)
    assert 1 - np.linalg.norm(root(x) @ root(y), "nuc") == pytest.approx(expected, abs=1e-6)
    assert 0.01 < expected < 0.99


def test_procrustes_does_not_depend_on_which_form_is_used():
    x, y = case(1, 20, 6, 8)
    wide = [np.pad(part, ((0, 0), (0, 50))) for part in (x, y)]  # dead units: now wider than n
    assert call("procrustes", *wide) == pytest.approx(call("procrustes", x, y), abs=1e-9)


def test_the_factor_of_a_gram_matrix():
    x = torch.from_numpy(centred(case(2, 15, 4, 3)[0]))
    factor = gram_factor(x @ x.T)
    assert factor.shape == (15, 4)
    torch.testing.assert_close(factor @ factor.T, x @ x.T)


# ---- canonical correlations -----------------------------------------------------------------------------------------


def canonical_correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """From the generalised eigenvalue problem of the covariances, not from bases."""
    a, b = centred(x), centred(y)
    cross = a.T @ b
    product = np.linalg.solve(a.T @ a, cross) @ np.linalg.solve(b.T @ b, cross.T)
    squares = np.sort(np.linalg.eigvals(product).real)[::-1][: min(x.shape[1], y.shape[1])]
    return np.sqrt(squares.clip(0, 1))


@pytest.mark.parametrize(("p", "q"), [(4, 7), (7, 4), (5, 5), (1, 6)])
def test_cca_is_the_mean_squared_canonical_correlation(p, q):
    x, y = case(3, 60, p, q)
    expected = float((canonical_correlations(x, y) ** 2).mean())
    assert call("cca", x, y) == pytest.approx(expected, abs=1e-9)
    basis_x, basis_y = (np.linalg.qr(centred(part))[0] for part in (x, y))
    assert np.linalg.norm(basis_y.T @ basis_x) ** 2 / min(p, q) == pytest.approx(expected, abs=1e-9)


def test_the_canonical_correlations_are_those_of_scikit_learn():
    from sklearn.cross_decomposition import CCA

    x, y = case(4, 80, 3, 4)
    variables = CCA(n_components=3, max_iter=5000, tol=1e-12).fit_transform(x, y)
    found = [pearsonr(a, b)[0] for a, b in zip(variables[0].T, variables[1].T, strict=True)]
    assert call("cca", x, y) == pytest.approx(np.mean(np.square(found)), abs=1e-6)


def test_dead_and_doubled_units_do_not_count_as_directions():
    x, y = case(5, 60, 4, 6)
    more = np.column_stack([x, np.full(60, 2.5), x[:, 0] * 3])
    for name in ("cca", "svcca", "linear_regression"):
        expected = call(name, x if name == "cca" else more, y)
        assert call(name, more, y) == pytest.approx(expected, abs=1e-9)
    assert call("cca", more, y) == pytest.approx(float((canonical_correlations(x, y) ** 2).mean()), abs=1e-9)
    assert call("linear_regression", y, more) == pytest.approx(call("linear_regression", y, x), abs=1e-9)


@pytest.mark.parametrize(("p", "q"), [(12, 20), (50, 90)])
def test_svcca_keeps_99_percent_of_the_variance(p, q):
    rng = np.random.default_rng(6)
    latent = rng.normal(size=(60, 5))
    x, y = (latent @ rng.normal(size=(5, width)) + 0.3 * rng.normal(size=(60, width)) for width in (p, q))

    def main_directions(part: np.ndarray) -> np.ndarray:
        left, values, _ = np.linalg.svd(centred(part), full_matrices=False)
        kept = int(np.argmax(np.cumsum(values**2) / (values**2).sum() >= 0.99)) + 1
        assert 5 <= kept < min(part.shape[1], 60)
        return left[:, :kept]

    expected = np.linalg.svd(main_directions(x).T @ main_directions(y), compute_uv=False).mean()
    assert call("svcca", x, y) == pytest.approx(expected, abs=1e-9)


def test_svcca_does_not_see_a_direction_below_one_percent():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(60, 4))
    other = rng.normal(size=(60, 4))
    faint = [np.column_stack([x, 0.02 * part]) for part in (rng.normal(size=(60, 1)), other[:, :1])]
    assert call("svcca", *faint) == pytest.approx(1.0, abs=1e-3)
    assert call("cca", *faint) < 0.9


@pytest.mark.parametrize(("p", "q"), [(4, 7), (7, 4)])
def test_pwcca_by_hand(p, q):
    x, y = case(8, 60, p, q)
    a = centred(x)
    bases = [np.linalg.qr(centred(part))[0] for part in (x, y)]
    left, correlations, _ = np.linalg.svd(bases[0].T @ bases[1], full_matrices=False)
    total, weighted = 0.0, 0.0
    for i, correlation in enumerate(correlations):
        variable = bases[0] @ left[:, i]
        weight = sum(abs(float(variable @ a[:, unit])) for unit in range(p))
        total, weighted = total + weight, weighted + weight * correlation
    assert call("pwcca", x, y) == pytest.approx(weighted / total, abs=1e-9)
    assert abs(call("pwcca", x, y) - correlations.mean()) > 1e-4


def test_linear_regression_is_the_share_of_variance_that_a_fit_explains():
    x, y = case(9, 60, 5, 8)
    design = np.column_stack([np.ones(60), y])
    errors = x - design @ np.linalg.lstsq(design, x, rcond=None)[0]
    expected = 1 - (errors**2).sum() / (centred(x) ** 2).sum()
    assert call("linear_regression", x, y) == pytest.approx(expected, abs=1e-9)
    # what the second explains of the first: all, if the first is a linear function of it
    assert call("linear_regression", y[:, :2] @ np.ones((2, 3)), y) == pytest.approx(1.0, abs=1e-9)


# ---- RSA ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p", "q"), [(4, 3, 2), (25, 3, 60)])
def test_rsa_is_the_correlation_of_the_distances(n, p, q):
    x, y = case(10, n, p, q)
    first, second = pdist(x, "sqeuclidean"), pdist(y, "sqeuclidean")
    assert call("rsa/pearson", x, y) == pytest.approx(pearsonr(first, second)[0], abs=1e-9)
    assert call("rsa/spearman", x, y) == pytest.approx(spearmanr(first, second)[0], abs=1e-9)


def test_spearman_shares_the_ranks_of_ties():
    rng = np.random.default_rng(11)
    x, y = rng.integers(0, 3, size=(20, 3)).astype(float), rng.integers(0, 2, size=(20, 6)).astype(float)
    first, second = pdist(x, "sqeuclidean"), pdist(y, "sqeuclidean")
    assert len(set(first)) < 20
    assert call("rsa", x, y) == pytest.approx(spearmanr(first, second)[0], abs=1e-9)
    # a rotation leaves the distances, but not their last bits: ties must stay ties
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert call("rsa", x @ rotation, y) == pytest.approx(spearmanr(first, second)[0], abs=1e-9)


def test_distances_and_ranks():
    x, _ = case(12, 9, 4, 3)
    distances = dissimilarities(torch.from_numpy(x + 1e4))
    np.testing.assert_allclose(distances.numpy(), pdist(x, "sqeuclidean"), rtol=1e-7)
    values = [3.0, 1.0, 3.0, 2.0, 3.0, -5.0]
    assert average_ranks(torch.tensor(values)).tolist() == rankdata(values).tolist() == [5, 2, 5, 3, 5, 1]


def test_rsa_where_there_is_nothing_to_correlate():
    x, _ = case(13, 6, 4, 3)
    with pytest.raises(ShapeError, match="RSA needs at least 4 samples, got 3"):
        call("rsa", x[:3], x[:3])
    with pytest.raises(UndefinedMeasureError, match="zero variance over the pairs of samples"):
        call("rsa", x, np.eye(6))  # all samples equally far from each other
