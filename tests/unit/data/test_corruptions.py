"""Corruptions: their published definitions, in another way of computing them; ordered; the same for the same seed."""

import colorsys
import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from netalike import data
from netalike.data import CORRUPTIONS, SEVERITIES, corrupt, corruptions
from netalike.data.corruptions import defocus_kernel, plasma
from netalike.errors import NetalikeError, UnknownNameError

NOISES = ["gaussian_noise", "shot_noise", "impulse_noise", "fog"]


def digits(n: int = 40) -> data.ImageSet:
    return data.load("digits", "test", limit=n)


def image_set(pixels: torch.Tensor, split: str = "test") -> data.ImageSet:
    spec = data.specification("cifar10" if pixels.shape[1] == 3 else "digits")
    labels = torch.arange(len(pixels)) % 10
    return data.ImageSet(spec.name, split, pixels, labels, spec.classes, np.arange(len(pixels)) + 7, spec)


def colours(n: int = 40) -> data.ImageSet:
    """Smooth pictures in colour, as photographs are."""
    fields = np.random.default_rng(0).standard_normal((n, 3, 32, 32))
    smooth = ndimage.gaussian_filter(fields, (0, 0, 2, 2), mode="wrap")
    levels = 127 + 60 * smooth / smooth.std()
    return image_set(torch.from_numpy(levels.clip(0, 255).astype(np.uint8)))


def grey(level: int, n: int = 40) -> data.ImageSet:
    return image_set(torch.full((n, 3, 32, 32), level, dtype=torch.uint8))


def distance(a: data.ImageSet, b: data.ImageSet) -> float:
    return float((a.images.float() - b.images.float()).square().mean().sqrt())


def unit(images: data.ImageSet) -> torch.Tensor:
    return images.images.double() / 255


def test_every_name_has_five_severities():
    assert tuple(corruptions._CORRUPTIONS) == CORRUPTIONS
    assert SEVERITIES == (1, 2, 3, 4, 5)
    assert {len(one.constants) for one in corruptions._CORRUPTIONS.values()} == {5}


def steps(images: data.ImageSet, corruption: str) -> list[int]:
    # Shrinking 32 pixels to 30 or to 28 moves different rows: on enlarged images the first steps may change places.
    return [1, 3, 5] if corruption == "pixelate" and images.spec.channels == 1 else list(SEVERITIES)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize("images", [digits(500), colours()], ids=["grey", "colour"])
def test_a_higher_severity_is_further_from_the_image(images, corruption):
    distances = [distance(corrupt(images, corruption, step, 0), images) for step in steps(images, corruption)]
    assert distances[0] > 0.2
    assert all(near < 0.98 * far for near, far in pairwise(distances)), distances


@pytest.mark.mirror
@pytest.mark.parametrize("name", ["cifar10", "mnist"])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_severities_are_ordered_on_real_data(mirror, name, corruption):
    images = data.load(name, "test", mirror, limit=100)
    clean = dataclasses.replace(images, images=images.resized)
    distances = [distance(corrupt(images, corruption, step, 0), clean) for step in steps(images, corruption)]
    assert all(near < 0.98 * far for near, far in pairwise(distances)), distances
    assert distances[-1] < 90  # of 255: still an image


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_all_but_the_pixels_stays(corruption):
    images = colours(5)
    before = images.images.clone()
    found = corrupt(images, corruption, 3, 0)
    assert torch.equal(images.images, before)
    assert found.images.dtype == torch.uint8
    assert found.images.shape == (5, 3, 32, 32)
    assert torch.equal(found.labels, images.labels)
    assert found.ids.tolist() == images.ids.tolist() == [7, 8, 9, 10, 11]
    assert (found.name, found.split, found.spec) == (images.name, images.split, images.spec)


def test_images_are_corrupted_at_the_size_that_networks_see():
    small = image_set(torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8))
    assert corrupt(small, "contrast", 1, 0).inputs().shape == (3, 1, 32, 32)
    halved = corrupt(small, "contrast", 2, 0).images.float().std((2, 3))
    torch.testing.assert_close(halved, small.resized.float().std((2, 3)) / 2, atol=0.3, rtol=0)


