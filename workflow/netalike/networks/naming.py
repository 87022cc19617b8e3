"""The names of the architectures; no framework is imported here."""

from __future__ import annotations

import re

from netalike.errors import UnknownNameError, unknown_name

_NAMES = ("tiny10", "nbn_tiny10", "lenet", "dense", *(f"resnet20_w{width}" for width in range(1, 6)))
_ALIASES = {"nbntiny10": "nbn_tiny10", "resnet20": "resnet20_w1"}
_FOLDERS = {"tiny10": "Tiny10", "nbn_tiny10": "NbnTiny10", "lenet": "LeNet", "dense": "Dense"}
_OUTSIDE = ("torchvision:", "file:")
_RESNET20 = re.compile(r"resnet20_w([1-9]\d*)")
_ADVICE = "Any other width of resnet20_w<k>, 'torchvision:<name>' and 'file:<path>.py:<function>' are networks as well."


def names() -> list[str]:
    """List the registered architectures.

    Returns
    -------
    list of str
        Without the aliases, and without the networks from outside (``torchvision:…``, ``file:…``).
    """
    return list(_NAMES)


def is_outside(name: str) -> bool:
    """Tell whether a name stands for a network that is not defined here: ``torchvision:…`` or ``file:…``."""
    return name.startswith(_OUTSIDE)


def canonical(name: str) -> str:
    """Return the one name of an architecture.

    Parameters
    ----------
    name : str
        A registered name, an alias (``nbntiny10``, ``resnet20``), or a network from outside, which is its own name.

    Raises
    ------
    UnknownNameError
        If there is no such architecture.
    """
    known = _ALIASES.get(name, name)
    if known in _NAMES or is_outside(known) or _RESNET20.fullmatch(known):
        return known
    raise unknown_architecture(name)


def unknown_architecture(name: str) -> UnknownNameError:
    """Make the error for an architecture that does not exist."""
    return unknown_name("architecture", name, _NAMES, _ADVICE)


def resnet20_width(name: str) -> int | None:
    """Return k of ``resnet20_w<k>``, or None if the name is another one."""
    found = _RESNET20.fullmatch(name)
    return int(found[1]) if found else None


def folder_name(name: str) -> str:
    """Return the folder in which the trained networks of an architecture are stored, as the stitching paper names it.

    Parameters
    ----------
    name : str
        As `canonical` takes it.

    Returns
    -------
    str
        ``Tiny10``, ``ResNet20_w1``, ``torchvision-resnet18``, ``file-mine-function``: always one path component.
    """
    known = canonical(name)
    if width := resnet20_width(known):
        return f"ResNet20_w{width}"
    if known.startswith("file:"):
        path, _, function = known.removeprefix("file:").rpartition(":")
        stem = re.split(r"[/\\]", path)[-1].removesuffix(".py")
        return f"file-{stem}-{function}"
    return _FOLDERS.get(known, known.replace(":", "-"))
