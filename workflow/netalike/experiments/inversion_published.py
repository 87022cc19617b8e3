"""The similarity matrices that Jones et al. (2022) published of nine non-robust ImageNet networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NETWORKS = (
    "DenseNet",
    "MobileNet",
    "ResNeXt50",
    "ResNet18",
    "ResNet50",
    "ShuffleNet",
    "VGG16",
    "WRN50-2",
    "WRN50-4",
)
"""In the published order, from the bottom of the figure to its top, and from left to right."""

TARGETS: NDArray[np.float64] = np.array(
    [
        [1, 0.64, 0.67, 0.67, 0.71, 0.64, 0.65, 0.66, 0.61],
        [0.64, 1, 0.58, 0.75, 0.68, 0.81, 0.72, 0.60, 0.55],
        [0.67, 0.58, 1, 0.64, 0.75, 0.58, 0.62, 0.76, 0.71],
        [0.67, 0.75, 0.64, 1, 0.74, 0.76, 0.72, 0.66, 0.60],
        [0.71, 0.68, 0.75, 0.74, 1, 0.68, 0.70, 0.78, 0.72],
        [0.64, 0.81, 0.58, 0.76, 0.68, 1, 0.69, 0.60, 0.55],
        [0.65, 0.72, 0.62, 0.72, 0.70, 0.69, 1, 0.63, 0.58],
        [0.66, 0.60, 0.76, 0.66, 0.78, 0.60, 0.63, 1, 0.78],
        [0.61, 0.55, 0.71, 0.60, 0.72, 0.55, 0.58, 0.78, 1],
    ]
)
"""Linear CKA on the target images, shape (9, 9); read off the annotated cells of the published figure, to 0.01."""

INVERTED: NDArray[np.float64] = np.array(
    [
        [1, 0.08, 0.15, 0.11, 0.12, 0.07, 0.11, 0.13, 0.12],
        [0.04, 1, 0.04, 0.05, 0.04, 0.04, 0.04, 0.03, 0.03],
        [0.07, 0.03, 1, 0.07, 0.08, 0.03, 0.06, 0.09, 0.09],
        [0.07, 0.06, 0.09, 1, 0.09, 0.05, 0.09, 0.08, 0.08],
        [0.16, 0.10, 0.21, 0.18, 1, 0.08, 0.17, 0.26, 0.26],
        [0.07, 0.08, 0.07, 0.11, 0.07, 1, 0.06, 0.06, 0.06],
        [0.03, 0.02, 0.03, 0.03, 0.03, 0.02, 1, 0.03, 0.03],
        [0.15, 0.08, 0.20, 0.15, 0.23, 0.07, 0.14, 1, 0.27],
        [0.12, 0.06, 0.16, 0.12, 0.18, 0.05, 0.11, 0.22, 1],
    ]
)
"""The same on the images inverted through the network of the row."""


def off_diagonal_mean(matrix: NDArray[np.float64]) -> float:
    """Return the mean over pairs of two different networks: 0.672 on the targets, 0.095 on the inverted images."""
    return float(matrix[~np.eye(len(matrix), dtype=bool)].mean())
