"""Data sets by name, in memory as their publishers stored them; batches for networks; and how to get the files.

Importing this package needs numpy alone: the part that needs PyTorch is loaded when one of its names is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from netalike.data import published
from netalike.data.registry import DatasetSpec, Layout, RemoteFile, names, specification
from netalike.data.shift_names import CORRUPTIONS, DOMAIN_KINDS, SEVERITIES, TASKS, parse_domain

if TYPE_CHECKING:
    from netalike.data.corruptions import corrupt
    from netalike.data.domains import shift_domain
    from netalike.data.fetching import fetch, fetch_file, verify
    from netalike.data.folder import register_folder
    from netalike.data.images import ImageSet, batches, load, normalise, training_batches
    from netalike.data.tasks import for_task

__all__ = [
    "CORRUPTIONS",
    "DOMAIN_KINDS",
    "SEVERITIES",
    "TASKS",
    "DatasetSpec",
    "ImageSet",
    "Layout",
    "RemoteFile",
    "batches",
    "corrupt",
    "fetch",
    "fetch_file",
    "for_task",
    "load",
    "names",
    "normalise",
    "parse_domain",
    "published",
    "register_folder",
    "shift_domain",
    "specification",
    "training_batches",
    "verify",
]

_LAZY = {
    "ImageSet": "images",
    "batches": "images",
    "corrupt": "corruptions",
    "fetch": "fetching",
    "fetch_file": "fetching",
    "for_task": "tasks",
    "load": "images",
    "normalise": "images",
    "register_folder": "folder",
    "shift_domain": "domains",
    "training_batches": "images",
    "verify": "fetching",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'netalike.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"netalike.data.{_LAZY[name]}"), name)
