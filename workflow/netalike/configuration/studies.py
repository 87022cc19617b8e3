"""The section of the deconfounded-CKA paper: four kinds of experiment, each a mapping from a name to a study."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from netalike.configuration.fields import Corruption, Layers, Name, Positive, Section, Seeds, Severity, Whole
from netalike.configuration.names import BLOCKS
from netalike.data.shift_names import CORRUPTIONS
from netalike.training.settings import Settings as TrainingSettings


class OfFamilies(Section):
    """A study of several families of networks."""

    networks: tuple[str, ...] = Field(
        min_length=1,
        description="Families of the section networks, all trained on one data set.",
        examples=[["lenet-digits", "tiny10-digits"]],
        json_schema_extra={"$comment": "a list of families of the section networks"},
    )

    @property
    def families(self) -> tuple[str, ...]:
        """The families that take part."""
        return self.networks


class OfOneFamily(Section):
    """A study of one family of networks."""

    networks: str = Field(
        min_length=1,
        description="A trained family of the section networks, with the task classes.",
        examples=["lenet-digits"],
        json_schema_extra={"$comment": "the name of a family of the section networks"},
    )

    @property
    def families(self) -> tuple[str, ...]:
        """The families that take part."""
        return (self.networks,)


# pydantic puts the fields of the last base first: the networks, the images, then the keys of the study itself
class SeenOnImages(Section):
    """A study that runs networks on test images and looks at some of their layers."""

    seeds: Seeds | None = Field(
        None, description="Only these seeds of each family; null takes all of them.", examples=["0-1"]
    )
    layers: Layers = Field(
        (BLOCKS,),
        description="Layers to compare: names, globs, or blocks; one list for all families, or a list per family.",
        examples=[["relu*", "fc"]],
    )
    n_images: Whole = Field(
        500, ge=4, description="The first so many images of the test split are used.", examples=[2000]
    )
    batch_size: Whole = Field(
        125, ge=4, description="Images per batch; every batch, the last too, needs 4 images.", examples=[250]
    )


class TaskStudy(SeenOnImages, OfFamilies):
    """Networks of one or several tasks, compared with each other and with untrained ones, at equal depth."""

    untrained_twins: Positive = Field(
        5, description="Untrained networks of each family that take part as well.", examples=[10]
    )


class DiscriminatorTraining(TrainingSettings):
    """How a discriminator is trained: shortly, and on the images as they are."""

    epochs: int = Field(5, ge=1, description="Passes over the training images.")
    batch_size: int = Field(64, ge=1, description="Images per step; a last, shorter batch is left out.")
    lr: float = Field(
        0.02, gt=0, description="Learning rate at the start; a tenth after 1/3 and after 2/3 of the epochs."
    )
    augment: bool = Field(False, description="Whether training images are flipped, shifted, ... as the data set says.")


class Discriminator(Section):
    """The network that is trained to tell images of the base domain from those of a shifted one."""

    architecture: str = Field(
        "lenet",
        min_length=1,
        description="As in the section networks.",
        examples=["tiny10"],
        json_schema_extra={"$comment": "the name of an architecture, such as tiny10"},
    )
    training: DiscriminatorTraining = Field(
        DiscriminatorTraining(), description="How it is trained.", examples=[{"epochs": 10}]
    )
    seeds: Seeds = Field((0,), description="One discriminator of each domain per seed.", examples=["0-2"])


class TransferStudy(SeenOnImages, OfOneFamily):
    """Networks fine-tuned on shifted domains, compared with the networks that they were before."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"networks_per_job"})

    domains: tuple[str, ...] = Field(
        min_length=1,
        description="Shifted domains, KIND:STRENGTH: rotation (degrees), inversion (share of the inverted image), blur "
        "(standard deviation in pixels), noise (standard deviation on the scale from 0 to 1). The domain none, "
        "fine-tuning on the images as they are, is always added.",
        examples=[["rotation:30", "blur:1", "noise:0.2"]],
        json_schema_extra={"$comment": "a list of domains such as rotation:30"},
    )
    training: TrainingSettings = Field(
        description="How the networks are fine-tuned.", examples=[{"epochs": 3, "batch_size": 64, "lr": 0.01}]
    )
    n_train: Positive | None = Field(
        None,
        description="Fine-tune, and train discriminators, on the first so many training images; null takes all.",
        examples=[1000],
    )
    discriminator: Discriminator = Field(
        Discriminator.model_validate({}),
        description="The network whose test loss says how alike two domains are.",
        examples=[{"training": {"epochs": 10}, "seeds": "0-2"}],
    )
    networks_per_job: Positive = Field(
        1, description="Networks that one job fine-tunes on all domains, one after the other.", examples=[4]
    )


