"""The names that a configuration may use, known without PyTorch.

Snakemake's own process validates the configuration and has no framework; the tests hold these tables against the real
registries.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

from netalike.errors import nearest
from netalike.networks.naming import WIDE, split_width
from netalike.networks.robust_names import PREFIX as ROBUSTNESS
from netalike.networks.robust_names import is_robust_name, robust_checkpoint, robust_names


@dataclass(frozen=True)
class DatasetFacts:
    """What the configuration must know of a data set: how many images its splits have, and their channels and size."""

    test_images: int | None
    channels: int
    train_images: int | None
    size: int = 32


@dataclass(frozen=True)
class Collection:
    """Networks that somebody published: their architecture, data, seeds, and where they lie below `data.root`.

    `eps` is the size of the attacks that they were trained against, in pixels from 0 to 1; 0 for standard networks.
    """

    architecture: str
    dataset: str
    seeds: range
    pattern: str
    eps: float = 0.0


def _robust(name: str) -> Collection:
    found = robust_checkpoint(name)
    return Collection(found.facts.build, found.dataset, range(1), found.file.path, found.eps)


DATASETS = {
    "digits": DatasetFacts(500, 1, 1297),
    "mnist": DatasetFacts(10_000, 1, 60_000),
    "fashion": DatasetFacts(10_000, 1, 60_000),
    "cifar10": DatasetFacts(10_000, 3, 50_000),
    "cifar100": DatasetFacts(10_000, 3, 50_000),
    "imagenet": DatasetFacts(50_000, 3, 1_281_167, 224),
}
ARCHITECTURES = (
    "lenet",
    "dense",
    "tiny10",
    "nbn_tiny10",
    *(f"resnet20_w{width}" for width in range(1, 6)),
    *("mlp", "vgg_small", "resnet8", "mobile", "densenet_small"),
)
MEASURES = ("cka", "deconfounded_cka", "procrustes", "cca", "svcca", "pwcca", "linear_regression", "rsa")
COLLECTIONS = {
    "tiny10-authors": Collection("tiny10", "cifar10", range(20), "networks/tiny10/in{seed}-gn{seed}.pt"),
    "resnet20_w1-authors": Collection("resnet20_w1", "cifar10", range(2), "networks/resnet20_w1/in{seed}-gn{seed}.pt"),
    # robust networks, one each: `robust-imagenet-l2:resnet50:3`
    **{name: _robust(name) for name in robust_names()},
}
BLOCKS = "blocks"

_OF_ROBUSTNESS = {found.architecture for found in COLLECTIONS.values() if found.architecture.startswith(ROBUSTNESS)}
_OUTSIDE = re.compile(r"torchvision:\w+(:\w+)?|file:.+:[A-Za-z_]\w*")


def is_architecture(name: str) -> bool:
    """Say whether a name has the form of an architecture that can be built; a torchvision name is not looked up."""
    known = name in ARCHITECTURES or name in _OF_ROBUSTNESS or split_width(name)[0] in WIDE
    return known or _OUTSIDE.fullmatch(name) is not None


def is_pretrained(architecture: str) -> bool:
    """Say whether an architecture brings its weights: `torchvision:NAME:WEIGHTS`."""
    return architecture.startswith("torchvision:") and architecture.count(":") == 2


def published_names(given: str) -> list[str]:
    """Return the published collections that a message lists for a name that is none of them.

    There are too many robust networks to list them all: those of the nearest architecture, if the name is meant for
    one, else the nearest.
    """
    if not is_robust_name(given):
        near = nearest(given, robust_names())
        return [name for name in COLLECTIONS if not is_robust_name(name) or name == near]
    collection, _, rest = given.partition(":")
    here = robust_names(collection)
    architecture = nearest(rest.partition(":")[0], dict.fromkeys(name.split(":")[1] for name in here))
    return [name for name in here if architecture in (None, name.split(":")[1])]


def layer_names(architecture: str) -> tuple[str, ...] | None:
    """Return the layer names of an architecture as specs/2 lists them, or None where they are only known to PyTorch."""
    return _LAYERS.get(split_width(architecture)[0])


def matching_layers(layers: Sequence[str], pattern: str) -> list[str]:
    """Return the layers that an exact name or a glob selects; `blocks` is for the networks package to say."""
    return [name for name in layers if name == pattern or fnmatch.fnmatchcase(name, pattern)]


def _resnet20_layers() -> tuple[str, ...]:
    names = ["conv1", "bn1", "relu"]
    for stage in (1, 2, 3):
        names.append(f"layer{stage}")
        for block in range(3):
            here = f"layer{stage}.{block}"
            names += [here, *(f"{here}.{part}" for part in ("conv1", "bn1", "relu", "conv2", "bn2"))]
            if stage > 1 and block == 0:
                names += [f"{here}.downsample", f"{here}.downsample.0", f"{here}.downsample.1"]
            names.append(f"{here}.add")
    return (*names, "avgpool", "fc")


def _resnet8_layers() -> tuple[str, ...]:
    names = ["conv1", "bn1", "relu"]
    for stage in ("layer1", "layer2", "layer3"):
        names += [stage, *(f"{stage}.{part}" for part in ("conv1", "bn1", "relu", "conv2", "bn2", "add"))]
        if stage != "layer1":
            names += [f"{stage}.downsample", f"{stage}.downsample.0", f"{stage}.downsample.1"]
    return (*names, "fc")


def _mobile_layers() -> tuple[str, ...]:
    parts = ("depthwise", "bn1", "relu1", "pointwise", "bn2", "relu2")
    blocks = [name for block in range(1, 5) for name in (f"block{block}", *(f"block{block}.{p}" for p in parts))]
    return ("conv1", "bn1", "relu", *blocks, "fc")


def _densenet_layers() -> tuple[str, ...]:
    names = ["conv1"]
    for block in ("block1", "block2", "block3"):
        names.append(block)
        for layer in (f"{block}.layer1", f"{block}.layer2"):
            names += [layer, *(f"{layer}.{part}" for part in ("bn", "relu", "conv", "concatenate"))]
        if block != "block3":
            transition = f"transition{block[-1]}"
            names += [transition, *(f"{transition}.{part}" for part in ("bn", "relu", "conv", "pool"))]
    return (*names, "bn", "relu", "fc")


_LAYERS = {
    "lenet": ("conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "fc1", "relu3", "fc2", "relu4", "fc3"),
    "dense": ("fc1", "relu1", "fc2", "relu2", "fc3", "relu3", "fc4"),
    "tiny10": (*(f"{kind}{n}" for n in range(1, 9) for kind in ("conv", "bn", "relu")), "fc"),
    "nbn_tiny10": (*(f"{kind}{n}" for n in range(1, 9) for kind in ("conv", "relu")), "fc"),
    "resnet20": _resnet20_layers(),
    "mlp": ("resize", "fc1", "relu1", "fc2", "relu2", "fc"),
    "vgg_small": (
        *(f"{kind}{n}" for n in range(1, 5) for kind in ("conv", "bn", "relu")),
        *("pool1", "pool2", "pool4", "fc1", "relu5", "fc"),
    ),
    "resnet8": _resnet8_layers(),
    "mobile": _mobile_layers(),
    "densenet_small": _densenet_layers(),
}
