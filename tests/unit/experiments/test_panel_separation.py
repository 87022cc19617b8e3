"""Which pairs each question is about, and AUC, correlation and conformity with their intervals."""

import math
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))
from panel_tables import pairs_of, panel_of, row, rows_of

from netalike.errors import NetalikeError
from netalike.evidence.measurements import parse_condition
from netalike.experiments.panel_grid import NetworkBootstrap, pair_grid
from netalike.experiments.panel_layers import conformities, conformity
from netalike.experiments.panel_questions import QUESTIONS, facts_of
from netalike.experiments.panel_separation import Correlations, separation_rows


def answers(pairs: pd.DataFrame, panel: dict, rows: pd.DataFrame | None = None, n_boot: int = 200) -> dict:
    """Rows by question and measure."""
    networks = NetworkBootstrap(list(panel["members"]), n_boot, panel["seed"])
    layers = [] if rows is None else conformities(rows)
    found = separation_rows(pair_grid(pairs), facts_of(panel), networks, layers)
    return {(parse_condition(row["condition"])["question"], row["estimator"]): row for row in found}


def counts(row: dict) -> tuple[int, int]:
    told = parse_condition(row["condition"])
    return int(told["n_positive"]), int(told["n_negative"])


def noisy(seed: int, digits: int = 1):
    """A value for each pair, rounded so that there are ties."""
    generator = np.random.default_rng(seed)
    return lambda a, b: round(float(generator.random()) + 0.2 * (a[0] == b[0]), digits)


def test_auc_with_ties_is_that_of_scikit_learn():
    panel = panel_of("A", "B", count=4)
    pairs = pairs_of(panel, {"cka/biased": noisy(0), "procrustes/published": noisy(1)})
    found = answers(pairs, panel)
    for measure, sign in (("cka/biased", 1), ("procrustes/published", -1)):
        chosen = pairs[pairs["measure"] == measure]
        assert chosen["value"].duplicated().any()
        expected = roc_auc_score(chosen["pair"] == "same_family", sign * chosen["value"])
        assert found["architectures", measure]["value"] == pytest.approx(expected)
        assert counts(found["architectures", measure]) == (12, 16)


def test_larger_is_more_alike_for_distances_too():
    panel = panel_of("A", "B")
    pairs = pairs_of(panel, {"procrustes/published": lambda a, b: 0.1 if a[0] == b[0] else 0.9})
    found = answers(pairs, panel)["architectures", "procrustes/published"]
    assert (found["value"], found["low"], found["high"]) == (1, 1, 1)


def test_the_bootstrap_draws_networks_and_never_pairs_one_with_itself():
    panel = panel_of("A", "B", count=4)
    pairs = pairs_of(panel, {"cka/biased": noisy(3, digits=6)})
    bootstrap = NetworkBootstrap(list(panel["members"]), 50, 0)
    values = {(a, b): value for a, b, value in pairs[["network_a", "network_b", "value"]].to_numpy()}
    slow = []
    for weights in bootstrap.weights[1:]:
        drawn = [name for name, weight in zip(panel["members"], weights, strict=True) for _ in range(int(weight))]
        both = [(a, b) for a, b in combinations(drawn, 2) if a != b]
        truth = [a[0] == b[0] for a, b in both]
        score = [values.get((a, b), values.get((b, a))) for a, b in both]
        slow.append(roc_auc_score(truth, score) if 0 < sum(truth) < len(truth) else math.nan)
    found = answers(pairs, panel, n_boot=50)["architectures", "cka/biased"]
    expected = np.quantile([value for value in slow if value == value], (0.025, 0.975))
    assert [found["low"], found["high"]] == pytest.approx(list(expected))


def test_the_correlation_is_that_of_scipy_and_the_interval_that_of_the_written_out_samples():
    panel = panel_of("A", "B", count=4)
    pairs = pairs_of(panel, {"cka/biased": noisy(3), "procrustes/published": noisy(4)})
    grid, bootstrap = pair_grid(pairs), NetworkBootstrap(list(panel["members"]), 60, 0)
    x, y = grid.values.T
    found, count, status = Correlations(grid, bootstrap).of(x, y)
    assert (count, status) == (28, "ok")
    assert found["value"] == pytest.approx(spearmanr(x, y).statistic)
    slow = []
    for weights in bootstrap.of_pairs(grid.network_a, grid.network_b)[1:].astype(int):
        if (weights > 0).sum() >= 6:
            slow.append(spearmanr(np.repeat(x, weights), np.repeat(y, weights)).statistic)
    assert [found["low"], found["high"]] == pytest.approx(list(np.quantile(slow, (0.025, 0.975))))


