"""RSMs: what leaves them unchanged, their definitions, and intervals over networks."""

import numpy as np
import pytest
from scipy import stats

from netalike.alignment import (
    between_rsm,
    between_rsms,
    class_rsm,
    consistency,
    rsm,
    second_order,
    second_order_over_networks,
    within_rsms,
)
from netalike.alignment.rsm import KINDS, mean_correlation
from netalike.errors import NetalikeError, ShapeError, UnknownNameError


def patterns(n=20, p=8, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((n, p)) * np.linspace(1, 2, p) + 0.5


def rotation(p=8, seed=9):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((p, p)))[0]


def test_pearson_is_the_correlation_of_rows():
    assert rsm(patterns()) == pytest.approx(np.corrcoef(patterns()), abs=1e-12)


def test_cosine_and_kernel_are_their_definitions():
    x = patterns()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert rsm(x, "cosine") == pytest.approx(unit @ unit.T, abs=1e-12)
    kernel = (x - x.mean(0)) @ (x - x.mean(0)).T
    assert rsm(x, "centred_kernel") == pytest.approx(kernel / np.mean(np.diag(kernel)), abs=1e-12)


@pytest.mark.parametrize("kind", ["cosine", "centred_kernel"])
def test_N7_cosine_and_kernel_are_unchanged_by_rotations(kind):
    assert rsm(patterns() @ rotation(), kind) == pytest.approx(rsm(patterns(), kind), abs=1e-12)


def test_N7_pearson_is_changed_by_rotations_and_not_by_permutations():
    x = patterns()
    assert np.abs(rsm(x @ rotation()) - rsm(x)).max() > 0.1
    assert rsm(x[:, ::-1]) == pytest.approx(rsm(x), abs=1e-12)


def test_constants_added_to_units_leave_the_kernel_alone():
    x, shift = patterns(), np.arange(8.0)
    assert rsm(x + shift, "centred_kernel") == pytest.approx(rsm(x, "centred_kernel"), abs=1e-12)
    assert np.abs(rsm(x + shift, "cosine") - rsm(x, "cosine")).max() > 0.1


def between_by_definition(networks):
    found = []
    for i, own in enumerate(networks):
        others = np.mean([x for j, x in enumerate(networks) if j != i], axis=0)
        found.append([[np.corrcoef(a, b)[0, 1] for b in others] for a in own])
    return np.array(found)


def test_between_networks_is_leave_one_out():
    networks = [patterns(seed=seed) for seed in range(4)]
    expected = between_by_definition(networks)
    assert between_rsms(networks) == pytest.approx(expected, abs=1e-12)
    assert between_rsm(networks) == pytest.approx(expected.mean(0), abs=1e-12)
    assert np.abs(between_rsm(networks) - between_rsm(networks).T).max() > 0.1


def test_N11_fisher_z_is_an_option_of_the_mean():
    networks = [patterns(seed=seed) for seed in range(3)]
    expected = np.tanh(np.arctanh(between_by_definition(networks)).mean(0))
    assert between_rsm(networks, fisher_z=True) == pytest.approx(expected, abs=1e-12)
    assert mean_correlation([0.2, 0.9]) == pytest.approx(0.55)
    assert mean_correlation([0.2, 0.9], fisher_z=True) == pytest.approx(np.tanh(np.arctanh([0.2, 0.9]).mean()))
    rsms = within_rsms(networks)
    averaged = mean_correlation(rsms, axis=0, fisher_z=True)
    assert averaged.shape == (20, 20)
    assert averaged.diagonal() == pytest.approx(np.ones(20))


@pytest.mark.parametrize("kind", KINDS)
def test_equal_networks_have_the_same_rsm_within_and_between(kind):
    x = patterns()
    assert between_rsm([x, x, x], kind) == pytest.approx(rsm(x, kind), abs=1e-12)
    assert within_rsms([x, 2 * x], kind)[1] == pytest.approx(rsm(x, kind), abs=1e-12)


