"""Networks that were not trained here: published, a user's own, pretrained, or untrained."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from netalike.data import ImageSet, fetch_file, published
from netalike.data.place import Place
from netalike.networks.checkpoint import Card, load
from netalike.networks.evaluation import evaluate
from netalike.networks.registry import build

PUBLISHED = "published:"


def fetch_published(weights: str | None, place: Place) -> None:
    """Fetch the checkpoints of a published collection; weights of another kind need no fetching.

    Parameters
    ----------
    weights : str or None
        As in the configuration: ``published:<collection>``, a path, or None.
    place : Place
    """
    if weights is not None and weights.startswith(PUBLISHED):
        for remote in published.files(weights.removeprefix(PUBLISHED)):
            fetch_file(remote, place.root, place.mirror, place.offline)


def import_network(architecture: str, file: str | Path | None, test_set: ImageSet, seed: int) -> tuple[nn.Module, Card]:
    """Load a network from elsewhere and evaluate it, so that its card tells what it is.

    Parameters
    ----------
    architecture : str
        As `networks.build` takes it.
    file : path or None
        Its weights (.safetensors, or a foreign state dictionary); None builds the network with its own weights:
        pretrained ones, or random ones of this seed.
    test_set : ImageSet
        Tells the channels and classes; accuracy and loss are measured on it.
    seed : int

    Returns
    -------
    model : nn.Module
    card : Card

    Raises
    ------
    BadFileError
        If the weights do not fit the architecture.
    """
    channels, classes = int(test_set.inputs(0, 1).shape[1]), len(test_set.classes)
    if file is None:
        model, source = build(architecture, channels, classes, seed), "built"
    else:
        model, source = load(file, architecture, channels, classes)[0], "imported"
    found = evaluate(model, test_set)
    card = Card(
        architecture=architecture,
        dataset=test_set.name,
        channels=channels,
        classes=classes,
        seed=seed,
        accuracy=found.accuracy,
        loss=found.loss,
        source=source,
    )
    return model, card
