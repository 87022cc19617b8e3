"""Tasks that can be learned on the images of one data set."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from netalike.data.images import ImageSet
from netalike.data.shift_names import TASKS
from netalike.data.shifting import random_stream, without_mirroring
from netalike.errors import NetalikeError, unknown_name

ANGLES = ("0", "90", "180", "270")
SPOTS_PER_ROW = 8
"""Places of the spot of the task shortcut, in a row of the image."""


def for_task(images: ImageSet, task: str, seed: int) -> ImageSet:
    """Prepare a set of images for a task.

    Parameters
    ----------
    images : ImageSet
    task : {"classes", "rotation", "random_labels", "shortcut"}
        To tell the data set's classes, or by which multiple of 90 degrees an image was turned (S. Gidaris, P. Singh and
        N. Komodakis, Unsupervised Representation Learning by Predicting Image Rotations, ICLR 2018, arXiv:1803.07728);
        classes with the training labels in random order (C. Zhang et al., Understanding Deep Learning Requires
        Rethinking Generalization, ICLR 2017, arXiv:1611.03530); classes on training images that a bright spot gives
        away (R. Geirhos et al., Shortcut Learning in Deep Neural Networks, 2020, arXiv:2004.07780).
    seed : int
        Of the angles, and of the order of the labels.

    Returns
    -------
    ImageSet
        For ``classes`` the set itself. For ``rotation`` uint8 at the size that networks see, each image once, turned
        counterclockwise by 90 degrees times its label; the angles are drawn, and each occurs equally often (within
        one). Training images are not mirrored: that would exchange 90 and 270 degrees. For ``random_labels`` and
        ``shortcut`` the test images are the set itself. A spot is an eighth of the image wide and its place says the
        class; training images with spots are not mirrored.

    Raises
    ------
    UnknownNameError
        If there is no such task.

    Notes
    -----
    Gidaris et al. show each image at all four angles in every batch; here it is shown at one, so that an epoch costs as
    much as for ``classes``.
    """
    if task not in TASKS:
        raise unknown_name("task", task, TASKS)
    if task == "rotation":
        return _turned(images, seed)
    if task == "classes" or images.split != "train":
        return images
    return _shuffled(images, seed) if task == "random_labels" else _marked(images)


def _shuffled(images: ImageSet, seed: int) -> ImageSet:
    order = random_stream(seed, "random labels", images.split).permutation(len(images))
    return dataclasses.replace(images, labels=images.labels[torch.from_numpy(order)])


def _marked(images: ImageSet) -> ImageSet:
    """Paint the class of each image as the place of a bright spot, row by row from the upper left."""
    pixels = images.resized.clone()
    width = max(1, pixels.shape[-1] // SPOTS_PER_ROW)
    for label in range(len(images.classes)):
        row, column = (width * place for place in divmod(label, SPOTS_PER_ROW))
        if row + width > pixels.shape[-2]:
            raise NetalikeError(
                f"{images.name} has {len(images.classes)} classes, and its images have room for "
                f"{SPOTS_PER_ROW * (pixels.shape[-2] // width)} spots: the task shortcut needs a place per class."
            )
        chosen = images.labels == label
        pixels[chosen, :, row : row + width, column : column + width] = 255
    return without_mirroring(dataclasses.replace(images, images=pixels))


def _turned(images: ImageSet, seed: int) -> ImageSet:
    random = random_stream(seed, "rotation task", images.split)
    labels = torch.from_numpy(random.permutation(np.arange(len(images)) % len(ANGLES)))
    pixels = images.resized.clone()
    for quarters in range(1, len(ANGLES)):
        chosen = labels == quarters
        pixels[chosen] = pixels[chosen].rot90(quarters, (2, 3))
    return without_mirroring(dataclasses.replace(images, images=pixels, labels=labels, classes=ANGLES))
