"""The studies of the MNIST experiment of the input-similarity paper: training with a similarity term."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from netalike.configuration.fields import Positive, Seeds, not_boolean
from netalike.configuration.studies import OwnNetworks

SimilaritySign = Literal["plus", "minus"]
SimilarityMask = Literal["posnegflat", "random"]
PositiveWeight = Annotated[float, Field(gt=0), BeforeValidator(not_boolean)]


class SimilarityTermStudy(OwnNetworks):
    """A small convolutional network, trained on pairs of images of one class with and without a similarity term."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"seeds_per_job"})

    dataset: str = Field(
        "digits",
        min_length=1,
        description="Name of the data set, or folder:PATH; images are resized to 28 x 28 pixels.",
        examples=["mnist"],
        json_schema_extra={"$comment": "the name of a data set, such as mnist"},
    )
    signs: tuple[SimilaritySign, ...] = Field(
        ("plus", "minus"),
        min_length=1,
        description="Sign of the similarity term in the loss: plus as the published code has it, which pushes the "
        "gradients of a pair apart; minus as the paper describes it. Training without the term is always added.",
        examples=[["minus"]],
    )
    weights: tuple[PositiveWeight, ...] = Field(
        (1.0,),
        min_length=1,
        description="Weights of the similarity term, for a batch size of 1 (times its square root otherwise); the "
        "first is trained with every seed, the others with the first few.",
        examples=[[1, 0.3, 3]],
    )
    masks: tuple[SimilarityMask, ...] = Field(
        ("posnegflat",),
        min_length=1,
        description="Whose gradient is compared: posnegflat, the logit of the true class less the mean of the others, "
        "or random, a random combination of log-probabilities; the first is trained with every seed, the others with "
        "the first few.",
        examples=[["posnegflat", "random"]],
    )
    different_class: bool = Field(
        True,
        description="Whether the control is trained too, with the first few seeds: the term compares images of "
        "different classes.",
        examples=[False],
    )
    seeds: Seeds = Field(
        (0, 1, 2, 3, 4),
        description="A seed is an initialisation and a stream of pairs, which all variants share.",
        examples=["0-19"],
    )
    few_seeds: Positive = Field(
        5, description="The first so many seeds also train other weights, other masks and the control.", examples=[10]
    )
    steps: Positive = Field(150, description="Training steps of each network.", examples=[512])
    batch_size: Positive = Field(1, description="Images in each of the two batches of a pair.", examples=[4])
    lr: Annotated[float, Field(gt=0), BeforeValidator(not_boolean)] = Field(
        0.001, description="Learning rate of Adam.", examples=[0.0003]
    )
    evaluate_every: Positive = Field(
        5, description="Steps between evaluations, which cost more than the training itself.", examples=[10]
    )
    n_validation: Positive = Field(
        1000,
        description="Images of the training split that are held out, a fixed random subset: accuracy is measured on "
        "them, and the test split is left alone.",
        examples=[500],
    )
    cosine_images: Annotated[int, Field(ge=2), BeforeValidator(not_boolean)] = Field(
        3,
        description="Images of each class, of those held out, whose gradients are compared at each evaluation.",
        examples=[5],
    )
    seeds_per_job: Positive = Field(
        5, description="Seeds whose networks one job trains, one after the other; a job costs its start.", examples=[1]
    )

    @property
    def fetched(self) -> str | None:
        """The data set of the images."""
        return self.dataset
