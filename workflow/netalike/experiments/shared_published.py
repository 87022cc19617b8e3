"""Published numbers of aligned networks, read off the figures of the authors' notebooks."""

from __future__ import annotations

READING_ERROR = 0.02
"""By how much a value may be off."""

DATASET, ARCHITECTURE, N_LAYERS = "cifar100", "resnet18", 9
"""What they are of, after epoch 100: Keras layers 2, 10, 17, 25, 32, 40, 47, 55 and 62, from the input on."""

VARIANCE_EXPLAINED = (0.87, 0.80, 0.77, 0.78, 0.76, 0.70, 0.69, 0.85, 0.85)
"""Held-out share of variance by layer. The last one is printed too: 0.8480760715."""

CONSISTENCY = (0.91, 0.84, 0.81, 0.80, 0.80, 0.62, 0.60, 0.75, 0.76)
"""Mean correlation of the native RSMs of two networks, by layer."""

SECOND_ORDER: dict[int, float] = {2: 0.915, 3: 0.80, 4: 0.71, 5: 0.975, 6: 0.975, 7: 0.975, 8: 0.98}
"""Shared RSM between networks with the native one within them, same epoch, by position of the layer."""

DEVELOPMENT: dict[int, float] = {13: 0.87, 22: 0.91, 36: 0.96, 60: 0.98, 100: 0.98}
"""The same with the native RSM of the last epoch, for the last layer, by epoch."""


def is_published(dataset: str, network: str, n_layers: int) -> bool:
    """Say whether networks are those that the published numbers are of.

    Parameters
    ----------
    dataset : str
    network : str
        Name of one of them, which holds its architecture.
    n_layers : int
    """
    return dataset == DATASET and ARCHITECTURE in network and n_layers == N_LAYERS
