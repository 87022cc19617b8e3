"""The names of the architectures; no framework is imported here."""

from __future__ import annotations

import re

from netalike.errors import UnknownNameError, unknown_name

_SMALL = ("mlp", "vgg_small", "resnet8", "mobile", "densenet_small")
_NAMES = ("tiny10", "nbn_tiny10", "lenet", "dense", *(f"resnet20_w{width}" for width in range(1, 6)), *_SMALL)
_ALIASES = {"nbntiny10": "nbn_tiny10", "resnet20": "resnet20_w1"}
_FOLDERS = {
    "tiny10": "Tiny10",
    "nbn_tiny10": "NbnTiny10",
    "lenet": "LeNet",
    "dense": "Dense",
    "resnet20": "ResNet20",
    "mlp": "MLP",
    "vgg_small": "VGGSmall",
    "resnet8": "ResNet8",
    "mobile": "Mobile",
    "densenet_small": "DenseNetSmall",
}
_OUTSIDE = ("torchvision:", "file:", "robustness:")
WIDE = ("tiny10", "nbn_tiny10", "lenet", "resnet20")
"""The architectures that there are in every width, as ``lenet_w2``."""
_WIDTH = re.compile(rf"({'|'.join(WIDE)})_w([1-9]\d*)")
_ADVICE = (
    f"Any width of {', '.join(f'{family}_w<k>' for family in WIDE)}, 'torchvision:<name>' and "
    "'file:<path>.py:<function>' are networks as well."
)


def names() -> list[str]:
    """List the registered architectures.

    Returns
    -------
    list of str
        Without the aliases, and without the networks from outside (``torchvision:…``, ``file:…``, ``robustness:…``).
    """
    return list(_NAMES)


def is_outside(name: str) -> bool:
    """Tell whether a name is of a network from outside: ``torchvision:…``, ``file:…`` or ``robustness:…``."""
    return name.startswith(_OUTSIDE)


def canonical(name: str) -> str:
    """Return the one name of an architecture.

    Parameters
    ----------
    name : str
        A registered name, an alias (``nbntiny10``, ``resnet20``, ``lenet_w1``), a registered name of another width
        (``lenet_w2``), or a network from outside, which is its own name.

    Raises
    ------
    UnknownNameError
        If there is no such architecture.
    """
    known = _ALIASES.get(name, name)
    family, width = split_width(known)
    if width == 1 and family in _NAMES:
        return family
    if known in _NAMES or is_outside(known) or family != known:
        return known
    raise unknown_architecture(name)


def unknown_architecture(name: str) -> UnknownNameError:
    """Make the error for an architecture that does not exist."""
    return unknown_name("architecture", name, _NAMES, _ADVICE)


def split_width(name: str) -> tuple[str, int]:
    """Split the name of an architecture into what it is a wider version of, and how many times as wide.

    Parameters
    ----------
    name : str
        Any name; it need not exist.

    Returns
    -------
    family : str
        ``lenet`` of ``lenet_w2``; the name itself where it says no width.
    width : int
        2 of ``lenet_w2``; 1 where the name says no width.
    """
    found = _WIDTH.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, 1)


def folder_name(name: str) -> str:
    """Return the folder in which the trained networks of an architecture are stored, as the stitching paper names it.

    Parameters
    ----------
    name : str
        As `canonical` takes it.

    Returns
    -------
    str
        ``Tiny10``, ``LeNet_w2``, ``ResNet20_w1``, ``torchvision-resnet18``, ``file-mine-function``: always one path
        component.
    """
    known = canonical(name)
    family, width = split_width(known)
    if family != known:
        return f"{_FOLDERS[family]}_w{width}"
    if known.startswith("file:"):
        path, _, function = known.removeprefix("file:").rpartition(":")
        stem = re.split(r"[/\\]", path)[-1].removesuffix(".py")
        return f"file-{stem}-{function}"
    return _FOLDERS.get(known, known.replace(":", "-"))
