"""Similarity of patches: where they lie, the kernel whatever the memory, and rows against a slow computation."""

from dataclasses import replace

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from netalike.data.polygons import moved  # noqa: E402
from netalike.data.scenes import make_scene  # noqa: E402
from netalike.errors import NetalikeError, UnknownNameError  # noqa: E402
from netalike.experiments.map_similarity import (  # noqa: E402
    Patches,
    PatchSimilarity,
    agreement,
    choose_patches,
    output_of,
    patch_kernel,
    patch_similarity,
    predictions,
    similarity_rows,
)
from netalike.networks.double_unet import Widths, displacement_only, double_unet  # noqa: E402

WIDTHS = Widths(2, 1, 3)


@pytest.fixture(scope="module")
def scenes():
    found = [make_scene(seed, 256) for seed in range(2)]
    return [replace(own, labels=moved(own.polygons, (1.0, -0.5))) for own in found]


@pytest.fixture(scope="module")
def model():
    return double_unet(WIDTHS, 1)


@pytest.fixture(scope="module")
def patches(scenes):
    return choose_patches(scenes, 5, seed=0)


def test_the_centre_pixel_lies_in_the_middle_building(patches):
    assert patches.images.shape == (5, 124, 124, 3)
    assert np.allclose(patches.noise, [1.0, -0.5])
    fill = patches.inputs()["polygons"][:, 62, 62, 0]
    assert (fill > 0).all()
    assert all(fact["buildings"] >= 1 for fact in patches.facts)


def test_b12_places_are_drawn_for_each_scene_and_seed(scenes):
    first, again, other = (choose_patches(scenes, 6, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


def test_scenes_that_are_too_small_are_refused(scenes):
    with pytest.raises(NetalikeError, match="use larger scenes"):
        choose_patches([make_scene(0, 128)], 4)


def slow_gradients(model, patches, outputs):
    part = displacement_only(model)
    found = []
    for image, polygons in zip(*patches.inputs().values(), strict=True):
        with tf.GradientTape(persistent=True) as tape:
            outs = part({"image": image[None], "polygons": polygons[None]})[0, 0]  # (4, 4, 2)
            two = outs[2, 2] if outputs == "centre" else tf.reduce_sum(outs, (0, 1))
        jacobians = tape.jacobian(
            two, [v.value for v in part.trainable_variables], unconnected_gradients="zero", experimental_use_pfor=False
        )
        found.append(np.concatenate([np.asarray(j).reshape(2, -1) for j in jacobians], 1).T)
    return np.stack(found).astype(np.float64)


@pytest.mark.parametrize("outputs", ["centre", "sum"])
def test_b6_gradients_are_of_the_centre_pixel_or_of_the_sum(model, patches, outputs):
    few = Patches(patches.images[:2], patches.polygons[:2], patches.noise[:2], patches.facts[:2])
    X = slow_gradients(model, few, outputs)
    expected = np.einsum("npa,mpb->nmab", X, X)
    assert patch_kernel(model, few, outputs) == pytest.approx(expected, rel=1e-4, abs=1e-6 * np.abs(expected).max())


def test_little_memory_gives_the_same_kernel(model, patches):
    whole = patch_kernel(model, patches, memory_gb=1.0)
    size = 8e-9 * displacement_only(model).count_params()
    for held in (2, 3):
        assert np.allclose(patch_kernel(model, patches, memory_gb=held * size * 1.01), whole, rtol=1e-5)
    assert np.allclose(whole, whole.transpose(1, 0, 3, 2))


def test_an_unknown_output_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'centre'"):
        output_of("center")


def test_predictions_are_those_of_the_centre_pixel_in_pixels(model, patches):
    inputs = patches.inputs()
    expected = displacement_only(model)(inputs).numpy()[:, 0, 2, 2] * 8
    assert predictions(model, patches) == pytest.approx(expected, abs=1e-4)


def test_rows_of_denoising_agree_with_a_slow_computation(model, scenes):
    found = patch_similarity(model, scenes, 5)
    rows = similarity_rows(found, k=2, noise="bias", round=1)
    n = len(found.patches)
    weights = np.zeros((n, n, 2, 2))
    for i in range(n):
        total = np.linalg.inv(sum(found.kernel[i, j].T for j in range(n)))
        weights[i] = [found.kernel[i, j].T @ total for j in range(n)]
    factors = [np.sqrt(sum(np.trace(a.T @ a) for a in weights[i]) / 2) for i in range(n)]

    def column(quantity, estimator):
        return [row["value"] for row in rows if (row["quantity"], row["estimator"]) == (quantity, estimator)]

    assert column("denoising_factor", "corrected") == pytest.approx(factors, rel=1e-5)
    # b9: the published transpose has the same trace, and its code leaves the square root out
    assert column("denoising_factor", "published") == pytest.approx(np.square(factors), rel=1e-5)
    # weights add up to the identity: a bias is not averaged away
    assert column("averaged_noise", "true") == pytest.approx([np.hypot(1, 0.5)] * n, rel=1e-5)
    assert column("averaged_noise", "predicted") == pytest.approx(np.array(factors) * np.hypot(1, 0.5), rel=1e-5)
    errors = np.linalg.norm(found.predicted + np.array([1.0, -0.5]), axis=1)
    assert column("prediction_error", "true") == pytest.approx(errors)
    assert column("soft_count", "trace") == pytest.approx(found.similarity.sum(1))
    assert np.diag(found.similarity) == pytest.approx(np.ones(n), abs=1e-4)


def test_neighbours_with_the_same_facts_agree_more_than_random_ones():
    facts = tuple(
        {"buildings": 1 + i % 2, "size": 10.0, "angle": 45.0 * (i % 2), "palette": "ab"[i % 2]} for i in range(12)
    )
    similarity = np.array([[1.0 if i % 2 == j % 2 else 0.0 for j in range(12)] for i in range(12)])
    images, noise = np.zeros((12, 124, 124, 3), np.uint8), np.ones((12, 2))
    kernel = similarity[..., None, None] * np.eye(2)
    found = PatchSimilarity(Patches(images, ((),) * 12, noise, facts), kernel, similarity, np.zeros((12, 2)))
    rows = similarity_rows(found, k=3)

    def mean(estimator, fact):
        own = [r["value"] for r in rows if r["estimator"] == estimator and f"fact={fact}" in r["condition"]]
        return np.mean(own)

    assert mean("nearest", "palette") == mean("nearest", "angle") == mean("nearest", "buildings") == 1
    assert mean("random", "palette") < 0.8
    assert mean("random", "size") == 1


@pytest.mark.parametrize(
    ("fact", "a", "b", "expected"),
    [
        ("angle", 10, 100, 1),
        ("angle", 0, 45, 0),
        ("angle", 80, 5, 1 - 15 / 45),
        ("size", 10, 40, 0.25),
        ("buildings", 3, 3, 1),
        ("palette", "x", "y", 0),
    ],
)
def test_agreement(fact, a, b, expected):
    assert agreement(fact, {fact: a}, {fact: b}) == pytest.approx(expected)
