"""Trained networks on disk: safetensors with a JSON card beside them, and state dictionaries from elsewhere."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

import netalike
from netalike.errors import BadFileError, NetalikeError, nearest
from netalike.networks.naming import canonical
from netalike.networks.registry import build, fitting_architectures

FOREIGN = (".pt", ".pth", ".th")
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_NAMED = 5


@dataclass(frozen=True)
class Card:
    """What is known about a trained network.

    Attributes
    ----------
    architecture : str
        As `netalike.networks.build` takes it.
    dataset : str
        On which it was trained; empty if that is not known.
    channels, classes : int
        Of its inputs and outputs.
    seed, batch_seed : int or None
        Of its initialisation, and of the order and augmentation of its batches.
    epochs : int or None
        For how long it was trained.
    accuracy, loss : float or None
        On the test split.
    version : str
        Of netalike, that wrote the card.
    data_sha256 : str
        Fingerprint of the training images and labels.
    source : str
        Where the weights come from: ``trained``, or the file that they were read from.
    settings : dict
        Of the training.
    weights_sha256 : str
        Of the weights file, filled in by `save`; `load` refuses a card that belongs to another file.
    """

    architecture: str
    dataset: str = ""
    channels: int = 3
    classes: int = 10
    seed: int | None = None
    batch_seed: int | None = None
    epochs: int | None = None
    accuracy: float | None = None
    loss: float | None = None
    version: str = netalike.__version__
    data_sha256: str = ""
    source: str = "trained"
    settings: dict[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that other processes see whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder is made if need be. The content is written beside it and renamed.
    content : bytes
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            # A temporary file is private; a result should be as readable as its neighbours.
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def save(model: nn.Module, path: str | os.PathLike[str], card: Card) -> None:
    """Store a network's weights as safetensors, and its card beside them as ``<stem>.json``.

    Parameters
    ----------
    model : nn.Module
        Its parameters and buffers are stored, from whichever device.
    path : path
        Ends in ``.safetensors``.
    card : Card

    Raises
    ------
    NetalikeError
        If the path has another ending.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise NetalikeError(f"weights are stored as .safetensors, got the path {target}.")
    # Tied weights share memory, which safetensors refuses: every entry becomes a copy of its own.
    state = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in model.state_dict().items()}
    # One entry alone: safetensors writes several in random order, and equal networks would be unequal files.
    content = safetensors.torch.save(state, metadata={"format": "pt"})
    stamped = dataclasses.replace(card, weights_sha256=hashlib.sha256(content).hexdigest())
    write_atomically(target, content)
    write_atomically(target.with_suffix(".json"), (json.dumps(dataclasses.asdict(stamped), indent=2) + "\n").encode())


def load(
    path: str | os.PathLike[str],
    architecture: str | None = None,
    channels: int | None = None,
    classes: int | None = None,
    strict: bool = True,
) -> tuple[nn.Module, Card]:
    """Load a trained network.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file (its card says what it is), or a foreign state dictionary: ``.pt``, ``.pth``, ``.th``,
        read without running code from it; ``state_dict`` and ``model`` wrappers and a ``module.`` prefix are removed.
    architecture : str, optional
        Needed where there is no card; where there is one, it has to agree.
    channels, classes : int, optional
        Of the network where there is no card: 3 and 10 unless given.
    strict : bool
        False leaves out what the file lacks and ignores what it has beyond the architecture; shapes always have to fit.

    Returns
    -------
    nn.Module
        In eval mode, on the CPU.
    Card

    Raises
    ------
    BadFileError
        If the file is missing, damaged, refused, does not fit the architecture (the message names the registered one
        that does), holds values that are not finite, or is not the one that its card describes.
    UnknownNameError
        If there is no such architecture.
    """
    source = _existing(Path(path))
    state = _read(source)
    card = _card_for(source, architecture, channels, classes)
    model = build(card.architecture, card.channels, card.classes, seed=0)
    _check_fit(model, state, source, card.architecture, strict)
    _check_finite(state, source)
    model.load_state_dict(state, strict=strict)
    return model.eval(), card


def read_card(path: str | os.PathLike[str]) -> Card | None:
    """Read the card beside a weights file.

    Parameters
    ----------
    path : path
        Of the weights, or of the card itself.

    Returns
    -------
    Card or None
        None if there is none.

    Raises
    ------
    BadFileError
        If it is not a card.
    """
    source = Path(path).with_suffix(".json")
    if not source.is_file():
        return None
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadFileError(f"{source} is not valid JSON ({error}): it should be the card of a network.") from error
    allowed = [entry.name for entry in dataclasses.fields(Card)]
    if not isinstance(content, dict) or "architecture" not in content:
        raise BadFileError(f"{source} is not the card of a network: it has no entry 'architecture'.")
    for key in content:
        if key not in allowed:
            guess = nearest(key, allowed)
            raise BadFileError(
                f"{source} has an unknown entry {key!r}." + (f" Did you mean {guess!r}?" if guess else "")
            )
    return Card(**content)


