"""The section of the stitching paper: pairs of networks stitched at every layer, and sweeps at some layers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from netalike.configuration.fields import Layers, Name, Positive, Whole, not_boolean
from netalike.configuration.studies import OfFamilies, PaperSection, SeenOnImages
from netalike.stitching.settings import Settings as StitchingSettings
from netalike.stitching.settings import Target

Method = Literal["identity", "least_squares", "procrustes", "task_loss", "task_loss_random"]
StitchingControl = Literal["self", "permuted_twin", "untrained"]
Mask = Literal["semi_match", "abs_semi_match", "random_permutation"]
Weight = Annotated[float, Field(ge=0), BeforeValidator(not_boolean)]
SignedWeight = Annotated[float, BeforeValidator(not_boolean)]


class _StitchingStudy(SeenOnImages, OfFamilies):
    without_effect: ClassVar[frozenset[str]] = frozenset({"pairs_per_job"})

    pairs: Positive | None = Field(
        None,
        description="The first so many ordered pairs of different networks of each family: each network with the next "
        "one (and the last with the first), then each with the next but one, and so on; null, or more than there are, "
        "takes all.",
        examples=[10],
    )
    n_train: Positive | None = Field(
        None,
        description="Fit and train stitching layers on the first so many training images; null takes all.",
        examples=[10000],
    )
    cka_images: Whole = Field(
        2000,
        ge=4,
        description="Images for CKA, which costs more than all else: the first so many of n_images, at most all.",
        examples=[1000],
    )
    training: StitchingSettings = Field(
        StitchingSettings(),
        description="How stitching layers are trained on the task loss.",
        examples=[{"epochs": 3, "augment": False}],
    )
    pairs_per_job: Positive = Field(
        1, description="Pairs that one job stitches, one after the other; a job costs its start.", examples=[4]
    )


class LayerStudy(_StitchingStudy):
    """Pairs of networks stitched at every layer, by several methods, and controls."""

    methods: tuple[Method, ...] = Field(
        ("identity", "least_squares", "procrustes", "task_loss"),
        min_length=1,
        description="How the stitching layer is found: identity (none at all), least_squares and procrustes "
        "(orthogonal) of the end network's activations, task_loss (trained, from least squares) and task_loss_random "
        "(trained, from random weights).",
        examples=[["least_squares", "task_loss", "task_loss_random"]],
    )
    controls: tuple[StitchingControl, ...] = Field(
        ("self", "permuted_twin", "untrained"),
        description="What the stitches are held against: the end network with itself, the end network with a twin "
        "whose channels are in another order, and an untrained front network.",
        examples=[["untrained"]],
    )
    control_pairs: Positive = Field(
        5, description="The first so many pairs whose networks take part in the controls.", examples=[10]
    )


class SweepStudy(_StitchingStudy):
    """Pairs of networks stitched at some layers, with a stitching layer that is restricted or trained otherwise."""

    layers: Layers = Field(
        description="Layers to stitch at: names, globs, or blocks; one list for all families, or a list per family.",
        examples=[["bn3"]],
    )
    ranks: tuple[Positive, ...] = Field(
        (1, 2, 4, 8, 16, 32),
        description="Ranks of the stitching layer; those that a layer's channels do not allow are left out, and the "
        "full rank is always added.",
        examples=[[1, 4, 16]],
    )
    l1: tuple[Weight, ...] = Field(
        (1.0, 10.0, 100.0),
        description="Weights of the mean absolute entry of the stitching layer in the loss; 0 is always added.",
        examples=[[10]],
    )
    cka_reg: tuple[SignedWeight, ...] = Field(
        (0.1, 1.0, 10.0),
        description="Weights of CKA with the end network's own activations in the loss, positive to push it down; 0 "
        "is always added.",
        examples=[[-1, 1]],
    )
    masks: tuple[Mask, ...] = Field(
        ("semi_match", "abs_semi_match", "random_permutation"),
        description="Masks that leave one input channel to each output channel; no mask is always added.",
        examples=[["semi_match"]],
    )
    targets: tuple[Target, ...] = Field(
        ("soft_1", "soft_2", "soft_12", "soft_1_plus_2"),
        description="What the stitched network is trained to say: the labels (hard, always added), or the outputs of "
        "the front network (soft_1), of the end network (soft_2), both losses, or the mean of both outputs.",
        examples=[["soft_2"]],
    )


class Stitching(PaperSection):
    """The experiments of the stitching paper (Csiszarik et al. 2021)."""

    layers: dict[Name, LayerStudy] = Field(
        {},
        description="Studies of pairs of networks stitched at every layer: relative accuracy, agreement and CKA of "
        "several kinds of stitching layer, and of controls.",
        examples=[
            {
                "mine": {
                    "networks": ["tiny10-digits"],
                    "layers": ["bn*"],
                    "pairs": 3,
                    "training": {"epochs": 3, "augment": False},
                    "methods": ["least_squares", "procrustes", "task_loss"],
                    "controls": ["self", "untrained"],
                }
            }
        ],
    )
    sweeps: dict[Name, SweepStudy] = Field(
        {},
        description="Studies of restricted stitching layers: their rank, sparsity, CKA regularisation, masks and "
        "targets.",
        examples=[
            {
                "mine": {
                    "networks": ["tiny10-digits"],
                    "layers": ["bn3"],
                    "pairs": 2,
                    "training": {"epochs": 3, "augment": False},
                    "ranks": [1, 4, 16],
                    "masks": ["semi_match"],
                }
            }
        ],
    )
