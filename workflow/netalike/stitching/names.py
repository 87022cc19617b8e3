"""The values of stitching's options, and the names that the published code gave them; no framework is imported here."""

from __future__ import annotations

from netalike.errors import unknown_name

DATASET = "cifar10"
"""On which the published commands stitch and compare unless they are told otherwise."""
INITIALISATIONS = ("random", "permutation", "identity", "least_squares", "ones_zeros")
"""What a stitching layer starts from."""
MASKS = ("identity", "semi_match", "abs_semi_match", "random_permutation")
"""Which entries of the matrix may differ from zero; identity is no mask at all."""
TARGETS = ("hard", "soft_1", "soft_2", "soft_12", "soft_1_plus_2")
"""What the stitched network is trained towards."""
MATRICES = ("before", "after", "least_squares")
"""The matrices of a finished stitch."""

_VALUES = {"init": INITIALISATIONS, "mask": MASKS, "target": TARGETS, "matrix": MATRICES}
_ALIASES = {
    "init": {"ps_inv": "least_squares", "perm": "permutation", "eye": "identity"},
    "mask": {"none": "identity"},
    "target": {},
    "matrix": {"ps_inv": "least_squares"},
}


def canonical(option: str, value: str) -> str:
    """Return the one name of an option's value.

    Parameters
    ----------
    option : {"init", "mask", "target", "matrix"}
    value : str
        A name of this package or of the published code: ``ps_inv`` is ``least_squares``, ``perm`` is
        ``permutation``, ``eye`` is ``identity``; hyphens and underscores are the same (``semi-match``).

    Returns
    -------
    str
        With underscores: one of `INITIALISATIONS`, `MASKS`, `TARGETS` or `MATRICES`.

    Raises
    ------
    UnknownNameError
        If the option has no such value, or if there is no such option; the nearest name is given.
    """
    if option not in _VALUES:
        raise unknown_name("option", option, _VALUES)
    folded = value.replace("-", "_")
    known = _ALIASES[option].get(folded, folded)
    if known not in _VALUES[option]:
        raise unknown_name(f"value of {option}", value, [*_VALUES[option], *_ALIASES[option]])
    return known


def spellings(option: str) -> list[str]:
    """List every name that `canonical` accepts for an option, those of this package first.

    Parameters
    ----------
    option : {"init", "mask", "target", "matrix"}

    Returns
    -------
    list of str
        Without those that differ only in hyphens.
    """
    if option not in _VALUES:
        raise unknown_name("option", option, _VALUES)
    return [*_VALUES[option], *_ALIASES[option]]
