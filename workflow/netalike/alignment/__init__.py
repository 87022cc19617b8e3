"""Shared responses of networks: alignment by orthogonal maps, and matrices of similarity between stimuli.

NumPy and SciPy alone; BrainIAK only where its implementation is asked for.
"""

from netalike.alignment.rsm import (
    between_rsm,
    between_rsms,
    class_rsm,
    consistency,
    mean_correlation,
    rsm,
    second_order,
    second_order_over_networks,
    within_rsms,
)
from netalike.alignment.srm import SharedResponse

__all__ = [
    "SharedResponse",
    "between_rsm",
    "between_rsms",
    "class_rsm",
    "consistency",
    "mean_correlation",
    "rsm",
    "second_order",
    "second_order_over_networks",
    "within_rsms",
]
