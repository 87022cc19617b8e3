"""Normalised gradients on disk, in shards that are mapped into memory one at a time."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from netalike.errors import BadFileError, ShapeError
from netalike.gradients.arrays import Floats, as_gradients
from netalike.gradients.blocks import Blocks, BlockSource, same_shape
from netalike.gradients.kernel import whiten

INDEX = "index.json"
_FORMAT = 1


class DiskSource(BlockSource):
    """Gradients on disk: memory-mapped float32 shards, whitened once.

    Parameters
    ----------
    folder : path
        As `DiskSource.write` filled it.

    Raises
    ------
    BadFileError
        If the folder is none of these, not complete, or a shard is missing or damaged.

    Notes
    -----
    4 n p d bytes on disk. Maps one shard at a time.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        index = _read_index(self.folder)
        if not index.get("complete"):
            raise BadFileError(f"{self.folder} holds unfinished gradients: run the same `DiskSource.write` again.")
        self.n, self.p, self.d = (int(index[key]) for key in "npd")
        self._shards: list[tuple[str, int]] = [(str(name), int(rows)) for name, rows in index["shards"]]

    @classmethod
    def write(cls, folder: str | Path, blocks: Callable[[int], Blocks], key: str = "") -> DiskSource:
        """Normalise gradients and write them, a shard per block; go on where an earlier run stopped.

        Parameters
        ----------
        folder : path
            Made if need be.
        blocks : callable
            ``blocks(start)`` returns an iterable over gradients (b, p, d) from sample `start` on.
        key : str
            Says what the gradients are of: shards with another key are not continued but replaced. Without a key, an
            earlier run is always replaced.

        Returns
        -------
        DiskSource

        Raises
        ------
        ShapeError, NetalikeError
            If a block has another shape than those before, or is not finite.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        index = _begun(path, key)
        if not index["complete"]:
            _write_shards(path, index, blocks)
        return cls(path)

    def _passes(self) -> Iterator[tuple[int, Floats]]:
        start = 0
        for name, rows in self._shards:
            try:
                shard = np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise BadFileError(f"{self.folder / name} is missing or damaged ({error}): write it again.") from error
            if shard.shape != (rows, self.p, self.d) or shard.dtype != np.float32:
                raise BadFileError(
                    f"{self.folder / name} holds {shard.dtype} {shard.shape}, "
                    f"expected float32 {(rows, self.p, self.d)}: write it again."
                )
            yield start, shard
            start += rows


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / INDEX).read_text())
    except (OSError, ValueError) as error:
        raise BadFileError(f"{folder} holds no gradients ({error}): fill it with `DiskSource.write`.") from error
    if not isinstance(index, dict) or index.get("format") != _FORMAT:
        raise BadFileError(f"{folder / INDEX} is no index of gradients of format {_FORMAT}: write the folder again.")
    return index


def _begun(folder: Path, key: str) -> dict[str, Any]:
    """Return the index of an earlier run with the same key, or a new one."""
    if key and (folder / INDEX).is_file():
        index = _read_index(folder)
        if index["key"] == key and all((folder / name).is_file() for name, _ in index["shards"]):
            return index
    return {"format": _FORMAT, "key": key, "n": 0, "p": 0, "d": 0, "shards": [], "complete": False}


def _write_shards(folder: Path, index: dict[str, Any], blocks: Callable[[int], Blocks]) -> None:
    shape = (index["p"], index["d"]) if index["shards"] else None
    for block in blocks(index["n"]):
        gradients = as_gradients(block, f"gradients from sample {index['n']}")
        shape = same_shape(shape, gradients, index["n"])
        name = f"gradients.{index['n']:08d}.npy"
        with _replacing(folder / name) as part, part.open("wb") as file:
            np.save(file, whiten(gradients).astype(np.float32, copy=False), allow_pickle=False)
        index["shards"].append([name, len(gradients)])
        index.update(n=index["n"] + len(gradients), p=shape[0], d=shape[1])
        _write_index(folder, index)  # after its shard, so that a run that stops here can be continued
    if not index["shards"]:
        raise ShapeError(f"no gradients were given to write to {folder}.")
    index["complete"] = True
    _write_index(folder, index)


def _write_index(folder: Path, index: dict[str, Any]) -> None:
    with _replacing(folder / INDEX) as part:
        part.write_text(json.dumps(index))


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a file to write beside another, which it then replaces at once."""
    part = path.with_name(path.name + ".part")
    yield part
    os.replace(part, path)
