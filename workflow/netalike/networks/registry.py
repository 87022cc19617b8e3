"""Build a network from its name, and find the architecture that a set of weights belongs to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from netalike.errors import NetalikeError
from netalike.networks import naming
from netalike.networks.architectures import Dense, LeNet, NbnTiny10, Network, ResNet20, Tiny10
from netalike.networks.small import MLP, DenseNetSmall, Mobile, ResNet8, VGGSmall

# channels, classes, width -> network; the names are those of naming.WIDE
_WIDE: dict[str, Callable[[int, int, int], Network]] = {
    "tiny10": Tiny10,
    "nbn_tiny10": NbnTiny10,
    "lenet": LeNet,
    "resnet20": ResNet20,
}
# channels, classes -> network; of one width each
_OF_ONE_WIDTH: dict[str, Callable[[int, int], Network]] = {
    "dense": Dense,
    "mlp": MLP,
    "vgg_small": VGGSmall,
    "resnet8": ResNet8,
    "mobile": Mobile,
    "densenet_small": DenseNetSmall,
}


def build(name: str, channels: int = 3, classes: int = 10, seed: int | None = None) -> nn.Module:
    """Build a network with fresh weights (or with torchvision's, where the name asks for them).

    Parameters
    ----------
    name : str
        A registered architecture (`netalike.networks.names`), one of them in any width (``resnet20_w7``, ``lenet_w2``),
        ``torchvision:<name>`` (random weights), ``torchvision:<name>:<weights>``, ``robustness:wide_resnet50_4``,
        ``robustness:cifar_resnet50``, or ``file:<path>.py:<function>``.
    channels : int
        Channels of the images.
    classes : int
        Number of logits.
    seed : int, optional
        Seeds PyTorch just before the layers are made, and puts its state back afterwards; None draws from the state
        as it is.

    Returns
    -------
    nn.Module
        In training mode, on the CPU.

    Raises
    ------
    UnknownNameError
        If there is no such architecture.
    BadFileError
        If the file of ``file:`` does not hold such a function.
    """
    known = naming.canonical(name)
    if channels < 1 or classes < 1:
        raise NetalikeError(f"{name} needs at least 1 channel and 1 class, got {channels} and {classes}.")
    with _seeded(seed):
        return _construct(known, channels, classes)


def fitting_architectures(state: Mapping[str, Tensor]) -> list[str]:
    """Name the architectures, of any width, whose state dictionary has exactly these keys and shapes.

    Parameters
    ----------
    state : mapping of str to Tensor
        A state dictionary.

    Returns
    -------
    list of str
        As ``tiny10 (channels=3, classes=10)``, ``lenet_w2 (channels=1, classes=4)``; empty where none fits. Nothing is
        allocated (meta device).
    """
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    return [
        f"{name} (channels={channels}, classes={classes})"
        for name in _candidates(shapes)
        for channels in (1, 3)
        for classes in _possible_classes(shapes)
        if _shapes(name, channels, classes) == shapes
    ]


def _construct(known: str, channels: int, classes: int) -> nn.Module:
    family, width = naming.split_width(known)
    if family in _WIDE:
        return _WIDE[family](channels, classes, width)
    if known in _OF_ONE_WIDTH:
        return _OF_ONE_WIDTH[known](channels, classes)
    if known.startswith("torchvision:"):
        from netalike.networks.torchvision_import import build_torchvision

        return build_torchvision(known, channels, classes)
    if known.startswith("robustness:"):
        from netalike.networks.robust_checkpoints import build_robustness

        return build_robustness(known, channels, classes)
    from netalike.networks.from_file import build_from_file

    return build_from_file(known, channels, classes)


def _candidates(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The registered names, and each family in the width that the channels of the first convolution ask for."""
    found = shapes.get("conv1.weight", (0,))[0]
    published = {family: _shapes(family, 1, 1)["conv1.weight"][0] for family in _WIDE}
    wide = [
        naming.canonical(f"{family}_w{found // channels}")
        for family, channels in published.items()
        if found and found % channels == 0
    ]
    return list(dict.fromkeys([*naming.names(), *wide]))


def _possible_classes(shapes: Mapping[str, tuple[int, ...]]) -> list[int]:
    # The last matrix is the classifier in every registered architecture.
    matrices = [shape for shape in shapes.values() if len(shape) == 2]
    return [matrices[-1][0]] if matrices else []


def _shapes(name: str, channels: int, classes: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in _construct(name, channels, classes).state_dict().items()}


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
