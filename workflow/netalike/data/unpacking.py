"""Unpack a tar archive beside itself, refusing members that would leave that folder."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from netalike.errors import BadFileError


def unpack(archive: Path) -> None:
    """Unpack an archive into the folder that holds it, each file in one step.

    Parameters
    ----------
    archive : Path
        ``.tar`` or ``.tar.gz``.

    Raises
    ------
    BadFileError
        If it is damaged, or has a member with an absolute path, a ``..`` in its path, or that is a link or a device.
        Nothing is unpacked then.
    OSError
        If a file cannot be written.
    """
    workplace = archive.with_name(f".{archive.name}.unpacking")
    shutil.rmtree(workplace, ignore_errors=True)  # of a run that was killed
    try:
        _extract(archive, workplace)
        for file in [path for path in workplace.rglob("*") if path.is_file()]:
            target = archive.parent / file.relative_to(workplace)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                _refuse_unsafe(member, archive)
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadFileError(
            f"{archive} is no tar archive, or a damaged one ({error}). Delete it and fetch again."
        ) from error


def _refuse_unsafe(member: tarfile.TarInfo, archive: Path) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise BadFileError(f"{archive} is refused: its member {member.name!r} would be written outside its folder.")
    if not (member.isfile() or member.isdir()):
        raise BadFileError(f"{archive} is refused: its member {member.name!r} is neither a file nor a folder.")
