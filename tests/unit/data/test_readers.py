"""The readers of the publishers' formats, on small files written here in the same formats."""

import gzip
import pickle
from functools import partial

import numpy as np
import pytest

from netalike.data import readers
from netalike.errors import BadFileError


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (7, 3, 32, 32), dtype=np.uint8)


def test_idx_gives_back_what_was_written(tmp_path, write):
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    (tmp_path / "x.gz").write_bytes(write.idx(array))
    assert np.array_equal(readers.read_idx(tmp_path / "x.gz"), array)


def test_idx_pair_adds_the_channel_and_keeps_the_order(tmp_path, write):
    images, labels = np.arange(5 * 6).reshape(5, 2, 3), np.array([3, 1, 4, 1, 5])
    paths = [tmp_path / "images.gz", tmp_path / "labels.gz"]
    for path, array in zip(paths, (images, labels), strict=True):
        path.write_bytes(write.idx(array))
    read, marks = readers.read_idx_pair(paths, limit=3)
    assert np.array_equal(read, images[:3, None])
    assert marks.tolist() == [3, 1, 4]
    assert marks.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzip at all", "is not a whole gzip file"),
        (gzip.compress(b"x" * 1000)[:-20], "is not a whole gzip file"),
        (gzip.compress(b"\0\0\x0d\x01abc"), "is not an IDX file of unsigned bytes"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x05abc"), r"unpacks to 11 bytes; its header, shape \(5,\), says 13"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path, content, message):
    path = tmp_path / "train-images.gz"
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=f"train-images.gz {message}.*netalike fetch"):
        readers.read_idx(path)


def test_images_and_labels_must_belong_together(tmp_path, write):
    paths = [tmp_path / "images.gz", tmp_path / "labels.gz"]
    paths[0].write_bytes(write.idx(np.zeros((5, 2, 3))))
    paths[1].write_bytes(write.idx(np.zeros(4)))
    with pytest.raises(BadFileError, match=r"shape \(5, 2, 3\) and .* shape \(4,\)"):
        readers.read_idx_pair(paths)


def test_cifar_binary_reads_files_in_order(tmp_path, write, pixels):
    labels = np.arange(7)
    paths = [tmp_path / "1.bin", tmp_path / "2.bin"]
    paths[0].write_bytes(write.cifar_binary(pixels[:4], labels[:4]))
    paths[1].write_bytes(write.cifar_binary(pixels[4:], labels[4:]))
    images, marks = readers.read_cifar_binary(paths)
    assert np.array_equal(images, pixels)
    assert marks.tolist() == list(range(7))
    images, marks = readers.read_cifar_binary(paths, limit=5)
    assert np.array_equal(images, pixels[:5])
    assert marks.tolist() == list(range(5))


def test_cifar100_gives_the_fine_label(tmp_path, write, pixels):
    (tmp_path / "train.bin").write_bytes(write.cifar_binary(pixels, np.full(7, 19), np.arange(90, 97)))
    images, fine = readers.read_cifar_binary([tmp_path / "train.bin"], label_bytes=2)
    assert np.array_equal(images, pixels)
    assert fine.tolist() == list(range(90, 97))


@pytest.mark.parametrize("size", [0, 3072, 3074])
def test_a_cut_cifar_file_is_named(tmp_path, size):
    (tmp_path / "data_batch_3.bin").write_bytes(bytes(size))
    with pytest.raises(BadFileError, match=f"data_batch_3.bin has {size} bytes, not a whole number of records of 3073"):
        readers.read_cifar_binary([tmp_path / "data_batch_3.bin"])


def python_batch(pixels, labels) -> dict:
    return {b"batch_label": b"one", b"data": pixels.reshape(len(pixels), -1), b"labels": labels}


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_python_reads_what_the_publisher_wrote(tmp_path, pixels, protocol):
    paths = [tmp_path / "data_batch_1", tmp_path / "data_batch_2"]
    for path, rows in zip(paths, (slice(0, 4), slice(4, 7)), strict=True):
        path.write_bytes(pickle.dumps(python_batch(pixels[rows], list(range(7))[rows]), protocol=protocol))
    images, labels = readers.read_cifar_python(paths, limit=6)
    assert np.array_equal(images, pixels[:6])
    assert labels.tolist() == list(range(6))


def test_cifar_python_reads_the_old_names_of_numpy(tmp_path, pixels):
    old = pickle.dumps(python_batch(pixels, list(range(7))), protocol=2)
    old = old.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "test_batch").write_bytes(old)
    assert np.array_equal(readers.read_cifar_python([tmp_path / "test_batch"])[0], pixels)


class Malicious:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol):
    trace = tmp_path / "it_ran"
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps({b"data": Malicious(open, str(trace), "w")}, protocol=protocol))
    with pytest.raises(BadFileError, match=r"data_batch_1 is refused: it is a pickle that asks for \w+\.open"):
        readers.read_cifar_python([path])
    assert not trace.exists()


@pytest.mark.parametrize("function", [eval, partial, np.load, np.save, getattr, pickle.loads])
def test_no_function_but_array_reconstruction_is_admitted(tmp_path, function):
    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Malicious(function, "1")}))
    with pytest.raises(BadFileError, match="which could run code"):
        readers.read_cifar_python([tmp_path / "test_batch"])


def test_another_codec_is_refused(tmp_path):
    import _codecs

    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Malicious(_codecs.encode, "x", "rot13")}))
    with pytest.raises(BadFileError, match="codec"):
        readers.read_cifar_python([tmp_path / "test_batch"])


@pytest.mark.parametrize(
    "content", [b"<html>", b"", pickle.dumps([1, 2]), pickle.dumps({b"data": [1], b"labels": [1]})]
)
def test_a_file_that_is_no_batch_is_named(tmp_path, content):
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(BadFileError, match=r"test_batch is (not a readable pickle|no CIFAR-10 batch)"):
        readers.read_cifar_python([tmp_path / "test_batch"])
