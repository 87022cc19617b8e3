"""Options that several commands of the command line share: one spelling, one help text, one check.

Frameworks are imported inside the functions, so that ``--help`` and completion answer at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from netalike.errors import NetalikeError

if TYPE_CHECKING:
    from pydantic import BaseModel

_Settings = TypeVar("_Settings", bound="BaseModel")


class Optimizer(StrEnum):
    """The optimisers of every training."""

    sgd = "sgd"
    adam = "adam"


def complete(kind: str) -> Callable[[str], list[str]]:
    """Return what completes the beginning of a name.

    Parameters
    ----------
    kind : str
        architecture, dataset, fetchable (data sets and collections of networks), or an option of
        `netalike.stitching.names`.

    Returns
    -------
    callable
        From what is typed to the names that begin so.
    """
    return lambda incomplete: [name for name in _names(kind) if name.startswith(incomplete)]


def _names(kind: str) -> list[str]:
    if kind == "architecture":
        from netalike.networks.naming import names

        return list(names())
    if kind in ("dataset", "fetchable"):
        from netalike import data

        return [*data.names(), *(data.published.collections() if kind == "fetchable" else ())]
    from netalike.stitching.names import spellings

    return list(spellings(kind))


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto (a GPU where there is one).")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; as many as PyTorch chooses unless given.")]
DataRoot = Annotated[Path, typer.Option("--data", help="Folder of the data sets.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Use the first so many images of each split only.")]
LearningRate = Annotated[
    float, typer.Option("-lr", "--lr", help="Learning rate; a tenth after 1/3 and after 2/3 of the epochs.")
]
Epochs = Annotated[int, typer.Option("-e", "--epochs", help="Passes over the training images.")]
BatchSize = Annotated[int, typer.Option("-b", "--batch-size", help="Images per step.")]
ForwardBatch = Annotated[int, typer.Option("-b", "--batch-size", min=1, help="Images per forward pass.")]


def use_threads(threads: int | None) -> None:
    """Set PyTorch's CPU threads, where a number is given."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def device_of(name: str) -> str:
    """Return the device that a name means, or raise an error that names those of this machine."""
    from netalike import networks

    return str(networks.resolve_device(name))


def checked(model: type[_Settings], what: str, **given: Any) -> _Settings:
    """Make settings of what was given.

    Parameters
    ----------
    model : type of pydantic model
    what : str
        Which settings, for the message.
    **given
        Its fields.

    Returns
    -------
    model

    Raises
    ------
    NetalikeError
        In one line, every value that is out of range.
    """
    from pydantic import ValidationError

    try:
        return model(**given)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}, got {e['input']!r}" for e in error.errors()]
        raise NetalikeError(f"unusable {what}: {'; '.join(faults)}.") from error


def print_json(content: object) -> None:
    """Print JSON on one line."""
    typer.echo(json.dumps(content))


def in_digits(value: float | None) -> str:
    """Return a number with four decimals, a small one with its exponent, and "undefined" where there is none."""
    if value is None or not math.isfinite(value):
        return "undefined"
    return f"{value:.2e}" if 0 < abs(value) < 5e-5 else f"{value:.4f}"


def refuse_a_file(folder: Path) -> None:
    """Refuse a folder that cannot be one, before anything is computed.

    Raises
    ------
    NetalikeError
    """
    if folder.exists() and not folder.is_dir():
        raise NetalikeError(f"{folder} is a file: choose another folder for what is made (-o).")
