"""What the Keras networks of a study learn: the images, chosen by seed, and the settings; needs numpy and pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.data.image_arrays import ImageArrays, as_arrays, stratified
from netalike.errors import NetalikeError
from netalike.training.keras_settings import KerasTraining, training_of

# Streams of random numbers: of the test images, and of the images held out.
_TEST, _HELD_OUT = 0, 1


@dataclass(frozen=True, eq=False)
class KerasTask:
    """What all networks of a study learn, and what is recorded of them.

    Attributes
    ----------
    settings : KerasTraining
        Complete.
    seed : int
        Of the choice of images and units.
    train, test : ImageArrays
        `test` is recorded.
    held_out : ImageArrays or None
        Training images that the plateau rule looks at; not in `train`.
    mean : ndarray, float32, shape (height, width, channels)
        Of all training images, on the scale 0 to 255.
    """

    settings: KerasTraining
    seed: int
    train: ImageArrays
    test: ImageArrays
    held_out: ImageArrays | None
    mean: NDArray[np.float32]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @cached_property
    def data(self) -> dict[str, str]:
        """Digests of the images, for what a training belongs to."""
        parts = {"training data": self.train, "test data": self.test}
        return {key: f"{images.name}, SHA-256 {images.fingerprint()[:12]}" for key, images in parts.items()}

    def name(self, seed: int) -> str:
        """Return the name of the network of a seed, as ``conv-s0``."""
        return f"{self.settings.architecture}-s{seed}"

    def identity(self, seed: int) -> dict[str, Any]:
        """Say what a training is of, so that another is not taken for it."""
        kept = self.settings.model_dump(mode="json", exclude={"save_every"})
        return {**kept, "seed": seed, "study seed": self.seed, **self.data}


def prepare(study: Mapping[str, Any], train: Any, test: Any) -> KerasTask:
    """Choose the images of a study, and read its settings.

    Parameters
    ----------
    study : mapping
        ``training`` (of a `KerasTraining`), ``n_train`` (the first so many images; None: all), ``n_images`` (of the
        test set, drawn so that each class has its share; None: all) and ``seed`` (of that draw and of the units kept;
        0 if left out) are read.
    train, test : ImageSet or ImageArrays

    Returns
    -------
    KerasTask

    Raises
    ------
    NetalikeError
        If there are not so many images, or the two sets have different classes.
    ShapeError
        If the images cannot be made as small as `size` says.
    """
    settings, seed = training_of(study), int(study.get("seed") or 0)
    learned, seen = (as_arrays(images, settings.size) for images in (train, test))
    if learned.classes != seen.classes or learned.images.shape[1:] != seen.images.shape[1:]:
        raise NetalikeError(
            f"the test images ({seen.name}, {len(seen.classes)} classes, {seen.images.shape[1:]}) are not of the kind "
            f"of the training images ({learned.name}, {len(learned.classes)} classes, {learned.images.shape[1:]})."
        )
    learned = learned.take(slice(0, _count("n_train", study.get("n_train"), learned)))
    count = _count("n_images", study.get("n_images"), seen)
    seen = seen.take(stratified(seen.labels, count, [seed, _TEST]))
    mean = learned.images.mean(0, dtype=np.float64).astype(np.float32)
    return KerasTask(settings, seed, *_without_held_out(settings, learned, seen, seed), mean)


def _count(key: str, wanted: int | None, images: ImageArrays) -> int:
    if wanted is not None and not 1 <= wanted <= len(images):
        raise NetalikeError(
            f"{key} is {wanted}: {images.name} ({images.split}) has {len(images)} images, expected 1 to {len(images)}."
        )
    return wanted or len(images)


def _without_held_out(
    settings: KerasTraining, train: ImageArrays, test: ImageArrays, seed: int
) -> tuple[ImageArrays, ImageArrays, ImageArrays | None]:
    if settings.plateau_on != "validation":
        return train, test, None
    n = max(1, round(settings.validation_share * len(train)))
    held = stratified(train.labels, n, [seed, _HELD_OUT])
    return train.take(np.setdiff1d(np.arange(len(train)), held)), test, train.take(held)
