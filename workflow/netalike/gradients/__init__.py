"""Input similarity: how alike two inputs are to a network, by the gradients of its outputs (Charpiat et al. 2019).

A sample's gradient is a matrix X_i of shape (p, d): column a is the gradient of output a with respect to all p
parameters.  The kernel is K_ij = X_i' X_j, and K_ii^(-1/2) K_ij K_jj^(-1/2) is its normalised form.

`import netalike.gradients` needs numpy alone; each name below loads what it needs when it is first used.  The module
`netalike.gradients.denoising` has a function of its own name, which is imported from there.

Conventions
-----------
* A sample counts as its own neighbour in every count, unless ``include_self=False``; `nearest` alone leaves it out
  unless ``include_self=True``.
* A sample whose gradient is zero has similarity 0 with every sample, also with itself, so its counts are 0.
* A rank-deficient K_ii is inverted on its range: the similarity of a sample with itself is then rank / d, below 1.
* One sample is enough for everything; with n = 1 a count is the sample's similarity with itself.
* BatchNorm and dropout have to be in eval mode: in training mode a sample's gradient depends on the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netalike.gradients.counts import (
        EXPONENTS,
        THRESHOLDS,
        hard_counts,
        less_soft_counts,
        nearest,
        nearest_to_values,
        soft_counts,
    )
    from netalike.gradients.denoising import Denoising, kernel_average, neighbour_consistency
    from netalike.gradients.high import GradientKernel, gradient_kernel
    from netalike.gradients.kernel import SCALARS, inverse_roots, kernel_matrix, normalise, scalar, similarity
    from netalike.gradients.one_output import soft_counts_streamed
    from netalike.gradients.per_sample import per_sample_gradients
    from netalike.gradients.products import (
        LayerProducts,
        gradient_norms,
        kernel_block,
        self_kernels,
        similarity_block,
    )
    from netalike.gradients.sources import (
        DiskSource,
        MemorySource,
        ModelSource,
        Source,
        StreamingSource,
        model_source,
        similarities_to,
        soft_counts_of,
    )

# public name -> module of this package that defines it
_EXPORTS = {
    "EXPONENTS": "counts",
    "THRESHOLDS": "counts",
    "hard_counts": "counts",
    "less_soft_counts": "counts",
    "nearest": "counts",
    "nearest_to_values": "counts",
    "soft_counts": "counts",
    "Denoising": "denoising",
    "kernel_average": "denoising",
    "neighbour_consistency": "denoising",
    "GradientKernel": "high",
    "gradient_kernel": "high",
    "SCALARS": "kernel",
    "inverse_roots": "kernel",
    "kernel_matrix": "kernel",
    "normalise": "kernel",
    "scalar": "kernel",
    "similarity": "kernel",
    "soft_counts_streamed": "one_output",
    "per_sample_gradients": "per_sample",
    "LayerProducts": "products",
    "gradient_norms": "products",
    "kernel_block": "products",
    "self_kernels": "products",
    "similarity_block": "products",
    "DiskSource": "sources",
    "MemorySource": "sources",
    "ModelSource": "sources",
    "Source": "sources",
    "StreamingSource": "sources",
    "model_source": "sources",
    "similarities_to": "sources",
    "soft_counts_of": "sources",
}

__all__ = [
    "EXPONENTS",
    "SCALARS",
    "THRESHOLDS",
    "Denoising",
    "DiskSource",
    "GradientKernel",
    "LayerProducts",
    "MemorySource",
    "ModelSource",
    "Source",
    "StreamingSource",
    "gradient_kernel",
    "gradient_norms",
    "hard_counts",
    "inverse_roots",
    "kernel_average",
    "kernel_block",
    "kernel_matrix",
    "less_soft_counts",
    "model_source",
    "nearest",
    "nearest_to_values",
    "neighbour_consistency",
    "normalise",
    "per_sample_gradients",
    "scalar",
    "self_kernels",
    "similarities_to",
    "similarity",
    "similarity_block",
    "soft_counts",
    "soft_counts_of",
    "soft_counts_streamed",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'netalike.gradients' has no attribute {name!r}")
    return getattr(importlib.import_module(f"netalike.gradients.{_EXPORTS[name]}"), name)
