"""From an architecture's name and a seed to a robust network with its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from netalike.networks import Card
from netalike.networks.pixels import pixel_network, pixels
from netalike.training.adversarial import AdversarialSettings, robust_accuracy
from netalike.training.networks import train_network
from netalike.training.plain import History

if TYPE_CHECKING:
    from netalike.data import ImageSet

EVALUATION_STEPS = 20
"""Steps of the attack that evaluates a network, as in the tables of robustness."""


def train_robust_network(
    architecture: str,
    image_sets: tuple[ImageSet, ImageSet],
    settings: AdversarialSettings,
    seeds: tuple[int, int],
    checkpoint: Path | None = None,
    device: str | torch.device = "cpu",
    progress: bool | None = None,
    evaluate_eps: Sequence[float] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> tuple[nn.Module, Card, History]:
    """Build a network, train it on attacked images, measure how robust it is, and write down what it is.

    Parameters
    ----------
    architecture : str
        As `netalike.networks.build` takes it.
    image_sets : (ImageSet, ImageSet)
        To train on, and to test on.
    settings : AdversarialSettings
    seeds : (int, int)
        Of the initial weights, and of the batches' order, augmentation and random starts.
    checkpoint, device, progress
        As `train_robust` takes them.
    evaluate_eps : sequence of float, optional
        Radii at which the accuracy under attack (20 steps, the same constraint) is measured on all test images; by
        default that of the settings, and none for a standard network.
    facts : mapping, optional
        Kept with the settings on the card. Errors are those of `train_robust`.

    Returns
    -------
    model : nn.Module
        In eval mode; takes normalised images.
    card : Card
        With accuracy and loss on the test images; its settings hold `robust_accuracy`, a number for each radius.
    history : History

    """
    model, card, history = train_network(architecture, image_sets, settings, seeds, checkpoint, device, progress, facts)
    radii = ([settings.eps] if settings.eps else []) if evaluate_eps is None else evaluate_eps
    robust = _robust_accuracies(model, image_sets[1], settings.constraint, radii)
    return model, replace(card, settings={**card.settings, "robust_accuracy": robust}), history


def _robust_accuracies(
    model: nn.Module, test_set: ImageSet, constraint: str, radii: Sequence[float]
) -> dict[str, float]:
    attacked, images = pixel_network(model, test_set.spec), pixels(test_set)
    return {
        f"{eps:g}": robust_accuracy(attacked, images, test_set.labels, eps, constraint, EVALUATION_STEPS).robust
        for eps in radii
    }
