"""Data sets by name, in memory as their publishers stored them; batches for networks; and how to get the files.

Importing this package needs numpy alone: the part that needs PyTorch is loaded when one of its names is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from netalike.data import published
from netalike.data.registry import DatasetSpec, Layout, RemoteFile, names, specification

if TYPE_CHECKING:
    from netalike.data.fetching import fetch, fetch_file, verify
    from netalike.data.folder import register_folder
    from netalike.data.images import ImageSet, batches, load, normalise, training_batches

__all__ = [
    "DatasetSpec",
    "ImageSet",
    "Layout",
    "RemoteFile",
    "batches",
    "fetch",
    "fetch_file",
    "load",
    "names",
    "normalise",
    "published",
    "register_folder",
    "specification",
    "training_batches",
    "verify",
]

_LAZY = {
    "ImageSet": "images",
    "batches": "images",
    "fetch": "fetching",
    "fetch_file": "fetching",
    "load": "images",
    "normalise": "images",
    "register_folder": "folder",
    "training_batches": "images",
    "verify": "fetching",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'netalike.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"netalike.data.{_LAZY[name]}"), name)
