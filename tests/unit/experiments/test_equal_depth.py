"""Rows at equal depth: each pair once, the right way round, with the value of its own two layers."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from netalike import data, networks
from netalike.activations import record
from netalike.errors import NetalikeError
from netalike.evidence import measurements
from netalike.evidence.measurements import parse_condition
from netalike.experiments.equal_depth import depth_of, equal_depth_rows, explained_rows
from netalike.measures import deconfounded_cka
from netalike.measures.panel import PanelResult, compare_networks
from netalike.measures.sources import NetworkSource, noise

REPRESENTATIONS = [
    ("b-s0@untrained", "deep1"),
    *(("a-s0", layer) for layer in ("l1", "l2", "l3")),
    *(("b-s0", layer) for layer in ("m1", "m2", "m3", "m4", "m5")),
    ("noise", "noise"),
    *(("a-s0@permuted_samples", layer) for layer in ("l1", "l2", "l3")),
]
PLACE = {name: i for i, name in enumerate(REPRESENTATIONS)}


def panel(**other: object) -> PanelResult:
    count = len(REPRESENTATIONS)
    values = np.add.outer(100.0 * np.arange(count), np.arange(count))
    values = values + values.T
    return PanelResult(REPRESENTATIONS, {"published": values, "deconfounded": values / 1000}, **other)


def every_pair(network_a: str, network_b: str) -> str:
    return "any"


def pairs_of(rows: list[dict]) -> list[tuple[str, str, str]]:
    return [(r["layer_a"], r["layer_b"], parse_condition(r["condition"])["depth"]) for r in rows]


def between(network_a: str, network_b: str, estimator: str = "cka") -> list[dict]:
    rows = equal_depth_rows(panel(), every_pair)
    ends = network_a, network_b
    return [r for r in rows if (r["network_a"], r["network_b"]) == ends and r["quantity"] == estimator]


def test_layers_of_equal_depth_by_hand():
    assert pairs_of(between("a-s0", "b-s0")) == [
        ("l1", "m1", "0.000"),
        ("l2", "m3", "0.500"),
        ("l3", "m5", "1.000"),
    ]
    assert pairs_of(between("a-s0", "a-s0@permuted_samples")) == [
        ("l1", "l1", "0.000"),
        ("l2", "l2", "0.500"),
        ("l3", "l3", "1.000"),
    ]


def test_noise_is_compared_with_every_layer_at_that_layers_depth():
    found = pairs_of(between("b-s0", "noise"))
    assert found == [(f"m{i + 1}", "noise", f"{i / 4:.3f}") for i in range(5)]


def test_a_network_of_one_layer_has_depth_zero():
    assert pairs_of(between("a-s0", "b-s0@untrained")) == [("l1", "deep1", "0.000")]


def test_the_first_network_of_a_row_is_the_trained_one_then_the_order_of_the_result():
    found = {(r["network_a"], r["network_b"]) for r in equal_depth_rows(panel(), every_pair)}
    assert found == {
        ("a-s0", "b-s0@untrained"),
        ("b-s0", "b-s0@untrained"),
        ("b-s0@untrained", "noise"),
        ("b-s0@untrained", "a-s0@permuted_samples"),
        ("a-s0", "b-s0"),
        ("a-s0", "noise"),
        ("a-s0", "a-s0@permuted_samples"),
        ("b-s0", "noise"),
        ("b-s0", "a-s0@permuted_samples"),
        ("noise", "a-s0@permuted_samples"),
    }  # 5 * 4 / 2, none with itself


def test_each_row_has_the_value_of_its_own_two_layers():
    result = panel()
    rows = list(equal_depth_rows(result, every_pair))
    for r in rows:
        i, j = PLACE[r["network_a"], r["layer_a"]], PLACE[r["network_b"], r["layer_b"]]
        name = "published" if r["quantity"] == "cka" else "deconfounded"
        assert r["value"] == result.values[name][i, j]
    # a with b, noise and permuted, b and noise with permuted: 3 each; b with noise: 5; all with the one layer: 1 each
    assert Counter((r["quantity"], r["estimator"]) for r in rows) == {
        ("cka", "published"): 24,
        ("deconfounded_cka", "published"): 24,
    }
    assert len(measurements.table(rows)) == 48


def test_relation_and_factors_are_asked_in_the_order_of_the_row():
    asked = []

    def relation(network_a: str, network_b: str) -> str | None:
        asked.append((network_a, network_b))
        return "finetuned" if network_b == "b-s0@untrained" else None

    def factors(network_a: str, network_b: str) -> dict[str, object]:
        return {"domain": f"rotation:{30 if network_a == 'a-s0' else 60}"}

    rows = list(equal_depth_rows(panel(), relation, factors))
    assert ("a-s0", "b-s0@untrained") in asked
    assert ("b-s0@untrained", "a-s0") not in asked
    assert {(r["network_a"], r["condition"]) for r in rows} == {
        ("a-s0", "depth=0.000;domain=rotation:30;pair=finetuned"),
        ("b-s0", "depth=0.000;domain=rotation:60;pair=finetuned"),
    }


def test_a_factor_that_no_condition_can_hold_is_refused():
    with pytest.raises(NetalikeError, match="may not hold ';' or '='"):
        list(equal_depth_rows(panel(), every_pair, lambda a, b: {"domain": "a=b"}))


def test_a_missing_value_says_why():
    result = panel(reasons={PLACE["a-s0", "l2"]: "zero variance over the samples of batch 3"})
    for values in result.values.values():
        values[2] = values[:, 2] = math.nan
    first, last = PLACE["a-s0", "l1"], PLACE["b-s0", "m1"]
    result.values["deconfounded"][first, last] = math.nan
    rows = list(equal_depth_rows(result, lambda a, b: "p" if {a, b} == {"a-s0", "b-s0"} else None))
    assert [(r["quantity"], r["layer_a"], r["status"]) for r in rows if math.isnan(r["value"])] == [
        ("cka", "l2", "undefined: zero variance over the samples of batch 3 in layer l2"),
        ("deconfounded_cka", "l1", "undefined: the Gram matrix is a multiple of the inputs' Gram matrix"),
        ("deconfounded_cka", "l2", "undefined: zero variance over the samples of batch 3 in layer l2"),
    ]
    measurements.table(rows)  # no contradiction


@pytest.mark.parametrize(
    ("layer", "layers", "expected"), [(0, 1, "0.000"), (0, 4, "0.000"), (1, 4, "0.333"), (3, 4, "1.000")]
)
def test_depth(layer, layers, expected):
    assert depth_of(layer, layers) == expected


# ---- the share that the inputs explain ------------------------------------------------------------------------------


def test_shares_by_depth_and_kind():
    shares = np.linspace(0, 1, len(REPRESENTATIONS))
    shares[4] = math.nan
    rows = list(explained_rows(panel(explained=shares, reasons={4: "zero variance"})))
    found = [(r["network_a"], r["layer_a"], r["condition"]) for r in rows]
    assert found == [
        ("b-s0@untrained", "deep1", "depth=0.000;network=untrained"),
        ("a-s0", "l1", "depth=0.000;network=trained"),
        ("a-s0", "l2", "depth=0.500;network=trained"),
        ("a-s0", "l3", "depth=1.000;network=trained"),
        *(("b-s0", f"m{i + 1}", f"depth={i / 4:.3f};network=trained") for i in range(5)),
        ("noise", "noise", "network=noise"),
    ]
    assert [r["value"] for r in rows if r["status"] == "ok"] == [shares[i] for i in range(10) if i != 4]
    assert [r["status"] for r in rows if r["status"] != "ok"] == ["undefined: zero variance in layer m1"]
    assert all(r["quantity"] == "explained_by_inputs" and r["estimator"] == "published" for r in rows)
    measurements.table(rows)


def test_kinds_of_ones_own_and_networks_left_out():
    kinds = {"a-s0": "base"}
    rows = list(explained_rows(panel(explained=np.full(len(REPRESENTATIONS), 0.5)), kinds.get))
    assert [r["condition"] for r in rows] == [f"depth={depth};network=base" for depth in ("0.000", "0.500", "1.000")]
    assert list(explained_rows(panel())) == []  # nothing was adjusted for the inputs


def test_on_networks_the_rows_are_the_measure_on_the_layers(tmp_path):
    images = data.load("digits", "test", limit=24)
    layers = {"lenet-s1": ["relu1", "relu2", "relu3", "relu4"], "dense-s1": ["fc1", "fc2"]}
    models = {name: networks.build(name.split("-")[0], 1, 10, seed=1).eval() for name in layers}
    recorded = {name: record(models[name], images, layers[name], tmp_path / name) for name in layers}
    sources = [NetworkSource(name, models[name], layers[name], images) for name in layers]
    result = compare_networks([*sources, noise(24, 0)], images, ["deconfounded"], 24, progress=False)
    rows = list(equal_depth_rows(result, lambda a, b: "other" if "noise" not in (a, b) else None))
    assert pairs_of(rows) == [("relu1", "fc1", "0.000"), ("relu4", "fc2", "1.000")]
    for r in rows:
        x, y = recorded["lenet-s1"][r["layer_a"]], recorded["dense-s1"][r["layer_b"]]
        assert r["value"] == pytest.approx(deconfounded_cka(x, y, images.inputs()), abs=1e-5)
