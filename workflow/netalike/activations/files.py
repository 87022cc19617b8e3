"""Activations that lie in files: arrays of any program, and recordings of netalike.

Arrays are not read until they are asked for. Needs numpy alone, but for ``.safetensors`` files and recordings of
PyTorch networks.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from netalike.activations.keras import FACTS, read_network
from netalike.errors import BadFileError, NetalikeError, ShapeError, nearest

SUFFIXES = (".npy", ".npz", ".safetensors")
UNNAMED = "activations"
"""The layer of a file that holds one array without a name."""
LABELS = "labels"
"""The array of a file that is taken for the labels of the images, where it has one axis."""
_INDEX = "index.json"
_TEXTS = (".txt", ".csv")
_PICKLED = (
    "{path} holds Python objects (a pickle), which are not read: that would run code from the file. Store numbers: "
    "np.save(path, np.asarray(activations, dtype=np.float32))."
)

Array = NDArray[Any]
Load = Callable[[], Array]


@dataclass(frozen=True, eq=False)
class ActivationFile:
    """The activations of one network in a file or folder.

    Attributes
    ----------
    name : str
        Of the network.
    path : Path
    layers : mapping of str to callable
        Each returns the array of a layer, shape (n, ...), memory-mapped where the file allows it.
    labels, ids : ndarray or None
        Of the images, shape (n,), where the file says them.
    dataset, split : str
        Of the images; empty where the file does not say.
    """

    name: str
    path: Path
    layers: Mapping[str, Load]
    labels: Array | None = None
    ids: Array | None = None
    dataset: str = ""
    split: str = ""


def open_activations(paths: Sequence[str | Path]) -> list[ActivationFile]:
    """Open files and folders with activations.

    Parameters
    ----------
    paths : sequence of path
        ``.npy`` (one layer), ``.npz`` or ``.safetensors`` (a layer per array; one with one axis that is called
        ``labels`` holds the classes), a folder that `netalike.activations.record` made, one of a Keras network (its
        last epoch), or a folder of such folders.

    Returns
    -------
    list of ActivationFile
        One per network, named by the shortest end of its path that tells it from the others.

    Raises
    ------
    BadFileError
        If a file is missing (the nearest name is given), damaged, pickled, or of another kind.
    NetalikeError
        If one is given twice.
    """
    found = [path for given in paths for path in _expanded(Path(given))]
    names = short_names(found)
    return [_open(path, name) for path, name in zip(found, names, strict=True)]


def short_names(paths: Sequence[Path], suffixes: Sequence[str] = SUFFIXES) -> list[str]:
    """Name files by the shortest ends of their paths that tell them apart.

    Parameters
    ----------
    paths : sequence of Path
    suffixes : sequence of str
        That are left out.

    Returns
    -------
    list of str
        Without suffix: ``a`` for ``a.npy``, or ``one/a`` and ``two/a``.

    Raises
    ------
    NetalikeError
        If a file is given twice.
    """
    parts = [Path(os.path.abspath(path)) for path in paths]
    for i, path in enumerate(parts):
        if path in parts[:i]:
            raise NetalikeError(f"{paths[i]} is given twice: expected each network once.")
    ends = [(*path.parts[:-1], path.stem if path.suffix in suffixes else path.name) for path in parts]
    for length in range(1, max(map(len, ends), default=1) + 1):
        names = ["/".join(end[-length:]) for end in ends]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]  # they differ in nothing but their suffix


def read_labels(path: str | Path) -> Array:
    """Read the classes of images.

    Parameters
    ----------
    path : path
        ``.npy`` with numbers or text, or ``.txt`` or ``.csv`` with one label per line.

    Returns
    -------
    ndarray, shape (n,)
        Whole numbers, or text where one of them is no number.

    Raises
    ------
    BadFileError
        If it is missing, or of another kind.
    ShapeError
        If there is more than one axis.
    """
    path = _existing(Path(path))
    if path.suffix in _TEXTS:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        found = np.array([line for line in lines if line])
        return found.astype(np.int64) if all(_is_whole(line) for line in found) else found
    if path.suffix != ".npy":
        raise BadFileError(f"{path} has the ending {path.suffix!r}, expected labels as .npy, .txt or .csv.")
    found = _load_npy(path)
    if found.ndim != 1:
        raise ShapeError(f"{path} has shape {found.shape}: expected one label per image, shape (n,).")
    return np.asarray(found)


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _expanded(path: Path) -> list[Path]:
    """A folder of recordings stands for all of them."""
    if not path.is_dir() or _is_recording(path):
        return [path]
    found = sorted(entry for entry in path.iterdir() if entry.is_dir() and _is_recording(entry))
    if not found:
        raise BadFileError(
            f"the folder {path} holds no recording: expected {_INDEX} (of netalike.activations.record) or {FACTS} (of "
            "a Keras network) in it, or in the folders in it."
        )
    return found


def _is_recording(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (FACTS, _INDEX))


def _open(path: Path, name: str) -> ActivationFile:
    if path.is_dir():
        return _open_keras(path, name) if (path / FACTS).is_file() else _open_recording(path, name)
    _existing(path)
    opened = {".npy": _open_npy, ".npz": _open_npz, ".safetensors": _open_safetensors}
    if path.suffix not in opened:
        expected = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, or the folder of a recording"
        raise BadFileError(f"{path} has the ending {path.suffix!r}, expected activations as {expected}.")
    return opened[path.suffix](path, name)


def _existing(path: Path) -> Path:
    if path.is_file():
        return path
    siblings = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
    guess = nearest(path.name, siblings)
    raise BadFileError(f"no such file: {path}." + (f" Did you mean {path.parent / guess}?" if guess else ""))


def _open_npy(path: Path, name: str) -> ActivationFile:
    _load_npy(path)  # a file that cannot be read is refused now
    return ActivationFile(name, path, {UNNAMED: functools.partial(_load_npy, path)})


def _load_npy(path: Path) -> Array:
    try:
        return cast(Array, np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> BadFileError:
    if "pickle" in str(error) or "Object arrays" in str(error) or "Python objects" in str(error):
        return BadFileError(_PICKLED.format(path=path))
    return BadFileError(f"{path} is no readable file of arrays ({error}): it may be cut off.")


def _open_npz(path: Path, name: str) -> ActivationFile:
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = list(stored.files)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise _unreadable(path, error) from error
    return _of_arrays(path, name, {key: functools.partial(_load_npz, path, key) for key in names})


def _load_npz(path: Path, key: str) -> Array:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return cast(Array, stored[key])
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise _unreadable(path, error) from error


def _open_safetensors(path: Path, name: str) -> ActivationFile:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            names = sorted(file.keys())
    except (safetensors.SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    return _of_arrays(path, name, {key: functools.partial(_load_safetensors, path, key) for key in names})


def _load_safetensors(path: Path, key: str) -> Array:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            return cast(Array, file.get_tensor(key))
    except (safetensors.SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    except TypeError as error:  # numpy has no bfloat16
        raise BadFileError(f"{key!r} of {path} cannot be read ({error}): store it as float32.") from error


def _of_arrays(path: Path, name: str, layers: dict[str, Load]) -> ActivationFile:
    if not layers:
        raise BadFileError(f"{path} holds no array: expected one per layer, shape (n_images, n_units).")
    labels = None
    if LABELS in layers and len(layers) > 1 and (found := layers[LABELS]()).ndim == 1:
        labels = found
        del layers[LABELS]
    return ActivationFile(name, path, layers, labels)


def _open_recording(path: Path, name: str) -> ActivationFile:
    from netalike.activations import ActivationStore

    store = ActivationStore(path)
    layers: dict[str, Load] = {layer: functools.partial(store.__getitem__, layer) for layer in store}
    told = store.index
    return ActivationFile(name, path, layers, None, np.asarray(told["ids"]), told["dataset"], told["split"])


def _open_keras(path: Path, name: str) -> ActivationFile:
    network = read_network(path)
    last = network.epochs[-1]
    layers: dict[str, Load] = {layer: functools.partial(network.activations, layer, last) for layer in network.layers}
    return ActivationFile(name, path, layers, network.labels, network.ids, network.dataset, network.facts["split"])
