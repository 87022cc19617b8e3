"""A web server on loopback that can misbehave, and small files in the publishers' formats."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from netalike.data import RemoteFile


class Site:
    """What the server serves, how it fails, and what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.status: dict[str, int] = {}
        self.cuts: dict[str, list[int]] = defaultdict(list)  # bytes to send before closing, per request to come
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []  # path, Range header
        self.base = ""

    def url(self, path: str) -> str:
        return f"{self.base}/{path}"


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        path, wanted = self.path.lstrip("/"), self.headers.get("Range")
        self.site.asked.append((path, wanted))
        content = self.site.files.get(path)
        status = self.site.status.get(path, 200 if content is not None else 404)
        if status != 200 or content is None:
            self.send_error(status)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.site.ranges else 0
        self._send(content, start, self.site.cuts[path].pop(0) if self.site.cuts[path] else len(content))

    def _send(self, content: bytes, start: int, stop: int) -> None:
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:stop])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Site()
    handler = type("Handler", (_Handler,), {"site": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    served.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def remote_file(content: bytes, path: str, *urls: str, **options: object) -> RemoteFile:
    return RemoteFile(path, urls, len(content), sha256=hashlib.sha256(content).hexdigest(), **options)


def visible(root: Path) -> list[str]:
    """The files below a folder, without stamps and locks."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def idx(array: np.ndarray) -> bytes:
    """An array in the publisher's IDX format, gzipped."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def cifar_binary(images: np.ndarray, *labels: np.ndarray) -> bytes:
    """Images (n, 3, 32, 32) with one column of labels (CIFAR-10) or two (CIFAR-100)."""
    columns = np.stack(labels, axis=1)
    return np.hstack([columns, images.reshape(len(images), -1)]).astype(np.uint8).tobytes()


@pytest.fixture
def write():
    """The functions that make such files."""

    class Write:
        idx = staticmethod(idx)
        cifar_binary = staticmethod(cifar_binary)
        remote_file = staticmethod(remote_file)
        visible = staticmethod(visible)

    return Write
