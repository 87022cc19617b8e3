"""Measures on recorded layers: which layers are paired, what is prepared once, and what is undefined."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from netalike import measures
from netalike.measures.recorded import compare_recorded, matched_layers


def names(count: int, prefix: str = "l") -> list[str]:
    return [f"{prefix}{i}" for i in range(count)]


def recordings() -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(30, 6))
    deep = {f"d{i}": np.tanh(base @ rng.normal(size=(6, 5))) + 0.1 * i for i in range(3)}
    shallow = {f"s{i}": base @ rng.normal(size=(6, 4)) + rng.normal(size=(30, 4)) for i in range(2)}
    return {"deep": deep, "shallow": shallow}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (4, 4, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        (4, 8, [(0, 0), (1, 2), (2, 5), (3, 7)]),
        (8, 4, [(0, 0), (2, 1), (5, 2), (7, 3)]),
        (1, 5, [(0, 0)]),
        (5, 1, [(0, 0)]),
        (2, 9, [(0, 0), (1, 8)]),
        (1, 1, [(0, 0)]),
    ],
)
def test_layers_are_paired_by_relative_depth(a, b, expected):
    assert matched_layers(names(a, "a"), names(b, "b")) == [(f"a{i}", f"b{j}") for i, j in expected]


def test_the_values_are_those_of_the_measure():
    stored = recordings()
    chosen = [measures.measure(name) for name in ("procrustes", "rsa", "cka")]
    found = list(compare_recorded(stored, [("deep", "shallow")], chosen, progress=False))
    assert [(c.measure.key, c.layer_a, c.layer_b) for c in found] == [
        (measure.key, *pair) for measure in chosen for pair in (("d0", "s0"), ("d2", "s1"))
    ]
    for one in found:
        assert one.value == pytest.approx(one.measure(stored["deep"][one.layer_a], stored["shallow"][one.layer_b]))
        assert one.status == "ok"


def test_all_pairs_of_layers():
    found = list(
        compare_recorded(
            recordings(), [("deep", "shallow")], [measures.measure("cca")], layer_pairs="all", progress=False
        )
    )
    assert [(c.layer_a, c.layer_b) for c in found] == [(f"d{i}", f"s{j}") for i in range(3) for j in range(2)]


def test_each_representation_is_prepared_once_for_each_measure():
    prepared = []
    rsa = measures.measure("rsa")
    counted = dataclasses.replace(rsa, prepare=lambda x: prepared.append(x.shape) or rsa.prepare(x))
    stored = recordings()
    pairs = [("deep", "shallow"), ("shallow", "deep"), ("deep", "deep")]
    found = list(compare_recorded(stored, pairs, [counted], layer_pairs="all", progress=False))
    assert len(found) == 6 + 6 + 9
    assert len(prepared) == 5


def test_a_network_can_take_its_samples_in_another_order():
    stored = recordings()
    order = np.random.default_rng(1).permutation(30)
    both = {**stored, "moved": stored["deep"]}
    (plain, moved) = (
        [c.value for c in compare_recorded(both, [("shallow", b)], [measures.measure("rsa")], orders=o, progress=False)]
        for b, o in (("deep", None), ("moved", {"moved": order}))
    )
    expected = measures.measure("rsa")(stored["shallow"]["s0"], stored["deep"]["d0"][order])
    assert moved[0] == pytest.approx(expected)
    assert abs(moved[0] - plain[0]) > 0.05


def test_undefined_values_say_which_layer_and_why():
    stored = recordings()
    stored["deep"]["d0"] = np.ones((30, 5))
    stored["shallow"]["s1"] = np.random.default_rng(0).normal(size=(30, 29))
    found = list(compare_recorded(stored, [("deep", "shallow")], [measures.measure("cca")], progress=False))
    assert [c.status for c in found] == [
        "undefined: zero variance over the samples in layer d0",
        "undefined: 30 samples of 29 dimensions: with n <= width + 1 any two representations are perfectly correlated "
        "in layer s1",
    ]
    assert all(math.isnan(c.value) for c in found)


def test_a_comparison_that_fails_itself_is_undefined_too():
    corners = {"corners": {"c": np.eye(4)}}
    (found,) = compare_recorded(corners, [("corners", "corners")], [measures.measure("cka")], progress=False)
    assert math.isnan(found.value)
    assert found.status == "undefined: the unbiased HSIC of a representation with itself is not positive"
