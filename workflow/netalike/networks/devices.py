"""The device that a user names."""

from __future__ import annotations

import torch

from netalike.errors import NetalikeError, unknown_name

_KINDS = ("cpu", "cuda", "mps", "auto")


def resolve_device(name: str) -> torch.device:
    """Check the name of a device.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: a GPU where there is one, else the CPU.

    Raises
    ------
    UnknownNameError
        If there is no such kind of device.
    NetalikeError
        If this machine, or this build of PyTorch, has none.
    """
    kind, _, index = name.partition(":")
    if kind not in _KINDS or (index and not (kind == "cuda" and index.isdecimal())):
        raise unknown_name("device", name, _KINDS, "One GPU of several is cuda:0, cuda:1, …")
    if kind == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise NetalikeError(
            f"device {name!r} is not there: PyTorch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices. "
            "Use 'cpu', or install a CUDA build of PyTorch on a machine with a GPU."
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise NetalikeError("device 'mps' is not there: it needs an Apple processor and macOS. Use 'cpu'.")
    return torch.device(name)
