"""Get the files of a data set: from a mirror first, then from the publisher; checked, and put in place in one step."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from netalike.data.checks import forget, is_valid, problem, remember
from netalike.data.downloading import UnavailableError, download
from netalike.data.registry import Layout, RemoteFile, specification
from netalike.data.unpacking import unpack
from netalike.errors import BadFileError


def fetch(
    name: str, root: str | Path = "resources", mirror: str | Path | None = None, offline: bool = False
) -> list[Path]:
    """Bring all files of a data set into the data root; files that are there and right are left alone.

    Parameters
    ----------
    name : str
        One of `names`.
    root : path
        The data root.
    mirror : path or URL, optional
        A folder, or an address starting with http:// or https://, with the same layout as the data root.
    offline : bool
        Open no connection; a mirror folder is still used.

    Returns
    -------
    list of Path
        The files of the data set, training files first; empty for a data set without files (digits, image folders,
        and ImageNet, which has to be put there by hand).

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    BadFileError
        If a file could not be had; the message says what was tried and what to do.
    """
    root = Path(root)
    layouts = specification(name).layouts
    if layouts[0].reader == "imagenet":
        from netalike.data.imagenet import find_imagenet

        find_imagenet(root)
    here = [layout for layout in layouts if _holds(layout, root) and not _wrong(layout, root)]
    if here:
        return [root / file.path for file in here[0].all_files()]
    folder = _folder(mirror)
    offered = [layout for layout in layouts if folder is not None and _holds(layout, folder)]
    chosen = (offered or list(layouts))[0]
    return [fetch_file(file, root, mirror, offline) for file in chosen.all_files()]


def verify(name: str, root: str | Path = "resources") -> list[str]:
    """Check every file of a data set, reading it in full even if it was checked before.

    Parameters
    ----------
    name : str
        One of `names`.
    root : path
        The data root.

    Returns
    -------
    list of str
        One line for each file that is missing or wrong; empty if the data set is complete.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    """
    root = Path(root)
    layouts = specification(name).layouts
    present = [layout for layout in layouts if _holds(layout, root)]
    files = (present or list(layouts))[0].all_files()
    found = [(root / file.path, problem(root / file.path, file)) for file in files]
    return [f"{path}: {wrong}" for path, wrong in found if wrong is not None]


def fetch_file(remote: RemoteFile, root: str | Path, mirror: str | Path | None = None, offline: bool = False) -> Path:
    """Bring one file into the data root, unless it is there and right.

    Parameters
    ----------
    remote : RemoteFile
    root, mirror, offline
        As for `fetch`.

    Returns
    -------
    Path
        The file, checked. Two processes or threads that want the same file wait for each other.

    Raises
    ------
    BadFileError
        If the file could not be had. A wrong file that was there already stays; nothing half-written does, but for a
        ``.part`` that the next call continues.
    """
    root = Path(root)
    target = root / remote.path
    try:
        if is_valid(target, remote):
            return target
        with _lock(remote, root):
            tried = [] if is_valid(target, remote) else _obtain(remote, root, mirror, offline)
    except OSError as error:
        raise BadFileError(_disk_message(error, target)) from error
    if tried:
        raise BadFileError(_failure_message(remote, target, tried))
    return target


@contextlib.contextmanager
def _lock(remote: RemoteFile, root: Path) -> Iterator[None]:
    """Hold the lock of a file, or of the archive that it comes from: its members are unpacked together."""
    name = (remote.archive or remote).path.replace("/", "--")
    folder = root / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        yield


def _obtain(remote: RemoteFile, root: Path, mirror: str | Path | None, offline: bool) -> list[str]:
    """Put a file in place; return what was tried in vain, or nothing if it worked."""
    target = root / remote.path
    target.parent.mkdir(parents=True, exist_ok=True)
    tried = [f"{target}: {problem(target, remote)}"] if target.exists() else []
    for failure in _attempts(remote, root, mirror, offline):
        if failure is None:
            remember(target, remote)
            return []
        tried.append(failure)
    return tried or [f"{remote.path}: no source of it is known"]


def _attempts(remote: RemoteFile, root: Path, mirror: str | Path | None, offline: bool) -> Iterator[str | None]:
    """Try one source after the other; yield why it failed, or None once the file is in place."""
    target = root / remote.path
    folder = _folder(mirror)
    if folder is not None:
        yield _from_folder(remote, folder, target)
    urls = remote.urls if folder is not None or mirror is None else (_below(str(mirror), remote.path), *remote.urls)
    for url in urls:
        yield f"{url}: not tried, offline" if offline else _from_url(remote, url, target)
    if remote.archive is not None:
        yield _from_archive(remote, remote.archive, root, mirror, offline)


def _folder(mirror: str | Path | None) -> Path | None:
    """The mirror, if it is a folder and not a URL."""
    if mirror is None or str(mirror).startswith(("http://", "https://")):
        return None
    return Path(mirror)


def _below(base: str, path: str) -> str:
    return f"{base.rstrip('/')}/{path}"


def _from_folder(remote: RemoteFile, folder: Path, target: Path) -> str | None:
    source = folder / remote.path
    if not source.is_file():
        return f"{source}: not there" if folder.is_dir() else f"{folder}: the mirror is not a folder"
    copy = target.with_name(f".{target.name}.copying")
    copy.unlink(missing_ok=True)  # of a run that was killed
    try:
        _link_or_copy(source.resolve(), copy)
        wrong = problem(copy, remote)
        if wrong is None:
            os.replace(copy, target)
        return wrong and f"{source}: {wrong}"
    finally:
        copy.unlink(missing_ok=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _from_url(remote: RemoteFile, url: str, target: Path) -> str | None:
    part = target.with_name(f"{target.name}.part")
    continued = part.exists()
    if problem(part, remote) is not None:  # else a run was killed when only the renaming was left
        try:
            download(url, part, label=target.name)
        except UnavailableError as error:
            return f"{url}: {error}"
    wrong = problem(part, remote)
    if wrong is None:
        os.replace(part, target)
        return None
    part.unlink()
    if continued:  # its beginning may have been another source's: once more, from nothing
        return _from_url(remote, url, target)
    return f"{url}: {wrong}"


def _from_archive(
    remote: RemoteFile, archive: RemoteFile, root: Path, mirror: str | Path | None, offline: bool
) -> str | None:
    packed = root / archive.path
    was_there = is_valid(packed, archive)
    tried = [] if was_there else _obtain(archive, root, mirror, offline)
    if tried:
        return "\n  ".join(tried)
    try:
        unpack(packed)
    finally:
        if not was_there:
            forget(packed)
    wrong = problem(root / remote.path, remote)
    return wrong and f"{packed}: unpacked, but {remote.path} {wrong}"


def _holds(layout: Layout, root: Path) -> bool:
    return all((root / file.path).is_file() for file in layout.all_files())


def _wrong(layout: Layout, root: Path) -> list[RemoteFile]:
    return [file for file in layout.all_files() if not is_valid(root / file.path, file)]


def _failure_message(remote: RemoteFile, target: Path, tried: list[str]) -> str:
    checksum = remote.checksum()
    parts = [f"{remote.size} bytes"] if remote.size is not None else []
    parts += [" ".join(checksum)] if checksum else []
    known = f" ({', '.join(parts)})" if parts else ""
    lines = [f"could not get {remote.path}{known}. Tried:", *tried]
    return "\n  ".join(lines) + (
        f"\nSet data.mirror to a folder or URL that holds {remote.path}, or put the file at {target}."
    )


def _disk_message(error: OSError, target: Path) -> str:
    if error.errno == errno.ENOSPC:
        folder = next(parent for parent in target.absolute().parents if parent.is_dir())
        free = shutil.disk_usage(folder).free
        return (
            f"the disk is full: {target} could not be written, {free / 2**20:.0f} MiB are free. Make room, "
            "or set data.root to a folder on a larger disk; nothing half-written was left."
        )
    return f"{target} could not be put in place ({error}). Set data.root to a folder that you may write to."