@pytest.mark.parametrize("corruption", NOISES)
def test_the_seed_decides_and_images_that_follow_do_not(corruption, monkeypatch):
    images = colours(30)
    found = corrupt(images, corruption, 3, 5)
    assert torch.equal(corrupt(images, corruption, 3, 5).images, found.images)
    assert not torch.equal(corrupt(images, corruption, 3, 6).images, found.images)
    assert torch.equal(corrupt(images.take(slice(11)), corruption, 3, 5).images, found.images[:11])
    monkeypatch.setattr("netalike.data.shifting._CHUNK", 7)
    assert torch.equal(corrupt(images, corruption, 3, 5).images, found.images)


def test_training_and_test_images_get_noise_of_their_own():
    pixels = torch.full((5, 1, 32, 32), 128, dtype=torch.uint8)
    train, test = (corrupt(image_set(pixels, split), "gaussian_noise", 5, 0) for split in ("train", "test"))
    assert not torch.equal(train.images, test.images)
    assert not torch.equal(train.images[0], train.images[1])


def test_gaussian_noise_has_its_standard_deviation():
    for severity, expected in zip(SEVERITIES, (0.04, 0.06, 0.08, 0.09, 0.10), strict=True):
        noise = unit(corrupt(grey(128), "gaussian_noise", severity, 0)) - 128 / 255
        assert noise.std().item() == pytest.approx(expected, rel=0.01)
        assert noise.mean().item() == pytest.approx(0, abs=1e-3)


def test_shot_noise_has_the_variance_of_a_count():
    for severity, photons in zip(SEVERITIES, (500, 250, 100, 75, 50), strict=True):
        for level in (64, 128):
            found = unit(corrupt(grey(level), "shot_noise", severity, 0))
            assert found.mean().item() == pytest.approx(level / 255, rel=0.01)
            # a photon of 500 is half of one of the 256 levels, which shows in the variance
            assert found.var().item() == pytest.approx(level / 255 / photons, rel=0.04)
    assert corrupt(grey(0), "shot_noise", 5, 0).images.max() == 0


def test_impulse_noise_hits_its_share_of_the_values():
    for severity, share in zip(SEVERITIES, (0.01, 0.02, 0.03, 0.05, 0.07), strict=True):
        found = corrupt(grey(128), "impulse_noise", severity, 0).images
        assert (found == 255).float().mean().item() == pytest.approx(share / 2, rel=0.1)
        assert (found == 0).float().mean().item() == pytest.approx(share / 2, rel=0.1)
        assert set(found.unique().tolist()) == {0, 128, 255}


def test_brightness_raises_the_value_and_keeps_hue_and_saturation():
    images = colours(2)
    images.images[0, :, 0, 0] = 0
    before = unit(images).permute(0, 2, 3, 1).reshape(-1, 3)
    after = unit(corrupt(images, "brightness", 4, 0)).permute(0, 2, 3, 1).reshape(-1, 3)
    for old, new in zip(before.tolist(), after.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*old)
        assert new == pytest.approx(colorsys.hsv_to_rgb(hue, saturation, min(value + 0.2, 1)), abs=0.002)


def test_brightness_is_added_to_grey_images():
    found = corrupt(digits(), "brightness", 1, 0).images.int()
    torch.testing.assert_close(found, (digits().images.int() + 13).clamp(max=255))  # 0.05 * 255 = 12.75


def test_contrast_is_about_the_mean_of_each_channel():
    for severity, factor in zip(SEVERITIES, (0.75, 0.5, 0.4, 0.3, 0.15), strict=True):
        before, after = unit(colours(3)).numpy(), unit(corrupt(colours(3), "contrast", severity, 0)).numpy()
        means = before.mean(axis=(2, 3), keepdims=True)
        np.testing.assert_allclose(after, means + factor * (before - means), atol=0.0021)


def plasma_point_by_point(draws: np.ndarray, decay: float) -> np.ndarray:
    """Diamond-square on a torus, one point at a time."""
    width = len(draws)
    heights = np.zeros((width, width))
    step, spread = width, 1.0

    def place(row: int, column: int, neighbours: list[tuple[int, int]]) -> None:
        mean = sum(heights[r % width, c % width] for r, c in neighbours) / 4
        heights[row, column] = mean + spread * draws[row, column]

    while step >= 2:
        half = step // 2
        grid = range(0, width, step)
        for r in grid:
            for c in grid:
                place(r + half, c + half, [(r, c), (r + step, c), (r, c + step), (r + step, c + step)])
        for r in grid:
            for c in grid:
                for row, column in ((r, c + half), (r + half, c)):
                    around = [(row - half, column), (row + half, column), (row, column - half), (row, column + half)]
                    place(row, column, around)
        step, spread = half, spread / decay**2
    return (heights - heights.min()) / (heights.max() - heights.min())


