"""Networks: architectures by name, layers by name, checkpoints, and networks from outside.

`names` and `canonical` need no framework; everything else loads PyTorch when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from netalike.networks.naming import canonical, folder_name, names

if TYPE_CHECKING:
    from netalike.networks.architectures import Network
    from netalike.networks.checkpoint import Card, load, read_card, save
    from netalike.networks.devices import resolve_device
    from netalike.networks.evaluation import Evaluation, evaluate
    from netalike.networks.layer_table import LayerInfo, blocks, first_tensor, layers, select_layers
    from netalike.networks.registry import build, fitting_architectures

# public name -> module of this package that defines it
_EXPORTS = {
    "Network": "architectures",
    "Card": "checkpoint",
    "load": "checkpoint",
    "read_card": "checkpoint",
    "save": "checkpoint",
    "resolve_device": "devices",
    "Evaluation": "evaluation",
    "evaluate": "evaluation",
    "LayerInfo": "layer_table",
    "blocks": "layer_table",
    "first_tensor": "layer_table",
    "layers": "layer_table",
    "select_layers": "layer_table",
    "build": "registry",
    "fitting_architectures": "registry",
}

__all__ = [
    "Card",
    "Evaluation",
    "LayerInfo",
    "Network",
    "blocks",
    "build",
    "canonical",
    "evaluate",
    "first_tensor",
    "fitting_architectures",
    "folder_name",
    "layers",
    "load",
    "names",
    "read_card",
    "resolve_device",
    "save",
    "select_layers",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'netalike.networks' has no attribute {name!r}")
    module = importlib.import_module(f"netalike.networks.{_EXPORTS[name]}")
    return getattr(module, name)
