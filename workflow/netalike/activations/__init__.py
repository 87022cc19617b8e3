"""Record what the layers of a network compute.

Importing this package needs numpy alone: the part that needs PyTorch is loaded when one of its names is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netalike.activations.recording import ActivationStore, Recorder, record

__all__ = ["ActivationStore", "Recorder", "record"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'netalike.activations' has no attribute {name!r}")
    return getattr(importlib.import_module("netalike.activations.recording"), name)
