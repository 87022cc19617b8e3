"""The state of an unfinished training, in one safetensors file: weights, optimiser, history and what it belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from netalike.errors import BadFileError, NetalikeError
from netalike.networks.checkpoint import write_atomically

_FORMAT = "netalike training checkpoint 1"


@dataclass(frozen=True)
class State:
    """Where a training stands.

    Attributes
    ----------
    epoch : int
        Number of finished epochs.
    identity : dict
        What the training is of; see `netalike.training.plain.train`.
    history : dict of str to list of float
        One list per quantity, one number per finished epoch.
    """

    epoch: int
    identity: dict[str, Any]
    history: dict[str, list[float]]


def digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state dictionary: names, shapes and bytes."""
    sha = hashlib.sha256()
    for key, value in state.items():
        sha.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        sha.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def write(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> None:
    """Store a training's state, atomically.

    Parameters
    ----------
    path : Path
    model : nn.Module
    optimizer : torch.optim.Optimizer
    state : State
    """
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    for index, entries in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in entries.items() if isinstance(value, Tensor)}
    # Copies, because tied weights share memory, which safetensors refuses.
    stored = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in tensors.items()}
    told = {"format": _FORMAT, "epoch": state.epoch, "identity": state.identity, "history": state.history}
    write_atomically(path, safetensors.torch.save(stored, metadata={"netalike": json.dumps(told)}))


def read(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, identity: Mapping[str, Any]) -> State:
    """Load a training's state into a model and its optimiser.

    Parameters
    ----------
    path : Path
    model : nn.Module
        Overwritten.
    optimizer : torch.optim.Optimizer
        Its state is overwritten, its options are not.
    identity : mapping
        Of the training that wants to go on.

    Returns
    -------
    State

    Raises
    ------
    BadFileError
        If the file is damaged or no checkpoint.
    NetalikeError
        If it is the checkpoint of another training; the message names what differs.
    """
    tensors, state = _contents(path)
    _refuse_another(path, state.identity, identity)
    model.load_state_dict(
        {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}
    )
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            entries.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
    return state


def _contents(path: Path) -> tuple[dict[str, Tensor], State]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {}).get("netalike", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (safetensors.SafetensorError, OSError, json.JSONDecodeError) as error:
        raise BadFileError(
            f"{path} is not a readable checkpoint ({error}): remove it to train from the start."
        ) from error
    if told.get("format") != _FORMAT:
        raise BadFileError(f"{path} is not a training checkpoint of netalike: choose another path, or remove it.")
    return tensors, State(told["epoch"], told["identity"], told["history"])


def _refuse_another(path: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    keys = dict.fromkeys([*wanted, *stored])
    differing = [
        f"{key} ({stored.get(key)} in the checkpoint, {wanted.get(key)} now)"
        for key in keys
        if stored.get(key) != wanted.get(key)
    ]
    if differing:
        raise NetalikeError(
            f"{path} is the checkpoint of another training; different: {', '.join(differing)}. "
            "Ask for the same again to go on with it, or remove the file to train from the start."
        )
