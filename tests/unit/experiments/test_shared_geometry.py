"""Geometry without matrices agrees with the matrices of netalike.alignment."""

import itertools

import numpy as np
import pytest

from netalike.alignment import (
    SharedResponse,
    between_rsms,
    class_rsm,
    consistency,
    rsm,
    second_order_over_networks,
    within_rsms,
)
from netalike.alignment import second_order as second_order_of_two
from netalike.experiments.shared_geometry import (
    between_sides,
    block_contrast,
    class_similarity,
    correlations,
    network_draws,
    normalised,
    second_order,
    share_explained,
    smoothed,
    trajectory_distances,
    triangles,
    within_sides,
)

KINDS = ("pearson", "cosine", "centred_kernel")


def networks(count=4, n=150, width=12, seed=0, common=1.0, offset=0.0):
    generator = np.random.default_rng(seed)
    base = generator.standard_normal((n, width)) * common + offset
    return [(base + generator.standard_normal((n, width))).astype(np.float32) for _ in range(count)]


def rotation(width, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0].astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_second_order_similarity_is_that_of_the_matrices(kind):
    found = networks()
    between, within = between_rsms(found, kind), within_rsms(found, kind)
    moments = triangles(within_sides(found, kind) + between_sides(found, kind))
    ours = second_order(moments.covariance, slice(4, 8), slice(0, 4), network_draws(4, 500, 0))
    value, low, high = second_order_over_networks(list(between), within, 500, 0)
    assert ours.value == pytest.approx(value, abs=1e-5)
    assert ours.low <= ours.value <= ours.high
    assert np.diff(np.arctanh([ours.low, ours.high])) == pytest.approx(np.diff(np.arctanh([low, high])), rel=0.2)
    assert moments.n_entries == 150 * 149 // 2


def test_consistency_is_that_of_the_matrices():
    found = networks()
    ours = correlations(triangles(within_sides(found, "pearson")).covariance)
    assert np.allclose(ours, consistency(within_rsms(found)), atol=1e-5)


def test_blocks_that_were_kept_are_joined():
    first, second = networks(seed=0), networks(seed=1)
    kept = triangles(within_sides(first, "pearson"), keep=slice(0, 4)).kept
    joined = triangles(within_sides(second, "pearson"), joined=kept).covariance
    at_once = triangles(within_sides(second, "pearson") + within_sides(first, "pearson")).covariance
    assert np.allclose(joined, at_once, rtol=1e-6, atol=1e-12)


def test_an_untrained_geometry_is_not_lost_to_rounding():
    found = networks(offset=30.0, width=40)  # cosines within a thousandth of 1
    assert rsm(found[0], "cosine").min() > 0.99
    ours = correlations(triangles(within_sides(found, "cosine")).covariance)
    assert np.allclose(ours, consistency(within_rsms(found, "cosine")), atol=0.01)


def test_fishers_z_averages_transformed_entries():
    found = networks(3)
    sides = within_sides(found, "pearson") + between_sides(found, "pearson")
    ours = second_order(triangles(sides, fisher=True).covariance, slice(3, 6), slice(0, 3), network_draws(3, 9, 0))
    matrices = [np.arctanh(np.clip(m, -0.999999, 0.999999)) for m in (*within_rsms(found), *between_rsms(found))]
    expected = second_order_of_two(np.mean(matrices[3:], axis=0), np.mean(matrices[:3], axis=0))
    assert ours.value == pytest.approx(expected, abs=1e-4)


def test_two_networks_have_no_interval():
    found = networks(2)
    moments = triangles(within_sides(found, "pearson") + between_sides(found, "pearson"))
    ours = second_order(moments.covariance, slice(2, 4), slice(0, 2), network_draws(2, 100, 0))
    assert np.isfinite(ours.value)
    assert np.isnan([ours.low, ours.high]).all()


def test_N7_a_rotation_changes_pearson_alone():
    x = networks(1, offset=1.0)[0]
    turned = x @ rotation(12)
    changes = {k: np.abs(rsm(normalised(turned, k), k) - rsm(normalised(x, k), k)).max() for k in KINDS}
    assert changes["pearson"] > 0.05
    assert changes["cosine"] < 1e-5
    assert changes["centred_kernel"] < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_contrast_of_blocks_is_that_of_the_matrix(kind):
    found = networks(3)
    labels = np.sort(np.arange(150) % 4)
    same = labels[:, None] == labels
    off = ~np.eye(150, dtype=bool)
    pairs = [
        (within_sides(found, kind), within_rsms(found, kind)),
        (between_sides(found, kind), between_rsms(found, kind)),
    ]
    for side, matrix in itertools.chain.from_iterable(zip(a, b, strict=True) for a, b in pairs):
        expected = matrix[same & off].mean() - matrix[~same].mean()
        assert block_contrast(side, labels) == pytest.approx(expected, abs=1e-5)


def test_contrast_needs_two_classes_and_two_images_of_one():
    side = within_sides(networks(1, n=4), "pearson")[0]
    assert np.isnan(block_contrast(side, np.zeros(4)))
    assert np.isnan(block_contrast(side, np.arange(4)))


def test_similarity_of_classes_is_that_of_the_library():
    x, labels = networks(1)[0], np.arange(150) % 5
    assert np.allclose(class_similarity(x, labels), class_rsm(x, labels), atol=1e-6)


@pytest.mark.parametrize("center", ["mean", "brainiak"])
@pytest.mark.parametrize("features", [None, 5])
def test_the_share_explained_is_the_score_of_the_model(center, features):
    found = networks(offset=0.7)
    model = SharedResponse(features, center=center).fit(found)
    native = [x - m if center == "mean" else x for x, m in zip(found, model.means_, strict=True)]
    ours = share_explained(native, model.transform(found), own=True, by_unit=center == "mean")
    assert np.allclose(ours, model.score(found), atol=1e-6)


def test_noise_explains_its_own_share_of_the_mean_and_nothing_else():
    noise = networks(5, n=4000, common=0.0)
    assert np.allclose(share_explained(noise, noise, own=True, by_unit=False), 1 / 5, atol=0.02)
    assert np.allclose(share_explained(noise, noise, own=False, by_unit=False), -1 / 4, atol=0.03)


def test_smoothing_is_a_moving_average():
    x = networks(1)[0]
    expected = np.stack([np.convolve(column, np.ones(10) / 10, "valid") for column in x.T], axis=1)
    assert smoothed(x, 10).shape == (141, 12)
    assert np.allclose(smoothed(x, 10), expected, atol=1e-5)


def test_trajectories_that_overlap_have_no_distance():
    x = networks(1)[0]
    assert np.allclose(trajectory_distances([x, x, x]), 0, atol=1e-4)
    assert trajectory_distances(networks(3, common=0.0)).min() > 1
