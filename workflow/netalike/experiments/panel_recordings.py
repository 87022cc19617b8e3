"""Networks that take part in a panel by recorded activations: from files of any program, or from Keras networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netalike.activations.files import ActivationFile, open_activations
from netalike.activations.keras import KerasRecording, read_networks
from netalike.activations.recording import INDEX
from netalike.comparison import FROM_FILE, FROM_KERAS
from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.measures.panel import UNTRAINED
from netalike.networks.checkpoint import write_atomically

if TYPE_CHECKING:
    from netalike.data import ImageSet

LOGITS = "logits"
"""The layer of a recording that says what the network predicts."""
UNTRAINED_EPOCH = 0
_LABELS = "_labels"

Arrays = Mapping[str, Callable[[], NDArray[Any]]]
Outputs = dict[str, NDArray[np.float32]]


def copy_recordings(
    panel: Mapping[str, Any],
    files: Mapping[str, str | Path],
    keras: Sequence[str | Path],
    twins: Sequence[str],
    directory: str | Path,
    images: ImageSet | None = None,
) -> tuple[Outputs, NDArray[np.int64] | None]:
    """Put recorded activations beside those of the networks of a panel.

    Parameters
    ----------
    panel : mapping
        ``recorded`` (name to ``file`` or ``keras``), ``measure_images``, ``n_images``.
    files : mapping of name to path
        As `netalike.activations.files.open_activations` takes them: one network each.
    keras : sequence of path
        Folders with recorded trainings, as the rule ``train_keras`` makes them.
    twins : sequence of str
        Keras networks that also take part untrained: as they were before the first epoch.
    directory : path
        Gets a folder per network.
    images : ImageSet, optional
        That the other networks of the panel see: the recordings must be of them.

    Returns
    -------
    outputs : dict of name to array, shape (n, classes)
        Of the recordings that have a layer called ``logits``.
    labels : array, shape (n,), or None
        Of the images, where a recording says them.

    Raises
    ------
    ShapeError
        If a recording has too few images, or layers of different numbers of images.
    NetalikeError
        If a recording is of other images than the panel's.
    UnknownNameError
        If a Keras network is not in its folders.
    """
    limit = min(panel["measure_images"], panel["n_images"])
    outputs: Outputs = {}
    labels: NDArray[np.int64] | None = None
    for name, found in _opened(panel, files, keras, twins):
        kept = {layer: _first(name, layer, load(), limit) for layer, load in found.layers.items()}
        _check_images(found, images, limit)
        _write(kept, Path(directory) / name, found)
        if LOGITS in kept:
            outputs[name] = kept[LOGITS].reshape(limit, -1)
        if found.labels is not None and labels is None:
            labels = np.asarray(found.labels[:limit], dtype=np.int64)
    return outputs, labels


def _opened(
    panel: Mapping[str, Any], files: Mapping[str, str | Path], keras: Sequence[str | Path], twins: Sequence[str]
) -> list[tuple[str, ActivationFile]]:
    opened = []
    for name in (name for name, source in panel["recorded"].items() if source == FROM_FILE):
        found = open_activations([files[name]])
        if len(found) != 1:
            raise NetalikeError(
                f"{files[name]} holds {len(found)} networks, the recording {name} of a panel is of one: name the "
                f"folder of one of them, such as {found[0].path}."
            )
        opened.append((name, found[0]))
    names = [name for name, source in panel["recorded"].items() if source == FROM_KERAS]
    trained = {network.name: network for network in read_networks(keras)} if names else {}
    for name in names:
        if name not in trained:
            raise unknown_name("recorded Keras network", name, trained)
        network = trained[name]
        opened.append((name, _at(network, network.epochs[-1])))
        if name in twins:
            opened.append((name + UNTRAINED, _at(network, UNTRAINED_EPOCH)))
    return opened


def _at(network: KerasRecording, epoch: int) -> ActivationFile:
    layers = {layer: (lambda layer=layer: network.activations(layer, epoch)) for layer in network.layers}
    return ActivationFile(
        network.name, network.directory, layers, network.labels, network.ids, network.dataset, network.facts["split"]
    )


def _first(name: str, layer: str, array: NDArray[Any], limit: int) -> NDArray[np.float32]:
    if array.ndim < 2:
        raise ShapeError(
            f"the layer {layer} of the recording {name} has shape {array.shape}: expected (n, units, ...)."
        )
    if len(array) < limit:
        raise ShapeError(
            f"the layer {layer} of the recording {name} is of {len(array)} images, the panel takes {limit}: record "
            "more, or lower measure_images."
        )
    return np.asarray(array[:limit], dtype=np.float32)


def _check_images(found: ActivationFile, images: ImageSet | None, limit: int) -> None:
    if images is None:
        return
    ours = {"ids": images.ids[:limit], "labels": images.labels[:limit].numpy()}
    theirs = {"ids": found.ids, "labels": found.labels}
    for what, expected in ours.items():
        given = theirs[what]
        if given is not None and not np.array_equal(np.asarray(given[:limit]), expected):
            raise NetalikeError(
                f"{found.path} is of other images than the panel: the {what} of its first {limit} images are not those "
                f"of the test split of {images.name}. Record the first test images, in their order."
            )


def _write(layers: Mapping[str, NDArray[np.float32]], folder: Path, found: ActivationFile) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = {layer: f"{place:03d}.npy" for place, layer in enumerate(layers)}
    for layer, array in layers.items():
        np.save(folder / names[layer], array)
    n = len(next(iter(layers.values())))
    ids = range(n) if found.ids is None else np.asarray(found.ids[:n]).tolist()
    index = {"layers": names, "dataset": found.dataset, "split": found.split, "ids": list(ids)}
    (folder / INDEX).write_text(json.dumps(index))


def write_outputs(outputs: Outputs, labels: NDArray[np.int64], path: str | Path) -> None:
    """Write what networks predict, and the labels, as safetensors.

    Parameters
    ----------
    outputs : dict of name to array, shape (n, classes), float32
    labels : array, shape (n,)
    path : path
    """
    from safetensors.numpy import save

    stored = {name: np.ascontiguousarray(logits, dtype=np.float32) for name, logits in outputs.items()}
    write_atomically(Path(path), save({**stored, _LABELS: np.asarray(labels, dtype=np.int64)}))


def read_outputs(path: str | Path) -> tuple[Outputs, NDArray[np.int64]]:
    """Read what `write_outputs` wrote: the outputs by network, and the labels."""
    from safetensors.numpy import load_file

    stored = load_file(path)
    labels = stored.pop(_LABELS)
    return stored, labels
