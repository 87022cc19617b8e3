"""Identities of shared responses: rows, their tolerances, what is said without BrainIAK, and the figure."""

import pytest

from netalike.alignment import brainiak
from netalike.evidence.measurements import parse_condition, table
from netalike.experiments import alignment_identities as experiment
from netalike.plots.alignment_identities import alignment_identities


@pytest.fixture(scope="module")
def rows():
    found = [row for seed in range(2) for row in experiment.identity_rows(seed)]
    return table(found, paper="shared_response", experiment="alignment_identities", dataset="gaussian")


def largest(rows, identity, **factors):
    parsed = rows["condition"].map(parse_condition)
    chosen = parsed.map(lambda one: one["identity"] == identity and factors.items() <= one.items())
    assert chosen.any()
    return rows[chosen].groupby("estimator")["value"].max()


@pytest.mark.parametrize("identity", ["rotation", "permutation", "held_out_rotation", "held_out_permutation"])
def test_known_maps_are_found_again(rows, identity):
    assert largest(rows, identity, center="mean")["netalike"] < 1e-10


def test_the_published_way_finds_them_nearly(rows):
    assert 1e-7 < largest(rows, "rotation", center="brainiak")["netalike"] < 1e-4


def test_N1_N2_constants_change_nothing(rows):
    assert largest(rows, "mean_shift")["netalike"] < 1e-10


def test_cross_products_are_as_images(rows):
    assert largest(rows, "cross_products")["netalike"] < 1e-10


def test_N7_rotations_change_the_pearson_rsm_alone(rows):
    found = largest(rows, "rsm_rotation")
    assert found["cosine"] < 1e-12
    assert found["centred_kernel"] < 1e-12
    assert found["pearson"] > 0.1


@pytest.mark.skipif(not brainiak.is_installed(), reason="brainiak is not installed")
@pytest.mark.parametrize("identity", ["brainiak_bases", "brainiak_shared", "brainiak_objective"])
@pytest.mark.parametrize("method", ["probabilistic", "deterministic"])
def test_both_implementations_agree(rows, identity, method):
    assert largest(rows, identity, method=method)["netalike"] < 1e-6


def test_without_brainiak_the_rows_say_so(monkeypatch):
    monkeypatch.setattr(experiment, "is_installed", lambda: False)
    found = table(experiment.identity_rows(0))
    skipped = found[found["status"] != "ok"]
    assert set(skipped["status"]) == {"skipped: brainiak is not installed"}
    assert len(skipped) == 6
    assert skipped["condition"].str.contains("identity=brainiak_").all()
    (ax,) = alignment_identities(found).axes
    assert [text.get_text() for text in ax.texts].count("skipped: brainiak is not installed") == 3


def test_the_same_call_gives_the_same_bits(rows):
    again = table(experiment.identity_rows(1))
    assert again["value"].to_numpy().tobytes() == rows.loc[rows["seed"] == 1, "value"].to_numpy().tobytes()


def test_the_figure_names_every_identity(rows):
    (ax,) = alignment_identities(rows).axes
    assert len(ax.get_yticklabels()) == 12
    assert ax.get_xlabel().startswith("largest absolute difference")
