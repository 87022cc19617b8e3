"""A population under corruptions: accuracies, and each network beside the best, by hand."""

from __future__ import annotations

import math
import time
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from netalike import data, networks
from netalike.data.corruptions import corrupt
from netalike.errors import NetalikeError, UnknownNameError
from netalike.evidence import measurements
from netalike.evidence.measurements import condition
from netalike.experiments import population
from netalike.experiments.equal_depth import equal_depth_rows
from netalike.experiments.population import accuracy_rows, population_relation, with_best_rows
from netalike.measures.panel import compare_networks
from netalike.measures.sources import NetworkSource


@pytest.mark.parametrize(
    ("network_a", "network_b", "expected"),
    [
        ("a-s0", "b-s0", "population"),
        ("a-s0", "a-s0", None),
        ("a-s0", "b-s0@permuted_samples", "permuted_samples"),
        ("a-s0", "a-s0@permuted_samples", "permuted_samples"),
        ("a-s0@permuted_samples", "b-s0@permuted_samples", None),
        ("a-s0", "noise", None),
        ("a-s0", "a-s0@untrained", None),
        ("a-s0@untrained", "b-s0@permuted_samples", None),
    ],
)
def test_the_kind_of_a_pair(network_a, network_b, expected):
    assert population_relation(network_a, network_b) == expected
    assert population_relation(network_b, network_a) == expected


# ---- accuracies -----------------------------------------------------------------------------------------------------


class Constant(nn.Module):
    """Says the same class for every image."""

    def __init__(self, label: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.eye(10)[label])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), -1)


def test_accuracies_on_clean_and_corrupted_images():
    images = data.load("digits", "test", limit=60)
    net = networks.build("lenet", 1, 10, seed=3)
    rows = accuracy_rows({"c-s0": Constant(2), "n-s0": net}, images, ["gaussian_noise", "contrast"], [1, 5], seed=4)
    assert [(r["network_a"], r["condition"]) for r in rows] == [
        (name, f"corruption={corruption};severity={severity}")
        for corruption, severity in [
            ("none", 0),
            ("gaussian_noise", 1),
            ("gaussian_noise", 5),
            ("contrast", 1),
            ("contrast", 5),
        ]
        for name in ("c-s0", "n-s0")
    ]
    twos = (images.labels == 2).double().mean().item()
    assert [r["value"] for r in rows if r["network_a"] == "c-s0"] == [pytest.approx(twos)] * 5
    seen = {r["condition"]: r["value"] for r in rows if r["network_a"] == "n-s0"}
    assert seen["corruption=none;severity=0"] == networks.evaluate(net, images).accuracy
    corrupted = corrupt(images, "contrast", 5, 4)
    assert seen["corruption=contrast;severity=5"] == networks.evaluate(net, corrupted).accuracy
    assert all((r["quantity"], r["estimator"]) == ("accuracy", "test") for r in rows)
    measurements.table(rows)


def test_each_corrupted_set_is_made_once(monkeypatch):
    made = []
    monkeypatch.setattr(
        population, "corrupt", lambda images, *which: made.append(which) or images.take(slice(0, len(images)))
    )
    images = data.load("digits", "test", limit=8)
    accuracy_rows({f"c-s{i}": Constant(i) for i in range(4)}, images, ["fog", "contrast"], [1, 3], seed=9)
    assert made == [("fog", 1, 9), ("fog", 3, 9), ("contrast", 1, 9), ("contrast", 3, 9)]


def test_an_unknown_corruption_is_named():
    images = data.load("digits", "test", limit=8)
    with pytest.raises(UnknownNameError, match=r"corruption 'gausian_noise'.*Did you mean 'gaussian_noise'"):
        accuracy_rows({"c-s0": Constant(0)}, images, ["gausian_noise"], [1], seed=0)


# ---- each network beside the best -----------------------------------------------------------------------------------

