"""Training: settings that need no framework, and the plain training loop with checkpoints."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from netalike.training.adversarial_settings import AdversarialSettings
from netalike.training.output import output_folder, write_log
from netalike.training.settings import Settings, learning_rate

if TYPE_CHECKING:
    from netalike.training.discriminator import discriminate
    from netalike.training.networks import train_network
    from netalike.training.plain import History, cross_entropy, train

# public name -> module of this package that defines it
_EXPORTS = {
    "History": "plain",
    "cross_entropy": "plain",
    "discriminate": "discriminator",
    "train": "plain",
    "train_network": "networks",
}

__all__ = [
    "AdversarialSettings",
    "History",
    "Settings",
    "cross_entropy",
    "discriminate",
    "learning_rate",
    "output_folder",
    "train",
    "train_network",
    "write_log",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'netalike.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"netalike.training.{_EXPORTS[name]}"), name)
