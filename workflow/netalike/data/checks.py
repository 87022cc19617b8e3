"""Is this file the one that it should be?"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from netalike.data.registry import RemoteFile


def problem(path: Path, expected: RemoteFile) -> str | None:
    """Say what is wrong with a file.

    Parameters
    ----------
    path : Path
    expected : RemoteFile
        The size is compared first, then the checksum.

    Returns
    -------
    str or None
        What was found and what was expected, or None if the file is right. A page of HTML is called that: it is what
        servers send in place of a file behind a login, a quota or a moved address.
    """
    if not path.is_file():
        return "not there"
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        return f"has {size} bytes, expected {expected.size}{_looks_like(path)}"
    checksum = expected.checksum()
    if checksum is None:
        return None
    found = _digest(path, checksum[0])
    if found != checksum[1]:
        return f"has {checksum[0]} {found}, expected {checksum[1]}{_looks_like(path)}"
    return None


def is_valid(path: Path, expected: RemoteFile) -> bool:
    """Tell whether a file is in place and right; reads it only if it changed since it was last found right.

    Parameters
    ----------
    path : Path
    expected : RemoteFile

    Returns
    -------
    bool
    """
    if not path.is_file():
        return False
    if _read_stamp(path) == _stamp(path, expected):
        return True
    if problem(path, expected) is not None:
        return False
    remember(path, expected)
    return True


def remember(path: Path, expected: RemoteFile) -> None:
    """Note beside a file that it was found right, with its size and time of change.

    Parameters
    ----------
    path : Path
    expected : RemoteFile
    """
    with contextlib.suppress(OSError):  # a data root that is read-only works too, only slower
        _stamp_path(path).write_text(json.dumps(_stamp(path, expected)))


def forget(path: Path) -> None:
    """Delete a file and the note beside it.

    Parameters
    ----------
    path : Path
        Need not exist.
    """
    path.unlink(missing_ok=True)
    _stamp_path(path).unlink(missing_ok=True)


def _stamp_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.checked")


def _stamp(path: Path, expected: RemoteFile) -> dict[str, object]:
    status = path.stat()
    checksum = ":".join(expected.checksum() or ("size", str(expected.size)))
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "checksum": checksum}


def _read_stamp(path: Path) -> object:
    try:
        return json.loads(_stamp_path(path).read_text())
    except (OSError, ValueError):
        return None


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _looks_like(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")) or b"<html" in start:
        return "; it is an HTML page, not the file"
    return "; it is empty" if path.stat().st_size == 0 else ""
