"""Activations of networks over their training: which units are kept, and files that numpy alone can read.

A folder holds one network: ``network.json`` says what it is, ``labels.npy`` and ``ids.npy`` belong to the images, and
``epoch-0007`` is a recording like those of PyTorch networks, an array of shape (n_images, n_units) for each layer.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.data.image_arrays import ImageArrays
from netalike.errors import BadFileError, NetalikeError, unknown_name

FACTS = "network.json"
FORMAT = "netalike recorded training 1"
UNITS = ("shared", "per_network", "all")
_INDEX = "index.json"
_LABELS, _IDS = "labels.npy", "ids.npy"


def kept_units(
    n_units: int, max_units: int, units: str, architecture: str, layer: str, seed: int, network: int = 0, epoch: int = 0
) -> NDArray[np.int64]:
    """Choose the units of a layer that are kept.

    Parameters
    ----------
    n_units : int
        That the layer has.
    max_units : int
        That are kept at most.
    units : {"shared", "per_network", "all"}
        ``shared``: the same random ones in every network of the architecture and at every epoch; ``per_network``:
        others in each network and epoch, as in the published code of Lu et al. (2018); ``all``: every unit.
    architecture, layer : str
    seed : int
        Of the study.
    network : int
        Seed of the network; read for ``per_network`` alone, as is `epoch`.
    epoch : int

    Returns
    -------
    ndarray, int64
        Positions in the flattened layer: increasing, but for ``per_network`` in the order drawn, so that units of equal
        position in two networks have nothing to do with each other.

    Raises
    ------
    UnknownNameError
        If `units` is none of the three.
    """
    if units not in UNITS:
        raise unknown_name("choice of units", units, UNITS)
    if units == "all" or n_units <= max_units:
        return np.arange(n_units, dtype=np.int64)
    own = [network, epoch] if units == "per_network" else []
    words = [zlib.crc32(name.encode()) for name in (architecture, layer)]
    drawn = np.random.default_rng([seed, *words, *own]).permutation(n_units)[:max_units]
    return drawn if units == "per_network" else np.sort(drawn)


def epoch_folder(folder: str | Path, epoch: int) -> Path:
    """Return where the activations after an epoch lie; 0 is before training."""
    return Path(folder) / f"epoch-{epoch:04d}"


def write_activations(
    directory: Path,
    batches: Iterable[Mapping[str, NDArray[np.float32]]],
    units: Mapping[str, NDArray[np.int64]],
    images: ImageArrays,
) -> None:
    """Write the kept units of the layers of a network, batch by batch.

    Parameters
    ----------
    directory : Path
        Gets one ``.npy`` per layer, shape (n, units kept) float32, and, last of all, ``index.json``: what
        `netalike.activations.ActivationStore` reads.
    batches : iterable of mapping of layer to array of shape (b, ...)
        In the order of the images.
    units : mapping of layer to array
        Of `kept_units`, by layer, in order of depth.
    images : ImageArrays
        n images.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _INDEX).unlink(missing_ok=True)
    files = {layer: f"{number:03d}.npy" for number, layer in enumerate(units)}
    stores = {
        layer: np.lib.format.open_memmap(directory / files[layer], "w+", np.float32, (len(images), len(kept)))
        for layer, kept in units.items()
    }
    start = 0
    for batch in batches:
        for layer, kept in units.items():
            rows = batch[layer].reshape(len(batch[layer]), -1)
            stores[layer][start : start + len(rows)] = rows[:, kept]
        start += len(rows)
    for store in stores.values():
        store.flush()
    told = {"layers": files, "dataset": images.name, "split": images.split, "ids": images.ids.tolist()}
    _write_text(directory / _INDEX, json.dumps({**told, "units": {key: kept.tolist() for key, kept in units.items()}}))


def write_facts(folder: Path, facts: Mapping[str, Any], images: ImageArrays) -> None:
    """Write what a recorded training is, last of all: without it the folder is not read.

    Parameters
    ----------
    folder : Path
    facts : mapping
        For JSON; see `KerasRecording`.
    images : ImageArrays
        That were recorded.
    """
    np.save(folder / _LABELS, images.labels)
    np.save(folder / _IDS, images.ids)
    _write_text(folder / FACTS, json.dumps({"format": FORMAT, **facts}, indent=1))


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    os.replace(partial, path)


class _Epoch(Mapping[str, NDArray[np.float32]]):
    """The layers of a network after one epoch."""

    def __init__(self, recording: KerasRecording, epoch: int) -> None:
        self._recording, self._epoch = recording, epoch

    def __getitem__(self, layer: str) -> NDArray[np.float32]:
        return self._recording.activations(layer, self._epoch)

    def __iter__(self) -> Iterator[str]:
        return iter(self._recording.layers)

    def __len__(self) -> int:
        return len(self._recording.layers)


