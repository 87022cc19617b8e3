"""Tasks that can be learned on the images of one data set."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from netalike.data.images import ImageSet
from netalike.data.shift_names import TASKS
from netalike.data.shifting import random_stream, without_mirroring
from netalike.errors import unknown_name

ANGLES = ("0", "90", "180", "270")


def for_task(images: ImageSet, task: str, seed: int) -> ImageSet:
    """Prepare a set of images for a task.

    Parameters
    ----------
    images : ImageSet
    task : {"classes", "rotation"}
        To tell the data set's classes, or by which multiple of 90 degrees an image was turned (S. Gidaris, P. Singh and
        N. Komodakis, Unsupervised Representation Learning by Predicting Image Rotations, ICLR 2018, arXiv:1803.07728).
    seed : int
        Of the angles.

    Returns
    -------
    ImageSet
        For ``classes`` the set itself. For ``rotation`` uint8 at the size that networks see, each image once, turned
        counterclockwise by 90 degrees times its label; the angles are drawn, and each occurs equally often (within
        one). Training images are not mirrored: that would exchange 90 and 270 degrees.

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
    return images if task == "classes" else _turned(images, seed)


def _turned(images: ImageSet, seed: int) -> ImageSet:
    random = random_stream(seed, "rotation task", images.split)
    labels = torch.from_numpy(random.permutation(np.arange(len(images)) % len(ANGLES)))
    pixels = images.resized.clone()
    for quarters in range(1, len(ANGLES)):
        chosen = labels == quarters
        pixels[chosen] = pixels[chosen].rot90(quarters, (2, 3))
    return without_mirroring(dataclasses.replace(images, images=pixels, labels=labels, classes=ANGLES))
