"""Option values: this package's names, the published code's, and the nearest of a wrong one."""

import subprocess
import sys

import pytest

from netalike.errors import UnknownNameError
from netalike.stitching import canonical
from netalike.stitching.names import INITIALISATIONS, MASKS, TARGETS, spellings


@pytest.mark.parametrize(
    ("option", "given", "expected"),
    [
        ("init", "ps_inv", "least_squares"),
        ("init", "perm", "permutation"),
        ("init", "eye", "identity"),
        ("init", "ones-zeros", "ones_zeros"),
        ("init", "random", "random"),
        ("mask", "semi-match", "semi_match"),
        ("mask", "abs-semi-match", "abs_semi_match"),
        ("mask", "random-permutation", "random_permutation"),
        ("mask", "identity", "identity"),
        ("target", "soft_1_plus_2", "soft_1_plus_2"),
        ("target", "soft-12", "soft_12"),
        ("matrix", "ps_inv", "least_squares"),
        ("matrix", "before", "before"),
    ],
)
def test_old_names_are_understood(option, given, expected):
    assert canonical(option, given) == expected


def test_every_name_is_its_own():
    for option, names in (("init", INITIALISATIONS), ("mask", MASKS), ("target", TARGETS)):
        assert [canonical(option, name) for name in names] == list(names)
        assert spellings(option)[: len(names)] == list(names)


@pytest.mark.parametrize("option", ["init", "mask", "target", "matrix"])
def test_every_spelling_is_understood(option):
    assert {canonical(option, name) for name in spellings(option)} <= set(spellings(option))


def test_b20_both_names_of_an_initialisation_are_the_same():
    # The published code tests `name in ["perm" or "permutation"]`, which is "perm" alone.
    assert canonical("init", "perm") == canonical("init", "permutation") == "permutation"
    assert canonical("init", "ps_inv") == canonical("init", "least-squares") == "least_squares"


def test_a_wrong_name_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown value of target 'soft1': .*Did you mean 'soft_1'\?"):
        canonical("target", "soft1")
    with pytest.raises(UnknownNameError, match=r"unknown option 'masks': .*Did you mean 'mask'\?"):
        canonical("masks", "identity")
    with pytest.raises(UnknownNameError, match="unknown option"):
        spellings("masks")


def test_names_need_no_framework():
    code = "import sys; import netalike.stitching.names, netalike.stitching as s; s.canonical('init', 'eye'); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
