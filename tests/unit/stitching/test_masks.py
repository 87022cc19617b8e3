"""Masks keep one input channel for each output channel."""

import pytest
import torch

from netalike.errors import NetalikeError, ShapeError, UnknownNameError
from netalike.stitching.masks import abs_semi_match, mask, random_permutation, semi_match

CORRELATION = torch.tensor([[0.2, 0.9, 0.0, -0.95], [-0.7, 0.1, 0.0, 0.3], [0.8, 0.9, 0.0, 0.1]])


def kept(found):
    assert ((found == 0) | (found == 1)).all()
    assert found.sum(1).tolist() == [1.0] * len(found)
    return found.argmax(1).tolist()


def test_semi_match_keeps_the_most_correlated_input():
    assert kept(semi_match(CORRELATION)) == [1, 3, 1]


def test_abs_semi_match_looks_at_the_absolute_value():
    assert kept(abs_semi_match(CORRELATION)) == [3, 0, 1]


def test_a_constant_input_is_not_kept_even_if_all_others_are_negative():
    assert kept(semi_match(torch.tensor([[-0.5, 0.0, -0.2]]))) == [2]
    assert kept(semi_match(torch.zeros(2, 3))) == [0, 0]


def test_a_constant_output_keeps_one_input():
    assert kept(semi_match(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.3, 0.5]]))) == [1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_a_random_permutation_is_one(seed):
    found = random_permutation(32, torch.Generator().manual_seed(seed))
    assert sorted(kept(found)) == list(range(32))
    assert torch.equal(found, random_permutation(32, torch.Generator().manual_seed(seed)))
    assert not torch.equal(found, random_permutation(32, torch.Generator().manual_seed(seed + 1)))


def test_the_published_random_permutation_is_none():
    columns = [
        len(set(kept(random_permutation(32, torch.Generator().manual_seed(s), published=True)))) for s in range(50)
    ]
    assert max(columns) < 32
    assert sum(columns) / 50 == pytest.approx(32 * (1 - (1 - 1 / 32) ** 32), abs=1.0)


def test_a_mask_by_its_name():
    assert mask("identity", 4, 3) is None
    assert kept(mask("semi-match", 4, 3, CORRELATION)) == [1, 3, 1]
    assert kept(mask("abs_semi_match", 4, 3, CORRELATION)) == [3, 0, 1]
    found = mask("random-permutation", 8, 8, generator=torch.Generator().manual_seed(0))
    assert sorted(kept(found)) == list(range(8))


def test_what_a_mask_lacks_is_said():
    with pytest.raises(NetalikeError, match="semi_match needs the correlations of the training split"):
        mask("semi-match", 4, 3)
    with pytest.raises(ShapeError, match="random_permutation needs as many input as output channels, got 4 and 3"):
        mask("random_permutation", 4, 3, generator=torch.Generator())
    with pytest.raises(UnknownNameError, match=r"value of mask 'semimatch'.*Did you mean 'semi_match'\?"):
        mask("semimatch", 4, 3)
    with pytest.raises(ShapeError, match=r"got the shape \(4,\)"):
        semi_match(torch.zeros(4))
