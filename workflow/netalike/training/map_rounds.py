"""Rounds of training on noisy labels: train, align the original labels, train again on the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.data.scenes import Scene
from netalike.networks.double_unet import Widths
from netalike.progress import progress
from netalike.training.map_alignment import MapHistory, MapTrainer, train_map_alignment
from netalike.training.map_inference import Aligner, Polygons
from netalike.training.map_settings import MapTraining, settings_of_round


@dataclass(frozen=True)
class Round:
    """What one round came to.

    Attributes
    ----------
    number : int
        From 1.
    model : keras.Model
        One object in all rounds, which the next round overwrites: compiling it costs as much as many steps.
    history : MapHistory
    learned : list of Scene
        The training scenes with the labels that this round learned from.
    train, test : list of list of polygons
        By scene: the original labels after each pass of the alignment.
    """

    number: int
    model: Any
    history: MapHistory
    learned: list[Scene]
    train: list[list[Polygons]]
    test: list[list[Polygons]]


def train_rounds(
    train: Sequence[Scene],
    test: Sequence[Scene],
    settings: MapTraining,
    rounds: int = 2,
    widths: Widths | None = None,
    seed: int = 0,
    checkpoints: str | Path | None = None,
) -> Iterator[Round]:
    """Train round after round.

    Parameters
    ----------
    train, test : sequence of Scene
        Their `labels` are the original, noisy ones; the true `polygons` are not read.
    settings : MapTraining
        Of each round.
    rounds : int
        In each, a new network is trained (or, with `start` previous, the one before on and on): in the first on the
        original labels, later on what the round before made of them.
    widths : Widths, optional
    seed : int
        Round r uses a seed of its own, made of this one and r.
    checkpoints : path, optional
        A folder: a training that was cut off goes on from there, and finished rounds are read.

    Yields
    ------
    Round
        As soon as it is done.

    Notes
    -----
    Every round aligns the *original* labels, as the published scheme does, so that errors of one round do not add up
    with those of the next.
    """
    learned = list(train)
    trainer = MapTrainer(settings, widths)
    aligner = Aligner(trainer.model, moves=settings.moves)
    for number in range(1, rounds + 1):
        own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0] % 2**31)
        file = Path(checkpoints) / f"round-{number}.safetensors" if checkpoints else None
        title = f"Training, round {number} of {rounds}"
        fresh = number == 1 or settings.start == "new"
        own = settings_of_round(settings, number)
        model, history = train_map_alignment(learned, own, widths, own_seed, file, title, trainer, fresh)
        scenes = progress([*train, *test], f"Aligning, round {number} of {rounds}", unit="scene")
        found = [aligner.align_scene(scene, settings.passes) for scene in scenes]
        yield Round(number, model, history, learned, found[: len(train)], found[len(train) :])
        learned = [replace(scene, labels=passes[-1]) for scene, passes in zip(train, found, strict=False)]


def label_offsets(scene: Scene) -> NDArray[np.float64]:
    """Return how far the labels of a scene are from the truth, one offset per polygon.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    array, shape (n_polygons, 2)
        Mean over the vertices, in pixels down and to the right; equal to `Scene.noise` for the original labels.
    """
    pairs = zip(scene.labels, scene.polygons, strict=True)
    return np.array([(label - truth).mean(0) for label, truth in pairs]).reshape(-1, 2)
