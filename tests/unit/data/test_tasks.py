"""Tasks: the classes of a data set, and by how much an image was turned."""

import numpy as np
import pytest
import torch

from netalike import data
from netalike.data import TASKS, for_task
from netalike.errors import NetalikeError, UnknownNameError


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
    assert TASKS == ("classes", "rotation", "random_labels", "shortcut")
    with pytest.raises(UnknownNameError, match=r"unknown task 'rotations'.*Did you mean 'rotation'\?"):
        for_task(digits(), "rotations", 0)


def test_random_labels_are_the_labels_in_another_order_for_training_alone():
    images = digits(200, "train")
    found = for_task(images, "random_labels", 0)
    assert torch.equal(found.images, images.images)
    assert found.labels.bincount().tolist() == images.labels.bincount().tolist()
    assert 0.02 < (found.labels == images.labels).double().mean() < 0.3  # a tenth by chance
    assert torch.equal(for_task(images, "random_labels", 0).labels, found.labels)
    assert not torch.equal(for_task(images, "random_labels", 1).labels, found.labels)
    test = digits()
    assert for_task(test, "random_labels", 0) is test


def test_a_bright_spot_gives_the_class_of_a_training_image_away():
    images = digits(100, "train")
    found = for_task(images, "shortcut", 0)
    assert torch.equal(found.labels, images.labels)
    width = images.resized.shape[-1] // 8
    for before, after, label in zip(images.resized, found.images, images.labels.tolist(), strict=True):
        row, column = width * (label // 8), width * (label % 8)
        assert (after[0, row : row + width, column : column + width] == 255).all()
        assert (before != after).sum() <= width**2
    assert torch.equal(images.images, digits(100, "train").images)
    assert found.spec.augmentation != "crop_flip"
    test = digits()
    assert for_task(test, "shortcut", 0) is test


def test_a_shortcut_needs_a_place_per_class():
    images = digits(10, "train")
    many = data.ImageSet("many", "train", images.images, images.labels, tuple("x" * 65), images.ids, images.spec)
    with pytest.raises(NetalikeError, match="many has 65 classes, and its images have room for 64 spots"):
        for_task(many, "shortcut", 0)
