"""The discriminator: what it cannot tell apart is alike."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from netalike import data
from netalike.data import shift_domain
from netalike.errors import NetalikeError, ShapeError
from netalike.training import Settings, discriminate
from netalike.training.discriminator import in_two_domains

SETTINGS = Settings(epochs=3, batch_size=32, lr=0.02)


def digits():
    return data.load("digits", "train", limit=400), data.load("digits", "test", limit=301)


def in_domain(domain, sets):
    return tuple(shift_domain(images, domain, 0) for images in sets)


def test_half_of_the_images_are_shown_in_each_domain_and_none_in_both():
    base = digits()[1]
    inverted = shift_domain(base, "inversion:1", 0)
    mixed = in_two_domains(base, inverted, 0)
    assert mixed.labels.bincount().tolist() == [150, 151]
    assert mixed.classes == ("base", "shifted")
    assert mixed.ids.tolist() == base.ids.tolist()
    for place, label in enumerate(mixed.labels.tolist()):
        assert torch.equal(mixed.images[place], (base, inverted)[label].images[place])
    assert torch.equal(in_two_domains(base, inverted, 0).labels, mixed.labels)
    assert not torch.equal(in_two_domains(base, inverted, 1).labels, mixed.labels)


def test_identical_domains_cannot_be_told_apart():
    found = discriminate(digits(), digits(), "lenet", SETTINGS, seed=0)
    assert found.loss > math.log(2) - 0.02
    assert found.accuracy == pytest.approx(0.5, abs=0.1)
    assert found.n == 301


def test_inverted_images_are_told_at_once():
    settings = Settings(epochs=8, batch_size=32, lr=0.02)
    found = discriminate(digits(), in_domain("inversion:1", digits()), "lenet", settings, seed=0)
    assert found.loss < 0.02
    assert found.accuracy == 1


def test_the_further_the_easier():
    settings = Settings(epochs=5, batch_size=32, lr=0.02)
    losses = [
        discriminate(digits(), in_domain(domain, digits()), "lenet", settings, 0).loss
        for domain in ("rotation:10", "rotation:30", "rotation:90")
    ]
    assert losses[0] > losses[1] > losses[2]


def test_it_is_never_augmented_and_the_seed_decides():
    shifted = in_domain("rotation:30", digits())
    with_and_without = [SETTINGS.model_copy(update={"augment": augment, "epochs": 1}) for augment in (True, False)]
    found = [discriminate(digits(), shifted, "lenet", settings, 0) for settings in with_and_without]
    assert found[0] == found[1]
    assert discriminate(digits(), shifted, "lenet", with_and_without[1], 1) != found[1]


def test_a_finished_one_is_not_trained_again(tmp_path, monkeypatch):
    file = tmp_path / "discriminator.safetensors"
    shifted = in_domain("blur:2", digits())
    first = discriminate(digits(), shifted, "lenet", SETTINGS, 0, checkpoint=file)
    monkeypatch.setattr("netalike.training.plain._Run.epoch", lambda *arguments: pytest.fail("trained again"))
    assert discriminate(digits(), shifted, "lenet", SETTINGS, 0, checkpoint=file) == first
    with pytest.raises(NetalikeError, match="the checkpoint of another training"):
        discriminate(digits(), shifted, "lenet", SETTINGS, 1, checkpoint=file)


def test_domains_of_different_images_are_refused():
    train, test = digits()
    with pytest.raises(ShapeError, match=r"\(400, 1, 32, 32\) in the base domain and \(399, 1, 32, 32\)"):
        discriminate((train, test), (train.take(np.arange(399)), test), "lenet", SETTINGS, 0)
    coloured = dataclasses.replace(train, images=train.images.expand(-1, 3, -1, -1))
    with pytest.raises(ShapeError, match="different shapes"):
        discriminate((train, test), (coloured, test), "lenet", SETTINGS, 0)