@dataclass(frozen=True, eq=False)
class KerasRecording:
    """A network's activations over its training, in files.

    Attributes
    ----------
    directory : Path
    facts : dict
        ``name``, ``architecture``, ``seed``, ``dataset``, ``split``, ``n_train``, ``layers``, ``epochs``, ``training``
        (the complete settings), ``history`` (of every epoch) and ``identity``.
    labels : ndarray, int64, shape (n,)
    ids : ndarray, int64, shape (n,)
        Positions of the images in the publisher's split.
    """

    directory: Path
    facts: dict[str, Any]
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def name(self) -> str:
        """Of the network, as ``conv-s0``."""
        return str(self.facts["name"])

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return str(self.facts["dataset"])

    @property
    def seed(self) -> int:
        """Of the network."""
        return int(self.facts["seed"])

    @property
    def layers(self) -> tuple[str, ...]:
        """From the input on."""
        return tuple(self.facts["layers"])

    @property
    def epochs(self) -> tuple[int, ...]:
        """After which there are activations, increasing; 0 is before training."""
        return tuple(self.facts["epochs"])

    @cached_property
    def accuracy(self) -> dict[int, float]:
        """Accuracy on the recorded images, by recorded epoch."""
        return dict(zip(self.epochs, self.facts["accuracy"], strict=True))

    def activations(self, layer: str, epoch: int) -> NDArray[np.float32]:
        """Return the kept units of a layer after an epoch.

        Parameters
        ----------
        layer : str
        epoch : int

        Returns
        -------
        ndarray, float32, shape (n, n_units)
            Memory-mapped, read only.

        Raises
        ------
        UnknownNameError
            If there is no such layer.
        NetalikeError
            If the epoch was not recorded.
        """
        file = self._index(epoch)["layers"].get(layer)
        if file is None:
            raise unknown_name(f"recorded layer of {self.name}", layer, self.layers)
        path = epoch_folder(self.directory, epoch) / file
        try:
            found: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise BadFileError(f"{path} cannot be read ({error}): record {self.name} again.") from error
        return found

    def units(self, layer: str, epoch: int) -> NDArray[np.int64]:
        """Return the positions, in the flattened layer, of the units that were kept."""
        if layer not in self.layers:
            raise unknown_name(f"recorded layer of {self.name}", layer, self.layers)
        return np.asarray(self._index(epoch)["units"][layer], dtype=np.int64)

    def at(self, epoch: int) -> Mapping[str, NDArray[np.float32]]:
        """Return the layers after an epoch as a mapping: what `netalike.measures.recorded.compare_recorded` reads."""
        self._index(epoch)
        return _Epoch(self, epoch)

    def _index(self, epoch: int) -> dict[str, Any]:
        if epoch not in self.epochs:
            listed = ", ".join(map(str, self.epochs))
            raise NetalikeError(f"{self.name} was not recorded after epoch {epoch}: there are {listed}.")
        found: dict[str, Any] = json.loads((epoch_folder(self.directory, epoch) / _INDEX).read_text())
        return found


def read_network(folder: str | Path) -> KerasRecording:
    """Read what was recorded of a network.

    Parameters
    ----------
    folder : path
        With ``network.json``.

    Returns
    -------
    KerasRecording

    Raises
    ------
    BadFileError
        If the folder holds no complete recording.
    """
    folder = Path(folder)
    try:
        facts = json.loads((folder / FACTS).read_text())
        labels, ids = (np.load(folder / name, allow_pickle=False) for name in (_LABELS, _IDS))
    except (OSError, ValueError) as error:
        raise BadFileError(f"no complete recording of a network in {folder} ({error}): record it again.") from error
    if facts.get("format") != FORMAT:
        raise BadFileError(f"{folder / FACTS} is {facts.get('format', 'no file of netalike')!r}, expected {FORMAT!r}.")
    return KerasRecording(folder, facts, labels, ids)


def read_networks(folders: str | Path | Sequence[str | Path]) -> list[KerasRecording]:
    """Read every network in the folders of one or more jobs.

    Parameters
    ----------
    folders : path or sequence of path
        Whose folders hold a network each.

    Returns
    -------
    list of KerasRecording
        By seed, then name.

    Raises
    ------
    BadFileError
        If there is none, or one is not complete.
    """
    given = [Path(folder) for folder in ([folders] if isinstance(folders, str | Path) else folders)]
    found = [read_network(path) for folder in given for path in sorted(folder.iterdir()) if path.is_dir()]
    if not found:
        raise BadFileError(f"no recorded network in {', '.join(map(str, given))}: train the networks first.")
    return sorted(found, key=lambda network: (network.seed, network.name))


def training_rows(network: KerasRecording) -> list[dict[str, Any]]:
    """Make rows of how a network learned.

    Parameters
    ----------
    network : KerasRecording

    Returns
    -------
    list of dict
        Quantities ``accuracy`` and ``loss`` (cross-entropy in nats) with the epoch as step. Split ``train``: means over
        the steps of the epoch, in training mode, while the weights change. Split ``test``: on the recorded images,
        after the recorded epochs, or after each where the learning rate depended on them.
    """
    counts = {"train": network.facts["n_train"], "test": len(network)}
    rows = []
    for split in ("train", "test"):
        for quantity in ("accuracy", "loss"):
            for epoch, value in network.facts["history"][f"{split}_{quantity}"]:
                rows.append(
                    {
                        "dataset": network.dataset,
                        "split": split,
                        "n_samples": counts[split],
                        "network_a": network.name,
                        "quantity": quantity,
                        "estimator": "training" if split == "train" else "test",
                        "seed": network.seed,
                        "step": epoch,
                        "value": value,
                    }
                )
    return rows
