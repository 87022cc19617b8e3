"""The toy problem's part of the section of the input-similarity paper."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from netalike.configuration.fields import Positive, Seeds, Whole, not_boolean
from netalike.configuration.studies import OwnNetworks

Above = Annotated[float, Field(gt=0), BeforeValidator(not_boolean)]
Threshold = Annotated[float, Field(gt=-1, lt=1), BeforeValidator(not_boolean)]
Noise = Annotated[float, Field(ge=0), BeforeValidator(not_boolean)]
Samples = Annotated[int, Field(ge=4), BeforeValidator(not_boolean)]


class ToyStudy(OwnNetworks):
    """Networks trained on the toy problem: a sine of the position on a circle, by frequency and number of samples."""

    frequencies: tuple[Above, ...] = Field(
        (1, 2, 4, 8, 16),
        min_length=1,
        description="Periods of the sine in one turn. Every combination of these, n and seeds is trained.",
        examples=[[1, 4, 16]],
    )
    n: tuple[Samples, ...] = Field(
        (2048,),
        min_length=1,
        description="Numbers of training samples, which the counts are of and against; validation has as many.",
        examples=[[512, 1024, 2048]],
    )
    seeds: Seeds = Field(
        (0, 1, 2, 3, 4),
        description="One run of each setting per seed: initialisation, order of the batches and noise. The positions "
        "are those of the seed of the workflow, shared by all runs, as published.",
        examples=["0-2"],
    )
    distribution: Literal["uniform", "triangular"] = Field(
        "uniform",
        description="Of the positions: uniform, or triangular with the density 2 alpha.",
        examples=["triangular"],
    )
    noise: Noise = Field(
        0.0,
        description="Standard deviation of the labels' noise, drawn anew for each seed. Above 0, the denoising "
        "identity is checked, which needs the loss l2. The published training is on clean labels.",
        examples=[0.2],
    )
    loss: Literal["l1", "l2"] = Field(
        "l1", description="Mean absolute (l1, as published) or mean squared (l2) error.", examples=["l2"]
    )
    epochs: Positive = Field(5000, description="Passes over the training samples.", examples=[600])
    steps: Positive | None = Field(
        None,
        description="Steps of each training, whatever n: as many passes as come nearest; null takes epochs, so that "
        "more samples mean more steps, as published.",
        examples=[10000],
    )
    batch_size: Positive = Field(64, description="Samples per step.", examples=[32])
    lr: Above = Field(1e-4, description="Learning rate of Adam, the same all the time.", examples=[0.001])
    polish: Whole = Field(
        0,
        ge=0,
        description="Further steps on all samples at once, with a learning rate that falls to zero: towards a "
        "stationary point, which the denoising identity is about. The published training has none.",
        examples=[500],
    )
    halvings: Whole = Field(
        0,
        ge=0,
        le=20,
        description="The denoising check is also made after 1/2, 1/4, ... of the epochs, so many times.",
        examples=[4],
    )
    thresholds: tuple[Threshold, ...] = Field(
        (0.5, 0.6, 0.7, 0.8, 0.9, 0.925, 0.95, 0.975, 0.99),
        description="Of the hard counts: how many samples are more similar than this.",
        examples=[[0.5, 0.9, 0.99]],
    )
    exponents: tuple[Above, ...] = Field(
        (2, 3, 4),
        description="Of the less soft counts: the sum of positive similarities to this power.",
        examples=[[2, 4]],
    )
    bins: Positive = Field(
        256,
        description="Intervals of the position for which the table has a row each; at most one for two samples.",
        examples=[128],
    )

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures that a study of these settings has."""
        curvature = ("toy_curvature",) if self.noise == 0 else ()
        measures = ("toy_measures",) if len(self.frequencies) > 1 and self.noise == 0 else ()
        sizes = ("toy_sizes",) if len(self.n) > 1 else ()
        return (*curvature, *measures, *sizes, *(("toy_denoising",) if self.noise > 0 else ()))
