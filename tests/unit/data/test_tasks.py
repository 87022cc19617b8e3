"""Tasks: the classes of a data set, and by how much an image was turned."""

import numpy as np
import pytest
import torch

from netalike import data
from netalike.data import TASKS, for_task
from netalike.errors import UnknownNameError


def digits(n: int = 41, split: str = "test") -> data.ImageSet:
    return data.load("digits", split, limit=n)


def test_classes_is_the_set_itself():
    images = digits()
    assert for_task(images, "classes", 0) is images


def test_each_image_is_turned_as_its_label_says():
    images, found = digits(), for_task(digits(), "rotation", 0)
    for before, after, quarters in zip(images.images, found.images, found.labels.tolist(), strict=True):
        assert np.array_equal(after[0].numpy(), np.rot90(before[0].numpy(), quarters))
    assert found.classes == ("0", "90", "180", "270")
    assert found.ids.tolist() == images.ids.tolist()
    assert torch.equal(images.images, digits().images)


def test_angles_are_balanced_and_drawn_by_the_seed():
    found = for_task(digits(), "rotation", 3)
    assert found.labels.bincount().tolist() == [11, 10, 10, 10]
    assert torch.equal(for_task(digits(), "rotation", 3).labels, found.labels)
    assert not torch.equal(for_task(digits(), "rotation", 4).labels, found.labels)
    assert not torch.equal(for_task(digits(split="train"), "rotation", 3).labels, found.labels)
    assert not torch.equal(found.labels, torch.arange(41) % 4)


def test_small_images_are_turned_at_the_size_that_networks_see():
    spec = data.specification("mnist")
    pixels = torch.randint(0, 256, (4, 1, 28, 28), dtype=torch.uint8)
    images = data.ImageSet("mnist", "train", pixels, torch.zeros(4).long(), spec.classes, np.arange(4), spec)
    found = for_task(images, "rotation", 0)
    for before, after, quarters in zip(images.resized, found.images, found.labels.tolist(), strict=True):
        assert torch.equal(after, before.rot90(quarters, (1, 2)))


def test_mirror_images_would_exchange_90_and_270_degrees_so_there_are_none():
    spec = data.specification("cifar10")
    pixels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    images = data.ImageSet("cifar10", "train", pixels, torch.zeros(4).long(), spec.classes, np.arange(4), spec)
    assert for_task(images, "classes", 0).spec.augmentation == "crop_flip"
    assert for_task(images, "rotation", 0).spec.augmentation == "affine"


def test_an_unknown_task_is_named_with_the_nearest():
    assert TASKS == ("classes", "rotation")
    with pytest.raises(UnknownNameError, match=r"unknown task 'rotations'.*Did you mean 'rotation'\?"):
        for_task(digits(), "rotations", 0)
