"""Other implementations beside ours: where both are meant to agree they do, and where not the row says why."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr

from netalike import measures
from netalike.errors import ShapeError, UnknownNameError
from netalike.evidence import measurements
from netalike.evidence.measurements import OK, parse_condition
from netalike.experiments import implementations, peers
from netalike.experiments.implementations import AGREES, DIFFERS, chosen_pairs, implementation_rows
from netalike.experiments.peers import CHECKS, Check, Sample

# Single precision, as simtorch computes; all others in double.
PRECISION = {"simtorch": 1e-5}
ALWAYS = {"scipy", "scikit-learn"}  # netalike needs them itself


def network(random, shared, dead=False):
    """Activations of two layers that respond to the same causes; the first are feature maps."""
    maps = np.maximum(shared @ random.standard_normal((8, 72)) + random.standard_normal((len(shared), 72)), 0)
    if dead:
        maps[:] = 1.0
    output = shared @ random.standard_normal((8, 12)) + 0.3 * random.standard_normal((len(shared), 12)) + 2
    return {"conv": maps.reshape(-1, 2, 6, 6).astype(np.float32), "fc": output.astype(np.float32)}


@pytest.fixture(scope="module")
def recordings():
    random = np.random.default_rng(0)
    shared = random.standard_normal((120, 8))
    return {name: network(random, shared) for name in "abc"}


@pytest.fixture(scope="module")
def rows(recordings):
    return implementation_rows(recordings, [("a", "b"), ("b", "c")], max_units=20)


def sample(n=40, p=6, q=4, seed=0):
    random = np.random.default_rng(seed)
    x = random.standard_normal((n, p)) + 1
    y = x @ random.standard_normal((p, q)) + random.standard_normal((n, q))
    return Sample(x, y, random.standard_normal((n, 3)))


def test_implementations_agree_where_they_are_meant_to(rows):
    compared = set()
    for row in rows:
        factors = parse_condition(row["condition"])
        if row["quantity"] == AGREES and row["status"] == OK:
            compared.add(factors["peer"])
            assert row["value"] < PRECISION.get(factors["peer"], 1e-10), row
            assert factors["on"] == "4 layers of 2 pairs"
            assert factors["version"]
        elif row["status"] != OK:
            assert math.isnan(row["value"])
            assert row["status"].startswith(f"undefined: {factors['peer']} "), row
    assert compared >= ALWAYS


def test_every_measure_of_the_registry_has_another_implementation(rows):
    assert {row["estimator"] for row in rows} >= {measure.key for measure in measures.all_measures()}


def test_what_is_not_the_same_thing_differs_and_has_a_reason(rows):
    found = {row["estimator"]: row for row in rows if row["quantity"] == DIFFERS and row["status"] == OK}
    for key in found.keys() - {"cka/unbiased"}:  # nothing is below 0 here
        assert found[key]["value"] > 1e-6, key
        assert len(parse_condition(found[key]["condition"])["reason"].split()) > 3
    for row in rows:
        assert ("reason" in parse_condition(row["condition"])) == (row["quantity"] == DIFFERS)


def test_the_rows_fit_the_table_and_each_stands_once(rows):
    table = measurements.table(rows, paper="comparison")
    assert len(table) == len(CHECKS)
    assert not table.duplicated(["quantity", "estimator", "condition"]).any()
    assert (table["n_samples"] == 120).all()


def test_the_same_call_gives_the_same_bits(recordings, rows):
    again = implementation_rows(recordings, [("a", "b"), ("b", "c")], max_units=20)
    assert measurements.table(again).equals(measurements.table(rows))


def test_our_sides_are_what_the_formulas_say():
    given = sample()
    assert peers._scipy_rsa(given, "spearmanr") == pytest.approx(spearmanr(pdist(given.x), pdist(given.y))[0])
    x, y = (one / np.linalg.norm(one) for one in given.centred)
    nuclear = np.linalg.svd(x.T @ y, compute_uv=False).sum()
    assert peers._scipy_procrustes(given) == pytest.approx(1 - nuclear, abs=1e-12)
    both = [measures.measure("pwcca")(*pair) for pair in ((given.x, given.y), (given.y, given.x))]
    assert peers._both_directions(given) == pytest.approx(np.mean(both))
    unrelated = Sample(given.x, np.random.default_rng(3).standard_normal((40, 5)), given.inputs)
    assert measures.measure("cka")(unrelated.x, unrelated.y) < 0
    assert peers._clipped(unrelated) == 0.0


def test_the_step_of_the_inversion_is_projected():
    moved = peers._our_step(sample())
    seeds = peers._as_images(sample())[0].numpy()
    lengths = np.sqrt(((moved - seeds) ** 2).sum((1, 2, 3)))
    assert moved.shape == (40, 1, 1, 4)
    assert 0 <= moved.min() <= moved.max() <= 1
    assert lengths.max() <= peers._EPS + 1e-12
    assert (lengths > 0.99 * peers._EPS).any()  # some were outside


def rows_of(monkeypatch, check, recordings, pairs=(("a", "b"),)):
    monkeypatch.setattr(implementations, "CHECKS", (check,))
    (row,) = implementation_rows(recordings, pairs)
    return row


def test_the_largest_difference_is_found(monkeypatch, recordings):
    calls = []

    def theirs(given):
        calls.append(given)
        return measures.measure("cka")(given.x, given.y) - (0.25 if len(calls) == 2 else 0.125)

    row = rows_of(monkeypatch, Check("cka/unbiased", "scipy", theirs), recordings)
    assert row["value"] == pytest.approx(0.25, abs=1e-12)
    assert [one.x.shape for one in calls] == [(120, 48), (120, 12)]
    assert calls[0].inputs.shape == (120, 48)


def test_arrays_are_compared_number_by_number(monkeypatch, recordings):
    check = Check("cka/unbiased", "scipy", lambda _: np.array([1.0, 2.0]), lambda _: np.array([1.0, 2.5]))
    assert rows_of(monkeypatch, check, recordings)["value"] == 0.5


def test_a_peer_that_is_missing_is_said_to_be(monkeypatch, recordings):
    row = rows_of(monkeypatch, Check("cka/unbiased", "no-such-package", lambda _: 1.0), recordings)
    assert math.isnan(row["value"])
    assert row["status"] == "undefined: no-such-package is not installed"
    assert row["condition"] == "peer=no-such-package"


def test_a_peer_that_cannot_be_imported_is_said_to_be(monkeypatch, recordings):
    monkeypatch.setitem(implementations._MODULES, "scipy", "scipy.no_such_module")
    row = rows_of(monkeypatch, Check("cka/unbiased", "scipy", lambda _: 1.0), recordings)
    assert row["status"] == (
        "undefined: scipy cannot be imported: ModuleNotFoundError: No module named 'scipy.no_such_module'"
    )


@pytest.mark.parametrize(
    ("message", "told"), [("too few; rows\nmore", "LinAlgError: too few; rows"), ("in /home/x.py", "LinAlgError")]
)
def test_a_peer_that_fails_is_said_to(monkeypatch, recordings, message, told):
    def fails(_):
        raise np.linalg.LinAlgError(message)

    row = rows_of(monkeypatch, Check("cka/unbiased", "scipy", fails), recordings)
    assert row["status"] == f"undefined: scipy fails: {told}"


def test_a_peer_without_a_number_is_said_to_have_none(monkeypatch, recordings):
    row = rows_of(monkeypatch, Check("cka/unbiased", "scipy", lambda _: math.nan), recordings)
    assert row["status"] == "undefined: scipy gives no number"


def test_layers_without_a_value_are_left_out(monkeypatch, recordings):
    random = np.random.default_rng(1)
    dead = {"a": recordings["a"], "b": network(random, random.standard_normal((120, 8)), dead=True)}
    check = Check("cka/unbiased", "scipy", lambda given: measures.measure("cka")(given.x, given.y))
    row = rows_of(monkeypatch, check, dead)
    assert (row["value"], parse_condition(row["condition"])["on"]) == (0.0, "1 layer of 1 pair")
    only = {name: {"conv": layers["conv"]} for name, layers in dead.items()}
    assert rows_of(monkeypatch, check, only)["status"] == ("undefined: the measure has no value on any pair of layers")


def test_unknown_networks_and_other_images_are_refused(recordings):
    with pytest.raises(UnknownNameError, match="unknown recorded network 'd'"):
        implementation_rows(recordings, [("a", "d")])
    short = {**recordings, "b": {"fc": recordings["b"]["fc"][:100]}}
    with pytest.raises(ShapeError, match=r"the same images, at least 8; got a 120, b 100\."):
        implementation_rows(short, [("a", "b")])


def test_rsatoolbox_is_called_as_it_documents(monkeypatch):
    """It is not installed everywhere: a stand-in with the functions of its documentation."""

    def compare(one, other, method):
        return np.array([[{"spearman": spearmanr, "corr": pearsonr}[method](one, other)[0]]])

    def calc_rdm(dataset, method):
        assert method == "euclidean"
        return pdist(dataset, "sqeuclidean") / dataset.shape[1]

    data, rdm = SimpleNamespace(Dataset=lambda x: x), SimpleNamespace(calc_rdm=calc_rdm, compare=compare)
    for name, module in {"rsatoolbox": SimpleNamespace(), "rsatoolbox.data": data, "rsatoolbox.rdm": rdm}.items():
        monkeypatch.setitem(sys.modules, name, module)
    given = sample()
    for comparison, key in (("spearman", "rsa/spearman"), ("corr", "rsa/pearson")):
        assert peers._rsatoolbox(given, comparison) == pytest.approx(measures.measure(key)(given.x, given.y))


def test_some_pairs_of_trained_networks_are_chosen():
    members = {f"{family}{seed}": family for family in ("tiny", "res") for seed in range(3)}
    panel = {"members": members, "controls": ["permuted_samples", "noise", "untrained"]}
    chosen = chosen_pairs(panel)
    assert chosen == [("tiny0", "tiny1"), ("tiny1", "res1"), ("res1", "res2")]
    assert chosen_pairs({**panel, "members": {"one": "tiny", "two": "tiny"}}) == [("one", "two")]
    assert chosen_pairs({**panel, "members": {"one": "tiny"}}) == []