@pytest.mark.parametrize("decay", [1.75, 3.0])
def test_plasma_agrees_with_diamond_square_point_by_point(decay):
    found = plasma(3, 32, decay, np.random.default_rng(4))
    draws = np.random.default_rng(4).random((3, 32, 32), dtype=np.float32) * 2 - 1
    for cloud, numbers in zip(found, draws, strict=True):
        np.testing.assert_allclose(cloud, plasma_point_by_point(numbers, decay), atol=1e-5)


def test_plasma_of_another_size_is_the_corner_of_a_larger_map():
    whole = plasma(2, 64, 2.0, np.random.default_rng(0))
    assert torch.equal(plasma(2, 40, 2.0, np.random.default_rng(0)), whole[:, :40, :40])
    assert (whole.amin((1, 2)) == 0).all()
    assert (whole.amax((1, 2)) == 1).all()


def test_fog_is_a_cloud_in_all_channels_and_leaves_the_brightest_pixel_below_itself():
    images = image_set(torch.full((4, 3, 32, 32), 102, dtype=torch.uint8))  # 0.4
    for severity, thickness in zip(SEVERITIES, (0.2, 0.5, 0.75, 1.0, 1.5), strict=True):
        found = unit(corrupt(images, "fog", severity, 0))
        assert torch.equal(found[:, 0], found[:, 2])
        lowest, highest = 0.4 * 0.4 / (0.4 + thickness), 0.4  # where the cloud is 0 and 1
        assert found.amin((1, 2, 3)).tolist() == pytest.approx([lowest] * 4, abs=0.002)
        assert found.amax((1, 2, 3)).tolist() == pytest.approx([highest] * 4, abs=0.002)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_pixelate_agrees_with_pillow(severity):
    images = image_set(torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8))
    small = int(32 * (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1])
    found = corrupt(images, "pixelate", severity, 0).images
    for before, after in zip(images.images, found, strict=True):
        picture = Image.fromarray(before.permute(1, 2, 0).numpy()).resize((small, small), Image.BOX)
        expected = np.asarray(picture.resize((32, 32), Image.BOX)).astype(int)
        assert abs(after.permute(1, 2, 0).numpy() - expected).max() <= 1


def test_defocus_kernels():
    plus = torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]]) / 5
    assert torch.allclose(defocus_kernel(1, 0.2)[1:-1, 1:-1], plus, atol=1e-5)
    assert torch.allclose(defocus_kernel(1.5, 0.1)[1:-1, 1:-1], torch.full((3, 3), 1 / 9), atol=1e-5)
    edge, corner = np.exp(-1 / (2 * 0.4**2)), np.exp(-2 / (2 * 0.4**2))
    expected = np.array([[corner, edge, corner], [edge, 1, edge], [corner, edge, corner]])
    np.testing.assert_allclose(defocus_kernel(0.3, 0.4), expected / expected.sum(), atol=1e-6)


@pytest.mark.parametrize("severity", [2, 5])
def test_defocus_blur_is_a_convolution_with_mirrored_edges(severity):
    kernel = defocus_kernel(*((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))[severity - 1]).numpy()
    images = image_set(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))
    expected = ndimage.correlate(images.images.double().numpy(), kernel[None, None], mode="mirror")
    found = corrupt(images, "defocus_blur", severity, 0).images.numpy()
    np.testing.assert_allclose(found, expected, atol=0.501)


def test_an_unknown_corruption_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown corruption 'gausian_noise'.*Did you mean 'gaussian_noise'\?"):
        corrupt(digits(), "gausian_noise", 1, 0)


@pytest.mark.parametrize("severity", [0, 6, 2.5])
def test_a_severity_that_does_not_exist_is_refused(severity):
    with pytest.raises(NetalikeError, match=f"severity {severity} of fog: expected 1, 2, 3, 4 or 5"):
        corrupt(digits(), "fog", severity, 0)
