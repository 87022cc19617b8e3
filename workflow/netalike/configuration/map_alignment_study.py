"""A study of map alignment in the section of the input-similarity paper; neither PyTorch nor TensorFlow is imported."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from netalike.configuration.fields import Positive, Section, Seeds, Whole, not_boolean
from netalike.configuration.studies import OwnNetworks
from netalike.training.map_settings import MapTraining

Noise = Literal["independent", "smooth", "bias", "clean"]
Pixels = Annotated[float, Field(ge=0), BeforeValidator(not_boolean)]
Size = Annotated[float, Field(gt=0), BeforeValidator(not_boolean)]
_SMALLEST_INPUT, _STEP, _BORDER = 124, 16, 120
_SMALLEST_WITH_BUILDINGS = 172  # an output of 52 pixels, a little more than the largest generated buildings


def _fits(training: MapTraining) -> MapTraining:
    """Refuse an input that cannot be halved three times or holds no building, here and not after an hour."""
    if (training.input_size - _SMALLEST_INPUT) % _STEP:
        near = _SMALLEST_INPUT + _STEP * round((training.input_size - _SMALLEST_INPUT) / _STEP)
        raise PydanticCustomError(
            "input_size",
            "an input of {given} pixels cannot be halved three times: {near} can",
            {
                "given": training.input_size,
                "near": near,
            },
        )
    if training.building_weight and training.input_size < _SMALLEST_WITH_BUILDINGS:
        raise PydanticCustomError(
            "building_weight",
            "buildings have a weight, and few lie whole in the output of {output} pixels that an input of {given} has: "
            "use an input_size of at least {least}, or a building_weight of 0",
            {
                "output": training.input_size - _BORDER,
                "given": training.input_size,
                "least": _SMALLEST_WITH_BUILDINGS,
            },
        )
    return training


class Scenes(Section):
    """Generated aerial scenes, whose true polygons are known exactly."""

    n_train: Positive = Field(40, description="Scenes to train on.", examples=[16])
    n_test: Positive = Field(10, description="Scenes to test on; intervals need at least 5.", examples=[5])
    size: Positive = Field(512, ge=124, description="Pixels of a side; a pixel is 1.2 m.", examples=[384])


class Tiles(Section):
    """Real aerial images with the polygons of a map, which are taken for the truth."""

    folder: str | None = Field(
        None,
        description="Source inria: a folder with images/NAME.tif and gt_polygons/NAME.npy. Source tiles: a folder with "
        "mosaic.png and buildings.geojson; null is the 48 tiles of Banepa under data.root.",
        examples=["/data/AerialImageDataset/train"],
    )
    metres_per_pixel: Size = Field(
        0.52, description="Of the images when they are used: finer ones are scaled down.", examples=[1.2]
    )
    tile: Positive = Field(
        256,
        ge=124,
        description="Source tiles: side in pixels of the pieces that the mosaic is cut into.",
        examples=[512],
    )
    test_share: Annotated[float, Field(gt=0, lt=1), BeforeValidator(not_boolean)] = Field(
        0.25, description="Share of the rows of tiles (tiles), or of the images (inria), to test on.", examples=[0.5]
    )


class MapAlignmentStudy(OwnNetworks):
    """Polygons aligned with aerial images by networks that learned from noisy polygons, in several rounds."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"memory_gb"})

    source: Literal["scenes", "tiles", "inria"] = Field(
        "scenes",
        description="scenes: generated, with exact truth; tiles: a mosaic with building polygons; inria: a folder of "
        "images with polygon files.",
        examples=["tiles"],
    )
    scenes: Scenes = Field(Scenes(), description="How many scenes are generated.", examples=[{"n_train": 16}])
    tiles: Tiles = Field(Tiles(), description="Where real images come from.", examples=[{"metres_per_pixel": 1.2}])
    noise: tuple[Noise, ...] = Field(
        ("independent", "smooth", "bias", "clean"),
        min_length=1,
        description="Kinds of noise that is added to the polygons, a job each: independent for each building; a smooth "
        "field and independent noise; the same bias everywhere (which training cannot take away); clean (none: real "
        "polygons as they are).",
        examples=[["independent", "bias"]],
    )
    noise_px: Pixels = Field(
        1.5, description="Standard deviation of the noise in pixels, per direction.", examples=[1.0]
    )
    widths: tuple[Positive, Positive, Positive] = Field(
        (32, 16, 48),
        description="Channels of the image branch, of the polygon branch and of what follows, at full resolution.",
        examples=[[8, 4, 12]],
    )
    training: Annotated[MapTraining, AfterValidator(_fits)] = Field(
        MapTraining(),
        description="How a network is trained in each round, and how often an alignment is repeated.",
        examples=[{"input_size": 188, "batch_size": 4, "steps": 600, "lr": 0.001, "lr_schedule": "cosine"}],
    )
    rounds: Positive = Field(
        2, description="Trainings: each but the first learns from what the one before made of the labels.", examples=[3]
    )
    patches: Whole = Field(
        400, ge=0, description="Patches whose similarity to each other is measured; 0 leaves it out.", examples=[100]
    )
    outputs: Literal["centre", "sum"] = Field(
        "centre",
        description="Gradients of the displacement at the centre pixel, or summed over the 4 x 4 output as published.",
        examples=["sum"],
    )
    neighbours: Positive = Field(10, description="Nearest neighbours whose facts are compared.", examples=[5])
    memory_gb: Size = Field(1.0, description="Memory for gradients; what does not fit is computed again.", examples=[4])
    seeds: Seeds = Field((0,), description="One run with new labels' noise and weights per seed.", examples=["0-2"])

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.source == "inria" and self.tiles.folder is None:
            raise PydanticCustomError("folder", "the source inria needs tiles.folder: the folder with the images")
        side = self.scenes.size if self.source == "scenes" else self.tiles.tile
        output = self.training.input_size - _BORDER
        if self.source != "inria" and output > side:
            raise PydanticCustomError(
                "input_size",
                "patches of {input} pixels need scenes of at least {output} pixels, these have {side}",
                {"input": self.training.input_size, "output": output, "side": side},
            )
        return self

    @property
    def fetched(self) -> str | None:
        """The aerial images, where they are the 48 tiles of Banepa."""
        return "aerial" if self.source == "tiles" and self.tiles.folder is None else None

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures that a study of these settings has: without patches, none of their similarity."""
        of_labels = ("error", "accuracy", "training", "overlay")
        of_patches = ("denoising", "counts", "neighbours", "facts") if self.patches else ()
        return tuple(f"map_alignment_{name}" for name in (*of_labels, *of_patches))
