"""Readers of the publishers' own file formats: IDX (MNIST), CIFAR binary, CIFAR Python."""

from __future__ import annotations

import gzip
import io
import math
import pickle
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.errors import BadFileError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

_PIXELS = 3 * 32 * 32  # of one CIFAR image: red, green, blue plane


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one gzipped IDX file of unsigned bytes, the format of MNIST.

    Parameters
    ----------
    path : Path
        The ``.gz`` file.

    Returns
    -------
    ndarray, uint8
        In the shape that the header states.

    Raises
    ------
    BadFileError
        If it is not gzip, not IDX of unsigned bytes, or longer or shorter than its header says.

    Notes
    -----
    The format is described at http://yann.lecun.com/exdb/mnist/: two zero bytes, the type (8 is unsigned byte), the
    number of dimensions, each dimension as a big-endian 32-bit integer, then the values.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadFileError(f"{path} is not a whole gzip file ({error}). {_REFETCH}") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise BadFileError(f"{path} is not an IDX file of unsigned bytes: it starts with {content[:4]!r}. {_REFETCH}")
    start = 4 + 4 * content[3]
    shape = tuple(int(length) for length in np.frombuffer(content[4:start], dtype=">u4"))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise BadFileError(
            f"{path} unpacks to {len(content)} bytes; its header, shape {shape}, says {expected}. {_REFETCH}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy()


def read_idx_pair(paths: Sequence[Path], limit: int | None = None) -> tuple[Images, Labels]:
    """Read the image file and the label file of one split.

    Parameters
    ----------
    paths : sequence of two Paths
        Images, then labels.
    limit : int, optional
        The first so many images only.

    Returns
    -------
    images : ndarray, uint8, shape (n, 1, height, width)
    labels : ndarray, int64, shape (n,)

    Raises
    ------
    BadFileError
        If a file is damaged, or the two do not describe the same images.
    """
    images, labels = (read_idx(path) for path in paths)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise BadFileError(
            f"{paths[0]} has shape {images.shape} and {paths[1]} has shape {labels.shape}; expected (n, height, width) "
            f"and (n,). {_REFETCH}"
        )
    return images[:limit, None], labels[:limit].astype(np.int64)


def read_cifar_binary(paths: Sequence[Path], limit: int | None = None, label_bytes: int = 1) -> tuple[Images, Labels]:
    """Read files of the CIFAR "binary version", in the order given.

    Parameters
    ----------
    paths : sequence of Path
        ``.bin`` files.
    limit : int, optional
        The first so many images only; no more is read.
    label_bytes : int
        1 for CIFAR-10; 2 for CIFAR-100, where the coarse label comes first and the fine one, which is returned, second.

    Returns
    -------
    images : ndarray, uint8, shape (n, 3, 32, 32)
    labels : ndarray, int64, shape (n,)

    Raises
    ------
    BadFileError
        If a file is not a whole number of records.
    """
    record = label_bytes + _PIXELS
    counts = [_whole_records(path, record) for path in paths]
    total = sum(counts) if limit is None else min(limit, sum(counts))
    images = np.empty((total, 3, 32, 32), dtype=np.uint8)
    labels = np.empty(total, dtype=np.int64)
    done = 0
    for path, count in zip(paths, counts, strict=True):
        take = min(count, total - done)
        rows = np.fromfile(path, dtype=np.uint8, count=take * record).reshape(take, record)
        labels[done : done + take] = rows[:, label_bytes - 1]
        images[done : done + take] = rows[:, label_bytes:].reshape(take, 3, 32, 32)
        done += take
    return images, labels


def _whole_records(path: Path, record: int) -> int:
    size = path.stat().st_size
    if size == 0 or size % record:
        raise BadFileError(f"{path} has {size} bytes, not a whole number of records of {record} bytes. {_REFETCH}")
    return size // record


def read_cifar_python(paths: Sequence[Path], limit: int | None = None) -> tuple[Images, Labels]:
    """Read files of the CIFAR-10 "Python version" without running anything they contain.

    Parameters
    ----------
    paths : sequence of Path
        ``data_batch_1`` ... or ``test_batch``.
    limit : int, optional
        The first so many images only; later files are not opened.

    Returns
    -------
    images : ndarray, uint8, shape (n, 3, 32, 32)
    labels : ndarray, int64, shape (n,)

    Raises
    ------
    BadFileError
        If a file asks for anything but arrays, lists, dictionaries, texts and integers, or lacks images or labels.
    """
    images, labels = zip(*_python_batches(paths, limit), strict=True)
    return np.concatenate(images)[:limit], np.concatenate(labels)[:limit]


def _python_batches(paths: Sequence[Path], limit: int | None) -> Iterator[tuple[Images, Labels]]:
    seen = 0
    for path in paths:
        images, labels = _python_batch(path)
        yield images, labels
        seen += len(labels)
        if limit is not None and seen >= limit:
            return


def _python_batch(path: Path) -> tuple[Images, Labels]:
    batch = unpickle_arrays(path)
    found = {_text(key): value for key, value in batch.items()} if isinstance(batch, dict) else {}
    images, labels = np.asarray(found.get("data", ())), found.get("labels")
    right = images.dtype == np.uint8 and images.shape[1:] == (_PIXELS,)
    if not right or not isinstance(labels, list) or len(labels) != len(images):
        raise BadFileError(
            f"{path} is no CIFAR-10 batch: expected 'data', uint8 of shape (n, {_PIXELS}), and n 'labels', "
            f"found the entries {sorted(found)}. {_REFETCH}"
        )
    return images.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


def _text(key: object) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def unpickle_arrays(path: Path) -> Any:
    """Read a pickle that holds numpy arrays and plain containers, and nothing else.

    Parameters
    ----------
    path : Path

    Returns
    -------
    object
        dict, list, bytes, str, int or ndarray, nested.

    Raises
    ------
    BadFileError
        If the file names any other class or function (it is refused before that is looked up), or is no pickle.
    """
    reader = _ArrayUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes")
    reader.path = path
    try:
        return reader.load()
    except BadFileError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise BadFileError(f"{path} is not a readable pickle ({type(error).__name__}: {error}). {_REFETCH}") from error


def _latin1(text: object, encoding: object) -> bytes:
    """What Python 3 writes around bytes in an old pickle; any other codec is refused."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise ValueError(f"codec {encoding!r}")
    return text.encode("latin1")


_RECONSTRUCT = np.zeros(0).__reduce__()[0]  # numpy's own function that an array's pickle names

_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}


class _ArrayUnpickler(pickle.Unpickler):
    path: Path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise BadFileError(
                f"{self.path} is refused: it is a pickle that asks for {module}.{name}, which could run code; "
                f"a CIFAR-10 batch needs numpy arrays, lists, dictionaries, texts and integers only. {_REFETCH}"
            )
        return _ADMITTED[module, name]


_REFETCH = "Delete it and fetch the data again (`netalike fetch`)."
