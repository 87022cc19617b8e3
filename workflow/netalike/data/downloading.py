"""Download one file over HTTP, continuing where a cut connection left off."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import requests
import urllib3

from netalike.progress import progress

TRIES = 3  # connections to one URL, if each is cut
TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte
_CHUNK = 1 << 17


class UnavailableError(Exception):
    """The URL did not give a whole file; the message says why."""


class _CutError(Exception):
    """The connection ended before the file did."""


def download(url: str, part: Path, label: str) -> None:
    """Download a URL into a file, continuing it if it is there.

    Parameters
    ----------
    url : str
    part : Path
        What is there is taken for the beginning of the file: it is continued if the server can, and overwritten if not.
        It stays after a cut connection and is removed when it cannot be written.
    label : str
        Of the progress bar, which shows on a terminal only.

    Raises
    ------
    UnavailableError
        If the server cannot be reached, answers with an error, or cuts the connection three times.
    OSError
        If the file cannot be written.
    """
    for _ in range(TRIES):
        try:
            return _one_connection(url, part, label)
        except _CutError as error:
            cut = error
    got = part.stat().st_size if part.exists() else 0
    raise UnavailableError(f"connection cut {TRIES} times, {got} bytes arrived; run again to continue ({cut})")


def _one_connection(url: str, part: Path, label: str) -> None:
    have = part.stat().st_size if part.exists() else 0
    # identity: a server must not compress on the way, or sizes and ranges would mean something else
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise UnavailableError(f"cannot connect ({_cause(error)})") from error
    with response:
        if response.status_code == 416:  # nothing beyond what we have: the beginning is not of this file
            part.unlink()
            raise _CutError("HTTP 416")
        if response.status_code >= 400:
            raise UnavailableError(f"HTTP {response.status_code} {response.reason}")
        begun = have if response.headers.get("Content-Range", "").startswith(f"bytes {have}-") else 0
        _save(response, part, begun, label)


def _save(response: requests.Response, part: Path, begun: int, label: str) -> None:
    total = begun + int(response.headers.get("Content-Length", 0)) or None
    try:
        with (
            part.open("ab" if begun else "wb") as file,
            progress(b"", label, total, begun=begun, unit="B") as bar,
        ):
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                _write(file, chunk)
                bar.update(len(chunk))
    except urllib3.exceptions.HTTPError as error:
        raise _CutError(_cause(error)) from error
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _write(file: BinaryIO, chunk: bytes) -> None:
    file.write(chunk)


def _cause(error: BaseException) -> str:
    """The innermost reason, without the addresses of objects that urllib3 wraps around it."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {error}"