class PopulationStudy(SeenOnImages, OfFamilies):
    """At least three networks: similarity to the one that is best on corrupted images, and what the others lack."""

    corruptions: tuple[Corruption, ...] = Field(
        CORRUPTIONS, min_length=1, description="Corruptions of the test images.", examples=[["fog", "contrast"]]
    )
    severities: tuple[Severity, ...] = Field(
        (1, 3, 5), min_length=1, description="How strong each corruption is, from 1 to 5.", examples=[[1, 5]]
    )


class Demonstration(Section):
    """Two networks, layer by layer, with the interface of the authors' library, with and without its division bug."""

    networks: tuple[str, ...] = Field(
        min_length=2,
        max_length=2,
        description="Two families of the section networks, on one data set; the first network of each is taken.",
        examples=[["tiny10-digits", "lenet-digits"]],
        json_schema_extra={"$comment": "a list of two families of the section networks"},
    )
    layers: tuple[str, ...] = Field(
        ("conv", "fc"),
        min_length=1,
        description="A layer is compared if one of these texts is part of its name, as in the authors' library; not "
        "every network needs a layer for every text.",
        examples=[["conv"]],
    )
    n_images: Whole = Field(
        500, ge=4, description="The first so many images of the test split are used.", examples=[2000]
    )
    batch_size: Whole = Field(
        25,
        ge=4,
        description="Images per batch; the bug divides by the number of layers in place of the number of batches.",
        examples=[50],
    )

    @property
    def families(self) -> tuple[str, ...]:
        """The families that take part."""
        return self.networks


class OwnNetworks(Section):
    """A study that trains networks of its own, and takes none of the section `networks`."""

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the section `networks` that take part: none."""
        return ()

    @property
    def fetched(self) -> str | None:
        """The data set that has to be fetched; None where the study makes its own data."""
        return None


class PaperSection(Section):
    """The section of one paper: its keys are kinds of study, each a mapping from a name to a study."""

    def studies(self) -> dict[tuple[str, str], Any]:
        """Return every study by its kind (the key of this section) and its name."""
        return {(kind, name): study for kind in type(self).model_fields for name, study in getattr(self, kind).items()}


class DeconfoundedCka(PaperSection):
    """The experiments of the deconfounded-CKA paper (Cui et al. 2022)."""

    tasks: dict[Name, TaskStudy] = Field(
        {},
        description="Studies of random networks, and of networks trained on the same task and on another one: CKA and "
        "deconfounded CKA by depth, and the share that the inputs explain.",
        examples=[
            {
                "mine": {
                    "networks": ["lenet-digits", "tiny10-digits"],
                    "layers": {"lenet-digits": ["relu*"], "tiny10-digits": ["blocks"]},
                    "untrained_twins": 3,
                }
            }
        ],
    )
    transfers: dict[Name, TransferStudy] = Field(
        {},
        description="Studies of fine-tuning on shifted domains: similarity to the network before, against how alike "
        "the domains are to a trained discriminator.",
        examples=[
            {
                "mine": {
                    "networks": "lenet-digits",
                    "domains": ["rotation:30", "inversion:1", "blur:1", "noise:0.2"],
                    "training": {"epochs": 3, "batch_size": 64, "lr": 0.01, "augment": False},
                    "discriminator": {"architecture": "lenet", "training": {"epochs": 8}, "seeds": "0-2"},
                    "n_train": 1000,
                }
            }
        ],
    )
    populations: dict[Name, PopulationStudy] = Field(
        {},
        description="Studies of a population of networks: similarity to the network that is best on corrupted images, "
        "against the accuracy that the others lack.",
        examples=[
            {
                "mine": {
                    "networks": ["lenet-digits", "tiny10-digits"],
                    "corruptions": ["gaussian_noise", "fog", "contrast"],
                    "severities": [1, 3, 5],
                }
            }
        ],
    )
    demonstrations: dict[Name, Demonstration] = Field(
        {},
        description="The demonstration of the authors' library: two networks compared layer by layer, with and without "
        "its division by the wrong number.",
        examples=[{"mine": {"networks": ["tiny10-digits", "lenet-digits"], "layers": ["conv", "fc"]}}],
    )
