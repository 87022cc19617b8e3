"""The simulation of shared responses: rotations, what is recovered, both modes, and independence of the repeats."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, pearsonr

from netalike.errors import NetalikeError, UnknownNameError
from netalike.evidence.measurements import condition, table
from netalike.experiments.simulation import (
    TRANSFORMS,
    SimulationStudy,
    recovered_errors,
    rotation,
    simulate,
)

SMALL = {"copies": 4, "units": 12, "features": 12, "epochs": 40, "n_per_cluster": 8, "independent": True}
SMALL["tutorial_epochs"] = 10


@pytest.fixture(scope="module")
def small():
    rows, pictures = simulate(SMALL, [0, 1, 2], seed=4)
    return table(rows, paper="shared_response", experiment="simulation_test"), pictures


@pytest.fixture(scope="module")
def published():
    """Two repeats of the published size."""
    rows, _ = simulate({}, [0, 1], seed=0)
    return table(rows, paper="shared_response", experiment="simulation_test")


def chosen(rows: pd.DataFrame, quantity: str, estimator: str, **factors) -> pd.DataFrame:
    own = rows[(rows["quantity"] == quantity) & (rows["estimator"] == estimator)]
    return own[own["condition"] == condition(**factors)]


# ---- rotations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_rotations_are_orthogonal_and_drawn_by_their_generator(transform):
    first, again = (rotation(transform, 20, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, again)
    assert np.abs(first @ first.T - np.eye(20)).max() < 1e-13


def test_a_permutation_only_reorders_units():
    drawn = rotation("permutation", 30, np.random.default_rng(0))
    assert set(drawn.flatten()) == {0.0, 1.0}
    activity = np.random.default_rng(1).standard_normal((5, 30))
    assert np.array_equal(np.sort(activity @ drawn.T), np.sort(activity))


def test_N4_uniform_qr_is_not_haar_and_haar_is():
    generator = np.random.default_rng(0)
    columns = {
        kind: np.stack([rotation(kind, 50, generator)[:, 0] for _ in range(400)]) for kind in ("haar", "uniform_qr")
    }
    # the first column of a uniform QR factor is about -1 / sqrt(n) in every unit, and much the same in every draw
    assert columns["uniform_qr"].mean() == pytest.approx(-1 / np.sqrt(50) * np.sqrt(0.75), rel=0.02)
    assert columns["haar"].mean() == pytest.approx(0, abs=4 / np.sqrt(50 * 400 * 50))
    assert np.mean(columns["uniform_qr"] @ columns["uniform_qr"].T) > 0.7
    assert abs(np.mean(columns["haar"] @ columns["haar"].T)) < 0.01


def test_haar_has_both_signs_on_its_diagonal_and_the_moments_of_uniform_rotations():
    generator = np.random.default_rng(1)
    drawn = np.stack([rotation("haar", 6, generator) for _ in range(4000)])
    assert drawn.mean(axis=0) == pytest.approx(np.zeros((6, 6)), abs=0.03)
    assert (drawn**2).mean(axis=0) == pytest.approx(np.full((6, 6), 1 / 6), abs=0.02)
    assert (drawn**4).mean() == pytest.approx(3 / (6 * 8), rel=0.02)
    assert np.mean(np.linalg.det(drawn) > 0) == pytest.approx(0.5, abs=0.03)


def test_an_unknown_transform_is_refused():
    with pytest.raises(UnknownNameError, match=r"transform of the copies 'har'.*Did you mean 'haar'"):
        rotation("har", 5, np.random.default_rng(0))


# ---- recovered rotations ---------------------------------------------------------------------------------------------


def test_recovered_errors_are_0_for_the_known_rotations_and_not_for_others():
    generator = np.random.default_rng(0)
    rotations = [rotation("haar", 8, generator) for _ in range(3)]
    activity = generator.standard_normal((30, 8))
    copies = [activity @ Q.T for Q in rotations]
    common = rotation("haar", 8, generator)
    exact = recovered_errors([Q @ common for Q in rotations], rotations, copies)
    assert max(exact.values()) < 1e-14
    wrong = recovered_errors([np.eye(8)] * 3, rotations, copies)
    largest = max(np.abs(np.eye(8) - rotations[i] @ rotations[j].T).max() for i, j in ((1, 0), (2, 0), (2, 1)))
    assert wrong["entries"] == pytest.approx(largest)
    left = [np.linalg.norm(copies[i] - copies[j]) / np.linalg.norm(copies[i]) for i, j in ((1, 0), (2, 0), (2, 1))]
    assert wrong["activity"] == pytest.approx(max(left))


def test_directions_without_activity_count_for_entries_alone():
    generator = np.random.default_rng(0)
    rotations = [rotation("haar", 8, generator) for _ in range(2)]
    activity = generator.standard_normal((30, 3)) @ np.eye(8)[:3]
    turned = np.eye(8)
    turned[3:, 3:] = rotation("haar", 5, generator)
    bases = [rotations[0], rotations[1] @ turned]
    found = recovered_errors(bases, rotations, [activity @ Q.T for Q in rotations])
    assert found["activity"] < 1e-14
    assert found["entries"] > 0.3


# ---- modes at the published size -------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_N1_subtracting_the_mean_recovers_the_truth_and_leaving_it_in_does_not(published, transform):
    told = {"space": "shared", "transform": transform}
    corrected = chosen(published, "rsm_correlation", "pearson", center="mean", **told)["value"]
    as_published = chosen(published, "rsm_correlation", "pearson", center="brainiak", **told)["value"]
    assert len(corrected) == len(as_published) == 2
    assert corrected.min() > 0.995
    assert as_published.max() < 0.99
    assert chosen(published, "rsm_correlation", "kendall", center="mean", **told)["value"].min() > 0.95
    uncentred = chosen(published, "rsm_correlation_uncentred_truth", "pearson", center="mean", **told)["value"]
    assert uncentred.max() < 0.96  # the truth must be of the activity that was aligned


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_N2_the_corrected_model_explains_all_and_finds_the_rotations(published, transform):
    for center, explained, error in (("mean", (0.9999, 1), 0.007), ("brainiak", (0.1, 0.8), 0.02)):
        told = {"transform": transform, "center": center}
        values = chosen(published, "variance_explained", "held_out", **told)["value"]
        assert explained[0] <= values.min() <= values.max() <= explained[1]
        assert chosen(published, "recovered_error", "activity", **told)["value"].max() < error


def test_N3_the_native_rank_correlation_is_kendall_and_the_published_one_is_pearson_again(small):
    rows, pictures = small
    for transform in TRANSFORMS:
        told = {"space": "native", "center": "none", "transform": transform}
        pearson, kendall, published = (
            chosen(rows, "rsm_correlation", estimator, **told)["value"].to_numpy()
            for estimator in ("pearson", "kendall", "kendall_as_published")
        )
        assert np.array_equal(published, pearson)
        assert (np.abs(kendall - pearson) > 1e-3).all()
        found, truth = (pictures[f"{transform}.none.{space}"].flatten() for space in ("native", "truth"))
        assert pearson[0] == pytest.approx(pearsonr(found, truth).statistic, abs=1e-5)
        assert kendall[0] == pytest.approx(kendalltau(found, truth).statistic, abs=1e-3)
        shared = {**told, "space": "shared", "center": "brainiak"}
        one, other = (
            chosen(rows, "rsm_correlation", estimator, **shared)["value"].to_numpy()
            for estimator in ("kendall", "kendall_as_published")
        )
        assert np.array_equal(one, other)


def test_N8_the_tutorial_is_there_with_its_own_standardisation_and_as_published(small):
    rows, pictures = small
    told = {"variant": "independent", "space": "shared", "center": "brainiak"}
    own, crossed = (
        chosen(rows, "rsm_correlation", "pearson", z_score=z_score, **told)["value"].to_numpy()
        for z_score in ("own", "published")
    )
    assert len(own) == len(crossed) == 3
    assert (own != crossed).all()
    found, truth = (pictures[f"independent.{key}"].flatten() for key in ("published.shared", "none.truth"))
    assert crossed[0] == pytest.approx(pearsonr(found, truth).statistic, abs=1e-5)
    assert "kendall_as_published" not in set(rows[rows["condition"].str.contains("variant")]["estimator"])


# ---- rows and pictures -----------------------------------------------------------------------------------------------


def test_a_repeat_does_not_depend_on_the_others_bit_for_bit(small):
    rows, pictures = small
    alone, own = simulate(SMALL, [1], seed=4)
    again = table(alone, paper="shared_response", experiment="simulation_test")
    wanted = rows[rows["seed"] == 1]
    order = ["network_a", "split", "quantity", "estimator", "condition"]
    one, other = (frame.sort_values(order).reset_index(drop=True) for frame in (again, wanted))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    _, reordered = simulate(SMALL, [1, 2], seed=4)
    assert set(own) == set(pictures) == set(reordered)
    for key, matrix in own.items():
        assert np.array_equal(matrix, reordered[key])


def test_seeds_and_repeats_differ(small):
    _, pictures = small
    for study_seed, repeat in ((4, 1), (5, 0)):
        _, others = simulate(SMALL, [repeat], seed=study_seed)
        for transform in (*TRANSFORMS, "independent"):
            key = f"{transform}.none.truth"
            assert np.abs(pictures[key] - others[key]).max() > 0.01


def test_every_row_says_what_it_is_of(small):
    rows, _ = small
    assert set(rows["status"]) == {"ok"}
    assert set(rows["n_samples"]) == {32}
    of_copies = rows[rows["dataset"] == "xor"]
    assert set(of_copies["network_a"]) == {f"xor-s{i}" for i in range(3)}
    assert set(of_copies["step"]) == {40}
    tutorial = rows[rows["dataset"] == "xor-tutorial"]
    assert set(tutorial[tutorial["quantity"] == "accuracy"]["network_a"]) == {
        f"xor-tutorial-s{i}-{j}" for i in range(3) for j in range(2)
    }
    assert tutorial["condition"].str.contains("variant=independent").all()
    keys = ["network_a", "split", "quantity", "estimator", "condition"]
    assert not rows.duplicated(keys).any()
    counts = rows[rows["seed"] == 0].groupby(["dataset", "quantity"]).size().to_dict()
    assert counts == {
        ("xor", "accuracy"): 2,
        ("xor", "recovered_error"): 12,
        ("xor", "rsm_correlation"): 30,
        ("xor", "rsm_correlation_uncentred_truth"): 6,
        ("xor", "variance_explained"): 6,
        ("xor-tutorial", "accuracy"): 4,
        ("xor-tutorial", "rsm_correlation"): 10,
        ("xor-tutorial", "rsm_correlation_uncentred_truth"): 2,
        ("xor-tutorial", "variance_explained"): 2,
    }


def test_pictures_are_the_matrices_of_the_first_repeat(small):
    _, pictures = small
    for name in (*TRANSFORMS, "independent"):
        for key in ("none.native", "none.truth", "brainiak.shared", "mean.native", "mean.truth", "mean.shared"):
            assert pictures[f"{name}.{key}"].shape == (32, 32)
            assert pictures[f"{name}.{key}"].dtype == np.float32
        for center in ("none", "mean"):
            truth = pictures[f"{name}.{center}.truth"]
            assert truth.diagonal() == pytest.approx(np.ones(32), abs=1e-6)
            assert np.array_equal(truth, truth.T)
        assert pictures[f"{name}.labels"].tolist() == [0] * 16 + [1] * 16


def test_noise_lowers_what_is_explained():
    quiet, noisy = (
        table(simulate({**SMALL, "independent": False, "noise": noise}, [0], seed=4)[0]) for noise in (0, 0.3)
    )
    one, other = (
        chosen(rows, "variance_explained", "held_out", transform="haar", center="mean")["value"].item()
        for rows in (quiet, noisy)
    )
    assert one > 0.99
    assert other < 0.9


def test_the_defaults_are_the_published_ones_and_other_keys_are_the_workflows():
    study = SimulationStudy.of({"repeats": "0-49", "copies": 3})
    assert study == SimulationStudy(copies=3)
    assert SimulationStudy() == SimulationStudy(10, 50, 1000, 50, 50, 0.0, False, 500)


def test_bad_studies_are_refused():
    with pytest.raises(NetalikeError, match="at least 2 copies, got 1"):
        simulate({"copies": 1}, [0], 0)
    with pytest.raises(NetalikeError, match="1 to 10 features, as many as units at most; got 50"):
        simulate({"units": 10}, [0], 0)
    with pytest.raises(NetalikeError, match="0 or more; got -1"):
        simulate({"noise": -1}, [0], 0)
    with pytest.raises(NetalikeError, match="nothing to simulate"):
        simulate({}, [], 0)
