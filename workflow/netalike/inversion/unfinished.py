"""An inversion that is not finished, in one safetensors file: the images so far, and what they belong to."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from netalike.errors import BadFileError, NetalikeError
from netalike.inversion.descent import Batch
from netalike.networks.checkpoint import write_atomically

_FORMAT = "netalike inversion 1"
# The file holds all images so far: writing it may take this share of the time, and no more.
_WRITING = 0.05


class Unfinished:
    """Batches of an inversion that are kept in a file, so that they need not be done again.

    Parameters
    ----------
    path : Path or None
        Where there is a file, its batches are taken over; None keeps nothing.
    identity : mapping
        What the inversion is of, as JSON has it.

    Attributes
    ----------
    batches : list of Batch
        Those that are done.

    Raises
    ------
    BadFileError
        If the file is damaged or no inversion.
    NetalikeError
        If it is of another inversion; the message names what differs.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any]) -> None:
        self.batches: list[Batch] = []
        self._path, self._identity = path, dict(identity)
        self._written, self._cost = time.monotonic(), 0.0
        if path is not None and path.is_file():
            self.batches = _read(path, self._identity)

    def add(self, batch: Batch, last: bool = False) -> None:
        """Keep one more batch; the file is written now, unless that would take too large a share of the time."""
        self.batches.append(batch)
        waited = time.monotonic() - self._written
        if self._path is not None and (last or waited * _WRITING >= self._cost):
            start = time.monotonic()
            _write(self._path, self.batches, self._identity)
            self._written = time.monotonic()
            self._cost = self._written - start


def _write(path: Path, batches: list[Batch], identity: Mapping[str, Any]) -> None:
    tensors = {
        "images": torch.cat([batch.images for batch in batches]),
        "losses": torch.cat([batch.losses for batch in batches]),
        "iterations": torch.cat([batch.iterations for batch in batches]),
        "history": torch.cat([batch.history for batch in batches], 1),
    }
    told = {"format": _FORMAT, "sizes": [len(batch.losses) for batch in batches], "identity": identity}
    content = {key: value.contiguous() for key, value in tensors.items()}
    write_atomically(path, safetensors.torch.save(content, metadata={"netalike": json.dumps(told)}))


def _read(path: Path, identity: Mapping[str, Any]) -> list[Batch]:
    tensors, told = _contents(path)
    stored = told["identity"]
    differing = [
        f"{key} ({stored.get(key)} in the file, {identity.get(key)} now)"
        for key in dict.fromkeys([*identity, *stored])
        if stored.get(key) != identity.get(key)
    ]
    if differing:
        raise NetalikeError(
            f"{path} is of another inversion; different: {', '.join(differing)}. "
            "Ask for the same again to go on with it, or remove the file to invert from the start."
        )
    parts = [torch.split(tensors[key], told["sizes"]) for key in ("images", "losses", "iterations")]
    histories = torch.split(tensors["history"], told["sizes"], 1)
    return [Batch(*entries) for entries in zip(*parts, histories, strict=True)]


def _contents(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {}).get("netalike", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (safetensors.SafetensorError, OSError, json.JSONDecodeError) as error:
        raise BadFileError(
            f"{path} is not a readable inversion ({error}): remove it to invert from the start."
        ) from error
    if told.get("format") != _FORMAT:
        raise BadFileError(f"{path} is not an unfinished inversion of netalike: choose another path, or remove it.")
    return tensors, told
