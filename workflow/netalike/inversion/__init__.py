"""Representation inversion, and similarity of networks on inverted images (Jones et al. 2022).

Each name loads its module, and with it PyTorch, when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netalike.inversion.comparing import MEASURES
    from netalike.inversion.curves import LossCurve
    from netalike.inversion.estimates import Estimates
    from netalike.inversion.invert import Inversion, invert_images
    from netalike.inversion.passes import Normalised
    from netalike.inversion.representation import represent, representation_layer
    from netalike.inversion.seeds import inversion_pairs, noise_seeds
    from netalike.inversion.similarity import (
        Similarity,
        SimilarityMatrix,
        inverted_similarity,
        similarity_matrix,
        stir,
        stir_matrix,
    )

# public name -> module of this package that defines it
_EXPORTS = {
    "Estimates": "estimates",
    "Inversion": "invert",
    "LossCurve": "curves",
    "MEASURES": "comparing",
    "Normalised": "passes",
    "Similarity": "similarity",
    "SimilarityMatrix": "similarity",
    "inversion_pairs": "seeds",
    "invert_images": "invert",
    "inverted_similarity": "similarity",
    "noise_seeds": "seeds",
    "represent": "representation",
    "representation_layer": "representation",
    "similarity_matrix": "similarity",
    "stir": "similarity",
    "stir_matrix": "similarity",
}

__all__ = [
    "MEASURES",
    "Estimates",
    "Inversion",
    "LossCurve",
    "Normalised",
    "Similarity",
    "SimilarityMatrix",
    "inversion_pairs",
    "invert_images",
    "inverted_similarity",
    "noise_seeds",
    "represent",
    "representation_layer",
    "similarity_matrix",
    "stir",
    "stir_matrix",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'netalike.inversion' has no attribute {name!r}")
    return getattr(importlib.import_module(f"netalike.inversion.{_EXPORTS[name]}"), name)
