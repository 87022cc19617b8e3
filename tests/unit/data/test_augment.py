"""Augmentation: exact where it must be exact, and each image on its own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from netalike.data import augment as augmentation
from netalike.data.augment import affine, augment, flip, shift
from netalike.errors import UnknownNameError

KINDS = ["crop_flip", "affine"]


def pictures(n: int = 6, channels: int = 3, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, 32, 32), dtype=torch.uint8, generator=generator)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_identity_parameters_give_the_identity():
    images = pictures()
    zeros, ones = torch.zeros(6), torch.ones(6)
    assert torch.equal(affine(images, zeros, ones, zeros), images)
    assert torch.equal(shift(images, torch.zeros(6, 2, dtype=torch.long)), images)
    assert torch.equal(flip(images, torch.zeros(6, dtype=torch.bool)), images)
    assert torch.equal(augment(images, "none", seeded()), images)


def test_only_the_chosen_images_are_mirrored():
    images = pictures(2)
    result = flip(images, torch.tensor([True, False]))
    assert torch.equal(result[0], images[0][..., list(range(31, -1, -1))])
    assert torch.equal(result[1], images[1])


@given(down=st.integers(-4, 4), right=st.integers(-4, 4))
@settings(max_examples=25, deadline=None)
def test_a_crop_is_an_exact_shift_with_black_beyond_the_border(down, right):
    image = pictures(1)
    result = shift(image, torch.tensor([[down, right]]))[0]
    for row in range(32):
        inside = 0 <= row + down < 32
        expected = torch.zeros(3, 32, dtype=torch.uint8)
        if inside:
            columns = [c for c in range(32) if 0 <= c + right < 32]
            expected[:, columns] = image[0, :, row + down, [c + right for c in columns]]
        assert torch.equal(result[:, row], expected)


def test_a_crop_is_one_of_the_padded_images_windows():
    image = pictures(1)
    windows = {
        shift(flip(image, torch.tensor([mirrored])), torch.tensor([[down, right]])).numpy().tobytes()
        for mirrored in (False, True)
        for down in range(-4, 5)
        for right in range(-4, 5)
    }
    crops = augment(image.expand(500, -1, -1, -1), "crop_flip", seeded())
    seen = {crop.numpy().tobytes() for crop in crops}
    assert len(windows) == 162
    assert seen <= windows
    assert len(seen) > 140  # 500 draws of 162 windows: 155 expected


def backward_map(angle: float, scale: float, shear: float) -> np.ndarray:
    """From a pixel of the map's output to one of the padded image, both 40 x 40 and with pixel centres at .5."""
    turn, slant = np.deg2rad(angle), np.tan(np.deg2rad(shear))
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    shearing = np.array([[scale, -scale * slant, 0], [0, scale, 0], [0, 0, 1]])
    centre = np.array([[1.0, 0, 20], [0, 1, 20], [0, 0, 1]])
    return np.linalg.inv(centre @ rotation @ shearing @ np.linalg.inv(centre))


@given(angle=st.floats(-5, 5), scale=st.floats(0.9, 1.1), shear=st.floats(-5, 5))
@settings(max_examples=50, deadline=None)
def test_the_affine_map_is_pillows_one_step_at_a_time(angle, scale, shear):
    image, backward = pictures(1, channels=1), backward_map(angle, scale, shear)
    padded = Image.fromarray(np.pad(image[0, 0].numpy(), 4, mode="edge"))
    mapped = padded.transform((40, 40), Image.Transform.AFFINE, backward[:2].ravel(), Image.Resampling.NEAREST)
    ours = affine(image, *(torch.tensor([value]) for value in (angle, scale, shear)))[0, 0].numpy()

    y, x = np.mgrid[4:36, 4:36] + 0.5
    source = backward[:2] @ np.stack([x.ravel(), y.ravel(), np.ones(1024)])
    sure = (np.abs(source - source.round()) > 1e-3).all(0).reshape(32, 32)  # not half-way between two pixels
    assert np.array_equal(ours[sure], np.asarray(mapped)[4:-4, 4:-4][sure])


def test_a_strong_shrinking_shows_black_beyond_the_padding():
    white = torch.full((1, 1, 32, 32), 255, dtype=torch.uint8)
    result = affine(white, torch.zeros(1), torch.full((1,), 0.5), torch.zeros(1))[0, 0]
    assert result[:6].max() == 0  # 40 pixels become 20: 6 black rows above and below
    assert torch.equal(result[6:26, 6:26], torch.full((20, 20), 255, dtype=torch.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_everything(kind):
    images = pictures()
    first, again, other = (augment(images, kind, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.dtype == torch.uint8


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_generator_is_neither_used_nor_moved(kind):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = augment(pictures(), kind, seeded())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(augment(pictures(), kind, seeded()), first)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_does_not_depend_on_the_others(kind):
    images, others = pictures(seed=0), pictures(seed=1)
    others[2] = images[2]
    assert torch.equal(augment(images, kind, seeded())[2], augment(others, kind, seeded())[2])


@pytest.mark.parametrize("kind", KINDS)
def test_every_image_gets_its_own_parameters(kind):
    copies = pictures(1).expand(20, -1, -1, -1)
    assert len({image.numpy().tobytes() for image in augment(copies, kind, seeded())}) > 15


def test_the_parameters_stay_in_their_ranges(monkeypatch):
    drawn = []
    monkeypatch.setattr(augmentation, "affine", lambda images, *values: drawn.append(values) or images)
    augmentation.random_affine(pictures(1).expand(5000, -1, -1, -1), seeded())
    for values, low, high in zip(drawn[0], (-5, 0.9, -5), (5, 1.1, 5), strict=True):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high


def test_an_unknown_kind_is_refused():
    with pytest.raises(UnknownNameError, match=r"unknown augmentation 'crop-flip': .* Did you mean 'crop_flip'\?"):
        augment(pictures(), "crop-flip", seeded())
