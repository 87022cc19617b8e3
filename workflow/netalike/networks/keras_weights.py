"""Variables of Keras models and optimisers in safetensors files, with what they belong to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from netalike.errors import BadFileError, NetalikeError

_KEY = "netalike"


def variables_of(variables: Sequence[Any], prefix: str) -> dict[str, NDArray[Any]]:
    """Copy variables into arrays, by a name that holds their number and own name.

    Parameters
    ----------
    variables : sequence of keras.Variable
        Of a model or an optimiser.
    prefix : str

    Returns
    -------
    dict of str to array
        ``"model/0003/kernel"``.
    """
    return {_name(prefix, i, variable): np.asarray(variable.numpy()) for i, variable in enumerate(variables)}


def set_variables(
    variables: Sequence[Any], arrays: Mapping[str, NDArray[Any]], prefix: str, path: str | Path = "the file"
) -> None:
    """Give variables the values that `variables_of` took from variables of the same kind.

    Parameters
    ----------
    variables : sequence of keras.Variable
        Overwritten.
    arrays : mapping of str to array
    prefix : str
    path : path
        For the message of an error.

    Raises
    ------
    BadFileError
        If a variable is missing, or its shape differs; nothing is overwritten then.
    """
    stored = {key: value for key, value in arrays.items() if key.startswith(f"{prefix}/")}
    found = []
    for i, variable in enumerate(variables):
        value = stored.get(_name(prefix, i, variable))
        if value is None or value.shape != tuple(variable.shape):
            shape = "nothing" if value is None else f"shape {value.shape}"
            raise BadFileError(
                f"{path} does not fit this network: for {variable.path} of shape {tuple(variable.shape)} it has "
                f"{shape}. Build the network with the widths that the file was made with."
            )
        found.append(value)
    if len(stored) != len(variables):
        raise BadFileError(f"{path} has {len(stored)} variables of the {prefix}, expected {len(variables)}.")
    set_all(variables, found)


def set_all(variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> None:
    """Assign a value to each variable.

    Parameters
    ----------
    variables : sequence of keras.Variable
    values : sequence of array
        Of the same shapes.
    """
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _name(prefix: str, number: int, variable: Any) -> str:
    # not the path: that of an optimiser's variables depends on how many optimisers there were before
    return f"{prefix}/{number:04d}/{variable.name}"


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]], told: Mapping[str, Any]) -> None:
    """Write named arrays and facts about them as one safetensors file, all of it or nothing.

    Parameters
    ----------
    path : path
        Its folder is made if need be.
    arrays : mapping of str to array
    told : mapping
        For JSON; ``format`` names the kind of file, ``identity`` what it belongs to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {key: np.asarray(value, order="C") for key, value in arrays.items()}
    content = safetensors.numpy.save(stored, metadata={_KEY: json.dumps(dict(told), sort_keys=True)})
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    os.replace(partial, path)


def read_arrays(
    path: str | Path, file_format: str, identity: Mapping[str, Any] | None = None
) -> dict[str, NDArray[Any]]:
    """Read what `write_arrays` wrote.

    Parameters
    ----------
    path : path
    file_format : str
        Expected kind of file.
    identity : mapping, optional
        What the file has to belong to; not compared when left out.

    Returns
    -------
    dict of str to array

    Raises
    ------
    BadFileError
        If the file is missing, damaged or of another kind.
    NetalikeError
        If it belongs to something else; the message names what differs.
    """
    arrays, told = _contents(Path(path))
    if told.get("format") != file_format:
        raise BadFileError(
            f"{path} is {told.get('format', 'no file of netalike')!r}, expected {file_format!r}: choose another path, "
            "or remove it."
        )
    if identity is not None:
        _refuse_another(Path(path), told.get("identity", {}), json.loads(json.dumps(dict(identity))))
    return arrays


def read_facts(path: str | Path) -> dict[str, Any]:
    """Return what `write_arrays` was told.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict

    Raises
    ------
    BadFileError
        If the file is missing or damaged.
    """
    return _contents(Path(path))[1]


def _contents(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="np") as file:
            told = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (safetensors.SafetensorError, OSError, json.JSONDecodeError) as error:
        raise BadFileError(
            f"{path} is not a readable file of weights ({error}): remove it, and make it again."
        ) from error
    return arrays, told


def _refuse_another(path: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = [
        f"{key} ({stored.get(key)} in the file, {wanted.get(key)} now)"
        for key in dict.fromkeys([*wanted, *stored])
        if stored.get(key) != wanted.get(key)
    ]
    if differing:
        raise NetalikeError(
            f"{path} belongs to something else; different: {', '.join(differing)}. Ask for the same again to go on "
            "with it, or remove the file to begin anew."
        )
