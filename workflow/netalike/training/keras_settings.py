"""Settings of the Keras networks whose activations are aligned; no framework is imported here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from netalike.errors import nearest

Architecture = Literal["conv", "preact_resnet18", "conv_small", "mlp"]

LAYERS: dict[str, tuple[str, ...]] = {
    "conv": ("pool1", "pool2", "dense", "logits"),
    "preact_resnet18": tuple(f"bn{depth}" for depth in range(1, 18, 2)),
    "conv_small": ("pool1", "pool2", "dense", "logits"),
    "mlp": ("dense1", "dense2", "logits"),
}
"""Layers that are recorded unless a study says otherwise, by architecture, from the input on."""
ALL_LAYERS: dict[str, tuple[str, ...]] = {
    **LAYERS,
    "preact_resnet18": (*(f"bn{depth}" for depth in range(1, 18)), "pool", "logits"),
}
"""Layers that can be recorded."""
# Of the learning rate, at the end of the wave.
_LAST_SHARE = 0.01
# By so much a loss has to be lower than the lowest before, or the plateau rule takes it for none.
_LEAST_FALL = 1e-4
# What the published code sets, by architecture. It has no settings for narrow networks, which learn as `conv` does.
_CONV: dict[str, Any] = {
    "epochs": 50,
    "optimizer": "rmsprop",
    "lr": 1e-4,
    "lr_decay": 1e-6,
    "l2": 0.0,
    "augment": "none",
    "min_lr": 1e-5,
}
_PUBLISHED: dict[str, dict[str, Any]] = {
    "conv": _CONV,
    "conv_small": _CONV,
    "mlp": {**_CONV, "epochs": 20},
    "preact_resnet18": {
        "epochs": 100,
        "optimizer": "adam",
        "lr": 1e-3,
        "lr_decay": 0.0,
        "l2": 1e-4,
        "augment": "shift_flip",
        "min_lr": 5e-7,
    },
}
_LOGGED: dict[str, tuple[int, ...]] = {
    "conv": (0, 1, 2, 4, 6, 9, 14, 21, 32, 50),
    "conv_small": (0, 1, 2, 4, 6, 9, 14, 21, 32, 50),
    "mlp": (0, 1, 2, 3, 4, 5, 7, 10, 14, 20),
    "preact_resnet18": (0, 1, 2, 3, 5, 8, 13, 22, 36, 60, 100),
}


class KerasTraining(BaseModel):
    """The Keras networks of a study: architecture, training, and what is recorded; Lu et al. 2018 by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: Architecture = Field(
        "conv",
        description="conv: four convolutions, for 32 pixels; preact_resnet18: a pre-activation ResNet-18; conv_small: "
        "a narrow conv, for 8 to 16 pixels; mlp: two hidden layers of 512 and 256 units.",
    )
    size: int | None = Field(
        None,
        ge=4,
        description="Pixels of a side of the images, which are made smaller by averaging squares of pixels; null "
        "takes them as they are stored.",
    )
    epochs: int | None = Field(None, ge=1, description="Passes over the training images; null: 50, 20 (mlp) or 100.")
    batch_size: int = Field(32, ge=1, description="Images per step; the last step of an epoch takes what is left.")
    optimizer: Literal["rmsprop", "adam"] | None = Field(
        None, description="null: rmsprop, and adam for preact_resnet18, as published."
    )
    lr: float | None = Field(
        None, gt=0, description="Learning rate at the start; null: 0.0001, and 0.001 for preact_resnet18, as published."
    )
    lr_decay: float | None = Field(
        None,
        ge=0,
        description="The rate is divided by 1 + this times the number of steps; null: 0.000001, and 0 for "
        "preact_resnet18, as published.",
    )
    lr_schedule: Literal["plateau", "cosine"] = Field(
        "plateau",
        description="plateau: the rate is lowered when the loss stops falling, as published; cosine: it falls to a "
        "hundredth along half a wave, for short trainings.",
    )
    plateau_on: Literal["test", "validation", "none"] = Field(
        "test",
        description="Whose loss the plateau rule looks at. test: the test images', as published, although they are "
        "measured on later; validation: that of training images held out; none: the rate is not lowered.",
    )
    plateau_patience: int = Field(5, ge=1, description="Epochs without a lower loss after which the rate is lowered.")
    plateau_factor: float = Field(math.sqrt(0.1), gt=0, lt=1, description="What the rate is multiplied by then.")
    min_lr: float | None = Field(
        None,
        ge=0,
        description="The plateau rule goes no lower; null: 0.00001, and 0.0000005 for preact_resnet18, as published.",
    )
    validation_share: float = Field(
        0.1, gt=0, lt=1, description="Share of the training images held out where plateau_on is validation."
    )
    l2: float | None = Field(
        None,
        ge=0,
        description="Penalty on the squared weights of convolutions; null: 0, and 0.0001 for preact_resnet18, as "
        "published.",
    )
    dropout: bool = Field(True, description="Whether the architecture's dropout is used; preact_resnet18 has none.")
    augment: Literal["none", "shift", "shift_flip"] | None = Field(
        None,
        description="Shifts of training images by up to a tenth of a side, and mirroring; null: none, and shift_flip "
        "for preact_resnet18, as published.",
    )
    layers: tuple[str, ...] | None = Field(
        None, min_length=1, description="Layers to record; null: those of the paper, for the architecture."
    )
    logged: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="Epochs after which the layers are recorded, 0 is before training; null: those of the paper up to "
        "the last epoch, and that one.",
    )
    units: Literal["shared", "per_network", "all"] = Field(
        "shared",
        description="Which units of a layer with more than max_units are kept. shared: the same random ones in every "
        "network; per_network: others in each network and epoch, as published; all: every unit.",
    )
    max_units: int = Field(1000, ge=1, description="Units of a layer that are kept.")
    save_every: int = Field(1, ge=1, description="Epochs between checkpoints.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_layers(self.architecture, self.layers or ())
        _check_logged(self.epochs or _PUBLISHED[self.architecture]["epochs"], self.logged or ())
        return self

    def complete(self) -> KerasTraining:
        """Fill in what was left to the architecture.

        Returns
        -------
        KerasTraining
            With a value in each field but `size`: the published ones of the architecture.
        """
        given = self.model_dump()
        filled = {**given, **{key: value for key, value in _PUBLISHED[self.architecture].items() if given[key] is None}}
        last = filled["epochs"]
        filled["layers"] = self.layers or LAYERS[self.architecture]
        published = {epoch for epoch in _LOGGED[self.architecture] if epoch < last} | {last}
        filled["logged"] = tuple(sorted(set(self.logged or published)))
        return KerasTraining(**filled)


def _check_layers(architecture: str, layers: tuple[str, ...]) -> None:
    known = ALL_LAYERS[architecture]
    for layer in layers:
        if layer not in known:
            raise PydanticCustomError(
                "layers",
                "{architecture} has no layer {given}: it has {known}{guess}",
                {
                    "architecture": architecture,
                    "given": repr(layer),
                    "known": ", ".join(known),
                    "guess": f". Did you mean {nearest(layer, known)!r}?" if nearest(layer, known) else "",
                },
            )
    if len(set(layers)) < len(layers):
        raise PydanticCustomError("layers", "a layer is named twice among {given}", {"given": ", ".join(layers)})


def _check_logged(epochs: int, logged: tuple[int, ...]) -> None:
    for epoch in logged:
        if not 0 <= epoch <= epochs:
            raise PydanticCustomError(
                "logged",
                "epoch {epoch} cannot be recorded: a training of {epochs} epochs has 0 (before it) to {epochs}",
                {"epoch": epoch, "epochs": epochs},
            )


def learning_rate(settings: KerasTraining, epoch: int, watched: Sequence[float] = ()) -> float:
    """Return the learning rate at the start of an epoch, before its decay by steps.

    Parameters
    ----------
    settings : KerasTraining
        Complete.
    epoch : int
        Counted from 0.
    watched : sequence of float
        The loss that the plateau rule looks at, after each epoch before this one; not read by the other schedule.

    Returns
    -------
    float

    Notes
    -----
    Keras' ``ReduceLROnPlateau``: after `plateau_patience` epochs in a row in which the loss is not lower, by at least
    0.0001, than the lowest one before, the rate is multiplied by `plateau_factor`, but not below `min_lr`.
    """
    complete = settings.complete()
    assert complete.lr is not None
    assert complete.epochs is not None
    if settings.lr_schedule == "cosine":
        wave = 0.5 * (1 + math.cos(math.pi * epoch / complete.epochs))
        return complete.lr * (_LAST_SHARE + (1 - _LAST_SHARE) * wave)
    rate, lowest, waited = complete.lr, math.inf, 0
    for loss in watched:
        waited = 0 if loss < lowest - _LEAST_FALL else waited + 1
        lowest = loss if waited == 0 else lowest
        if waited == settings.plateau_patience:
            rate, waited = max(rate * settings.plateau_factor, complete.min_lr or 0.0), 0
    return rate


def training_of(study: Mapping[str, Any]) -> KerasTraining:
    """Read the training of a study.

    Parameters
    ----------
    study : mapping
        With ``training``: a mapping, or a `KerasTraining`.

    Returns
    -------
    KerasTraining
        Complete.

    Raises
    ------
    pydantic.ValidationError
        For a setting that there is not, or a value that cannot be.
    """
    given = study.get("training") or {}
    return (given if isinstance(given, KerasTraining) else KerasTraining(**given)).complete()