ACCURACIES = {
    ("none", 0): {"a-s0": 1.0, "b-s0": 0.1, "c-s0": 0.1},
    ("fog", 1): {"a-s0": 0.5, "b-s0": 0.9, "c-s0": 0.8},
    ("fog", 3): {"a-s0": 0.5, "b-s0": 0.25, "c-s0": 0.5},  # a tie: the first by name
}
# pair -> similarity at depths 0 and 1; the second network of a control is permuted
SIMILARITIES = {("a-s0", "b-s0"): (0.2, 0.4), ("a-s0", "c-s0"): (0.5, 0.7), ("c-s0", "b-s0"): (0.8, 1.0)}
CONTROLS = {
    ("a-s0", "b-s0"): (0.01, 0.03),
    ("a-s0", "c-s0"): (0.02, 0.04),
    ("b-s0", "a-s0"): (0.03, 0.05),
    ("b-s0", "c-s0"): (0.04, 0.06),
    ("c-s0", "a-s0"): (0.05, 0.07),
    ("c-s0", "b-s0"): (0.06, 0.08),
    ("a-s0", "a-s0"): (0.9, 0.9),
}


def accuracies() -> list[dict]:
    return [
        {
            "network_a": name,
            "quantity": "accuracy",
            "estimator": "test",
            "condition": condition(corruption=corruption, severity=severity),
            "value": value,
        }
        for (corruption, severity), values in ACCURACIES.items()
        for name, value in values.items()
    ]


def similarity(a: str, b: str, pair: str, depth: int, value: float, quantity: str) -> dict:
    return {
        "network_a": a,
        "layer_a": f"l{depth}",
        "network_b": b,
        "layer_b": f"l{depth}",
        "quantity": quantity,
        "estimator": "published",
        "condition": condition(depth=f"{depth}.000", pair=pair),
        "value": value,
    }


def similarities(quantities: tuple[str, ...] = ("cka", "deconfounded_cka")) -> list[dict]:
    rows = []
    for factor, quantity in enumerate(quantities, 1):
        for (a, b), values in SIMILARITIES.items():
            rows += [similarity(a, b, "population", d, v / factor, quantity) for d, v in enumerate(values)]
        for (a, b), values in CONTROLS.items():
            permuted = f"{b}@permuted_samples"
            rows += [similarity(a, permuted, "permuted_samples", d, v / factor, quantity) for d, v in enumerate(values)]
    return rows


def found(rows: list[dict], quantity: str) -> dict[tuple[str, str, str], float]:
    return {(r["network_a"], r["network_b"], r["condition"]): r["value"] for r in rows if r["quantity"] == quantity}


def test_each_network_beside_the_best_by_hand():
    rows = with_best_rows(similarities(), accuracies())
    easy, hard = "corruption=fog;pair={};severity=1", "corruption=fog;pair={};severity=3"
    with_best, control = (
        {
            ("b-s0", f"a-s0{suffix}", easy.format(pair)): values[0],
            ("b-s0", f"c-s0{suffix}", easy.format(pair)): values[1],
            ("a-s0", f"b-s0{suffix}", hard.format(pair)): values[2],
            ("a-s0", f"c-s0{suffix}", hard.format(pair)): values[3],
        }
        for pair, suffix, values in (
            ("with_best", "", (0.3, 0.9, 0.3, 0.6)),
            ("permuted_samples", "@permuted_samples", (0.04, 0.05, 0.02, 0.03)),
        )
    )
    expected = with_best | control
    assert found(rows, "cka") == pytest.approx(expected)
    assert found(rows, "deconfounded_cka") == pytest.approx({key: value / 2 for key, value in expected.items()})
    gaps = dict(zip(with_best, (0.4, 0.1, 0.25, 0.0), strict=True))
    assert found(rows, "accuracy_gap") == pytest.approx(gaps)
    assert {(r["quantity"], r["estimator"]) for r in rows} == {
        ("cka", "published"),
        ("deconfounded_cka", "published"),
        ("accuracy_gap", "test"),
    }
    assert len(measurements.table(rows)) == len(rows) == 8 + 8 + 4


def test_the_result_does_not_depend_on_the_order_of_rows_or_on_their_form():
    expected = with_best_rows(similarities(), accuracies())
    frames = measurements.table(similarities()[::-1]), measurements.table(accuracies()[::-1])
    again = with_best_rows(*frames)
    assert [{k: v for k, v in r.items() if k != "value"} for r in again] == [
        {k: v for k, v in r.items() if k != "value"} for r in expected
    ]
    assert [r["value"] for r in again] == pytest.approx([r["value"] for r in expected], abs=1e-15)


