"""Rows of a panel: which pairs answer a question, each of them once, and why a number is missing."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from netalike.evidence import measurements, rows
from netalike.measures import measure
from netalike.measures.panel import PanelResult
from netalike.measures.recorded import Comparison

FAMILIES = {"lenet-s0": "lenet", "lenet-s1": "lenet", "tiny10-s0": "tiny10"}
REPRESENTATIONS = [
    *(("lenet-s0", layer) for layer in ("relu1", "relu2", "relu4")),
    *(("tiny10-s0", layer) for layer in ("bn1", "bn8")),
    *(("lenet-s0@untrained", layer) for layer in ("relu1", "relu2", "relu4")),
    ("noise", "noise"),
    *(("lenet-s0@permuted_samples", layer) for layer in ("relu1", "relu2", "relu4")),
]


def panel(**other: object) -> PanelResult:
    count = len(REPRESENTATIONS)
    values = np.arange(count * count, dtype=float).reshape(count, count)
    values = (values + values.T) / 2
    return PanelResult(REPRESENTATIONS, {"unbiased": values.copy(), "deconfounded": values / 1000}, **other)


@pytest.mark.parametrize(
    ("network_a", "network_b", "expected"),
    [
        ("lenet-s0", "lenet-s0", "self"),
        ("lenet-s0", "lenet-s1", "same_family"),
        ("lenet-s0", "tiny10-s0", "other_family"),
        ("lenet-s0@untrained", "lenet-s1@untrained", "untrained"),
        ("lenet-s0@untrained", "lenet-s0@untrained", None),
        ("lenet-s0", "lenet-s0@untrained", "trained_untrained"),
        ("lenet-s0", "tiny10-s0@untrained", "trained_untrained"),
        ("lenet-s0", "lenet-s0@permuted_samples", "permuted_samples"),
        ("tiny10-s0", "lenet-s0@permuted_samples", "permuted_samples"),
        ("lenet-s0", "noise", "noise"),
        ("noise", "noise", None),
        ("lenet-s0@untrained", "noise", None),
        ("lenet-s0@permuted_samples", "noise", None),
        ("lenet-s0@permuted_samples", "lenet-s0@permuted_samples", None),
        ("lenet-s0@permuted_samples", "lenet-s0@untrained", None),
    ],
)
def test_the_kind_of_a_pair(network_a, network_b, expected):
    assert rows.relation(network_a, network_b, FAMILIES) == expected
    assert rows.relation(network_b, network_a, FAMILIES) == expected


def test_the_number_of_rows_by_hand():
    found = list(rows.panel_rows(panel(explained=np.linspace(0, 1, len(REPRESENTATIONS))), FAMILIES))
    by_kind = Counter((r["estimator"], r["condition"]) for r in found if r["quantity"] == "cka")
    assert by_kind == {
        ("unbiased", "pair=self"): 3 * 3 + 2 * 2,
        ("unbiased", "pair=other_family"): 3 * 2,
        ("unbiased", "pair=trained_untrained"): 3 * 3 + 2 * 3,
        ("unbiased", "pair=noise"): 3 + 2,
        ("unbiased", "pair=permuted_samples"): 3 * 3 + 2 * 3,
    }
    by_quantity = Counter((r["quantity"], r["estimator"]) for r in found)
    assert by_quantity == {
        ("cka", "unbiased"): 54,
        ("deconfounded_cka", "published"): 54,
        ("explained_by_inputs", "published"): 9,  # all but the permuted network, which sees the same inputs
    }
    assert len(measurements.table(found)) == 117


def test_each_pair_of_networks_is_there_once_and_with_its_own_value():
    result = panel()
    found = [r for r in rows.panel_rows(result, FAMILIES) if r["quantity"] == "cka"]
    ordered = Counter((r["network_a"], r["layer_a"], r["network_b"], r["layer_b"]) for r in found)
    assert max(ordered.values()) == 1
    networks = {(r["network_a"], r["network_b"]) for r in found}
    assert not any(a != b and (b, a) in networks for a, b in networks)
    place = {name: i for i, name in enumerate(REPRESENTATIONS)}
    for r in found:
        i, j = place[r["network_a"], r["layer_a"]], place[r["network_b"], r["layer_b"]]
        assert r["value"] == result.values["unbiased"][i, j]


def test_undefined_rows_say_why_and_in_which_layer():
    result = panel(reasons={1: "zero variance over the samples of batch 0"})
    for values in result.values.values():
        values[1] = values[:, 1] = math.nan
    result.values["deconfounded"][3, 4] = math.nan  # nothing constant: the inputs explain one of the two
    found = list(rows.panel_rows(result, FAMILIES))
    missing = [r for r in found if math.isnan(r["value"])]
    assert {r["status"] for r in missing} == {
        "undefined: zero variance over the samples of batch 0 in layer relu2",
        "undefined: the Gram matrix is a multiple of the inputs' Gram matrix",
    }
    assert all(r["status"] == "ok" for r in found if not math.isnan(r["value"]))
    of_cka = [r for r in missing if r["quantity"] == "cka"]
    assert all(
        ("lenet-s0", "relu2") in ((r["network_a"], r["layer_a"]), (r["network_b"], r["layer_b"])) for r in of_cka
    )
    assert len(of_cka) == 5 + 2 + 3 + 1 + 3  # self, other family, untrained, noise, permuted
    measurements.table(found)  # no contradiction


def test_shares_of_single_networks():
    shares = np.full(len(REPRESENTATIONS), 0.5)
    explained, negative = shares.copy(), shares / 2
    explained[2] = negative[3] = math.nan
    result = panel(
        explained=explained, negative_share=negative, reasons={2: "zero variance over the samples of batch 1"}
    )
    found = [r for r in rows.panel_rows(result, FAMILIES) if "network_b" not in r]
    assert Counter(r["quantity"] for r in found) == {"explained_by_inputs": 9, "negative_eigenvalue_share": 9}
    assert Counter(r["condition"] for r in found) == {"network=trained": 10, "network=untrained": 6, "network=noise": 2}
    statuses = {(r["quantity"], r["layer_a"]): r["status"] for r in found if math.isnan(r["value"])}
    assert statuses == {
        ("explained_by_inputs", "relu4"): "undefined: zero variance over the samples of batch 1 in layer relu4",
        ("negative_eigenvalue_share", "bn1"): "undefined: the Gram matrix is a multiple of the inputs' in layer bn1",
    }


def test_rows_of_recorded_comparisons():
    rsa = measure("rsa")
    compared = [
        Comparison(rsa, "lenet-s0", "relu1", "lenet-s1", "relu1", 0.5, "ok"),
        Comparison(rsa, "lenet-s0", "relu1", "lenet-s0@permuted_samples", "relu1", math.nan, "undefined: why"),
    ]
    found = list(rows.comparison_rows(compared, FAMILIES))
    assert [r["condition"] for r in found] == ["pair=same_family", "pair=permuted_samples"]
    assert {(r["quantity"], r["estimator"]) for r in found} == {("rsa", "spearman")}
    assert [r["status"] for r in found] == ["ok", "undefined: why"]
    assert measurements.table(found)["value"].isna().tolist() == [False, True]
