"""Settings of a training run, and its learning rates; no framework is imported here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# Shares of the epochs after which the learning rate falls to a tenth, as the stitching paper's code writes them.
_DROPS = (0.333, 0.666)


class Settings(BaseModel):
    """How a network is trained; the defaults are those of the stitching paper (Csiszarik et al. 2021)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(300, ge=1, description="Passes over the training images.")
    batch_size: int = Field(128, ge=1, description="Images per step; a last, shorter batch is left out.")
    lr: float = Field(
        0.1, gt=0, description="Learning rate at the start; a tenth after 1/3 and after 2/3 of the epochs."
    )
    weight_decay: float = Field(1e-4, ge=0, description="L2 penalty on all parameters, batch norm included.")
    optimizer: Literal["sgd", "adam"] = Field("sgd", description="sgd has Nesterov momentum 0.9.")
    augment: bool = Field(True, description="Whether training images are flipped, shifted, ... as the data set says.")
    save_every: int = Field(10, ge=1, description="Epochs between checkpoints; the last epoch is always saved.")


def learning_rate(settings: Settings, epoch: int) -> float:
    """Return the learning rate of an epoch.

    Parameters
    ----------
    settings : Settings
    epoch : int
        Counted from 0.

    Returns
    -------
    float
        `settings.lr`, a tenth of it once epoch / epochs >= 0.333, and a hundredth once it is >= 0.666.
    """
    drops = sum(epoch / settings.epochs >= share for share in _DROPS)
    return settings.lr / 10.0**drops
