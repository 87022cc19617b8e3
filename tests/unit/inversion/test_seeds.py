"""Pairs of seed and target images, and noise."""

import numpy as np
import pytest
import torch

from netalike import inversion
from netalike.errors import NetalikeError, ShapeError, UnknownNameError

LABELS = np.random.default_rng(0).integers(0, 5, 200)


@pytest.mark.parametrize("kind", ["other_class", "same_class"])
def test_pairs_are_of_the_kind_and_the_same_for_one_seed(kind):
    seeds, targets = inversion.inversion_pairs(LABELS, 100, seed=1, kind=kind)
    same = LABELS[seeds] == LABELS[targets]
    assert same.all() if kind == "same_class" else not same.any()
    assert (seeds != targets).all()
    assert len(set(targets)) == 100
    again = inversion.inversion_pairs(torch.from_numpy(LABELS), 100, seed=1, kind=kind)
    assert np.array_equal(again[0], seeds)
    assert np.array_equal(again[1], targets)
    other = inversion.inversion_pairs(LABELS, 100, seed=2, kind=kind)
    assert not np.array_equal(other[1], targets)


def test_fewer_pairs_are_the_first_targets_of_more():
    few, many = (inversion.inversion_pairs(LABELS, n, seed=1)[1] for n in (20, 100))
    assert np.array_equal(few, many[:20])


def test_noise_is_grey_and_in_the_box():
    noise = inversion.noise_seeds((50, 3, 8, 8), seed=0)
    assert noise.shape == (50, 3, 8, 8)
    assert noise.mean().item() == pytest.approx(0.5, abs=0.002)
    assert noise.std().item() == pytest.approx(0.05, abs=0.002)
    assert torch.equal(noise, inversion.noise_seeds((50, 3, 8, 8), seed=0))


def test_pairs_that_do_not_exist_are_refused():
    with pytest.raises(NetalikeError, match="201 pairs need as many target images; expected 1 to 200"):
        inversion.inversion_pairs(LABELS, 201, 0)
    with pytest.raises(UnknownNameError, match=r"unknown kind of pairs 'other'.*Did you mean 'other_class'"):
        inversion.inversion_pairs(LABELS, 2, 0, kind="other")
    with pytest.raises(NetalikeError, match="there is not an image of another class than class 0"):
        inversion.inversion_pairs(np.zeros(4), 2, 0)
    with pytest.raises(NetalikeError, match="there is not another image of class"):
        inversion.inversion_pairs([0, 1], 2, 0, kind="same_class")
    with pytest.raises(ShapeError, match=r"\(n, channels, height, width\), got \(3, 8\)"):
        inversion.noise_seeds((3, 8), 0)
