"""The toy problem: counts against a loop of backward passes, conventions, correlations, slopes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from netalike.configuration.toy_study import ToyStudy
from netalike.evidence.measurements import condition, table
from netalike.experiments.toy import SOFT, Counts, counted, kernel_of, places, spearman, toy_rows
from netalike.training.toy import ToySettings, toy_runs, train_toys

SETTINGS = ToySettings(epochs=20, batch_size=16, lr=1e-3)


@pytest.fixture(scope="module")
def trained():
    return [train_toys(toy_runs(n, [1, 4], [0, 1, 2], data_seed=5), SETTINGS) for n in (32, 64)]


@pytest.fixture(scope="module")
def rows(trained):
    return table(toy_rows(trained, "toy_test", bins=8), paper="input_similarity", dataset="toy-uniform")


def gradients_by_hand(network: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """As published: one backward pass for each sample."""
    network, found = network.double(), []
    for sample in torch.from_numpy(x):
        network.zero_grad()
        network(sample[None])[0, 0].backward()
        found.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]).numpy())
    return np.array(found)


def chosen(rows, quantity, estimator, **factors):
    kept = (rows["quantity"] == quantity) & (rows["estimator"] == estimator)
    if factors:
        kept &= rows["condition"] == condition(**factors)
    return rows[kept]


def test_counts_are_those_of_a_loop_of_backward_passes(trained):
    gradients = gradients_by_hand(trained[0].network(4), trained[0].runs[4].data.x)
    unit = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    cosine = unit @ unit.T
    [found] = [one for one in counted(trained[0]) if one.name == "toy-f4-n32-s1"]
    assert found.of[SOFT, "", ""] == pytest.approx(cosine.sum(1), rel=1e-9)
    assert found.of["soft_count_unnormalised", "", ""] == pytest.approx((gradients @ gradients.T).sum(1), rel=1e-9)
    for m in (2, 3, 4):
        wanted = (np.clip(cosine, 0, None) ** m).sum(1)
        assert found.of["less_soft_count", "exponent", f"{m}"] == pytest.approx(wanted, rel=1e-9)
    assert found.of["hard_count", "threshold", "0.9"].tolist() == (cosine > 0.9).sum(1).tolist()


def test_the_kernel_is_in_blocks_what_it_is_in_one(trained, monkeypatch):
    whole = kernel_of(trained[0].network(0), trained[0].runs[0].data)
    monkeypatch.setattr("netalike.experiments.toy._BLOCK", 5)
    parts = kernel_of(trained[0].network(0), trained[0].runs[0].data)
    assert parts.raw == pytest.approx(whole.raw, rel=1e-12)
    assert whole.similarity.diagonal() == pytest.approx(np.ones(32))


def test_a1_every_count_includes_the_sample_itself_and_the_published_ones_say_so(rows):
    for quantity, factors, without in (
        (SOFT, {}, 0),
        ("less_soft_count", {"exponent": "3"}, 1),
        ("hard_count", {"threshold": "0.99"}, 1),
    ):
        one, other = (
            chosen(rows, quantity, estimator, frequency="4", n=64, **factors)["value"].item()
            for estimator in ("corrected_median", "published_median")
        )
        assert one - other == pytest.approx(without, abs=1e-12)
        assert one >= 1


def test_a3_every_measure_of_the_figures_is_there_and_16_is_a_frequency(rows):
    own = rows[(rows["network_a"] == "toy-f1-n32-s0") & (rows["estimator"] == "corrected")]
    assert own["quantity"].value_counts().to_dict() == {
        "hard_count": 9,
        "less_soft_count": 3,
        SOFT: 1,
        "soft_count_unnormalised": 1,
    }
    assert ToyStudy().frequencies == (1, 2, 4, 8, 16)


def test_a11_the_median_over_runs_comes_before_the_mean_over_samples(trained, rows):
    of_runs = np.stack([one.of[SOFT, "", ""] for one in counted(trained[1])[3:]])
    found = chosen(rows, SOFT, "corrected_median", frequency="4", n=64)["value"].item()
    assert found == pytest.approx(np.median(of_runs, axis=0).mean())
    assert found != pytest.approx(np.median(of_runs.mean(axis=1)), rel=1e-9)
    means = chosen(rows, SOFT, "corrected", frequency="4", n=64).sort_values("seed")["value"]
    assert means.tolist() == pytest.approx(of_runs.mean(axis=1).tolist())


def test_bins_add_up_to_the_mean_of_all_samples(trained, rows):
    bins = rows[(rows["quantity"] == SOFT) & (rows["estimator"] == "by_position") & (rows["network_a"] == "toy-f1-n64")]
    alpha = trained[1].runs[0].data.alpha
    sizes = [inside.sum() for _, inside in places(alpha, 8)]
    assert sum(sizes) == 64
    whole = chosen(rows, SOFT, "corrected_median", frequency="1", n=64)["value"].item()
    assert np.average(bins["value"], weights=sizes) == pytest.approx(whole)
    assert (bins["low"] <= bins["value"]).all()
    assert (bins["value"] <= bins["high"]).all()


def test_there_is_at_most_one_bin_for_two_samples():
    alpha = np.linspace(0, 0.999, 10)
    assert [where["bin"] for where, _ in places(alpha, 256)] == ["000", "001", "002", "003", "004"]
    assert [where["alpha"] for where, _ in places(alpha, 2)] == ["0.25000", "0.75000"]


def test_rank_correlations_are_those_of_scipy(trained, rows):
    one = counted(trained[1])[3]
    wanted = spearmanr(one.of[SOFT, "", ""], one.data.curvature).statistic
    told = {"frequency": "4", "n": 64, "measure": SOFT, "scope": "within"}
    own = chosen(rows, "rank_correlation_with_curvature", "spearman", **told)
    assert own[own["seed"] == 0]["value"].item() == pytest.approx(wanted)
    assert spearman([1, 2, 2, 5], [4, 3, 3, 1]) == pytest.approx(-1)
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))


def test_correlations_over_frequencies_are_signs_where_there_are_two(rows):
    found = chosen(rows, "rank_correlation_with_frequency", "spearman", measure=SOFT, n=64)
    means = chosen(rows, SOFT, "corrected", frequency="4", n=64)["value"].to_numpy()
    at_one = chosen(rows, SOFT, "corrected", frequency="1", n=64)["value"].to_numpy()
    assert found["value"].tolist() == pytest.approx(np.sign(means - at_one).tolist())
    assert found["network_a"].tolist() == [f"toy-n64-s{seed}" for seed in range(3)]


def test_the_exponent_is_the_slope_between_two_sizes(rows):
    found = chosen(rows, "count_exponent", "log_slope", frequency="1", measure="hard_count_0.5")
    counts = [
        chosen(rows, "hard_count", "corrected", frequency="1", n=n, threshold="0.5")["value"].to_numpy()
        for n in (32, 64)
    ]
    assert found["value"].tolist() == pytest.approx(np.log2(counts[1] / counts[0]).tolist())


def test_a10_a_diverged_run_is_missing_with_the_reason_and_left_out_of_medians(trained):
    runs = [*toy_runs(32, [1], [0, 1]), *toy_runs(32, [1], [2], noise=1e39)]
    broken = train_toys(runs, ToySettings(epochs=1, batch_size=16, loss="l2"))
    found = table(toy_rows([broken], "toy_test"), paper="input_similarity", dataset="toy-uniform")
    missing = found[found["network_a"] == "toy-f1-n32-s2"]
    assert set(missing["status"]) == {"undefined: the training diverged"}
    reasons = set(found[found["network_a"] != "toy-f1-n32-s2"]["status"])
    assert reasons == {"ok", "undefined: a count is the same for all samples"}
    assert {SOFT, "train_loss", "prediction_error"} <= set(missing["quantity"])
    assert len(chosen(found, SOFT, "corrected_median")) == 1


def test_losses_and_errors_are_in_the_table(trained, rows):
    own = rows[rows["network_a"] == "toy-f4-n64-s2"].set_index("quantity")["value"]
    history = trained[1].history
    assert own["train_loss"] == pytest.approx(history.train_loss[-1][5])
    assert own["loss_ratio"] == pytest.approx(own["validation_loss"] / own["train_loss"])
    # l1 on clean labels: the loss is the error
    assert own["prediction_error"] == pytest.approx(own["train_loss"], rel=1e-5)
    assert set(rows.loc[rows["quantity"] == "train_loss", "step"]) == {40, 80}


def test_the_same_networks_give_the_same_rows(trained):
    assert toy_rows(trained[:1], "toy_test") == toy_rows(trained[:1], "toy_test")
    assert isinstance(counted(trained[0])[0], Counts)
