"""Networks from elsewhere: built or loaded, evaluated, and with a card that says what they are."""

from __future__ import annotations

import pytest
import torch

from netalike import data, networks
from netalike.data import ImageSet
from netalike.data.place import Place
from netalike.errors import BadFileError, UnknownNameError
from netalike.networks.importing import fetch_published, import_network


@pytest.fixture(scope="module")
def test_set() -> ImageSet:
    return data.load("digits", "test", limit=60)


def accuracy_by_hand(model: torch.nn.Module, images: ImageSet) -> float:
    with torch.no_grad():
        return float((model.eval()(images.inputs()).argmax(1) == images.labels).double().mean())


def test_without_weights_the_network_is_built_from_its_seed(test_set):
    model, card = import_network("lenet", None, test_set, seed=3)
    built = networks.build("lenet", channels=1, classes=10, seed=3)
    for name, value in built.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
    assert (card.source, card.architecture, card.dataset, card.seed) == ("built", "lenet", "digits", 3)
    assert (card.channels, card.classes) == (1, 10)
    assert card.accuracy == pytest.approx(accuracy_by_hand(built, test_set), abs=1e-12)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_of_a_file_are_imported_and_their_accuracy_is_measured(test_set, tmp_path, suffix):
    original = networks.build("lenet", channels=1, classes=10, seed=5)
    with torch.no_grad():  # says 4, always: an accuracy that no other network of this test has
        for parameter in list(original.parameters())[-2:]:
            parameter.zero_()
        list(original.parameters())[-1][4] = 1.0
    path = tmp_path / f"net{suffix}"
    if suffix == ".pt":
        torch.save(original.state_dict(), path)
    else:
        networks.save(original, path, networks.Card(architecture="lenet", channels=1, classes=10))
    model, card = import_network("lenet", path, test_set, seed=8)
    assert torch.equal(model.state_dict()["conv1.weight"], original.state_dict()["conv1.weight"])
    assert card.source == "imported"
    assert card.seed == 8
    assert card.accuracy == pytest.approx(float((test_set.labels == 4).double().mean()), abs=1e-12)
    assert 0 < card.accuracy < 0.3
    expected = torch.nn.functional.cross_entropy(torch.eye(10)[4].expand(60, 10), test_set.labels)
    assert card.loss == pytest.approx(float(expected), rel=1e-5)


def test_weights_of_another_architecture_are_refused(test_set, tmp_path):
    other = networks.build("tiny10", channels=1, classes=10, seed=0)
    torch.save(other.state_dict(), tmp_path / "tiny.pt")
    with pytest.raises(BadFileError, match=r"tiny\.pt.*lenet"):
        import_network("lenet", tmp_path / "tiny.pt", test_set, seed=0)
    coloured = networks.build("lenet", channels=3, classes=10, seed=0)
    torch.save(coloured.state_dict(), tmp_path / "colour.pt")
    with pytest.raises(BadFileError, match=r"colour\.pt"):
        import_network("lenet", tmp_path / "colour.pt", test_set, seed=0)
    with pytest.raises(BadFileError, match=r"absent\.pt"):
        import_network("lenet", tmp_path / "absent.pt", test_set, seed=0)


def test_weights_that_are_not_published_need_no_fetching(tmp_path):
    place = Place(tmp_path / "root", None, offline=True)
    for weights in (None, "my/network.pt"):
        fetch_published(weights, place)
    assert not (tmp_path / "root").exists()
    with pytest.raises(
        UnknownNameError, match=r"collection of networks or images 'tiny10-author': .*Did you mean 'tiny10-authors'"
    ):
        fetch_published("published:tiny10-author", place)


@pytest.mark.mirror
def test_a_published_collection_comes_from_the_mirror(mirror, tmp_path):
    fetch_published("published:tiny10-authors", Place(tmp_path, str(mirror), offline=True))
    files = sorted((tmp_path / "networks" / "tiny10").glob("*.pt"))
    assert len(files) == 20
    images = data.load("cifar10", "test", mirror, limit=200)
    _, card = import_network("tiny10", files[0], images, seed=0)
    assert card.accuracy is not None
    assert card.accuracy > 0.75
    assert (card.channels, card.classes, card.dataset) == (3, 10, "cifar10")
