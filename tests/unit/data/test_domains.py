"""Shifted domains: each kind does what its name says, and a wrong name is told from a right one."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from netalike import data
from netalike.data import DOMAIN_KINDS, parse_domain, shift_domain
from netalike.data.domains import _KINDS
from netalike.errors import NetalikeError, UnknownNameError


def digits(n: int = 20) -> data.ImageSet:
    return data.load("digits", "test", limit=n)


def shifted(domain: str, n: int = 20, seed: int = 0) -> torch.Tensor:
    return shift_domain(digits(n), domain, seed).images


def test_every_kind_is_there():
    assert set(_KINDS) == {*DOMAIN_KINDS, "none"}


@pytest.mark.parametrize("domain", ["none", "rotation:0", "rotation:-0.0", "inversion:0", "blur:0", "noise:0"])
def test_no_strength_is_no_shift(domain):
    assert torch.equal(shifted(domain), digits().images)


@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_rotation_is_counterclockwise(quarters):
    assert torch.equal(shifted(f"rotation:{90 * quarters}"), digits().images.rot90(quarters, (2, 3)))


def test_rotation_agrees_with_pillow_inside_and_is_black_outside():
    white = dataclasses.replace(digits(1), images=torch.full((1, 1, 32, 32), 255, dtype=torch.uint8))
    turned = shift_domain(white, "rotation:45", 0).images[0, 0]
    assert turned[0, 0] == turned[0, 31] == turned[31, 0] == turned[31, 31] == 0
    assert turned[16, 16] == turned[16, 3] == 255
    for image, found in zip(digits().images, shifted("rotation:30"), strict=True):
        expected = np.asarray(Image.fromarray(image[0].numpy()).rotate(30, Image.BILINEAR)).astype(int)
        assert abs(found[0, 8:24, 8:24].numpy() - expected[8:24, 8:24]).max() <= 2


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_inversion_mixes_with_the_negative(share):
    pixels = digits().images.double()
    expected = (1 - share) * pixels + share * (255 - pixels)
    np.testing.assert_allclose(shifted(f"inversion:{share}").double(), expected, atol=0.501)


@pytest.mark.parametrize("deviation", [0.5, 1.5, 12.0])
def test_blur_agrees_with_scipy(deviation):
    pixels = digits().images.double().numpy()
    expected = ndimage.gaussian_filter(pixels, (0, 0, deviation, deviation), mode="nearest", truncate=4.0)
    np.testing.assert_allclose(shifted(f"blur:{deviation}").double(), expected, atol=1.0)


def test_noise_has_its_standard_deviation_and_a_seed():
    pixels = torch.full((50, 1, 32, 32), 128, dtype=torch.uint8)
    flat = dataclasses.replace(digits(50), images=pixels)
    found = shift_domain(flat, "noise:0.1", 0).images
    assert (found.double() / 255).std().item() == pytest.approx(0.1, rel=0.01)
    assert torch.equal(shift_domain(flat, "noise:0.1", 0).images, found)
    assert not torch.equal(shift_domain(flat, "noise:0.1", 1).images, found)
    other_split = dataclasses.replace(flat, split="train")
    assert not torch.equal(shift_domain(other_split, "noise:0.1", 0).images, found)
    assert torch.equal(shift_domain(flat.take(slice(9)), "noise:0.1", 0).images, found[:9])


def test_all_but_the_pixels_stays():
    images = digits()
    found = shift_domain(images, "rotation:30", 0)
    assert torch.equal(found.labels, images.labels)
    assert found.ids.tolist() == images.ids.tolist()
    assert (found.name, found.split, found.classes, found.spec) == (
        images.name,
        images.split,
        images.classes,
        images.spec,
    )


@pytest.mark.parametrize("domain", ["none", "rotation:30", "noise:0.1"])
def test_no_domain_is_trained_on_with_mirror_images(domain):
    spec = data.specification("cifar10")
    pixels = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    photographs = data.ImageSet("cifar10", "train", pixels, torch.arange(2), spec.classes, np.arange(2), spec)
    assert spec.augmentation == "crop_flip"
    assert shift_domain(photographs, domain, 0).spec.augmentation == "affine"
    assert shift_domain(digits(), domain, 0).spec.augmentation == digits().spec.augmentation == "affine"


def test_names_of_domains():
    assert parse_domain("rotation:30") == ("rotation", 30.0)
    assert parse_domain("rotation:-12.5") == ("rotation", -12.5)
    assert parse_domain("noise:1e-1") == ("noise", 0.1)
    assert parse_domain("none") == ("none", 0.0)


def test_an_unknown_kind_is_named_with_the_nearest():
    message = r"unknown kind of domain 'rotaton'.*blur, noise, none\. Did you mean 'rotation'\? .* as rotation:30\."
    with pytest.raises(UnknownNameError, match=message):
        parse_domain("rotaton:30")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rotation", "domain 'rotation': '' is not a number; expected rotation:STRENGTH, .* -180 to 180 .degrees."),
        ("noise:much", "domain 'noise:much': 'much' is not a number; expected noise:STRENGTH"),
        ("noise:nan", "'nan' is not a number"),
        ("blur:1:2", "'1:2' is not a number"),
        ("inversion:1.5", "1.5 is out of range; .* from 0 to 1 .the share of the inverted image."),
        ("blur:-1", "-1 is out of range; .* from 0 to 16"),
        ("rotation:181", "181 is out of range"),
    ],
)
def test_a_strength_that_makes_no_sense_is_refused(name, message):
    with pytest.raises(NetalikeError, match=message):
        shift_domain(digits(2), name, 0)


def test_names_need_no_framework():
    code = "import sys; from netalike.data.shift_names import *; assert not {'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
