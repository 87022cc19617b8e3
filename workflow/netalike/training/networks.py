"""From an architecture's name and a seed to a trained network with its card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from netalike import networks
from netalike.networks import Card
from netalike.training.adversarial_settings import AdversarialSettings
from netalike.training.plain import History, train
from netalike.training.settings import Settings

if TYPE_CHECKING:
    from netalike.data import ImageSet


def train_network(
    architecture: str,
    image_sets: tuple[ImageSet, ImageSet],
    settings: Settings,
    seeds: tuple[int, int],
    checkpoint: Path | None = None,
    device: str | torch.device = "cpu",
    progress: bool | None = None,
    facts: Mapping[str, Any] | None = None,
) -> tuple[nn.Module, Card, History]:
    """Build a network, train it, and write down what it is.

    Parameters
    ----------
    architecture : str
        As `netalike.networks.build` takes it.
    image_sets : (ImageSet, ImageSet)
        To train on, and to test on.
    settings : Settings
        `AdversarialSettings` train on attacked images.
    seeds : (int, int)
        Of the initial weights, and of the batches' order and augmentation.
    checkpoint, device, progress
        As `train` takes them.
    facts : mapping, optional
        Kept with the settings on the card: the task, for example.

    Returns
    -------
    model : nn.Module
        In eval mode.
    card : Card
        With accuracy and loss on the test images.
    history : History

    Raises
    ------
    NetalikeError
        As `train` does.
    """
    train_set, test_set = image_sets
    channels, classes = train_set.spec.channels, len(train_set.classes)
    model = networks.build(architecture, channels, classes, seed=seeds[0])
    learn: Callable[..., History] = train
    if isinstance(settings, AdversarialSettings):
        from netalike.training.adversarial import train_robust as learn
    history = learn(model, train_set, test_set, settings, seeds[1], checkpoint, progress=progress, device=device)
    card = Card(
        architecture=networks.canonical(architecture),
        dataset=train_set.name,
        channels=channels,
        classes=classes,
        seed=seeds[0],
        batch_seed=seeds[1],
        epochs=settings.epochs,
        accuracy=history.test_accuracy[-1],
        loss=history.test_loss[-1],
        data_sha256=train_set.fingerprint(),
        source="trained",
        settings={**settings.model_dump(mode="json"), **(facts or {})},
    )
    return model, card, history
