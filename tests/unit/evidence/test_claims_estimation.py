"""Estimates: rows are matched, split and resampled as the statistic says; what is missing is told."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats

from netalike.errors import UnknownNameError
from netalike.evidence import measurements
from netalike.evidence.claims import Statistic, estimate, resampling
from netalike.evidence.measurements import condition


def rows_of(*rows, **constants):
    return measurements.table(rows, **{"paper": "p", "experiment": "e", "quantity": "cka", **constants})


def networks(values, **constants):
    """A row per network."""
    rows = [{"network_a": f"net-s{i}", "value": float(value)} for i, value in enumerate(values)]
    return rows_of(*rows, **constants)


def pairs(n, value, **constants):
    """A row per pair of n networks; value(i, j)."""
    rows = [
        {"network_a": f"net-s{i}", "network_b": f"net-s{j}", "value": float(value(i, j))}
        for i, j in itertools.combinations(range(n), 2)
    ]
    return rows_of(*rows, **constants)


def with_best(n, value, quantity, suffix="", cells=6):
    """A row per network and corruption, against the reference."""
    rows = [
        {
            "network_a": "net-best",
            "network_b": f"net-s{i}{suffix}",
            "condition": condition(corruption=f"c{c}", pair="with_best", severity=1),
            "value": float(value(i, c)),
        }
        for i in range(n)
        for c in range(cells)
    ]
    return rows_of(*rows, quantity=quantity)


TAU = Statistic(
    name="kendall",
    of=("similarity", "gap"),
    minus=("plain", "gap"),
    join=("network_b", "corruption", "severity"),
    by=("corruption", "severity"),
    over=("network_b",),
)


def test_the_mean_over_pairs_resamples_networks():
    n = 7
    values = np.random.default_rng(0).normal(size=(n, n))
    table = pairs(n, lambda i, j: values[i, j])
    found = estimate({"a": table}, Statistic(name="mean", of=("a",)), seed=3, resamples=500)
    replicates = []
    for drawn in resampling.draw([n], 500, 3)[0]:
        sample = [x for i, j in itertools.combinations(range(n), 2) for x in [values[i, j]] * int(drawn[i] * drawn[j])]
        replicates.append(np.mean(sample))
    low, high = np.quantile(replicates, [0.025, 0.975])
    assert found.value == pytest.approx(table["value"].mean())
    assert (found.percentile_low, found.percentile_high) == (pytest.approx(low), pytest.approx(high))
    assert (found.n_units, found.n_rows, found.reason) == (7, 21, "")
    assert found.low < found.value < found.high


def test_kendall_within_cells_less_that_of_other_groups():
    n, cells = 8, 6
    generator = np.random.default_rng(1)
    similarity, plain, gap = generator.integers(0, 5, (3, n, cells)).astype(float)
    groups = {
        "similarity": with_best(n, lambda i, c: similarity[i, c], "deconfounded_cka"),
        "plain": with_best(n, lambda i, c: plain[i, c], "cka"),
        "gap": with_best(n, lambda i, c: gap[i, c], "accuracy_gap"),
    }

    def average(drawn):
        def tau(x, c):
            return stats.kendalltau(np.repeat(x[:, c], drawn), np.repeat(gap[:, c], drawn)).statistic

        return np.nanmean([tau(similarity, c) - tau(plain, c) for c in range(cells)])

    found = estimate(groups, TAU, seed=5, resamples=200)
    replicates = [average(drawn.astype(int)) for drawn in resampling.draw([n], 200, 5)[0]]
    assert found.value == pytest.approx(average(np.ones(n, dtype=int)))
    assert [found.percentile_low, found.percentile_high] == pytest.approx(
        np.quantile(replicates, [0.025, 0.975]).tolist()
    )
    assert (found.n_units, found.n_rows) == (8, 48)


def test_a_cell_of_one_network_weighs_as_often_as_it_was_drawn():
    """Spearman along depth within each network: resampling networks resamples their correlations."""
    n = 6
    values = np.random.default_rng(2).integers(0, 9, (n, 5)).astype(float)
    rows = [
        {"network_a": f"net-s{i}", "condition": condition(depth=f"{d / 4:.3f}"), "value": values[i, d]}
        for i in range(n)
        for d in range(5)
    ]
    statistic = Statistic(name="spearman", along="depth", of=("a",), by=("network_a",))
    found = estimate({"a": rows_of(*rows)}, statistic, seed=1, resamples=400)
    each = np.array([stats.spearmanr(np.arange(5), values[i]).statistic for i in range(n)])
    replicates = resampling.draw([n], 400, 1)[0] @ each / n
    assert found.value == pytest.approx(each.mean())
    assert [found.percentile_low, found.percentile_high] == pytest.approx(
        np.quantile(replicates, [0.025, 0.975]).tolist()
    )


def test_two_factors_are_drawn_independently():
    n, domains = 6, 7
    values = np.random.default_rng(4).normal(size=(n, domains))
    rows = [
        {"network_a": f"net-s{i}", "condition": condition(domain=f"d{d}"), "value": values[i, d]}
        for i in range(n)
        for d in range(domains)
    ]
    found = estimate({"a": rows_of(*rows)}, Statistic(name="mean", of=("a",), over=("networks", "domain")), 9, 300)
    by_network, by_domain = resampling.draw([n, domains], 300, 9)
    replicates = np.einsum("rn,nd,rd->r", by_network, values, by_domain) / (n * domains)
    assert [found.percentile_low, found.percentile_high] == pytest.approx(
        np.quantile(replicates, [0.025, 0.975]).tolist()
    )
    assert found.n_units == 6


@pytest.mark.parametrize("name", ["auc", "gap", "standardised_gap", "difference", "spearman", "kendall"])
def test_the_order_of_the_rows_does_not_matter(name):
    noise = np.random.default_rng(0).normal(size=(3, 9, 9))
    groups = {name: pairs(9, lambda i, j, k=k: noise[k, i, j]) for k, name in enumerate("ab")}
    join = ("pair",) if name in ("difference", "spearman", "kendall") else ()
    statistic = Statistic(name=name, of=("a", "b"), join=join)
    found = estimate(groups, statistic, resamples=200)
    for seed in range(3):
        shuffled = {name: rows.sample(frac=1, random_state=seed) for name, rows in groups.items()}
        assert estimate(shuffled, statistic, resamples=200) == found
    assert estimate(groups, statistic, seed=1, resamples=200) != found


def test_too_few_networks_give_a_value_without_an_interval():
    found = estimate({"a": pairs(3, lambda i, j: i + j)}, Statistic(name="mean", of=("a",)))
    assert found.value == 2
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.n_units == 3
    assert found.reason == "3 networks, an interval needs 5"
    two = estimate(
        {"a": networks(range(9), condition="x=1")}, Statistic(name="mean", of=("a",), over=("networks", "x"))
    )
    assert two.reason == "1 levels of x, an interval needs 5"


def test_without_resampling_the_interval_is_the_value():
    rows = networks([1, 2, -6])
    mean = estimate({"a": rows}, Statistic(name="mean", of=("a",), over=()))
    assert (mean.value, mean.low, mean.high, mean.n_units) == (-1, -1, -1, 0)
    largest = estimate({"a": rows}, Statistic(name="maximum", of=("a",)))
    assert (largest.value, largest.low, largest.high, largest.reason) == (6, 6, 6, "")


def test_rows_without_a_value_are_left_out_and_counted():
    lost = [{"network_a": f"net-s{i}", "value": math.nan, "status": f"undefined: layer{i % 2}"} for i in range(3)]
    rows = pd.concat([networks([5] * 7), rows_of(*lost)])
    found = estimate({"a": rows}, Statistic(name="mean", of=("a",)))
    assert found.value == 5
    assert found.n_rows == 7
    assert found.reason == "3 of 10 rows of a have no value: undefined: layer0 (and 1 other reasons)"
    none = estimate({"a": rows_of(*lost)}, Statistic(name="mean", of=("a",)))
    assert math.isnan(none.value)
    assert none.reason.startswith("3 of 3 rows of a have no value")


def test_no_rows_give_no_number():
    found = estimate({"a": networks([]), "b": networks([1])}, Statistic(name="gap", of=("a", "b")))
    assert all(math.isnan(number) for number in (found.value, found.low, found.high))
    assert found.reason == "no rows of a"


def test_constant_values_have_no_correlation():
    groups = {"a": networks([1] * 6), "b": networks(range(6))}
    found = estimate(groups, Statistic(name="kendall", of=("a", "b"), join=("network_a",)))
    assert math.isnan(found.value)
    assert found.reason == "kendall is undefined: too few rows, or all values are equal"


def test_a_cell_without_a_value_is_left_out_and_told():
    groups = {
        "similarity": with_best(8, lambda i, c: i, "deconfounded_cka", cells=3),
        "gap": with_best(8, lambda i, c: -i if c else 0, "accuracy_gap", cells=3),
    }
    statistic = TAU.model_copy(update={"minus": ()})
    found = estimate(groups, statistic, resamples=100)
    assert found.value == -1
    assert found.reason == "kendall is undefined in 1 of 3 cells, such as corruption=c0, severity=1"


def test_noise_is_no_network_and_a_control_has_its_networks_key():
    rows = [{"network_a": f"net-s{i}@untrained", "network_b": "noise", "value": i} for i in range(5)]
    found = estimate({"a": rows_of(*rows)}, Statistic(name="mean", of=("a",)), resamples=100)
    assert found.n_units == 5
    both = pd.concat([rows_of(*rows), networks(range(5))])
    assert estimate({"a": both}, Statistic(name="mean", of=("a",)), resamples=100).n_units == 5


def test_a_control_is_matched_to_its_network():
    groups = {
        "similarity": with_best(6, lambda i, c: -i, "cka", suffix="@permuted_samples"),
        "gap": with_best(6, lambda i, c: i, "accuracy_gap"),
    }
    found = estimate(groups, TAU.model_copy(update={"minus": ()}), resamples=100)
    assert (found.value, found.n_units, found.n_rows) == (-1, 6, 36)


def test_pairs_are_matched_by_networks_and_layers():
    a = pairs(6, lambda i, j: 10 * i + j, layer_a="relu1", layer_b="relu1")
    b = pairs(6, lambda i, j: 10 * i + j - 0.5, layer_a="relu1", layer_b="relu1")
    elsewhere = pairs(6, lambda i, j: 0, layer_a="relu2", layer_b="relu2")
    statistic = Statistic(name="difference", of=("a", "b"), join=("pair",))
    found = estimate({"a": pd.concat([a, elsewhere]), "b": b}, statistic)
    assert (found.value, found.low, found.high, found.n_rows) == (0.5, 0.5, 0.5, 15)
    assert found.reason == "15 of 30 rows of a have no match in b"


def test_repetitions_of_the_second_group_are_averaged():
    similarity = [
        {"network_a": f"net-s{i}", "condition": condition(domain=f"d{d}"), "value": 4 - d}
        for i in range(6)
        for d in range(5)
    ]
    losses = [
        {"condition": condition(domain=f"d{d}"), "seed": seed, "value": d + (100 if (d, seed) == (0, 1) else 0)}
        for d in range(5)
        for seed in range(2)
    ]
    groups = {"x": rows_of(*similarity), "y": rows_of(*losses, quantity="domain_similarity")}
    statistic = Statistic(name="kendall", of=("x", "y"), join=("domain",), by=("network_a",))
    found = estimate(groups, statistic)
    # d0 has the highest mean loss, the others rise: 4 of 10 pairs in order
    assert found.value == pytest.approx(-(10 - 2 * 4) / 10)
    assert found.n_rows == 30


def test_an_ambiguous_match_is_refused():
    a = pairs(5, lambda i, j: 1)
    found = estimate({"a": a, "b": a}, Statistic(name="difference", of=("a", "b"), join=("network_a",)))
    assert math.isnan(found.value)
    assert found.reason.startswith("several rows of a match several of b (network_a=net-s0): `join` needs another key")


def test_rows_without_a_key_are_told():
    a = networks(range(6), condition="depth=0.5")
    b = networks(range(6))
    found = estimate({"a": a, "b": b}, Statistic(name="gap", of=("a", "b"), by=("depth",)))
    assert math.isnan(found.value)
    assert "6 of 6 rows of a and b have no depth" in found.reason
    misspelt = estimate({"a": a}, Statistic(name="spearman", along="dept", of=("a",)))
    assert misspelt.reason == "6 of 6 rows of a have no number dept"


def test_a_group_that_is_not_given_is_named():
    with pytest.raises(UnknownNameError, match=r"unknown group of rows 'plian': expected one of plain.*'plain'"):
        estimate({"plain": networks([1])}, Statistic(name="mean", of=("plian",)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "kendal", "of": ("a", "b"), "join": ("pair",)}, "unknown statistic 'kendal'.*nearest 'kendall'"),
        ({"name": "auc", "of": ("a",)}, "1 group; expected 2 groups for auc"),
        ({"name": "auc", "of": ("a", "b"), "minus": ("c",)}, "1 group; expected 2 groups for auc"),
        ({"name": "kendall", "of": ("a", "b")}, "missing; expected the columns or factors by which kendall matches"),
        ({"name": "gap", "of": ("a", "b"), "join": ("pair",)}, "gap matches no rows; expected no join"),
        ({"name": "mean", "along": "depth", "of": ("a",)}, "mean along depth; expected along with spearman or kendall"),
        ({"name": "kendall", "along": "depth", "of": ("a", "b")}, "2 groups; expected 1 group for kendall along depth"),
        ({"name": "mean", "of": ("a",), "over": ("x", "x")}, "'x' stands twice; expected each name once"),
    ],
)
def test_a_statistic_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Statistic(**fields)


def test_statistics_say_what_they_do():
    assert TAU.in_words() == (
        "Kendall's tau-b of similarity and gap; minus the same of plain and gap; rows matched by network_b, "
        "corruption, severity; within each value of corruption and severity, then averaged; interval over network_b"
    )
    assert Statistic(name="maximum", of=("a",)).in_words() == "largest absolute value of a; no interval"


def coverage(over, simulations=200, n=20, truth=0.5):
    """Share of simulations in which the interval of a mean over pairs of networks holds the truth."""
    hits = 0
    for seed in range(simulations):
        generator = np.random.default_rng(seed)
        effects, noise = generator.normal(size=n), generator.normal(size=(n, n)) / 2
        table = pairs(n, lambda i, j, e=effects, u=noise: truth + e[i] + e[j] + u[i, j])
        table["condition"] = [condition(row=row) for row in range(len(table))]
        found = estimate({"a": table}, Statistic(name="mean", of=("a",), over=over), seed, 500)
        hits += found.low <= truth <= found.high
    return hits / simulations


def test_the_interval_over_networks_covers_the_truth_and_that_over_pairs_does_not():
    assert 0.88 <= coverage(("networks",)) <= 0.99
    assert coverage(("row",)) < 0.80
