"""The robust networks that others published: their names, and what is known about each; no framework is imported here.

A name is ``robust-imagenet-l2:resnet50:3``: collection, architecture and radius of the attack that it was trained on.
In the configuration it stands after ``published:``. Names, radii and accuracies are those of the tables in the
publishers' README files: microsoft/robust-models-transfer (Salman et al. 2020), MadryLab/robustness (Engstrom et al.
2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netalike.data.registry import RemoteFile
from netalike.errors import UnknownNameError, unknown_name

PREFIX = "robustness:"
"""Ahead of an architecture that torchvision does not have, as ``robustness:wide_resnet50_4``."""


@dataclass(frozen=True)
class RobustArchitecture:
    """An architecture of the published networks.

    Attributes
    ----------
    build : str
        What `netalike.networks.build` calls it.
    width : int
        Units of its representation: what goes into the last linear layer.
    """

    build: str
    width: int


@dataclass(frozen=True)
class RobustCheckpoint:
    """One published network.

    Attributes
    ----------
    collection, architecture : str
    radius : str
        As the publisher writes it: in pixels from 0 to 1 for the 2-norm, in 255ths for the largest change.
    constraint : {"2", "inf"}
    dataset : str
        ``imagenet`` or ``cifar10``.
    facts : RobustArchitecture
    file : RemoteFile
        Where it lies below the data root, and in a mirror. Without an address: the publishers gave no checksums, and
        nothing is fetched that cannot be checked.
    url : str
        Where the publisher has it.
    accuracy : float or None
        Published accuracy on the clean test images, a share.
    """

    collection: str
    architecture: str
    radius: str
    constraint: str
    dataset: str
    facts: RobustArchitecture
    file: RemoteFile
    url: str
    accuracy: float | None

    @property
    def name(self) -> str:
        """``collection:architecture:radius``."""
        return f"{self.collection}:{self.architecture}:{self.radius}"

    @property
    def eps(self) -> float:
        """The radius in pixels from 0 to 1."""
        return float(self.radius) / (255 if self.constraint == "inf" else 1)


_IMAGENET = {
    "resnet18": RobustArchitecture("torchvision:resnet18", 512),
    "resnet50": RobustArchitecture("torchvision:resnet50", 2048),
    "wide_resnet50_2": RobustArchitecture("torchvision:wide_resnet50_2", 2048),
    "wide_resnet50_4": RobustArchitecture(f"{PREFIX}wide_resnet50_4", 2048),
    "densenet": RobustArchitecture("torchvision:densenet161", 2208),
    "mnasnet": RobustArchitecture("torchvision:mnasnet1_0", 1280),
    "mobilenet": RobustArchitecture("torchvision:mobilenet_v2", 1280),
    "resnext50_32x4d": RobustArchitecture("torchvision:resnext50_32x4d", 2048),
    "shufflenet": RobustArchitecture("torchvision:shufflenet_v2_x1_0", 1024),
    "vgg16_bn": RobustArchitecture("torchvision:vgg16_bn", 4096),
}
_CIFAR = {"resnet50": RobustArchitecture(f"{PREFIX}cifar_resnet50", 2048)}

_Accuracies = Mapping[str, Mapping[str, float]]  # architecture -> radius -> per cent


def _row(radii: str, accuracies: str) -> dict[str, float]:
    return dict(zip(radii.split(), map(float, accuracies.split()), strict=True))


_TEN = "0 0.01 0.03 0.05 0.1 0.25 0.5 1 3 5"
_IMAGENET_L2: _Accuracies = {
    "resnet18": _row(_TEN, "69.79 69.90 69.24 69.15 68.77 67.43 65.49 62.32 53.12 45.59"),
    "resnet50": _row(_TEN, "75.80 75.68 75.76 75.59 74.78 74.14 73.16 70.43 62.83 56.13"),
    "wide_resnet50_2": _row(_TEN, "76.97 77.25 77.26 77.17 76.74 76.21 75.11 73.41 66.90 60.94"),
    "wide_resnet50_4": _row(_TEN, "77.91 78.02 77.87 77.77 77.64 77.10 76.52 75.51 69.67 65.20"),
    "densenet": _row("0 3", "77.37 66.98"),
    "mnasnet": _row("0 3", "60.97 41.83"),
    "mobilenet": _row("0 3", "65.26 50.40"),
    "resnext50_32x4d": _row("0 3", "77.38 66.25"),
    "shufflenet": _row("0 3", "64.25 43.32"),
    "vgg16_bn": _row("0 3", "73.66 57.19"),
}
_FIVE = "0.5 1 2 4 8"
_IMAGENET_LINF: _Accuracies = {
    "resnet18": _row(_FIVE, "66.13 63.46 59.63 52.49 42.11"),
    "resnet50": _row(_FIVE, "73.73 72.05 69.10 63.86 54.53"),
    "wide_resnet50_2": _row(_FIVE, "75.82 74.65 72.35 68.41 60.82"),
}

_SALMAN = "https://huggingface.co/madrylab/robust-imagenet-models/resolve/main/"
_DROPBOX = "https://www.dropbox.com/s/"
# Of the library itself: collection -> radius -> the file's place at Dropbox, per cent of clean accuracy
_LIBRARY = {
    ("robust-cifar10-l2", "2", "cifar10"): {
        "0": ("yhpp4yws7sgi6lj/cifar_nat.pt", 95.25),
        "0.25": ("2qsp7pt6t7uo71w/cifar_l2_0_25.pt", 92.77),
        "0.5": ("1zazwjfzee7c8i4/cifar_l2_0_5.pt", 90.83),
        "1": ("s2x7thisiqxz095/cifar_l2_1_0.pt", 81.62),
    },
    ("robust-cifar10-linf", "inf", "cifar10"): {"8": ("c9qlt1lbdnu9tlo/cifar_linf_8.pt", 87.03)},
    ("robustness-imagenet-l2", "2", "imagenet"): {"3": ("knf4uimlqsi1yz8/imagenet_l2_3_0.pt", 57.90)},
    ("robustness-imagenet-linf", "inf", "imagenet"): {
        "4": ("axfuary2w1cnyrg/imagenet_linf_4.pt", 62.42),
        "8": ("yxn15a9zklz3s8q/imagenet_linf_8.pt", 47.91),
    },
}


def _salman(collection: str, constraint: str, accuracies: _Accuracies) -> list[RobustCheckpoint]:
    norm = "l2" if constraint == "2" else "linf"
    found = []
    for architecture, row in accuracies.items():
        for radius, accuracy in row.items():
            # The publisher writes 1.0 in the names of the second table, and 1 in those of the first.
            written = f"{float(radius)}" if constraint == "inf" else radius
            file = f"{architecture}_{norm}_eps{written}.ckpt"
            found.append(
                RobustCheckpoint(
                    collection,
                    architecture,
                    radius,
                    constraint,
                    "imagenet",
                    _IMAGENET[architecture],
                    RemoteFile(f"networks/robust_imagenet/{file}"),
                    _SALMAN + file,
                    accuracy / 100,
                )
            )
    return found


def _library() -> list[RobustCheckpoint]:
    found = []
    for (collection, constraint, dataset), radii in _LIBRARY.items():
        for radius, (place, accuracy) in radii.items():
            facts = (_CIFAR if dataset == "cifar10" else _IMAGENET)["resnet50"]
            file = RemoteFile(f"networks/robustness/{place.rpartition('/')[2]}")
            url = f"{_DROPBOX}{place}?dl=1"
            found.append(
                RobustCheckpoint(collection, "resnet50", radius, constraint, dataset, facts, file, url, accuracy / 100)
            )
    return found


_CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        *_salman("robust-imagenet-l2", "2", _IMAGENET_L2),
        *_salman("robust-imagenet-linf", "inf", _IMAGENET_LINF),
        *_library(),
    )
}


def robust_names(collection: str | None = None) -> list[str]:
    """List the published robust networks.

    Parameters
    ----------
    collection : str, optional
        Only those of ``robust-imagenet-l2`` (52), ``robust-imagenet-linf`` (15), ``robust-cifar10-l2`` (4),
        ``robust-cifar10-linf`` (1), ``robustness-imagenet-l2`` (1) or ``robustness-imagenet-linf`` (2).

    Returns
    -------
    list of str
        As ``robust-imagenet-l2:resnet50:3``.

    Raises
    ------
    UnknownNameError
        If there is no such collection.
    """
    if collection is not None and collection not in robust_collections():
        raise unknown_name("collection of robust networks", collection, robust_collections())
    return [name for name, found in _CHECKPOINTS.items() if collection in (None, found.collection)]


def robust_collections() -> list[str]:
    """List the collections of published robust networks."""
    return list(dict.fromkeys(found.collection for found in _CHECKPOINTS.values()))


def is_robust_name(name: str) -> bool:
    """Tell whether a name is meant for a published robust network, whether or not there is such a one."""
    return name.partition(":")[0] in robust_collections()


def robust_checkpoint(name: str) -> RobustCheckpoint:
    """Look up a published robust network.

    Parameters
    ----------
    name : str
        As `robust_names` lists them; a radius may be written as any number (``1.0`` for ``1``).

    Returns
    -------
    RobustCheckpoint

    Raises
    ------
    UnknownNameError
        If there is no such network: the message lists the collections, architectures or radii that there are.
    """
    parts = name.split(":")
    if len(parts) == 3:
        parts[2] = _plain_number(parts[2])
    found = _CHECKPOINTS.get(":".join(parts))
    if found is not None:
        return found
    raise _unknown(parts)


def _plain_number(text: str) -> str:
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def _unknown(parts: list[str]) -> UnknownNameError:
    written = "A network is written collection:architecture:radius, as robust-imagenet-l2:resnet50:3."
    collection, architecture, radius = (*parts, "", "")[:3]
    if collection not in robust_collections():
        return unknown_name("collection of robust networks", collection, robust_collections(), written)
    here = [found for found in _CHECKPOINTS.values() if found.collection == collection]
    architectures = list(dict.fromkeys(found.architecture for found in here))
    if architecture not in architectures:
        return unknown_name(f"architecture of {collection}", architecture, architectures, written)
    radii = [found.radius for found in here if found.architecture == architecture]
    given = ":".join(parts[2:]) or radius
    return unknown_name(f"radius of {collection}:{architecture}", given, radii, written)
