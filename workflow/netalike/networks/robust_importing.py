"""Bring a published robust network into a run: fetch, check, evaluate."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from netalike.data import ImageSet
from netalike.data.place import Place
from netalike.errors import NetalikeError
from netalike.networks.checkpoint import Card
from netalike.networks.evaluation import evaluate
from netalike.networks.importing import PUBLISHED
from netalike.networks.robust_checkpoints import fetch_robust, load_robust
from netalike.networks.robust_names import RobustCheckpoint, robust_checkpoint

# Means and standard deviations are stored in single precision.
_CLOSE = 1e-6


def import_robust(
    weights: str, place: Place, test_set: ImageSet, device: str | torch.device = "cpu", batch_size: int = 50
) -> tuple[nn.Module, Card]:
    """Fetch a published robust network, and measure its accuracy, so that its card tells what it is.

    Parameters
    ----------
    weights : str
        As in the configuration: ``published:robust-imagenet-l2:resnet50:3``.
    place : Place
        Where the publisher's file lies below the data root, or in a mirror.
    test_set : ImageSet
        Of the data set that the network was trained on; accuracy and loss are measured on it.
    device : str or torch.device
        Where they are measured; the network comes back on the CPU.
    batch_size : int
        Of the same.

    Returns
    -------
    model : nn.Module
        Takes images that are normalised as those of `test_set` are.
    card : Card
        As `load_robust` makes it, with seed 0, accuracy and loss; the settings hold the published accuracy beside.

    Raises
    ------
    BadFileError
        If the file cannot be had (the message has the command to get it), or is not that network.
    NetalikeError
        If the images are of another data set, or other classes, or were normalised otherwise in the training.
    """
    known = robust_checkpoint(weights.removeprefix(PUBLISHED))
    file = fetch_robust(known.name, place.root, place.mirror, place.offline)
    model, card = load_robust(file, known.name)
    _check_images(known, card, test_set)
    found = evaluate(model.network, test_set, batch_size, device)
    return model.network.cpu(), dataclasses.replace(card, seed=0, accuracy=found.accuracy, loss=found.loss)


def _check_images(known: RobustCheckpoint, card: Card, images: ImageSet) -> None:
    if images.name != known.dataset:
        raise NetalikeError(f"{known.name} was trained on {known.dataset}, and is to be evaluated on {images.name}.")
    if len(images.classes) != card.classes:
        raise NetalikeError(
            f"{known.name} tells {card.classes} classes, and {images.name} has {len(images.classes)} here: labels "
            "would not be the network's. Use the whole data set, with a folder for each class."
        )
    for key, here in (("mean", images.spec.mean), ("std", images.spec.std)):
        stored = card.settings[key]
        if any(abs(a - b) > _CLOSE for a, b in zip(stored, here or (), strict=True)):
            raise NetalikeError(
                f"{known.name} was trained on images of {key} {[round(value, 4) for value in stored]}, and those of "
                f"{images.name} have {list(here or ())} here; it would see other images."
            )
