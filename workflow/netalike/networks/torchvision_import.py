"""The one module that imports torchvision, and the classification networks that come from it."""

from __future__ import annotations

import importlib
import sys
import warnings
from types import MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.networks.from_file import without_inplace

# An operator exists only as long as the library object that defined it.
_OPERATORS: list[torch.library.Library] = []
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def torchvision() -> ModuleType:
    """Import torchvision.

    Returns
    -------
    module

    Raises
    ------
    NetalikeError
        If it is not installed.

    Notes
    -----
    PyPI's torchvision beside a CPU-only PyTorch cannot load its compiled operators, which want the CUDA build, and its
    import ends with "operator torchvision::nms does not exist". Only detection uses those operators, and we have none:
    so they are declared here, without a body, and the import is tried again.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        raise NetalikeError("torchvision is not installed: pip install 'netalike[torch]'.") from error
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    if not _OPERATORS:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            library.define(operator + _SIGNATURE)  # type: ignore[no-untyped-call]
        _OPERATORS.append(library)
    return importlib.import_module("torchvision")


def torchvision_names() -> list[str]:
    """List the classification networks of the installed torchvision."""
    models = _models()
    return sorted(models.list_models(module=models))


def build_torchvision(name: str, channels: int, classes: int) -> nn.Module:
    """Build a classification network of torchvision.

    Parameters
    ----------
    name : str
        ``torchvision:<name>`` for random weights, ``torchvision:<name>:<weights>`` for trained ones, which torchvision
        downloads into its cache unless they are there.
    channels : int
        Has to be 3, which all of them take.
    classes : int
        Number of logits; ignored with trained weights, which have their own.

    Returns
    -------
    nn.Module
        With its in-place activations switched off; its `architecture` is ``torchvision:<name>``.

    Raises
    ------
    UnknownNameError
        If torchvision has no such network, or that network no such weights.
    ShapeError
        If `channels` is not 3.
    NetalikeError
        If the weights cannot be downloaded.
    """
    _, _, rest = name.partition(":")
    model_name, _, weights_name = rest.partition(":")
    known = torchvision_names()
    if model_name not in known:
        raise unknown_name("network of torchvision", model_name, known)
    if channels != 3:
        raise ShapeError(f"{name} takes images of 3 channels, got {channels}: use a data set in colour.")
    model = _trained(model_name, weights_name) if weights_name else _random(model_name, classes)
    if type(model).__name__ == "DenseNet":
        model.forward = MethodType(_densenet_forward, model)
    # else every ResNet, of any depth and width, would be taken for one architecture
    model.architecture = f"torchvision:{model_name}"  # type: ignore[assignment]
    return without_inplace(model)


def _models() -> Any:
    torchvision()
    return importlib.import_module("torchvision.models")


def _random(name: str, classes: int) -> nn.Module:
    # These two warn that their initialisation will change unless it is asked for.
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model: nn.Module = _models().get_model(name, weights=None, num_classes=classes, **options)
    return model


def _trained(name: str, weights_name: str) -> nn.Module:
    available = _models().get_model_weights(name)
    allowed = [*available.__members__]
    if weights_name not in allowed:
        raise unknown_name(f"weights of torchvision:{name}", weights_name, allowed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            model: nn.Module = _models().get_model(name, weights=available[weights_name])
    except OSError as error:
        raise NetalikeError(
            f"the weights {weights_name} of torchvision:{name} could not be downloaded ({error}). Fetch them on a "
            f"machine with network access and copy them to {torch.hub.get_dir()}/checkpoints."
        ) from error
    return model


def _densenet_forward(self: nn.Module, images: Tensor) -> Tensor:
    # torchvision's own applies an in-place ReLU to what its last batch norm returned, which would change a recording.
    features: Tensor = torch.relu(self.get_submodule("features")(images))
    pooled = nn.functional.adaptive_avg_pool2d(features, (1, 1))
    logits: Tensor = self.get_submodule("classifier")(torch.flatten(pooled, 1))
    return logits
