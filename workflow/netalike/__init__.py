"""How alike are these neural networks?  Five families of measures, on anyone's networks.

`import netalike` needs numpy alone; each name below loads its framework when it is first used.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("netalike")
except PackageNotFoundError:  # run from a checkout, with workflow/ on PYTHONPATH
    __version__ = "0.1.0"

# public name -> module that defines it
_EXPORTS = {
    "cka": "netalike.measures",
    "deconfounded_cka": "netalike.measures",
    "measure": "netalike.measures",
    "measures": "netalike",
    "compare_networks": "netalike.measures.panel",
    "record": "netalike.activations",
    "gradient_kernel": "netalike.gradients",
    "stitch": "netalike.stitching",
    "SharedResponse": "netalike.alignment",
    "invert_images": "netalike.inversion",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'netalike' has no attribute {name!r}")
    home = _EXPORTS[name]
    if home == "netalike":
        return importlib.import_module(f"netalike.{name}")
    return getattr(importlib.import_module(home), name)
