"""The section of panels: networks that are compared by every family of measures, and what each family needs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from netalike.configuration.fields import Layers, Name, Positive, Section, Seeds, Whole, not_boolean, patterns_of
from netalike.configuration.inversion_studies import Above
from netalike.configuration.names import BLOCKS

Control = Literal["untrained", "permuted_samples", "permuted_units", "noise"]
Estimator = Literal["published", "biased", "unbiased", "deconfounded"]
ActivationMeasure = Literal["procrustes", "cca", "svcca", "pwcca", "linear_regression", "rsa"]
PanelSeeds = Literal["other_class", "noise"]
Family = Literal["representation", "alignment", "behaviour", "gradients", "stitching", "inversion"]

NEED_NETWORKS: tuple[Family, ...] = ("gradients", "stitching", "inversion")
"""Families of measures that run the networks: recorded activations are not enough."""


class PanelAlignment(Section):
    """Shared response models of the two networks of a pair, at matched layers."""

    features: Positive | None = Field(
        None, description="Shared features; null takes as many as the narrower layer has units.", examples=[20]
    )
    max_units: Positive = Field(
        64, description="Units of a layer, drawn at random, where it has more; the same for all pairs.", examples=[128]
    )
    iterations: Positive = Field(10, description="Iterations of the fit.", examples=[20])


class PanelGradients(Section):
    """Input similarity by gradients: kernels over images, one per network, compared with each other."""

    n_images: Whole = Field(128, ge=8, description="The first so many images of the panel.", examples=[64])
    outputs: Literal["logits", "true-class", "sum"] = Field(
        "logits",
        description="Whose gradients: all logits, that of the true class, or their sum.",
        examples=["true-class"],
    )


class PanelStitching(Section):
    """Stitches of each pair, both ways, at matched layers."""

    methods: tuple[Literal["least_squares", "task_loss"], ...] = Field(
        ("least_squares", "task_loss"),
        min_length=1,
        description="How a stitch is made: least_squares at every matched layer; task_loss is trained, at some.",
        examples=[["least_squares"]],
    )
    n_train: Whole = Field(
        1000, ge=16, description="The first so many training images, which stitches are made on.", examples=[500]
    )
    n_test: Whole = Field(500, ge=16, description="The first so many test images.", examples=[1000])
    epochs: Positive = Field(1, description="Passes over the training images of a trained stitch.", examples=[3])
    batch_size: Positive = Field(64, description="Images per step of a trained stitch.", examples=[128])
    lr: Above = Field(0.001, description="Learning rate of a trained stitch (Adam).", examples=[0.01])
    task_loss_layers: Whole = Field(
        1, ge=0, description="Matched layers at which stitches are trained, evenly spaced in depth.", examples=[3]
    )


class PanelInversion(Section):
    """Images inverted through each network, on which all networks are compared."""

    pairs: Annotated[int, Field(ge=8), BeforeValidator(not_boolean)] = Field(
        48, description="Pairs of a seed and a target image, the same for all networks.", examples=[128]
    )
    seed_images: tuple[PanelSeeds, ...] = Field(
        ("other_class", "noise"),
        min_length=1,
        description="What an inversion starts from; noise makes the measure STIR.",
        examples=[["noise"]],
    )
    mode: Literal["published", "fast"] = Field(
        "published", description="As in inversion.inversions.", examples=["fast"]
    )
    iterations: Positive = Field(60, description="Steps of each inversion, at most.", examples=[400])
    step_size: Above = Field(
        0.5,
        description="Length of a step, in L2, of pixels from 0 to 1; four times the article's, for fewer steps.",
        examples=[0.125],
    )
    batch_size: Whole = Field(
        32, ge=4, description="Images that are inverted at once; every batch, the last too, needs 4.", examples=[64]
    )
    networks_per_job: Positive = Field(
        8, description="Networks through which one job inverts images, one after the other.", examples=[1]
    )


class Panel(Section):
    """A set of networks that are compared with each other on the same images."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"pairs_per_job"})

    dataset: str = Field(
        min_length=1,
        description="Data set whose test split the networks are compared on.",
        examples=["cifar10"],
        json_schema_extra={"$comment": "the name of a data set, such as digits"},
    )
    networks: tuple[str, ...] = Field(
        (),
        description="Families of the section networks.",
        examples=[["lenet-digits", "tiny10-digits"]],
        json_schema_extra={"$comment": "a list of families of the section networks"},
    )
    keras: tuple[str, ...] = Field(
        (),
        description="Studies of shared_response.alignments whose Keras networks take part, by their recorded "
        "activations after the last epoch; their untrained twins are the same networks before the first.",
        examples=[["digits"]],
    )
    recordings: dict[Name, str] = Field(
        {},
        description="Activations of networks from anywhere, by the name of the network: .npy (one layer), .npz or "
        ".safetensors (an array per layer; one called logits says what the network predicts), or a folder of netalike: "
        "of the first images of the test split, in its order.",
        examples=[{"mine": "activations/mine.npz"}],
    )
    compare: tuple[Family, ...] = Field(
        ("representation", "alignment", "behaviour", "gradients", "stitching", "inversion"),
        description="Families of measures: representation (CKA, Procrustes, CCA, RSA, ...), alignment (shared response "
        "models), behaviour (what the networks predict), gradients (input similarity), stitching, inversion. Recorded "
        "activations take part in the first three.",
        examples=[["representation", "behaviour"]],
    )
    seeds: Seeds | None = Field(
        None, description="Only these seeds of each family; null takes all of them.", examples=["0-1"]
    )
    networks_per_family: Positive | None = Field(
        None, description="Only the first so many networks of each family; null takes all of them.", examples=[2]
    )
    across_datasets: bool = Field(
        False,
        description="Also allow families that were trained on another data set with as many channels.",
        examples=[True],
    )
    layers: Layers = Field(
        (BLOCKS,),
        description="Layers to compare: names, globs, or blocks (the end of each block of the architecture); one list "
        "for all families, or a list per family.",
        examples=[["bn*", "fc"]],
    )
    n_images: Whole = Field(
        500, ge=4, description="The first so many images of the test split are used.", examples=[2000]
    )
    batch_size: Whole = Field(
        128,
        ge=4,
        description="Images per batch, over which CKA is averaged as its estimator prescribes; every batch, the last "
        "too, needs 4 images.",
        examples=[125],
    )
    controls: tuple[Control, ...] = Field(
        ("untrained", "permuted_samples", "permuted_units", "noise"),
        description="What the similarities are held against: untrained networks of the same architectures, a network "
        "with its images in another order, a network with its units in another order (the same network), noise.",
        examples=[["permuted_samples", "noise"]],
    )
    estimators: tuple[Estimator, ...] = Field(
        ("published", "biased", "unbiased", "deconfounded"), description="Estimators of CKA.", examples=[["unbiased"]]
    )
    deconfounded_psd: bool = Field(
        False,
        description="Also compute the deconfounded CKA with the residual projected on the positive semidefinite cone; "
        "costly: an eigenvalue decomposition per layer and batch.",
        examples=[True],
    )
    measures: tuple[ActivationMeasure, ...] = Field(
        ("procrustes", "cca", "svcca", "pwcca", "linear_regression", "rsa"),
        description="Measures other than CKA, computed on recorded activations.",
        examples=[["procrustes", "rsa"]],
    )
    measure_images: Whole = Field(
        512, ge=4, description="Images for these measures: the first so many of n_images, at most all.", examples=[256]
    )
    layer_pairs: Literal["matched", "all"] = Field(
        "matched",
        description="Pairs of layers for these measures: matched (same depth) or all.",
        examples=["all"],
    )
    whole_set_precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Numbers of the biased estimator on the whole set. For sets of many thousands of images, bfloat16 "
        "takes half the memory and, on processors with matrix units, a third of the time; CKA moves by about 1e-5.",
        examples=["bfloat16"],
    )
    alignment: PanelAlignment = Field(PanelAlignment.model_validate({}), description="What the family alignment needs.")
    gradients: PanelGradients = Field(PanelGradients.model_validate({}), description="What the family gradients needs.")
    stitching: PanelStitching = Field(PanelStitching.model_validate({}), description="What the family stitching needs.")
    inversion: PanelInversion = Field(PanelInversion.model_validate({}), description="What the family inversion needs.")
    pairs_per_job: Whole = Field(64, ge=1, description="Pairs of networks that one job compares.", examples=[16])

    @property
    def images_for_measures(self) -> int:
        """How many images the measures other than CKA see: `measure_images`, but never more than `n_images`."""
        return min(self.measure_images, self.n_images)

    def layers_of(self, family: str) -> tuple[str, ...]:
        """Return the layer patterns of one family."""
        return patterns_of(self.layers, family)

    @property
    def families(self) -> tuple[str, ...]:
        """The families that take part, as studies name them."""
        return self.networks

    def has(self, family: str) -> bool:
        """Whether a family of measures is computed; those that run networks only where there are some."""
        return family in self.compare and (bool(self.networks) or family not in NEED_NETWORKS)