def test_a_depth_without_a_value_leaves_no_mean():
    rows = similarities(("cka",))
    for row in rows:
        if (row["network_a"], row["network_b"], row["layer_a"]) == ("a-s0", "b-s0", "l1"):
            row.update(value=math.nan, status="undefined: zero variance in layer l1")
    derived = with_best_rows(rows, accuracies())
    missing = [r for r in derived if r["status"] != "ok"]
    assert [(r["network_a"], r["network_b"]) for r in missing] == [("b-s0", "a-s0"), ("a-s0", "b-s0")]
    assert all(math.isnan(r["value"]) for r in missing)
    assert {r["status"] for r in missing} == {"undefined: zero variance in layer l1 (no value at 1 of 2 depths)"}
    assert {r["quantity"] for r in missing} == {"cka"}  # the accuracies are known all the same
    measurements.table(derived)


def test_a_pair_that_was_not_compared_is_named():
    rows = [r for r in similarities() if {r["network_a"], r["network_b"]} != {"c-s0", "b-s0"}]
    with pytest.raises(NetalikeError, match=r"no similarity of b-s0 and c-s0 \(population, cka, published\)"):
        with_best_rows(rows, accuracies())
    rows = [r for r in similarities() if r["network_b"] != "c-s0@permuted_samples"]
    with pytest.raises(NetalikeError, match="permuted copies included"):
        with_best_rows(rows, accuracies())


def test_a_missing_accuracy_is_named():
    rows = [r for r in accuracies() if (r["network_a"], r["condition"][-1]) != ("c-s0", "3")]
    with pytest.raises(NetalikeError, match="no accuracy of c-s0 at corruption=fog;severity=3"):
        with_best_rows(similarities(), rows)


def test_many_networks_agree_with_a_loop_and_take_little_time():
    rng = np.random.default_rng(0)
    names = [f"n{i:02d}-s0" for i in range(24)]
    versions = [(c, s) for c in ("fog", "contrast", "pixelate", "brightness", "shot_noise", "noise") for s in (1, 3, 5)]
    accuracy = {(v, n): float(rng.random()) for v in versions for n in names}
    values = {pair: rng.random(4) for pair in combinations(names, 2)}
    rows = [
        {
            "network_a": n,
            "quantity": "accuracy",
            "estimator": "test",
            "condition": condition(corruption=c, severity=s),
            "value": accuracy[(c, s), n],
        }
        for c, s in versions
        for n in names
    ]
    pairs = [
        similarity(*pair, "population", d, float(v), "cka") for pair, one in values.items() for d, v in enumerate(one)
    ]
    begin = time.process_time()
    derived = found(with_best_rows(pairs, rows), "cka")
    assert time.process_time() - begin < 2
    expected = {}
    for c, s in versions:
        best = max(names, key=lambda n: accuracy[(c, s), n])
        for n in names:
            if n != best:
                key = (best, n, f"corruption={c};pair=with_best;severity={s}")
                expected[key] = values[min(best, n), max(best, n)].mean()
    assert derived == pytest.approx(expected)
    assert len(derived) == 18 * 23


def test_from_networks_to_rows():
    images = data.load("digits", "test", limit=40)
    layers = ["relu1", "relu2", "relu3", "relu4"]
    models = {f"lenet-s{seed}": networks.build("lenet", 1, 10, seed).eval() for seed in range(3)}
    sources = [NetworkSource(name, model, layers, images) for name, model in models.items()]
    result = compare_networks(sources, images, ["unbiased", "deconfounded"], 20, list(models), 5, progress=False)
    tested = accuracy_rows(models, images, ["contrast"], [5], seed=0)
    derived = with_best_rows(equal_depth_rows(result, population_relation), tested)
    accuracy = {r["network_a"]: r["value"] for r in tested if r["condition"] == "corruption=contrast;severity=5"}
    best = max(sorted(models), key=accuracy.__getitem__)
    others = sorted(set(models) - {best})
    assert len(derived) == 2 * (2 + 2 + 1)  # per other network: two measures with the best and permuted, and the gap
    for quantity, estimator in (("cka", "unbiased"), ("deconfounded_cka", "deconfounded")):
        for pair, suffix in (("with_best", ""), ("permuted_samples", "@permuted_samples")):
            for other in others:
                expected = np.diag(result.matrix(best, other + suffix, estimator)).mean()
                key = (best, other + suffix, f"corruption=contrast;pair={pair};severity=5")
                assert found(derived, quantity)[key] == pytest.approx(expected, abs=1e-12)