def test_class_means_in_the_order_of_their_labels():
    x, labels = patterns(), np.arange(20)[::-1] % 3
    means = np.stack([x[labels == label].mean(0) for label in range(3)])
    assert class_rsm(x, labels) == pytest.approx(np.corrcoef(means), abs=1e-12)
    with pytest.raises(ShapeError, match=r"labels of shape \(3,\) for 20 images"):
        class_rsm(x, [0, 1, 2])


def test_second_order_correlates_lower_triangles_or_everything():
    a, b = rsm(patterns()), between_rsm([patterns(), patterns(seed=1)])
    below = np.tril_indices(20, -1)
    for part, x, y in (("lower", a[below], b[below]), ("all", a.ravel(), b.ravel())):
        assert second_order(a, b, part=part) == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-12)
        assert second_order(a, b, "spearman", part) == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-12)
        assert second_order(a, b, "kendall", part) == pytest.approx(stats.kendalltau(x, y)[0], abs=1e-12)


def test_N3_kendall_is_not_pearson():
    a, b = rsm(patterns()), rsm(patterns() ** 3)
    assert abs(second_order(a, b, "kendall", "all") - second_order(a, b, "pearson", "all")) > 0.05


def test_consistency_holds_all_second_order_correlations():
    rsms = within_rsms([patterns(seed=seed) for seed in range(3)])
    found = consistency(rsms)
    assert found.diagonal().tolist() == [1, 1, 1]
    assert found[0, 2] == found[2, 0] == pytest.approx(second_order(rsms[0], rsms[2]), abs=1e-12)


def test_the_interval_over_networks_is_that_of_the_bootstrap_by_definition():
    networks = [patterns(seed=0) + 0.7 * patterns(seed=seed) for seed in range(1, 6)]
    between, within = between_rsms(networks), within_rsms(networks)
    value, low, high = second_order_over_networks(between, within, 200, seed=3)
    assert value == pytest.approx(second_order(between.mean(0), np.mean(within, axis=0)), abs=1e-10)
    draws = np.random.default_rng(3).integers(5, size=(200, 5))
    slow = [second_order(between[draw].mean(0), np.mean([within[i] for i in draw], axis=0)) for draw in draws]
    assert (low, high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])), abs=1e-10)
    assert low < high
    assert second_order_over_networks(between, within, 200, seed=3) == (value, low, high)


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [("pearson", np.full(8, 2.0), "constant over the units"), ("cosine", np.zeros(8), "zero")],
)
def test_a_pattern_without_direction_is_named(kind, row, message):
    x = patterns()
    x[7] = row
    with pytest.raises(
        NetalikeError, match=rf"patterns of 1 of 20 images in network 1 are {message} \(first: image 7\)"
    ):
        within_rsms([patterns(), x], kind)


def test_a_network_that_does_not_vary_has_no_kernel():
    with pytest.raises(NetalikeError, match="the same for all images"):
        rsm(np.tile(np.arange(8.0), (20, 1)), "centred_kernel")


def test_what_does_not_fit_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'centred_kernel'"):
        rsm(patterns(), "centered_kernel")
    with pytest.raises(UnknownNameError, match="Did you mean 'kendall'"):
        second_order(np.eye(5), np.eye(5), "kendal")
    with pytest.raises(UnknownNameError, match="part of an RSM"):
        second_order(np.eye(5), np.eye(5), part="upper")
    with pytest.raises(ShapeError, match="at least 2 networks of one width, got 2 of 7, 8: transform them"):
        between_rsm([patterns(), patterns(p=7)])
    with pytest.raises(ShapeError, match=r"RSMs of shapes \(5, 5\), \(6, 6\)"):
        second_order(np.eye(5), np.eye(6))
    with pytest.raises(ShapeError, match="2 and 1 RSMs"):
        second_order_over_networks([np.eye(5)] * 2, [np.eye(5)])
    with pytest.raises(NetalikeError, match="entries of RSM 1 do not vary"):
        second_order(rsm(patterns()), np.ones((20, 20)))
