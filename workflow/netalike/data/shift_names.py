"""Names of corruptions, domains and tasks, and what a domain's name means; no framework is imported here."""

from __future__ import annotations

import math

from netalike.errors import NetalikeError, unknown_name

CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "brightness",
    "contrast",
    "fog",
    "pixelate",
)
SEVERITIES = (1, 2, 3, 4, 5)
TASKS = ("classes", "rotation", "random_labels", "shortcut")

NO_SHIFT = "none"
# kind of domain -> least and greatest strength, and what the strength is
_RANGES = {
    "rotation": (-180.0, 180.0, "degrees"),
    "inversion": (0.0, 1.0, "the share of the inverted image"),
    "blur": (0.0, 16.0, "the standard deviation in pixels of the network's input"),
    "noise": (0.0, 1.0, "the standard deviation on the scale from 0 to 1"),
}
DOMAIN_KINDS = tuple(_RANGES)


def parse_domain(name: str) -> tuple[str, float]:
    """Split the name of a domain into its kind and strength.

    Parameters
    ----------
    name : str
        ``<kind>:<strength>``, as ``rotation:30``, or ``none``.

    Returns
    -------
    kind : str
        One of `DOMAIN_KINDS`, or ``none``.
    strength : float
        In the kind's own unit: degrees counterclockwise (rotation), share of the inverted image (inversion), standard
        deviation in pixels (blur) or on the scale from 0 to 1 (noise); 0 for ``none``.

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    NetalikeError
        If the strength is missing, not a number, or out of range.
    """
    if name == NO_SHIFT:
        return NO_SHIFT, 0.0
    kind, _, given = name.partition(":")
    if kind not in _RANGES:
        advice = "A domain is named kind:strength, as rotation:30."
        raise unknown_name("kind of domain", kind, (*DOMAIN_KINDS, NO_SHIFT), advice)
    least, greatest, meaning = _RANGES[kind]
    expected = f"expected {kind}:STRENGTH, with STRENGTH a number from {least:g} to {greatest:g} ({meaning})"
    strength = _number(given)
    if strength is None:
        raise NetalikeError(f"domain {name!r}: {given!r} is not a number; {expected}.")
    if not least <= strength <= greatest:
        raise NetalikeError(f"domain {name!r}: {strength:g} is out of range; {expected}.")
    return kind, strength


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
