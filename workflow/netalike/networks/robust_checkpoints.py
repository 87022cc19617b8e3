"""Read the checkpoints of published robust networks, without running code from them.

The library robustness stores ``{"model": state, "optimizer": …, "schedule": …, "epoch": …}``, pickled by dill; older
files say ``state_dict``. The state is that of a network in an attacker in `nn.DataParallel`: ``module.model.*`` is the
network (``module.model.model.*`` for torchvision's), ``module.attacker.model.*`` the same tensors again, and
``module.normalizer`` holds the mean and standard deviation of the images.
"""

from __future__ import annotations

import hashlib
import importlib
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from netalike.data import fetch_file
from netalike.errors import BadFileError, ShapeError, unknown_name
from netalike.networks.checkpoint import Card
from netalike.networks.pixels import PixelNetwork
from netalike.networks.registry import build
from netalike.networks.robust_names import PREFIX, RobustCheckpoint, robust_checkpoint
from netalike.networks.torchvision_import import torchvision

# What a training of robustness may leave in a checkpoint beside tensors. Nothing of it is imported or run: a
# placeholder takes its place.
_SKIPPED_MODULES = ("numpy", "dill", "robustness", "cox", "apex", "argparse", "collections", "_codecs")
_NETWORK = ("module.model.", "model.", "module.attacker.model.", "attacker.model.")
_NORMALISERS = ("module.normalizer.", "normalizer.", "module.attacker.normalize.", "attacker.normalize.")
_LEGACY_PICKLES = 5  # magic number, protocol, system, content, storage keys
_NAMED = 5


@dataclass(frozen=True)
class RobustState:
    """What is in a checkpoint.

    Attributes
    ----------
    weights : dict of str to Tensor
        Of the network, under the names that it gives them itself.
    mean, std : tuple of float, or None
        Of the normalisation, per channel, if it is in the file.
    epoch : int or None
        After which it was stored.
    """

    weights: dict[str, Tensor]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    epoch: int | None


class _Skipped:
    """Stands for an object that is not needed; what it was made of is thrown away."""

    def __init__(self, *_parts: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


def load_robust(path: str | Path, name: str) -> tuple[PixelNetwork, Card]:
    """Load a published robust network.

    Parameters
    ----------
    path : path
        The publisher's file.
    name : str
        Which network it is, as ``robust-imagenet-l2:resnet50:3``.

    Returns
    -------
    model : PixelNetwork
        Takes pixels in [0, 1], with the normalisation of the checkpoint; its `network` takes normalised images. In
        eval mode, on the CPU.
    card : Card
        Its architecture is one that `netalike.networks.build` makes; the settings hold collection, eps, constraint,
        mean, std, the epoch, the published accuracy and the file's SHA-256.

    Raises
    ------
    UnknownNameError
        If there is no such network.
    BadFileError
        If the file is missing, damaged, a web page, refused, or does not fit the architecture.

    Notes
    -----
    The publishers gave no checksums. The file is read with ``weights_only=True``.
    """
    known, file = robust_checkpoint(name), Path(path)
    if not file.is_file():
        raise BadFileError(f"no such file: {file}. Get {known.name} from {known.url} and put it there.")
    state = read_robust_state(file)
    classes = _classes(state.weights, file)
    model = build(known.facts.build, 3, classes, seed=0)
    weights = _renamed(state.weights, known)
    _check_fit(model, weights, file, known)
    _load_into(model, weights)
    mean, std = state.mean or _STATISTICS[known.dataset][0], state.std or _STATISTICS[known.dataset][1]
    return PixelNetwork(model, mean, std).eval(), _card(known, file, classes, state, (mean, std))


def fetch_robust(name: str, root: str | Path, mirror: str | Path | None = None, offline: bool = False) -> Path:
    """Bring the file of a published robust network into the data root, from a mirror.

    Parameters
    ----------
    name : str
        As ``robust-imagenet-l2:resnet50:3``.
    root, mirror, offline
        As for `netalike.data.fetch`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UnknownNameError
        If there is no such network.
    BadFileError
        If the file is neither in the data root nor in the mirror. The publishers gave no checksums, so that nothing is
        downloaded unasked; the message has the command.
    """
    known = robust_checkpoint(name)
    target = Path(root) / known.file.path
    try:
        return fetch_file(known.file, root, mirror, offline)
    except BadFileError as error:
        raise BadFileError(
            f"{known.name} is neither in {root} nor in {mirror or 'a mirror'}. Its publisher gave no checksum, so it "
            f"is not downloaded by itself: curl -L --create-dirs -o {target} '{known.url}'"
        ) from error


# Where a file does not say: those of robustness
_STATISTICS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}


