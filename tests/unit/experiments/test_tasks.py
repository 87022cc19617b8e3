"""Pairs of networks by task, and the rows of a study of them."""

from __future__ import annotations

from collections import Counter

import pytest

from netalike import comparison, data, networks
from netalike.errors import UnknownNameError
from netalike.evidence import measurements
from netalike.evidence.measurements import parse_condition
from netalike.experiments.tasks import task_relation, task_rows
from netalike.measures.panel import compare_networks

TASKS = {"digits-s0": "classes", "digits-s1": "classes", "turns-s0": "rotation", "turns-s1": "rotation"}


@pytest.mark.parametrize(
    ("network_a", "network_b", "expected"),
    [
        ("digits-s0", "digits-s1", "same_task"),
        ("turns-s0", "turns-s1", "same_task"),
        ("digits-s0", "turns-s1", "other_task"),
        ("digits-s0", "turns-s0", None),  # they may have begun from the same weights
        ("digits-s0", "digits-s0", None),
        ("digits-s0", "digits-s0@untrained", "trained_untrained"),
        ("digits-s0", "turns-s0@untrained", "trained_untrained"),
        ("digits-s0@untrained", "turns-s0@untrained", "untrained"),
        ("digits-s0@untrained", "digits-s1@untrained", "untrained"),
        ("digits-s0", "digits-s0@permuted_samples", "permuted_samples"),
        ("digits-s0", "turns-s0@permuted_samples", "permuted_samples"),
        ("digits-s0", "noise", "noise"),
        ("digits-s0@untrained", "noise", None),
        ("digits-s0@permuted_samples", "noise", None),
        ("digits-s0@permuted_samples", "digits-s0@untrained", None),
    ],
)
def test_the_kind_of_a_pair(network_a, network_b, expected):
    relation = task_relation(TASKS)
    assert relation(network_a, network_b) == expected
    assert relation(network_b, network_a) == expected


def test_a_network_without_a_task_is_named():
    with pytest.raises(UnknownNameError, match=r"network of this study 'digit-s0'.*Did you mean 'digits-s0'"):
        task_relation(TASKS)("digits-s1", "digit-s0")


PANEL = {
    "members": {name: name.split("-")[0] for name in TASKS},
    "layers": ["blocks"],
    "controls": ["untrained", "permuted_samples", "noise"],
    "seed": 3,
    "untrained_twins": 2,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    files = {}
    for name, task in TASKS.items():
        classes, seed = (10 if task == "classes" else 4), int(name[-1])
        files[name] = folder / f"{name}.safetensors"
        card = networks.Card(architecture="lenet", dataset="digits", channels=1, classes=classes, seed=seed)
        networks.save(networks.build("lenet", 1, classes, seed=seed), files[name], card)
    return files


@pytest.fixture(scope="module")
def study(files):
    images = data.load("digits", "test", limit=40)
    sources, permuted = comparison.sources_of(comparison.load_members(files, PANEL), images, PANEL)
    estimators = ["published", "unbiased", "deconfounded"]
    return compare_networks(sources, images, estimators, 20, permuted, 3, progress=False)


def test_the_number_of_rows_by_hand(study):
    rows = list(task_rows(study, TASKS))
    by_pair = Counter(
        parse_condition(r["condition"]).get("pair") for r in rows if r["quantity"] != "explained_by_inputs"
    )
    layers, measures = 4, 3
    assert by_pair == {
        "same_task": 2 * layers * measures,
        "other_task": 2 * layers * measures,  # of four pairs, two have one seed
        "trained_untrained": 4 * 4 * layers * measures,
        "untrained": 6 * layers * measures,
        "permuted_samples": 4 * 2 * layers * measures,  # the first network of each family is permuted
        "noise": 4 * layers * measures,
    }
    explained = [r["condition"] for r in rows if r["quantity"] == "explained_by_inputs"]
    assert Counter(parse_condition(text)["network"] for text in explained) == {
        "trained": 16,
        "untrained": 16,
        "noise": 1,
    }
    assert len(measurements.table(rows)) == len(rows)


def test_untrained_twins_of_families_of_one_architecture_are_different_networks(study):
    rows = [r for r in task_rows(study, TASKS) if parse_condition(r["condition"]).get("pair") == "untrained"]
    assert len(rows) == 72
    assert max(r["value"] for r in rows) < 0.999


@pytest.mark.parametrize(("count", "expected"), [(1, ["digits-s0", "turns-s0"]), (5, list(TASKS))])
def test_as_many_untrained_twins_as_asked_for(files, count, expected):
    members = comparison.load_members(files, {**PANEL, "untrained_twins": count})
    assert [m.name for m in members[4:]] == [f"{name}@untrained" for name in expected]
    first = [m.model.conv1.weight for m in members]
    same = [(i, j) for i, one in enumerate(first) for j, other in enumerate(first) if i < j and one.equal(other)]
    assert same == [(0, 2), (1, 3)]  # trained ones of one seed began from the same weights, untrained ones are all new
