"""The section of the inversion paper: similarity of networks on images inverted through them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from netalike.configuration.fields import Name, Positive, Seeds, Whole, not_boolean
from netalike.configuration.studies import OfFamilies, PaperSection

SeedKind = Literal["other_class", "noise", "same_class"]
Above = Annotated[float, Field(gt=0), BeforeValidator(not_boolean)]


class InversionStudy(OfFamilies):
    """Trained networks, standard or robust, compared on images that are inverted through each of them."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"networks_per_job"})

    seeds: Seeds | None = Field(
        None, description="Only these seeds of each family; null takes all of them.", examples=["0-1"]
    )
    n_images: Whole = Field(
        500,
        ge=8,
        description="The first so many images of the test split: seeds and targets are drawn from them, and clean and "
        "robust accuracy is measured on them.",
        examples=[2000],
    )
    batch_size: Whole = Field(
        32, ge=4, description="Images that are inverted at once; every batch, the last too, needs 4.", examples=[64]
    )
    pairs: Annotated[int, Field(ge=8), BeforeValidator(not_boolean)] = Field(
        256,
        description="Pairs of a seed and a target image, the same for all networks.",
        examples=[48],
    )
    seed_images: tuple[SeedKind, ...] = Field(
        ("other_class", "noise", "same_class"),
        min_length=1,
        description="What an inversion starts from: an image of another class than the target, as published; noise, as "
        "in the measure STIR; an image of the target's class, as a control.",
        examples=[["other_class"]],
    )
    mode: Literal["published", "fast"] = Field(
        "published",
        description="published: the article's steps, all of them; fast: images that are done leave the batch, and "
        "the step is made smaller towards the end.",
        examples=["fast"],
    )
    exact: bool = Field(
        True,
        description="Of published: every step as the network itself computes it, to the last bit. false is faster and "
        "rounds otherwise; fast does so always.",
        examples=[False],
    )
    iterations: Positive = Field(2000, description="Steps of each inversion, at most.", examples=[400])
    step_size: Above = Field(0.125, description="Length of a step, in L2, of pixels from 0 to 1.", examples=[0.5])
    attack_eps: tuple[Above, ...] = Field(
        (0.5,),
        min_length=1,
        description="Sizes of the L2 attacks under which robust accuracy is measured.",
        examples=[[0.5, 1, 2]],
    )
    attack_steps: Positive = Field(20, description="Steps of these attacks.", examples=[100])
    untrained_twins: Whole = Field(
        1,
        ge=0,
        description="Untrained networks of each standard family (of each, where all are robust) that take part as a "
        "control.",
        examples=[0],
    )
    networks_per_job: Positive = Field(
        1, description="Networks through which one job inverts images, one after the other.", examples=[4]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.pairs > self.n_images:
            raise PydanticCustomError(
                "pairs",
                "{pairs} targets cannot be drawn from {n_images} images",
                {"pairs": self.pairs, "n_images": self.n_images},
            )
        return self


class Inversion(PaperSection):
    """The experiments of the inversion paper (Jones et al. 2022)."""

    inversions: dict[Name, InversionStudy] = Field(
        {},
        description="Studies of networks, standard and robust, on images inverted through each of them: similarity "
        "there and on the targets, asymmetry, and robust accuracy.",
        examples=[
            {
                "mine": {
                    "networks": ["lenet-digits", "tiny10-digits"],
                    "seeds": 1,
                    "n_images": 200,
                    "pairs": 48,
                    "iterations": 100,
                }
            }
        ],
    )
