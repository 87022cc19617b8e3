"""Loading, resizing and batching, on small data sets in the publishers' formats."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from netalike import data
from netalike.data import images as images_module
from netalike.data import registry
from netalike.data.resize import resize
from netalike.errors import BadFileError, ShapeError, UnknownNameError


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (10, 28, 28), dtype=np.uint8)


@pytest.fixture
def small_mnist(tmp_path, write, pixels, monkeypatch):
    """MNIST with 10 images; returns the data root."""
    contents = {"images": write.idx(pixels), "labels": write.idx(np.arange(10) % 3)}
    files = tuple(write.remote_file(content, f"mnist/{name}.gz") for name, content in contents.items())
    layout = registry.Layout("idx", {"train": files, "test": files})
    monkeypatch.setitem(registry.DATASETS, "mnist", replace(registry.DATASETS["mnist"], layouts=(layout,)))
    (tmp_path / "mnist").mkdir()
    for file, content in zip(files, contents.values(), strict=True):
        (tmp_path / file.path).write_bytes(content)
    return tmp_path


def test_images_are_kept_as_stored(small_mnist, pixels):
    loaded = data.load("mnist", "train", small_mnist)
    assert loaded.images.dtype == torch.uint8
    assert np.array_equal(loaded.images[:, 0].numpy(), pixels)
    assert loaded.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert loaded.labels.dtype == torch.int64
    assert loaded.ids.tolist() == list(range(10))
    assert (loaded.name, loaded.split, len(loaded), len(loaded.classes)) == ("mnist", "train", 10, 10)


def test_the_test_transform_is_pillows_and_torchvisions(small_mnist, pixels):
    inputs = data.load("mnist", "test", small_mnist).inputs(2, 5)
    for row, image in enumerate(pixels[2:5]):
        large = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR))
        expected = (large / 255 - 0.1307) / 0.3081
        assert np.abs(inputs[row, 0].numpy() - expected).max() < 1e-5
    assert inputs.dtype == torch.float32


def test_the_resized_images_are_computed_once(small_mnist, monkeypatch):
    calls = []
    monkeypatch.setattr(images_module, "resize", lambda *given: calls.append(given) or resize(*given))
    loaded = data.load("mnist", "train", small_mnist)
    for _ in range(3):
        list(data.batches(loaded, 4))
        list(data.training_batches(loaded, 4, torch.Generator()))
    assert len(calls) == 1


@given(size=st.integers(1, 70), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_resizing_square_images_is_pillows_bit_for_bit(size, seed):
    array = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    ours = resize(torch.from_numpy(array)[None, None], 32)[0, 0].numpy()
    assert np.array_equal(ours, np.asarray(Image.fromarray(array).resize((32, 32), Image.Resampling.BILINEAR)))


def test_resizing_keeps_images_and_channels_apart():
    stack = torch.stack([torch.zeros(2, 8, 8), torch.full((2, 8, 8), 200.0)]).to(torch.uint8)
    stack[1, 1] = 77
    assert resize(stack, 32).flatten(2).unique_consecutive(dim=2).tolist() == [[[0], [0]], [[200], [77]]]
    assert resize(stack[:0], 32).shape == (0, 2, 32, 32)


def test_limit_takes_the_first_and_keeps_the_ids(small_mnist):
    few = data.load("mnist", "train", small_mnist, limit=4)
    assert (few.ids.tolist(), few.labels.tolist()) == ([0, 1, 2, 3], [0, 1, 2, 0])
    assert len(data.load("mnist", "train", small_mnist, limit=1000)) == 10
    with pytest.raises(ValueError, match="limit: expected at least 1 image, got 0"):
        data.load("mnist", "train", small_mnist, limit=0)


def test_take_follows_the_indices(small_mnist, pixels):
    loaded = data.load("mnist", "train", small_mnist)
    chosen = loaded.take([7, 2, 7])
    assert chosen.ids.tolist() == [7, 2, 7]
    assert np.array_equal(chosen.images[:, 0].numpy(), pixels[[7, 2, 7]])
    assert chosen.labels.tolist() == [1, 2, 1]
    assert loaded.take(slice(3, 9, 2)).ids.tolist() == [3, 5, 7]
    assert chosen.take(np.array([1])).ids.tolist() == [2]


def test_the_fingerprint_sees_pixels_labels_and_order(small_mnist):
    loaded = data.load("mnist", "train", small_mnist)
    again = data.load("mnist", "test", small_mnist)
    assert loaded.fingerprint() == again.fingerprint()
    assert len(loaded.fingerprint()) == 64
    again.images[3, 0, 5, 5] += 1
    relabelled = replace(loaded, labels=loaded.labels.roll(1))
    reordered = loaded.take(list(range(9, -1, -1)))
    others = {image_set.fingerprint() for image_set in (again, relabelled, reordered, loaded.take(slice(9)))}
    assert len(others | {loaded.fingerprint()}) == 5


def test_batches_are_in_order_and_keep_the_short_one(small_mnist):
    loaded = data.load("mnist", "train", small_mnist)
    found = list(data.batches(loaded, 4))
    assert [len(labels) for _, labels in found] == [4, 4, 2]
    assert torch.equal(torch.cat([inputs for inputs, _ in found]), loaded.inputs())
    assert torch.equal(torch.cat([labels for _, labels in found]), loaded.labels)


def test_training_batches_are_shuffled_by_the_generator(small_mnist):
    loaded = data.load("mnist", "train", small_mnist)

    def epoch(generator, **options):
        return torch.cat([x for x, _ in data.training_batches(loaded, 3, generator, **options)])

    first, again = (epoch(torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, again)
    generator = torch.Generator().manual_seed(5)
    plain = epoch(generator, augment=False, drop_last=False)
    following = epoch(generator, augment=False, drop_last=False)
    assert not torch.equal(plain, following)
    for shuffled in (plain, following):
        rows = [(loaded.inputs() == image).flatten(1).all(1).nonzero().item() for image in shuffled]
        assert sorted(rows) == list(range(10))
        assert rows != list(range(10))
    assert len(first) == 9


def test_labels_follow_their_images(small_mnist):
    loaded = data.load("mnist", "train", small_mnist)
    generator = torch.Generator().manual_seed(0)
    for inputs, labels in data.training_batches(loaded, 5, generator, augment=False):
        for image, label in zip(inputs, labels, strict=True):
            row = (loaded.inputs() == image).flatten(1).all(1).nonzero().item()
            assert label == loaded.labels[row]


def test_augmentation_happens_before_normalising(small_mnist):
    loaded = data.load("mnist", "train", small_mnist)
    generator = torch.Generator().manual_seed(0)
    levels = torch.cat([x for x, _ in data.training_batches(loaded, 10, generator)]) * 0.3081 + 0.1307
    assert torch.allclose(levels * 255, (levels * 255).round(), atol=1e-3)
    assert levels.min() > -1e-5


def test_too_few_images_for_one_batch_are_refused_at_once(small_mnist):
    loaded = data.load("mnist", "train", small_mnist)
    with pytest.raises(ShapeError, match="10 images of mnist give no batch of 128: use more images, a smaller batch"):
        data.training_batches(loaded, 128, torch.Generator())
    for make in (lambda: data.batches(loaded, 0), lambda: data.training_batches(loaded, 0, torch.Generator())):
        with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
            make()


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(BadFileError, match=r"cifar10: .*test_batch\.bin is missing\. Run `netalike fetch cifar10"):
        data.load("cifar10", "test", tmp_path)


def test_a_cut_file_is_found_by_its_size(small_mnist):
    path = small_mnist / "mnist" / "images.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadFileError, match=r"images\.gz has \d+ bytes, expected \d+\. Delete it and run"):
        data.load("mnist", "train", small_mnist)


def test_an_unknown_split_is_refused():
    with pytest.raises(UnknownNameError, match=r"unknown split of digits 'val': expected one of train, test"):
        data.load("digits", "val")


def test_cifar10_in_the_python_layout_is_read(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    folder = tmp_path / "cifar10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": pixels, b"labels": [6, 0, 9, 3]}, protocol=2))
    loaded = data.load("cifar10", "test", tmp_path)
    assert np.array_equal(loaded.images.numpy().reshape(4, -1), pixels)
    assert [loaded.classes[label] for label in loaded.labels] == ["frog", "airplane", "truck", "cat"]