def _card(
    known: RobustCheckpoint,
    file: Path,
    classes: int,
    state: RobustState,
    statistics: tuple[tuple[float, ...], tuple[float, ...]],
) -> Card:
    return Card(
        architecture=known.facts.build,
        dataset=known.dataset,
        channels=3,
        classes=classes,
        epochs=state.epoch,
        source=known.url,
        settings={
            "collection": known.collection,
            "eps": known.eps,
            "constraint": known.constraint,
            "mean": list(statistics[0]),
            "std": list(statistics[1]),
            "published_accuracy": known.accuracy,
            "file_sha256": _sha256(file),
        },
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ---- the file --------------------------------------------------------------------------------------------------------


def read_robust_state(path: str | Path) -> RobustState:
    """Read a checkpoint of robustness, or of a network trained with it.

    Parameters
    ----------
    path : path

    Returns
    -------
    RobustState

    Raises
    ------
    BadFileError
        If the file is damaged or a web page, holds objects that are not known to be harmless, or no network.
    """
    file = Path(path)
    content = _content(file)
    state = next((content[key] for key in ("model", "state_dict") if isinstance(content.get(key), Mapping)), content)
    tensors = {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    weights = _without_prefix(_below(tensors, _NETWORK))
    if not weights:
        raise BadFileError(
            f"{file} holds no network as robustness stores it (module.model.*): found {_some(list(map(str, state)))}."
        )
    normaliser, epoch = _below(tensors, _NORMALISERS), content.get("epoch")
    return RobustState(
        weights,
        _numbers(normaliser.get("new_mean")),
        _numbers(normaliser.get("new_std")),
        epoch if isinstance(epoch, int) else None,
    )


def _content(file: Path) -> Mapping[str, Any]:
    with file.open("rb") as stream:
        if stream.read(256).lstrip().startswith(b"<"):
            raise BadFileError(f"{file} is a web page, not a checkpoint: download it again, from a direct link.")
    try:
        names = {name for name in _globals(file) if name.partition(".")[0] in _SKIPPED_MODULES}
        with torch.serialization.safe_globals([(_Skipped, name) for name in sorted(names)]):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadFileError(_refusal(file, str(error))) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise BadFileError(f"{file} is not a readable PyTorch file ({error}): it may be cut off.") from error
    if not isinstance(content, Mapping):
        raise BadFileError(f"{file} holds {type(content).__name__}, expected the dictionary that robustness stores.")
    return content


def _refusal(file: Path, error: str) -> str:
    if "GLOBAL" not in error:
        return f"{file} is not a readable PyTorch file ({error}): it may be cut off."
    names = [name for name in _globals(file) if name.partition(".")[0] not in (*_SKIPPED_MODULES, "torch")]
    return (
        f"{file} was refused: beside tensors it holds {_some(sorted(set(names))) or 'other objects'}, and to read "
        "these would run code from it. The published checkpoints hold none of them: compare its size and checksum "
        "with the publisher's. Where you trust it, load it yourself once and store model.state_dict() with torch.save."
    )


def _globals(file: Path) -> list[str]:
    """The names that a file's pickles refer to, as ``module.name``; nothing is imported."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            entry = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
            if entry is None:
                raise BadFileError(f"{file} is a zip archive without data.pkl, expected a PyTorch file.")
            with archive.open(entry) as stream:
                return list(_names(stream))
    with file.open("rb") as stream:
        return [name for _ in range(_LEGACY_PICKLES) for name in _names(stream)]


def _names(stream: IO[bytes]) -> Iterator[str]:
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "GLOBAL":
            yield str(argument).replace(" ", ".")


def _below(tensors: Mapping[str, Tensor], prefixes: Sequence[str]) -> dict[str, Tensor]:
    """The tensors below the first prefix that there is, without it."""
    for prefix in prefixes:
        found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if found:
            return found
    return {}


def _without_prefix(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    # torchvision's networks are within one that swallows the library's own options.
    if weights and all(key.startswith("model.") for key in weights):
        return {key.removeprefix("model."): value for key, value in weights.items()}
    return weights


def _numbers(tensor: Tensor | None) -> tuple[float, ...] | None:
    return None if tensor is None else tuple(float(value) for value in tensor.flatten())


# ---- the network -----------------------------------------------------------------------------------------------------


def build_robustness(name: str, channels: int, classes: int) -> nn.Module:
    """Build an architecture of robustness that torchvision does not have.

    Parameters
    ----------
    name : {"robustness:wide_resnet50_4", "robustness:cifar_resnet50"}
        ResNet-50 with four times the channels in each bottleneck; ResNet-50 for images of 32 x 32 pixels: a 3 x 3
        convolution of stride 1 first, and no pooling after it.
    channels : int
        Has to be 3.
    classes : int

    Returns
    -------
    nn.Module
        A ResNet of torchvision, with its names; the attribute `architecture` has its own.

    Raises
    ------
    UnknownNameError
        For another name.
    ShapeError
        If `channels` is not 3.
    """
    known = [f"{PREFIX}wide_resnet50_4", f"{PREFIX}cifar_resnet50"]
    if name not in known:
        raise unknown_name("architecture of robustness", name, known)
    if channels != 3:
        raise ShapeError(f"{name} takes images of 3 channels, got {channels}: use a data set in colour.")
    torchvision()
    resnet = importlib.import_module("torchvision.models.resnet")
    options = {"width_per_group": 256} if name == known[0] else {}
    model: nn.Module = resnet.ResNet(resnet.Bottleneck, [3, 4, 6, 3], num_classes=classes, **options)
    if name == known[1]:
        model.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        model.maxpool = nn.Identity()
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    # else every network of torchvision's class would be taken for one architecture
    model.architecture = name  # type: ignore[assignment]
    return model


def _renamed(weights: Mapping[str, Tensor], known: RobustCheckpoint) -> dict[str, Tensor]:
    if known.dataset != "cifar10":
        return dict(weights)
    # The library's names for small images, into torchvision's.
    return {
        key.replace(".shortcut.", ".downsample.").replace("linear.", "fc."): value for key, value in weights.items()
    }


def _classes(weights: Mapping[str, Tensor], file: Path) -> int:
    matrices = [value for value in weights.values() if value.ndim == 2]
    if not matrices:
        raise BadFileError(f"{file} holds no matrix, so its network has no last linear layer.")
    return int(matrices[-1].shape[0])


def _check_fit(model: nn.Module, weights: Mapping[str, Tensor], file: Path, known: RobustCheckpoint) -> None:
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    faults = {
        "missing": [key for key in expected if key not in weights],
        "unexpected": [key for key in weights if key not in expected],
        "wrong shapes": [
            f"{key} {tuple(value.shape)} instead of {expected[key]}"
            for key, value in weights.items()
            if key in expected and tuple(value.shape) != expected[key]
        ],
        "values that are not finite": [
            key for key, value in weights.items() if value.is_floating_point() and not bool(value.isfinite().all())
        ],
    }
    told = "; ".join(f"{kind}: {_some(entries)}" for kind, entries in faults.items() if entries)
    if told:
        raise BadFileError(
            f"{file} does not hold {known.name} ({known.facts.build}): {told}. Get that network from {known.url}, or "
            "name the one that the file holds."
        )


def _load_into(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    state = OrderedDict(weights)
    # Versions of the layers, which MNASNet insists on, and which the prefixes of the file have made unreadable.
    state._metadata = model.state_dict()._metadata  # type: ignore[attr-defined]
    model.load_state_dict(state)


def _some(entries: Sequence[str]) -> str:
    rest = len(entries) - _NAMED
    return ", ".join(entries[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