def test_a_control_is_drawn_with_its_network():
    bootstrap = NetworkBootstrap(["A0", "A1"], 20, 0)
    a, b = (
        np.array(names, object) for names in (["A0", "A0", "A0", "A0"], ["A0@untrained", "A1@untrained", "noise", "A0"])
    )
    weights = bootstrap.of_pairs(a, b)
    one, other = bootstrap.weights.T
    assert (weights == np.stack([one, one * other, one, one], axis=1)).all()
    assert (bootstrap.weights[1:].sum(axis=1) == 2).all()


def test_fewer_than_five_networks_have_no_interval():
    panel = panel_of("A", "B", count=2)
    found = answers(pairs_of(panel, {"cka/biased": noisy(0)}), panel)["architectures", "cka/biased"]
    assert math.isfinite(found["value"])
    assert math.isnan(found["low"])


def untrained(panel: dict, measure: str, pairs: list[tuple[str, str]]) -> list[dict]:
    told = {"pair": "trained_untrained", "measure": measure, "value": 0.1}
    return [{"network_a": a, "network_b": b + "@untrained", **told} for a, b in pairs]


def test_controls_are_asked_of_the_pairs_that_all_measures_have():
    panel = panel_of("A", "B")
    more = untrained(panel, "cka/biased", [("A0", "A0"), ("A1", "A0"), ("A0", "B0")])
    more += untrained(panel, "rsa/pearson", [("A0", "A0")])
    value = lambda a, b: 0.8  # noqa: E731
    pairs = pairs_of(panel, dict.fromkeys(("cka/biased", "rsa/pearson", "stir/cka"), value), more)
    found = answers(pairs, panel)
    assert counts(found["controls", "cka/biased"]) == counts(found["controls", "rsa/pearson"]) == (6, 1)
    assert found["controls", "cka/biased"]["value"] == 1
    assert counts(found["controls", "stir/cka"]) == (6, 0)
    assert found["controls", "stir/cka"]["status"].startswith("undefined: STIR has no value for pairs that ought to be")


def test_seeds_are_a_network_with_itself_against_its_family():
    panel = panel_of("A", "B")
    more = [{"network_a": "A0", "network_b": "A0", "pair": "self", "measure": "cka/biased", "value": 1.0}]
    found = answers(pairs_of(panel, {"cka/biased": lambda a, b: 0.8}, more), panel)["seeds", "cka/biased"]
    assert (found["value"], counts(found)) == (1, (1, 6))


def panel_of_trainings() -> dict:
    """Families of one architecture but for C: A plain, B augmented, R random labels, S shortcut, E attacked."""
    one = {"architecture": "net"}
    return panel_of(
        *"ABRSEC",
        count=2,
        A=one,
        B={**one, "augment": True, "training": "augmented"},
        R={**one, "task": "random_labels"},
        S={**one, "task": "shortcut"},
        E={**one, "eps": 0.5, "training": "attacked"},
    )


@pytest.mark.parametrize(
    ("question", "positive", "negative"),
    [
        # two seeds make one pair of one family and four of two families
        ("random_labels", ("A", "B", "R"), ("AR", "BR")),
        ("shortcut", ("A", "B", "S"), ("AS", "BS")),
        ("augmentation", ("A", "B"), ("AB",)),
        ("training", "ABRSE", ("AB", "AR", "AS", "AE", "BR", "BS", "BE", "RS", "RE", "SE")),
        ("architectures", ("A", "B", "AB", "R", "S", "E", "C"), ("AC", "BC")),
    ],
)
def test_which_pairs_ought_to_be_alike(question, positive, negative):
    panel = panel_of_trainings()
    grid = pair_grid(pairs_of(panel, {"cka/biased": noisy(0)}))
    masks = QUESTIONS[question].split(grid, facts_of(panel))
    for mask, expected in zip(masks, (positive, negative), strict=True):
        families = {
            "".join(sorted({a[0], b[0]})) for a, b in zip(grid.network_a[mask], grid.network_b[mask], strict=True)
        }
        assert families == {"".join(sorted(name)) for name in expected}
        assert mask.sum() == sum(1 if len(name) == 1 else 4 for name in expected)


