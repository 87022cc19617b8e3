"""Settings of the training that aligns maps, and its schedules; no framework is imported here."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# Shares of the steps from which the coefficients of the levels hold, and these, from full resolution to a quarter: the
# published code's steps 0, 2,500, 5,000 and 7,500 of 100,000.
_LEVEL_STAGES = ((0.0, (0.50, 0.35, 0.15)), (0.025, (0.75, 0.20, 0.05)), (0.05, (0.9, 0.1, 0.0)), (0.075, (1.0, 0, 0)))
_HALVED_AFTER = 0.25
_WARM_UP = 0.02
_LAST_SHARE = 0.01


class MapTraining(BaseModel):
    """How a double U-Net is trained; the defaults are those of the published code (Charpiat et al. 2019)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_size: int = Field(
        220,
        ge=124,
        description="Pixels of a patch: 124, 140, 156, ...; displacements come out of all but a border of 60.",
    )
    batch_size: int = Field(32, ge=1, description="Patches per step.")
    steps: int = Field(100_000, ge=1, description="Training steps of each round.")
    lr: float = Field(1e-4, gt=0, description="Adam's learning rate at the start.")
    later_lr: float | None = Field(
        None,
        gt=0,
        description="Adam's learning rate at the start of rounds after the first; null takes `lr`, as published. A "
        "round that goes on from trained weights (`start: previous`) needs a smaller one: with the rate of new "
        "weights, a second round of ours left what it had learned within 200 steps, and its output layer was "
        "saturated from then on.",
    )
    lr_schedule: Literal["halved", "cosine"] = Field(
        "halved",
        description="halved: half the rate after a quarter of the steps, as published; cosine: up over the first 2 % "
        "of the steps and then down to a hundredth, for short trainings.",
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        description="Decay of all weights per step, apart from the gradient; the published code's had no effect.",
    )
    clip_norm: float | None = Field(
        None,
        gt=0,
        description="Longer gradients, over all weights, are scaled down to this length; null leaves them as they are, "
        "as published. Large learning rates and single patches need it: without it, a training of ours ran away in its "
        "second round and did not come back.",
    )
    displacement_weight: float = Field(100.0, ge=0, description="Weight of the displacements in the loss.")
    segmentation_weight: float = Field(50.0, ge=0, description="Weight of the segmentation in the loss.")
    pixel_weights: Literal["published", "even"] = Field(
        "published",
        description="What the loss looks at. published: mostly the vertices, 10 to 1 for edges and 0.1 for the fill; "
        "even: fill, edges and vertices alike.",
    )
    building_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of the error of each building's mean displacement over its edges, in the loss. An edge "
        "shows only how far it is off across itself, and all edges of a building together show the whole "
        "displacement: what is asked of a mean is learned in fewer steps than what is asked of each pixel. Buildings "
        "that reach out of a patch's output are left out, so that patches have to be large. 0: not in the loss, as "
        "published.",
    )
    displacements: Literal["field", "buildings"] = Field(
        "field",
        description="What training polygons are moved by. field: a smooth random field, as published; buildings: each "
        "by an offset of its own, uniform up to the amplitude in either direction, so that no neighbour tells of it, "
        "all polygons may stay in a patch, and large patches cost less for each.",
    )
    keep_polygons: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Probability of each polygon but one to stay in a patch; buildings seen together "
        "tell of each other's noise.",
    )
    amplitude: float = Field(4.0, gt=0, le=8, description="Largest displacement that polygons are given, in pixels.")
    photometric: bool = Field(True, description="Whether brightness, contrast and saturation are changed at random.")
    turns: bool = Field(
        True,
        description="Whether patches are turned by quarters and mirrored at random, as published; a bias that is the "
        "same in all images then points anywhere, and may be taken for noise.",
    )
    start: Literal["new", "previous"] = Field(
        "new",
        description="What a round after the first starts from: new weights, or those of the round before, for short "
        "trainings.",
    )
    fields_every: int = Field(100, ge=1, description="Steps between new displacement fields, one per scene.")
    passes: int = Field(
        3, ge=1, description="Times that an alignment is repeated on its own result; each pass takes away a part of it."
    )
    moves: Literal["vertices", "buildings"] = Field(
        "vertices",
        description="What an alignment moves. vertices: each by the displacement at its place, as published; "
        "buildings: each as a whole by the mean over its edges, which keeps shapes and averages errors, where maps are "
        "off by building.",
    )
    save_every: int = Field(500, ge=1, description="Steps between checkpoints.")


def settings_of_round(settings: MapTraining, number: int) -> MapTraining:
    """Return the settings of one round of several.

    Parameters
    ----------
    settings : MapTraining
    number : int
        From 1.

    Returns
    -------
    MapTraining
        With the learning rate of this round; `later_lr` is left out, since a single round does not depend on it.
    """
    rate = settings.later_lr if number > 1 and settings.later_lr is not None else settings.lr
    return settings.model_copy(update={"lr": rate, "later_lr": None})


def learning_rate(settings: MapTraining, step: int) -> float:
    """Return the learning rate of a step, counted from 0.

    Parameters
    ----------
    settings : MapTraining
    step : int

    Returns
    -------
    float
    """
    share = step / settings.steps
    if settings.lr_schedule == "halved":
        return settings.lr * (0.5 if share >= _HALVED_AFTER else 1.0)
    if share < _WARM_UP:
        return settings.lr * (step + 1) / math.ceil(_WARM_UP * settings.steps)
    fall = 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP)))
    return settings.lr * (_LAST_SHARE + (1 - _LAST_SHARE) * fall)


def level_coefficients(settings: MapTraining, step: int) -> tuple[float, float, float]:
    """Return the weights of the three levels in the loss at a step, full resolution first.

    Parameters
    ----------
    settings : MapTraining
    step : int
        Counted from 0.

    Returns
    -------
    tuple of float
        (.5, .35, .15) at the start, (1, 0, 0) after 7.5 % of the steps: the published schedule, at the same shares of
        the training.
    """
    share = step / settings.steps
    return [coefficients for begin, coefficients in _LEVEL_STAGES if share >= begin][-1]
