"""Fetching from folders and what is already there: links, stamps, locks, archives, messages."""

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from netalike import data
from netalike.data import checks, fetching, registry
from netalike.data.fetching import fetch_file
from netalike.data.unpacking import unpack
from netalike.errors import BadFileError

CONTENT = b"the right content " * 100


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def mirror_folder(tmp_path):
    (tmp_path / "mirror" / "mnist").mkdir(parents=True)
    (tmp_path / "mirror" / "mnist" / "x.gz").write_bytes(CONTENT)
    return tmp_path / "mirror"


def tar_of(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def test_a_mirror_folder_is_hard_linked(root, mirror_folder, write):
    path = fetch_file(write.remote_file(CONTENT, "mnist/x.gz"), root, mirror_folder)
    assert path == root / "mnist" / "x.gz"
    assert path.stat().st_ino == (mirror_folder / "mnist" / "x.gz").stat().st_ino
    assert not path.is_symlink()


def test_a_mirror_on_another_file_system_is_copied(root, mirror_folder, write, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    path = fetch_file(write.remote_file(CONTENT, "mnist/x.gz"), root, mirror_folder)
    assert path.read_bytes() == CONTENT
    assert path.stat().st_ino != (mirror_folder / "mnist" / "x.gz").stat().st_ino


def test_a_link_in_the_mirror_is_followed(root, mirror_folder, write):
    (mirror_folder / "mnist" / "y.gz").symlink_to("x.gz")
    path = fetch_file(write.remote_file(CONTENT, "mnist/y.gz"), root, mirror_folder)
    assert not path.is_symlink()
    assert path.read_bytes() == CONTENT


def test_a_mirror_folder_is_used_offline(root, mirror_folder, write):
    remote = write.remote_file(CONTENT, "mnist/x.gz", "https://example.invalid/x.gz")
    assert fetch_file(remote, root, mirror_folder, offline=True).read_bytes() == CONTENT


def test_a_checked_file_is_not_read_again(root, mirror_folder, write, monkeypatch):
    remote = write.remote_file(CONTENT, "mnist/x.gz")
    fetch_file(remote, root, mirror_folder)
    read = []
    monkeypatch.setattr(checks, "_digest", lambda path, algorithm: read.append(path) or remote.sha256)
    path = fetch_file(remote, root)
    assert read == []
    os.utime(path, ns=(0, 1))
    fetch_file(remote, root)
    assert read == [path]


def test_a_stamp_of_another_checksum_does_not_count(root, mirror_folder, write):
    fetch_file(write.remote_file(CONTENT, "mnist/x.gz"), root, mirror_folder)
    stamp = json.loads((root / "mnist" / ".x.gz.checked").read_text())
    assert stamp["checksum"] == "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(BadFileError, match="expected 00000000"):
        fetch_file(replace(write.remote_file(CONTENT, "mnist/x.gz"), sha256="0" * 64), root, offline=True)


def test_a_wrong_file_in_the_mirror_is_not_taken(root, mirror_folder, write):
    right = CONTENT[:-1] + b"X"
    remote = write.remote_file(right, "mnist/x.gz")
    with pytest.raises(BadFileError) as error:
        fetch_file(remote, root, mirror_folder, offline=True)
    for part in (
        f"could not get mnist/x.gz ({len(right)} bytes, sha256 {remote.sha256})",
        f"{mirror_folder / 'mnist' / 'x.gz'}: has sha256 {hashlib.sha256(CONTENT).hexdigest()}",
        f"put the file at {root / 'mnist' / 'x.gz'}",
    ):
        assert part in str(error.value)
    assert write.visible(root) == []


def test_a_wrong_file_in_place_is_replaced_or_kept(root, mirror_folder, write):
    remote = write.remote_file(CONTENT, "mnist/x.gz")
    (root / "mnist").mkdir(parents=True)
    (root / "mnist" / "x.gz").write_bytes(b"short")
    with pytest.raises(BadFileError, match=f"x.gz: has 5 bytes, expected {len(CONTENT)}"):
        fetch_file(remote, root, offline=True)
    assert (root / "mnist" / "x.gz").read_bytes() == b"short"
    assert fetch_file(remote, root, mirror_folder).read_bytes() == CONTENT


def test_a_mirror_that_is_not_there_is_named(root, tmp_path, write):
    with pytest.raises(BadFileError, match="nowhere: the mirror is not a folder"):
        fetch_file(write.remote_file(CONTENT, "mnist/x.gz"), root, tmp_path / "nowhere")


def test_offline_without_the_file_opens_no_connection(root, write, monkeypatch):
    def connect(*arguments, **options):
        pytest.fail("opened a connection")

    monkeypatch.setattr("socket.create_connection", connect)
    monkeypatch.setattr(fetching, "download", connect)
    remote = write.remote_file(CONTENT, "mnist/x.gz", "https://example.invalid/x.gz")
    for mirror in (None, "http://127.0.0.1:9/mirror"):
        with pytest.raises(BadFileError, match=r"https://example\.invalid/x\.gz: not tried, offline"):
            fetch_file(remote, root, mirror, offline=True)


def test_a_data_root_that_cannot_be_written_is_named(tmp_path, write):
    (tmp_path / "root").write_text("a file where the folder should be")
    with pytest.raises(BadFileError, match=r"could not be put in place .* Set data\.root to a folder"):
        fetch_file(write.remote_file(CONTENT, "mnist/x.gz"), tmp_path / "root", offline=True)


class Packed:
    """A data set "cifar10" of two members in an archive, and a mirror that may hold it."""

    def __init__(self, tmp_path, write, monkeypatch, **extra: bytes):
        images = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
        self.members = {
            f"cifar-10-batches-bin/{name}.bin": write.cifar_binary(images, np.full(3, label))
            for label, name in enumerate(("data_batch_1", "test_batch"))
        }
        content = tar_of(**self.members, **extra)
        self.archive = write.remote_file(content, "cifar10/cifar-10-binary.tar.gz")
        train, test = (
            write.remote_file(member, f"cifar10/{name}", archive=self.archive) for name, member in self.members.items()
        )
        layout = registry.Layout("cifar10_binary", {"train": (train,), "test": (test,)})
        old = registry.DATASETS["cifar10"]
        monkeypatch.setitem(registry.DATASETS, "cifar10", replace(old, layouts=(layout, old.layouts[1])))
        self.mirror = tmp_path / "mirror"
        (self.mirror / "cifar10").mkdir(parents=True)
        (self.mirror / self.archive.path).write_bytes(content)


def test_an_archive_is_unpacked_checked_and_removed(tmp_path, root, write, monkeypatch):
    packed = Packed(tmp_path, write, monkeypatch)
    paths = data.fetch("cifar10", root, packed.mirror, offline=True)
    assert [path.name for path in paths] == ["data_batch_1.bin", "test_batch.bin"]
    assert write.visible(root) == [f"cifar10/{name}" for name in sorted(packed.members)]
    assert data.load("cifar10", "test", root).labels.tolist() == [1, 1, 1]
    assert (packed.mirror / packed.archive.path).exists()


def test_an_archive_that_the_user_put_there_stays(tmp_path, root, write, monkeypatch):
    packed = Packed(tmp_path, write, monkeypatch)
    shutil.copytree(packed.mirror, root)
    data.fetch("cifar10", root, offline=True)
    assert packed.archive.path in write.visible(root)
    assert data.verify("cifar10", root) == []


def test_an_unpacked_mirror_needs_no_archive(tmp_path, root, write, monkeypatch):
    packed = Packed(tmp_path, write, monkeypatch)
    (packed.mirror / packed.archive.path).unlink()
    (packed.mirror / "cifar10" / "cifar-10-batches-bin").mkdir()
    for name, content in packed.members.items():
        (packed.mirror / "cifar10" / name).write_bytes(content)
    data.fetch("cifar10", root, packed.mirror, offline=True)
    assert data.verify("cifar10", root) == []
    assert data.fetch("cifar10", packed.mirror, offline=True)[0].is_relative_to(packed.mirror)


@pytest.mark.parametrize(
    ("name", "message"),
    [("../evil", "'../evil' would be written outside"), ("/tmp/evil", "'/tmp/evil' would be written outside")],
)
def test_a_member_that_leaves_the_folder_is_refused(tmp_path, root, write, monkeypatch, name, message):
    packed = Packed(tmp_path, write, monkeypatch, **{name: b"evil"})
    with pytest.raises(BadFileError, match=message):
        data.fetch("cifar10", root, packed.mirror, offline=True)
    assert write.visible(root) == []
    assert not list(tmp_path.rglob("evil"))


def test_a_link_in_an_archive_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("innocent")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(BadFileError, match=r"a\.tar is refused: its member 'innocent' is neither a file nor a folder"):
        unpack(tmp_path / "a.tar")
    assert holds_only(tmp_path, "a.tar")


def test_a_damaged_archive_is_named_and_nothing_unpacked(tmp_path):
    content = tar_of(first=os.urandom(50_000), second=os.urandom(50_000))
    (tmp_path / "a.tar.gz").write_bytes(content[:80_000])
    with pytest.raises(BadFileError, match=r"a\.tar\.gz is no tar archive, or a damaged one"):
        unpack(tmp_path / "a.tar.gz")
    assert holds_only(tmp_path, "a.tar.gz")


def test_a_full_disk_while_unpacking_leaves_nothing(tmp_path, root, write, monkeypatch):
    packed = Packed(tmp_path, write, monkeypatch)

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile, "copyfileobj", full)
    with pytest.raises(BadFileError, match=r"the disk is full: .*data_batch_1\.bin could not be written"):
        data.fetch("cifar10", root, packed.mirror, offline=True)
    assert write.visible(root) == []
    assert not list(root.rglob("*.unpacking"))


def holds_only(folder, name):
    return [path.name for path in folder.iterdir()] == [name]


def test_a_missing_archive_lists_every_source(tmp_path, root, write, monkeypatch):
    packed = Packed(tmp_path, write, monkeypatch)
    (packed.mirror / packed.archive.path).unlink()
    with pytest.raises(BadFileError) as error:
        data.fetch("cifar10", root, packed.mirror, offline=True)
    for path in ("cifar-10-batches-bin/data_batch_1.bin", "cifar-10-binary.tar.gz"):
        assert f"{packed.mirror}/cifar10/{path}: not there" in str(error.value)


def test_verify_names_each_wrong_file(tmp_path, root, write, monkeypatch):
    packed = Packed(tmp_path, write, monkeypatch)
    first, second = data.fetch("cifar10", root, packed.mirror, offline=True)
    before = second.stat()
    second.write_bytes(second.read_bytes()[:-1] + b"\0")
    os.utime(second, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a failing disk would change it
    problems = data.verify("cifar10", root)
    assert len(problems) == 1
    assert problems[0].startswith(f"{second}: has sha256")
    first.unlink()
    assert f"{first}: not there" in data.verify("cifar10", root)