def test_a_question_that_the_panel_cannot_answer_says_what_it_lacks():
    panel = panel_of("A", "B")
    found = answers(pairs_of(panel, {"cka/biased": noisy(0)}), panel)
    unanswered = {question: row["status"] for (question, _), row in found.items() if math.isnan(row["value"])}
    assert set(unanswered) == set(QUESTIONS) - {"architectures"}
    assert (
        unanswered["random_labels"]
        == "undefined: the panel has no comparable networks with true and with random labels"
    )
    assert unanswered["accuracy"] == "undefined: the panel has no differences of accuracy"
    assert unanswered["layer_monotonicity"].startswith("undefined: the panel has no values of all pairs of layers")


def test_yardsticks_are_correlated_with_and_not_with_themselves():
    panel = panel_of("A", "B")
    distance = {pair: i / 20 for i, pair in enumerate(combinations(panel["members"], 2))}
    pairs = pairs_of(
        panel,
        {
            "cka/biased": lambda a, b: 1 - distance[a, b] ** 2,
            "accuracy_difference/absolute": lambda a, b: distance[a, b],
            "output_divergence/jensen_shannon": lambda a, b: -distance[a, b],
        },
    )
    found = answers(pairs, panel)
    assert found["accuracy", "cka/biased"]["value"] == pytest.approx(1)
    assert found["outputs", "cka/biased"]["value"] == pytest.approx(-1)
    assert counts(found["accuracy", "cka/biased"]) == (15, 0)
    assert (
        found["accuracy", "accuracy_difference/absolute"]["status"] == "undefined: the measure is the yardstick itself"
    )


def test_pairs_without_a_value_are_left_out():
    panel = panel_of("A", "B")
    pairs = pairs_of(panel, {"cka/biased": lambda a, b: math.nan if "A0" in (a, b) else noisy(0)(a, b)})
    assert counts(answers(pairs, panel)["architectures", "cka/biased"]) == (4, 6)


def test_a_measure_that_does_not_vary_has_no_correlation():
    panel = panel_of("A", "B")
    pairs = pairs_of(panel, {"cka/biased": lambda a, b: 0.5, "accuracy_difference/absolute": noisy(0)})
    found = answers(pairs, panel)["accuracy", "cka/biased"]
    assert found["status"] == "undefined: one of the two has the same value for all pairs"


def test_conformity_counts_triples_in_order():
    apart = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    assert conformity(-apart) == (1, 8)
    assert conformity(apart) == (0, 8)
    assert conformity(np.ones((4, 4))) == (1, 8)
    one_wrong = -apart.astype(float)
    one_wrong[0, 1] = -2.5  # layer 1 is farther from 0 than 2, and nearer than 3
    assert conformity(one_wrong) == (7 / 8, 8)
    missing = -apart.astype(float)
    missing[0, 3] = np.nan
    assert conformity(missing) == (1, 6)
    assert math.isnan(conformity(np.ones((2, 2)))[0])


def self_rows(network: str, measure: str, values: np.ndarray, upper: bool = False) -> list[dict]:
    return [
        row(network, network, "self", float(values[i, j]), measure, layer_a=f"l{i}", layer_b=f"l{j}")
        for i in range(len(values))
        for j in range(len(values))
        if i <= j or not upper
    ]


def test_layer_monotonicity_is_the_mean_over_networks():
    apart = np.abs(np.subtract.outer(np.arange(3), np.arange(3))) / 3
    rows = self_rows("A0", "procrustes/published", apart) + self_rows("A1", "procrustes/published", -apart, upper=True)
    panel = panel_of("A", "B")
    pairs = pairs_of(panel, {"procrustes/published": noisy(0)})
    found = answers(pairs, panel, rows_of(*rows))["layer_monotonicity", "procrustes/published"]
    assert (found["value"], counts(found)) == (0.5, (4, 0))


def test_values_at_matched_layers_alone_answer_nothing_about_layers():
    rows = [row("A0", "A0", "self", 1.0, layer_a=f"l{i}", layer_b=f"l{i}") for i in range(5)]
    assert conformities(rows_of(*rows)) == []


def test_members_without_facts_are_refused_and_families_stand_in_for_none_at_all():
    panel = panel_of("A", "B")
    lacking = {**panel, "facts": {"A0": {}}}
    with pytest.raises(NetalikeError, match="the panel's facts lack A1, A2, B0"):
        facts_of(lacking)
    assert facts_of({**panel, "facts": None})["B1"] == {"architecture": "B"}
