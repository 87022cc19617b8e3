"""A network trained from its name and seeds, with the card that says what it is."""

import pytest
import small_training as small
import torch

from netalike import networks, training


@pytest.fixture(scope="module")
def trained():
    return training.train_network("lenet", small.digits(), small.settings(epochs=2), (3, 4), facts={"task": "classes"})


def test_the_card_says_what_was_trained_on_what(trained):
    model, card, history = trained
    train_set, test_set = small.digits()
    assert (card.architecture, card.dataset, card.channels, card.classes) == ("lenet", "digits", 1, 10)
    assert (card.seed, card.batch_seed, card.epochs, card.source) == (3, 4, 2, "trained")
    assert card.data_sha256 == train_set.fingerprint()
    assert card.settings == {**small.settings(epochs=2).model_dump(mode="json"), "task": "classes"}
    found = networks.evaluate(model, test_set)
    assert (card.accuracy, card.loss) == (found.accuracy, found.loss)
    assert len(history) == 2


def test_the_seeds_are_those_of_the_weights_and_of_the_batches(trained):
    by_hand = networks.build("lenet", channels=1, classes=10, seed=3)
    training.train(by_hand, *small.digits(), small.settings(epochs=2), batch_seed=4)
    assert small.same(trained[0], by_hand)


def test_a_finished_checkpoint_gives_the_same_network_without_training(trained, tmp_path):
    checkpoint = tmp_path / "network.safetensors"
    arguments = ("lenet", small.digits(), small.settings(epochs=2), (3, 4), checkpoint)
    first, _, _ = training.train_network(*arguments)
    assert checkpoint.is_file()
    again, card, history = training.train_network(*arguments)
    assert small.same(first, again)
    assert small.same(first, trained[0])
    assert (len(history), card.accuracy) == (2, trained[1].accuracy)
    assert torch.is_grad_enabled()
