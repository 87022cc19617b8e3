"""Train Keras networks, and record their layers over the training.

Call `netalike.training.map_alignment.prepare_tensorflow` first: only then are equal results equal bit for bit.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netalike.activations.keras import (
    FACTS,
    KerasRecording,
    epoch_folder,
    kept_units,
    read_network,
    training_rows,
    write_activations,
    write_facts,
)
from netalike.errors import NetalikeError
from netalike.networks.keras_weights import read_arrays, variables_of, write_arrays
from netalike.progress import progress
from netalike.training.keras_settings import learning_rate
from netalike.training.keras_task import KerasTask, prepare
from netalike.training.keras_trainer import KerasTrainer, TrainingImages, scores

_FORMAT = "netalike Keras training 1"
_STATE, _WEIGHTS = "state.safetensors", "weights.safetensors"
_HISTORY = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "watched")

Row = dict[str, Any]


@dataclass
class _History:
    """Numbers by epoch: of training, as they were; of test images, where measured; and what the plateau rule saw."""

    train_loss: dict[int, float] = field(default_factory=dict)
    train_accuracy: dict[int, float] = field(default_factory=dict)
    test_loss: dict[int, float] = field(default_factory=dict)
    test_accuracy: dict[int, float] = field(default_factory=dict)
    watched: dict[int, float] = field(default_factory=dict)

    def add(self, split: str, epoch: int, loss: float, accuracy: float) -> None:
        getattr(self, f"{split}_loss")[epoch] = loss
        getattr(self, f"{split}_accuracy")[epoch] = accuracy

    def pairs(self) -> dict[str, list[list[float]]]:
        return {name: [[epoch, value] for epoch, value in getattr(self, name).items()] for name in _HISTORY}


# ---- whole trainings -------------------------------------------------------------------------------------------------


def train_and_record(
    study: Mapping[str, Any],
    train: Any,
    test: Any,
    seed: int,
    folder: str | Path,
    checkpoint: str | Path | None = None,
) -> list[Row]:
    """Train one network, and record its layers at the logged epochs.

    Parameters
    ----------
    study : mapping
        See `netalike.training.keras_task.prepare`.
    train, test : ImageSet or ImageArrays
    seed : int
        Of the network: weights, order of the images, dropout, augmentation.
    folder : path
        Gets the recording, for `netalike.activations.keras.read_network`, and ``weights.safetensors``, for
        `netalike.networks.keras_weights.set_variables` with the prefix ``model``.
    checkpoint : path, optional
        A folder, for what is done so far: a training that was cut off goes on from there, to the same bits. `folder`
        itself when left out.

    Returns
    -------
    list of dict
        See `netalike.activations.keras.training_rows`.

    Raises
    ------
    NetalikeError
        If the images are too few, the loss is not finite, the checkpoint is of another training, or the folder holds
        other files.
    BadFileError
        If the checkpoint is damaged.

    Notes
    -----
    Training of Lu et al. (2018), the published code, where the settings are not given: the mean image of the training
    set subtracted from pixels on the scale 0 to 255, then divided by 128; RMSprop or Adam as in Keras 2; the plateau
    rule of `learning_rate`, which looks at the loss with the penalty on the weights, as in Keras.
    """
    task = prepare(study, train, test)
    return training_rows(_Training(task, _trainer(task), seed, Path(folder), Path(checkpoint or folder)).finish())


def train_networks(
    study: Mapping[str, Any],
    train: Any,
    test: Any,
    seeds: Sequence[int],
    folder: str | Path,
    seed: int = 0,
    checkpoints: str | Path | None = None,
) -> list[Row]:
    """Train one network after the other in one process, compiling once; see `train_and_record`.

    Parameters
    ----------
    study : mapping
    train, test : ImageSet or ImageArrays
    seeds : sequence of int
        One network each: the same, bit for bit, as each alone.
    folder : path
        Gets a folder per network, as ``conv-s0``, for `netalike.activations.keras.read_networks`.
    seed : int
        Of the study, instead of the one in `study`.
    checkpoints : path, optional
        A folder that outlives a job that is killed, unlike its output; `folder` itself when left out.

    Returns
    -------
    list of dict
        Network after network.
    """
    task = prepare({**study, "seed": seed}, train, test)
    trainer, rows = _trainer(task), []
    for own_seed in seeds:
        name = task.name(own_seed)
        places = (Path(folder) / name, Path(checkpoints or folder) / name)
        rows += training_rows(_Training(task, trainer, own_seed, *places).finish())
    return rows


def _trainer(task: KerasTask) -> KerasTrainer:
    return KerasTrainer(task.settings, task.input_shape, len(task.train.classes))


class _Training:
    """The training of one network: its place on the disk, and how far it is."""

    def __init__(self, task: KerasTask, trainer: KerasTrainer, seed: int, folder: Path, place: Path) -> None:
        self.task, self.trainer, self.seed, self.folder, self.place = task, trainer, seed, folder, place
        self.identity = task.identity(seed)
        self.history = _History()
        self._state = place / _STATE

    def finish(self) -> KerasRecording:
        """Do what is left to do; return the recording."""
        for place in (self.place, self.folder):
            if (place / FACTS).is_file():
                self._refuse_another(read_network(place))
                return self._delivered(place)
        self._refuse_other_files()
        self.place.mkdir(parents=True, exist_ok=True)
        self._run()
        weights = variables_of(self.trainer.model.variables, "model")
        write_arrays(self.place / _WEIGHTS, weights, {"format": _FORMAT, "identity": self.identity})
        write_facts(self.place, self._facts(), self.task.test)
        return self._delivered(self.place)

    def _delivered(self, place: Path) -> KerasRecording:
        (place / _STATE).unlink(missing_ok=True)
        if place != self.folder:
            partial = self.folder.with_name(f".{self.folder.name}")
            shutil.rmtree(partial, ignore_errors=True)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(place, partial)  # a copy, where the two are on different disks
            os.replace(partial, self.folder)
        return read_network(self.folder)

    def _refuse_other_files(self) -> None:
        if self.folder != self.place and self.folder.is_dir() and any(self.folder.iterdir()):
            raise NetalikeError(f"{self.folder} holds other files, and no recorded network: choose another folder.")

    def _refuse_another(self, found: KerasRecording) -> None:
        stored, wanted = found.facts["identity"], json.loads(json.dumps(self.identity))
        differing = [
            f"{key} ({stored.get(key)} there, {wanted.get(key)} now)"
            for key in dict.fromkeys([*wanted, *stored])
            if stored.get(key) != wanted.get(key)
        ]
        if differing:
            raise NetalikeError(
                f"{found.directory} holds another network; different: {', '.join(differing)}. Remove the folder, or "
                "choose another."
            )

    def _run(self) -> None:
        settings, trainer, train = self.task.settings, self.trainer, self.task.train
        assert settings.epochs is not None
        done = self._begin()
        images = TrainingImages.of(train, self.task.mean)
        steps = math.ceil(len(train) / settings.batch_size)
        title = f"Training {self.task.name(self.seed)}"
        with progress(range(0), title, settings.epochs * steps, begun=done * steps, unit="step") as bar:
            for epoch in range(done, settings.epochs):
                rate = learning_rate(settings, epoch, list(self.history.watched.values()))
                self.history.add("train", epoch + 1, *trainer.epoch(images, self.seed, epoch, rate, bar))
                self._look(epoch + 1)
                if (epoch + 1) % settings.save_every == 0 or epoch + 1 == settings.epochs:
                    self._save(epoch + 1)

    def _begin(self) -> int:
        """Start, or go on; return the number of finished epochs."""
        self.trainer.begin(self.seed)
        if not self._state.is_file():
            self._look(0)
            return 0
        arrays = read_arrays(self._state, _FORMAT, self.identity)
        self.trainer.restore(arrays, self._state)
        for name in _HISTORY:
            getattr(self.history, name).update({int(epoch): float(value) for epoch, value in arrays[f"history/{name}"]})
        return len(self.history.train_loss)

    def _save(self, epoch: int) -> None:
        arrays = self.trainer.state()
        for name, pairs in self.history.pairs().items():
            arrays[f"history/{name}"] = np.array(pairs, np.float64).reshape(-1, 2)
        write_arrays(self._state, arrays, {"format": _FORMAT, "identity": self.identity, "epoch": epoch})

    def _look(self, epoch: int) -> None:
        """Record the layers and test the network, where that is due."""
        settings, mean = self.task.settings, self.task.mean
        if epoch in (settings.logged or ()):
            self.history.add("test", epoch, *self._record(epoch))
        elif settings.plateau_on == "test":
            self.history.add("test", epoch, *self.trainer.evaluate(self.task.test, mean))
        if epoch == 0 or settings.plateau_on == "none":
            return
        held_out = self.task.held_out
        loss = self.history.test_loss[epoch] if held_out is None else self.trainer.evaluate(held_out, mean)[0]
        self.history.watched[epoch] = loss + self.trainer.penalty()

    def _record(self, epoch: int) -> tuple[float, float]:
        logits: list[NDArray[np.float32]] = []
        names = self.task.settings.layers or ()

        def batches() -> Iterator[dict[str, NDArray[np.float32]]]:
            for first, *layers in self.trainer.outputs(self.task.test, self.task.mean):
                logits.append(first)
                yield dict(zip(names, layers, strict=True))

        write_activations(epoch_folder(self.place, epoch), batches(), self._units(epoch), self.task.test)
        return scores(np.concatenate(logits), self.task.test.labels)

    def _units(self, epoch: int) -> dict[str, NDArray[np.int64]]:
        settings = self.task.settings
        found = {}
        for layer in settings.layers or ():
            size = int(np.prod(self.trainer.model.get_layer(layer).output.shape[1:]))
            choice = (settings.max_units, settings.units, settings.architecture, layer)
            found[layer] = kept_units(size, *choice, self.task.seed, self.seed, epoch)
        return found

    def _facts(self) -> dict[str, Any]:
        settings, history = self.task.settings, self.history
        return {
            "name": self.task.name(self.seed),
            "architecture": settings.architecture,
            "seed": self.seed,
            "dataset": self.task.test.name,
            "split": self.task.test.split,
            "classes": list(self.task.test.classes),
            "n_train": len(self.task.train),
            "layers": list(settings.layers or ()),
            "epochs": list(settings.logged or ()),
            "accuracy": [history.test_accuracy[epoch] for epoch in settings.logged or ()],
            "labels": "labels.npy",
            "training": settings.model_dump(mode="json"),
            "history": history.pairs(),
            "identity": self.identity,
        }
