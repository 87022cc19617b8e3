"""The section of the shared-response paper: the simulation, Keras networks in training, trained families."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from netalike.configuration.fields import Name, Positive, Section, Seeds, Whole, not_boolean
from netalike.configuration.studies import OfOneFamily, OwnNetworks, PaperSection, SeenOnImages
from netalike.training.keras_settings import KerasTraining

Centre = Literal["mean", "brainiak"]
AlignmentControl = Literal["shuffled", "noise", "untrained"]
SimilarityMatrix = Literal["pearson", "cosine", "centred_kernel"]


class SimulationStudy(OwnNetworks):
    """Copies of one trained network, rotated or permuted, and aligned again."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"repeats_per_job"})

    repeats: Positive = Field(
        50, description="Networks that are trained and copied, with data of their own.", examples=[10]
    )
    copies: Annotated[int, Field(ge=2), BeforeValidator(not_boolean)] = Field(
        10, description="Rotated or permuted copies of each network.", examples=[5]
    )
    units: Positive = Field(50, description="Hidden units of the network.", examples=[20])
    features: Positive = Field(
        50, description="Dimensions of the shared response, at most as many as units.", examples=[20]
    )
    epochs: Positive = Field(1000, description="Passes over the training data, each one step.", examples=[200])
    n_per_cluster: Positive = Field(
        50, description="Points in each of the four clusters of the exclusive-or problem.", examples=[25]
    )
    noise: Annotated[float, Field(ge=0), BeforeValidator(not_boolean)] = Field(
        0.0, description="Standard deviation of noise that is added to the activity of the copies.", examples=[0.1]
    )
    independent: bool = Field(
        True,
        description="Also the authors' tutorial: two networks that are trained independently of each other.",
        examples=[False],
    )
    repeats_per_job: Positive = Field(
        50, description="Repeats that one job simulates; a job costs its start.", examples=[10]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.features > self.units:
            raise PydanticCustomError(
                "features",
                "{features} features cannot be had from {units} units",
                {"features": self.features, "units": self.units},
            )
        return self


class _Alignment(Section):
    n_evaluate: Annotated[int, Field(ge=4), BeforeValidator(not_boolean)] = Field(
        2000,
        description="Of these images, so many are held out: the shared response is fitted on the others, and all is "
        "measured on them. Both halves have as many images of each class.",
        examples=[500],
    )
    features: Positive | None = Field(
        None,
        description="Dimensions of the shared response; null takes the number of units, so that the map of each "
        "network is a rotation, as published.",
        examples=[100],
    )
    iterations: Positive = Field(
        10, description="Rounds in which the shared response and the maps are fitted.", examples=[20]
    )
    z_score: bool = Field(
        True,
        description="Whether each image's pattern is brought to mean 0 and variance 1 across units, as published.",
        examples=[False],
    )
    centers: tuple[Centre, ...] = Field(
        ("mean", "brainiak"),
        min_length=1,
        description="mean: every unit's mean over images is taken away before it is mapped; brainiak: it is not, as in "
        "BrainIAK, with which the paper's figures were made.",
        examples=[["mean"]],
    )
    controls: tuple[AlignmentControl, ...] = Field(
        ("shuffled", "noise", "untrained"),
        description="What alignment is held against: one network's images in another order; noise in place of "
        "activations; networks before training.",
        examples=[["shuffled"]],
    )
    rsms: tuple[SimilarityMatrix, ...] = Field(
        ("pearson", "cosine", "centred_kernel"),
        min_length=1,
        description="How two images' patterns are compared: pearson, as published; cosine and centred_kernel do not "
        "change when a network is rotated.",
        examples=[["pearson"]],
    )


class AlignmentStudy(_Alignment, OwnNetworks):
    """Networks of one Keras architecture, from several seeds, aligned at epochs of their training."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"seeds_per_job"})

    dataset: str = Field(
        "digits",
        min_length=1,
        description="Name of the data set, or folder:PATH.",
        examples=["cifar10"],
        json_schema_extra={"$comment": "the name of a data set, such as digits"},
    )
    seeds: Annotated[Seeds, Field(min_length=2)] = Field(
        tuple(range(10)),
        description="One network per seed: its weights, the order of its batches and its dropout.",
        examples=["0-3"],
    )
    n_train: Positive | None = Field(
        None, description="Train on the first so many training images; null takes all.", examples=[5000]
    )
    n_images: Annotated[int, Field(ge=8), BeforeValidator(not_boolean)] = Field(
        10_000,
        description="Test images whose activations are recorded, a random subset with as many of each class.",
        examples=[4000],
    )
    training: KerasTraining = Field(
        KerasTraining(),
        description="The architecture, how it is trained, and which of its layers are recorded at which epochs.",
        examples=[{"architecture": "conv_small", "epochs": 10, "logged": [0, 1, 10], "lr": 0.001}],
    )
    seeds_per_job: Positive = Field(
        1, description="Networks that one job trains, one after the other; a job costs its start.", examples=[4]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_halves(self.n_images, self.n_evaluate)
        if self.training.units != "all":
            _check_units(self.training.max_units, self.features, self.n_images - self.n_evaluate)
        return self

    @property
    def fetched(self) -> str | None:
        """The data set of the images."""
        return self.dataset


class AlignedFamilies(_Alignment, SeenOnImages, OfOneFamily):
    """The networks of a trained family of the section `networks`, aligned as the Keras networks are at their end."""

    n_images: Whole = Field(
        6000, ge=8, description="The first so many images of the test split are used.", examples=[1000]
    )
    max_units: Positive = Field(
        256,
        description="Layers with more units keep so many, a random choice that all networks share.",
        examples=[1000],
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_halves(self.n_images, self.n_evaluate)
        _check_units(self.max_units, self.features, self.n_images - self.n_evaluate)
        return self


def _check_halves(n_images: int, n_evaluate: int) -> None:
    if n_evaluate > n_images - 4:
        raise PydanticCustomError(
            "n_evaluate",
            "of {n_images} images, {n_evaluate} cannot be held out: at least 4 are needed to fit",
            {"n_images": n_images, "n_evaluate": n_evaluate},
        )


def _check_units(max_units: int, features: int | None, n_fit: int) -> None:
    """A shared response needs as many images as it has features."""
    if (wanted := features or max_units) > n_fit:
        raise PydanticCustomError(
            "max_units",
            "a shared response of {wanted} features needs as many images to be fitted to, and {n_fit} are not held "
            "out: lower max_units or features, or raise n_images",
            {"wanted": wanted, "n_fit": n_fit},
        )


class SharedResponsePaper(PaperSection):
    """The experiments of the shared-response paper (Lu et al. 2018)."""

    simulations: dict[Name, SimulationStudy] = Field(
        {},
        description="Studies of the simulation: copies of a network, rotated or permuted, whose similarity a shared "
        "response brings back.",
        examples=[{"mine": {"repeats": 10, "copies": 5}}],
    )
    alignments: dict[Name, AlignmentStudy] = Field(
        {},
        description="Studies of Keras networks from several seeds: variance explained, similarity within and between "
        "networks, and consistency, by layer and epoch.",
        examples=[
            {
                "mine": {
                    "dataset": "digits",
                    "seeds": 4,
                    "n_images": 400,
                    "n_evaluate": 200,
                    "training": {"architecture": "conv_small", "epochs": 10, "lr": 0.001, "max_units": 128},
                }
            }
        ],
    )
    aligned_families: dict[Name, AlignedFamilies] = Field(
        {},
        description="Studies of trained families of the section networks, in PyTorch, with the same measurements.",
        examples=[
            {
                "mine": {
                    "networks": "tiny10-digits",
                    "layers": ["bn*"],
                    "n_images": 400,
                    "n_evaluate": 200,
                    "max_units": 128,
                }
            }
        ],
    )
