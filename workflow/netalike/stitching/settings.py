"""Settings of a stitch's training; no framework is imported here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from netalike.training.settings import Settings as TrainingSettings

Target = Literal["hard", "soft_1", "soft_2", "soft_12", "soft_1_plus_2"]


class Settings(TrainingSettings):
    """How a stitching layer is trained; the defaults are those of the stitching paper's code (Csiszarik et al. 2021).

    Fields, checks and schedule of `netalike.training.Settings`, with the defaults of stitching, and what only a
    stitching layer has.
    """

    epochs: int = Field(30, ge=1, description="Passes over the training images.")
    lr: float = Field(
        1e-3, gt=0, description="Learning rate at the start; a tenth after 1/3 and after 2/3 of the epochs."
    )
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty on the weights and biases of the stitching layer.")
    optimizer: Literal["sgd", "adam"] = Field("adam", description="sgd has Nesterov momentum 0.9.")
    save_every: int = Field(1, ge=1, description="Epochs between checkpoints; the last epoch is always saved.")
    l1: float = Field(0.0, ge=0, description="Factor of the mean absolute weight, added to the loss.")
    cka_reg: float = Field(
        0.0,
        description="Factor of the linear CKA between the end network's own activation and the stitched one, added to "
        "the loss: positive pushes CKA down, negative up.",
    )
    target: Target = Field(
        "hard",
        description="hard: the labels; soft_1, soft_2: the logits of the front or end network; soft_12: the mean of "
        "the two losses; soft_1_plus_2: the loss against the mean of the two logits.",
    )
    temperature: float = Field(1.0, gt=0, description="Divides both logits of a soft target; the loss is not rescaled.")
    save_frequency: int = Field(
        10, ge=1, description="A snapshot of the weights every so many steps, times the number of epochs."
    )
    seed: int = Field(0, ge=0, description="Of the order of the images and of their augmentation.")