def _existing(path: Path) -> Path:
    if path.is_dir():
        raise BadFileError(f"{path} is a folder, expected a file of weights (.safetensors, .pt, .pth or .th).")
    if not path.is_file():
        siblings = sorted(p.name for p in path.parent.iterdir() if p.is_file()) if path.parent.is_dir() else []
        guess = nearest(path.name, siblings)
        raise BadFileError(f"no such file: {path}." + (f" Did you mean {path.parent / guess}?" if guess else ""))
    return path


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except (SafetensorError, OSError) as error:
            raise BadFileError(f"{path} is not a readable safetensors file ({error}): it may be cut off.") from error
    if path.suffix in FOREIGN:
        return _without_prefix(_unwrapped(_read_foreign(path), path))
    raise BadFileError(f"{path} has the ending {path.suffix!r}, expected .safetensors, .pt, .pth or .th.")


def _read_foreign(path: Path) -> object:
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error) and "Weights only" not in str(error):
            raise BadFileError(f"{path} is not a readable PyTorch file ({error}).") from error
        raise BadFileError(
            f"{path} was refused: it is a pickle that holds more than tensors, and reading it would run code from it. "
            "Where you trust it, load it yourself once and store model.state_dict() with torch.save."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise BadFileError(f"{path} is not a readable PyTorch file ({error}): it may be cut off.") from error
    return content


def _unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for key in _WRAPPERS:
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if isinstance(content, Mapping) and content and all(isinstance(value, Tensor) for value in content.values()):
        return {str(key): value for key, value in content.items()}
    found = f"a dictionary with {_some(list(map(str, content)))}" if isinstance(content, Mapping) else type(content)
    raise BadFileError(
        f"{path} holds no state dictionary: expected names with tensors, plainly or under 'state_dict' or 'model'; "
        f"found {found}."
    )


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    # nn.DataParallel puts this in front of every name.
    if all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _card_for(path: Path, architecture: str | None, channels: int | None, classes: int | None) -> Card:
    card = read_card(path) if path.suffix == ".safetensors" else None
    if card is None:
        return _made_up_card(path, architecture, channels, classes)
    if card.weights_sha256 and card.weights_sha256 != hashlib.sha256(path.read_bytes()).hexdigest():
        raise BadFileError(
            f"{path} is not the file that its card {path.with_suffix('.json').name} describes: its SHA-256 differs. "
            "Make both again, or put back the pair that belongs together."
        )
    given = {
        "architecture": canonical(architecture) if architecture else None,
        "channels": channels,
        "classes": classes,
    }
    said = {"architecture": canonical(card.architecture), "channels": card.channels, "classes": card.classes}
    for key, value in given.items():
        if value is not None and value != said[key]:
            raise BadFileError(f"{path} is, by its card, of {key} {said[key]!r}, but {value!r} was asked for.")
    return card


def _made_up_card(path: Path, architecture: str | None, channels: int | None, classes: int | None) -> Card:
    if architecture is None:
        fits = fitting_architectures(_read(path))
        hint = f" Its weights fit {' and '.join(fits)}." if fits else ""
        raise BadFileError(
            f"{path} has no card that says what it is: name the architecture (-a on the command line).{hint}"
        )
    return Card(canonical(architecture), channels=channels or 3, classes=classes or 10, version="", source=str(path))


def _check_fit(model: nn.Module, state: Mapping[str, Tensor], path: Path, architecture: str, strict: bool) -> None:
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    shapes = [
        f"{key} {tuple(value.shape)} instead of {expected[key]}"
        for key, value in state.items()
        if key in expected and tuple(value.shape) != expected[key]
    ]
    faults = {"wrong shapes": shapes}
    if strict:
        faults = {"missing": missing, "unexpected": unexpected, **faults}
    told = "; ".join(f"{kind}: {_some(entries)}" for kind, entries in faults.items() if entries)
    if told:
        fits = fitting_architectures(state)
        hint = f"The weights fit {' and '.join(fits)}." if fits else "They fit no registered architecture."
        raise BadFileError(f"{path} does not fit {architecture}: {told}. {hint}")


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    bad = [key for key, value in state.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise BadFileError(
            f"{path} holds values that are not finite (NaN or infinite) in {_some(bad)}: the training of this network "
            "diverged. Train it again with a smaller learning rate."
        )


def _some(entries: list[str]) -> str:
    rest = len(entries) - _NAMED
    return ", ".join(entries[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _umask() -> int:
    # The mask can be read only by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
