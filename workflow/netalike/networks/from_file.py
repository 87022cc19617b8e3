"""A network from a user's own file: ``file:path/to/module.py:function``."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from torch import nn

from netalike.errors import BadFileError, NetalikeError, nearest


def build_from_file(name: str, channels: int, classes: int) -> nn.Module:
    """Call a function in a user's file that returns a network.

    Parameters
    ----------
    name : str
        ``file:<path>.py:<function>``; a relative path starts at the working directory.
    channels, classes : int
        Passed by name if the function takes parameters of these names.

    Returns
    -------
    nn.Module
        With its in-place activations switched off, so that a hook sees what each layer computed.

    Raises
    ------
    BadFileError
        If there is no such file or function, if either raises, or if the function returns something else.
    """
    path, function_name = _split(name)
    with _importable(path.parent):
        function = _function(_import(path), path, function_name)
        model = _call(function, f"{function_name}() of {path}", channels, classes)
    if not isinstance(model, nn.Module):
        raise BadFileError(
            f"{function_name}() of {path} returned {type(model).__name__}, expected a torch.nn.Module: "
            "the function has to return the network."
        )
    return without_inplace(model)


def without_inplace(model: nn.Module) -> nn.Module:
    """Switch off the in-place option of every module; the network computes the same."""
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            vars(module)["inplace"] = False
    return model


def _split(name: str) -> tuple[Path, str]:
    path, _, function = name.removeprefix("file:").rpartition(":")
    if not path.endswith(".py") or not function.isidentifier():
        raise NetalikeError(f"a network from a file is written file:<path>.py:<function>, got {name!r}.")
    found = Path(path).expanduser()
    if not found.is_file():
        raise BadFileError(f"no such file: {path} (for the network {name!r}); looked from {Path.cwd()}.")
    return found.resolve(), function


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    # A user's file may import its neighbours, as it could where it is run as a script.
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


def _import(path: Path) -> ModuleType:
    # A name of its own: the file may be called like a library.
    name = f"netalike_user_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadFileError(f"{path} cannot be imported as a Python module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise BadFileError(f"{path} failed while it was imported: {type(error).__name__}: {error}") from error
    return module


def _function(module: ModuleType, path: Path, name: str) -> Callable[..., object]:
    found = getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    candidates = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
    guess = nearest(name, candidates)
    raise BadFileError(
        f"{path} has no function {name!r}: it defines {', '.join(candidates) or 'no function at all'}."
        + (f" Did you mean {guess!r}?" if guess else "")
    )


def _call(function: Callable[..., object], what: str, channels: int, classes: int) -> object:
    offered = {"channels": channels, "classes": classes}
    try:
        parameters = inspect.signature(function).parameters
        takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
        return function(**{key: value for key, value in offered.items() if takes_any or key in parameters})
    except Exception as error:
        raise BadFileError(f"{what} raised {type(error).__name__}: {error}") from error
