"""Model stitching: the head of one network, an affine map, and the tail of another (Csiszarik et al. 2021).

`canonical` and `Settings` need no framework; everything else loads PyTorch when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from netalike.stitching.names import canonical

if TYPE_CHECKING:
    from netalike.stitching.evaluation import Report, evaluate_stitch
    from netalike.stitching.least_squares import NormalEquations, fit
    from netalike.stitching.making import Stitch, stitch
    from netalike.stitching.matching import match
    from netalike.stitching.results import StitchResult, load, save
    from netalike.stitching.settings import Settings
    from netalike.stitching.splitting import Split, check_shapes, resized, split
    from netalike.stitching.training import train_stitch
    from netalike.stitching.transform import StitchedNetwork, StitchingLayer, initial

# public name -> module of this package that defines it
_EXPORTS = {
    "NormalEquations": "least_squares",
    "Report": "evaluation",
    "Settings": "settings",
    "Split": "splitting",
    "Stitch": "making",
    "StitchResult": "results",
    "StitchedNetwork": "transform",
    "StitchingLayer": "transform",
    "check_shapes": "splitting",
    "evaluate_stitch": "evaluation",
    "fit": "least_squares",
    "initial": "transform",
    "load": "results",
    "match": "matching",
    "resized": "splitting",
    "save": "results",
    "split": "splitting",
    "stitch": "making",
    "train_stitch": "training",
}

__all__ = [
    "NormalEquations",
    "Report",
    "Settings",
    "Split",
    "Stitch",
    "StitchResult",
    "StitchedNetwork",
    "StitchingLayer",
    "canonical",
    "check_shapes",
    "evaluate_stitch",
    "fit",
    "initial",
    "load",
    "match",
    "resized",
    "save",
    "split",
    "stitch",
    "train_stitch",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'netalike.stitching' has no attribute {name!r}")
    return getattr(importlib.import_module(f"netalike.stitching.{_EXPORTS[name]}"), name)
