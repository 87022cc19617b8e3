"""The real MNIST, CIFAR-10 and networks: what is read is what their publishers mean."""

import pytest

from netalike import data
from netalike.data import published

pytestmark = pytest.mark.mirror


def test_mnist_test(mirror):
    images = data.load("mnist", "test", mirror)
    assert images.images.shape == (10000, 1, 28, 28)
    assert images.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert images.images.long().sum().item() == 264_923_200
    assert images.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_train(mirror):
    images = data.load("mnist", "train", mirror)
    assert images.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    pixels = images.images.double() / 255
    assert pixels.mean().item() == pytest.approx(images.spec.mean[0], abs=5e-5)
    assert pixels.std().item() == pytest.approx(images.spec.std[0], abs=5e-5)


def test_cifar10_test(mirror):
    images = data.load("cifar10", "test", mirror)
    assert images.images.shape == (10000, 3, 32, 32)
    assert [images.classes[label] for label in images.labels[:5]] == ["cat", "ship", "ship", "airplane", "frog"]
    assert images.images.long().sum().item() == 3_733_375_634
    assert images.labels.bincount().tolist() == [1000] * 10


def test_cifar10_train(mirror):
    images = data.load("cifar10", "train", mirror, limit=12_000)
    assert images.labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert images.labels[9998:10_002].tolist() == [1, 5, 1, 6]
    means = images.images.double().mean((0, 2, 3)) / 255
    assert means.tolist() == pytest.approx(images.spec.mean, abs=3e-3)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_registry_knows_the_publishers_files(mirror, tmp_path, name):
    paths = data.fetch(name, tmp_path / "root", mirror, offline=True)
    assert data.verify(name, tmp_path / "root") == []
    assert len(paths) == len(data.specification(name).files)


@pytest.mark.parametrize("collection", published.collections())
def test_the_published_collections_are_those_of_the_mirror(mirror, tmp_path, collection):
    for file in published.files(collection):
        path = data.fetch_file(file, tmp_path, mirror, offline=True)
        assert file.size in (None, path.stat().st_size)
