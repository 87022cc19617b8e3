"""Identities of gradients: each holds on networks as they are, and fails where what it checks is broken."""

import numpy as np
import pytest

from netalike.evidence.measurements import parse_condition, table
from netalike.experiments import gradient_identities as experiment
from netalike.gradients.denoising import denoising
from netalike.plots.gradient_identities import gradient_identities

EXACT = ("own_kernel", "order_of_scalars", "rotation", "layer_products", "fast_count", "denoising_trace")


@pytest.fixture(scope="module")
def rows():
    found = experiment.gradient_identity_rows("gradient_identities_test", range(2))
    return table(found, paper="input_similarity", dataset="gaussian")


@pytest.fixture(scope="module")
def largest(rows):
    differences = rows[rows["quantity"] == "largest_difference"]
    return differences.groupby(differences["condition"].map(lambda text: parse_condition(text)["identity"]))["value"]


@pytest.mark.parametrize("identity", [*EXACT, "equal_neighbours"])
def test_identities_hold_to_rounding_in_double_precision(largest, identity):
    assert largest.max()[identity] < 1e-12


@pytest.mark.parametrize("identity", ["layer_products_float32", "stores"])
def test_identities_hold_to_rounding_in_single_precision(largest, identity):
    assert 0 < largest.max()[identity] < 1e-5


@pytest.mark.parametrize("identity", ["step_influence", "step_influence_outputs"])
def test_p1_p2_a_step_does_what_the_kernel_says(largest, identity):
    assert largest.max()[identity] < 1e-7


def test_p1_what_is_left_falls_with_the_square_of_the_step(monkeypatch):
    example = experiment.examples(0)[0]
    monkeypatch.setattr(experiment, "_STEP", 1e-2)
    coarse = experiment.step_influence(example)
    monkeypatch.setattr(experiment, "_STEP", 1e-3)
    assert coarse / experiment.step_influence(example) == pytest.approx(100, rel=0.05)


def test_p16_averages_of_predictions_and_labels_agree_in_a_stationary_point(rows, largest):
    assert largest.max()["stationary_point"] < 1e-7
    assert rows.loc[rows["quantity"] == "relative_gradient_norm", "value"].max() < 1e-7


def test_p16_the_identity_needs_a_stationary_point(monkeypatch):
    example = experiment.examples(0)[0]

    def not_trained(errors_of, start, *_, **__):
        return type("Found", (), {"x": start})

    monkeypatch.setattr(experiment, "least_squares", not_trained)
    residual, gradient = experiment.stationary_point(example)
    assert residual > 0.05
    assert gradient > 0.001


def test_a1_the_published_fast_count_has_the_sample_itself_and_the_matrix_has_not(rows):
    terms = rows.loc[rows["quantity"] == "self_term", "value"]
    assert len(terms) == 2 * 24
    assert terms.to_numpy() == pytest.approx(1, abs=1e-12)


def test_b9_the_corrected_matrix_is_the_covariance_and_the_published_one_is_not(rows):
    errors = rows[rows["quantity"] == "denoising_matrix_error"].groupby("estimator")["value"]
    assert errors.max()["corrected"] < 1e-12
    assert errors.min()["published"] > 1e-5


def test_b9_the_covariance_is_that_of_drawn_noise():
    random = np.random.default_rng(0)
    found = denoising(random.standard_normal((1, 4, 3, 3)) + np.eye(3))  # far from symmetric
    noise = random.standard_normal((100_000, 12))
    averaged = noise @ found.weights[0].reshape(12, 3)
    covariance = averaged.T @ averaged / len(noise)
    scale = np.linalg.norm(covariance)
    assert np.linalg.norm(found.matrix[0] - covariance) / scale < 0.02
    assert np.linalg.norm(found.matrix_published[0] - covariance) / scale > 0.05


def test_the_same_call_gives_the_same_bits(rows):
    again = table(experiment.gradient_identity_rows("gradient_identities_test", range(1)))
    first = rows[rows["seed"] == 0]
    assert again["value"].to_numpy().tobytes() == first["value"].to_numpy().tobytes()


def test_the_figure_names_every_identity(rows):
    (ax,) = gradient_identities(rows).axes
    assert len(ax.get_yticklabels()) == 12
    assert ax.get_xlabel().startswith("largest absolute difference")
