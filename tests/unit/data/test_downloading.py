"""Downloading from a server on loopback that cuts, lies and fails."""

import errno
import socket
import threading

import pytest

from netalike.data import downloading
from netalike.data.fetching import fetch_file
from netalike.errors import BadFileError

CONTENT = bytes(range(256)) * 40  # 10,240 bytes
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_good_file_arrives(site, root, write):
    site.files["x.bin"] = CONTENT
    path = fetch_file(write.remote_file(CONTENT, "d/x.bin", site.url("x.bin")), root)
    assert path.read_bytes() == CONTENT
    assert write.visible(root) == ["d/x.bin"]
    fetch_file(write.remote_file(CONTENT, "d/x.bin", site.url("x.bin")), root)
    assert site.asked == [("x.bin", None)]


def test_a_mirror_url_comes_first(site, root, write):
    site.files |= {"mirror/d/x.bin": CONTENT, "x.bin": CONTENT}
    remote = write.remote_file(CONTENT, "d/x.bin", site.url("x.bin"))
    fetch_file(remote, root, mirror=site.url("mirror/"))
    assert [path for path, _ in site.asked] == ["mirror/d/x.bin"]


def test_the_publisher_follows_a_mirror_without_the_file(site, root, write):
    site.files["x.bin"] = CONTENT
    fetch_file(write.remote_file(CONTENT, "d/x.bin", site.url("x.bin")), root, mirror=site.url("mirror"))
    assert [path for path, _ in site.asked] == ["mirror/d/x.bin", "x.bin"]


def test_a_cut_connection_is_continued(site, root, write):
    site.files["x.bin"], site.cuts["x.bin"] = CONTENT, [4000]
    path = fetch_file(write.remote_file(CONTENT, "d/x.bin", site.url("x.bin")), root)
    assert path.read_bytes() == CONTENT
    assert site.asked == [("x.bin", None), ("x.bin", "bytes=4000-")]


def test_without_ranges_it_starts_over(site, root, write):
    site.files["x.bin"], site.cuts["x.bin"], site.ranges = CONTENT, [4000], False
    path = fetch_file(write.remote_file(CONTENT, "d/x.bin", site.url("x.bin")), root)
    assert path.read_bytes() == CONTENT


def test_a_connection_cut_too_often_leaves_a_part_for_the_next_call(site, root, write):
    site.files["x.bin"], site.cuts["x.bin"] = CONTENT, [1000, 2000, 3000]
    remote = write.remote_file(CONTENT, "d/x.bin", site.url("x.bin"))
    with pytest.raises(BadFileError, match="connection cut 3 times, 3000 bytes arrived; run again to continue"):
        fetch_file(remote, root)
    assert write.visible(root) == ["d/x.bin.part"]
    assert fetch_file(remote, root).read_bytes() == CONTENT
    assert site.asked[-1] == ("x.bin", "bytes=3000-")
    assert write.visible(root) == ["d/x.bin"]


def test_a_whole_part_is_not_downloaded_again(site, root, write):
    (root / "d").mkdir(parents=True)
    (root / "d" / "x.bin.part").write_bytes(CONTENT)
    path = fetch_file(write.remote_file(CONTENT, "d/x.bin", site.url("x.bin")), root)
    assert path.read_bytes() == CONTENT
    assert site.asked == []


@pytest.mark.parametrize("stale", [b"another file's beginning", b"z" * 20_000])
def test_a_stale_part_is_thrown_away(site, root, write, stale):
    site.files["x.bin"] = CONTENT
    (root / "d").mkdir(parents=True)
    (root / "d" / "x.bin.part").write_bytes(stale)
    path = fetch_file(write.remote_file(CONTENT, "d/x.bin", site.url("x.bin")), root)
    assert path.read_bytes() == CONTENT
    assert write.visible(root) == ["d/x.bin"]


@pytest.mark.parametrize(
    ("served", "message"),
    [
        (CONTENT[:5000], "has 5000 bytes, expected 10240"),
        (b"", "has 0 bytes, expected 10240; it is empty"),
        (CONTENT[::-1], "has sha256 [0-9a-f]{64}, expected [0-9a-f]{64}"),
        (PAGE, "it is an HTML page, not the file"),
    ],
)
def test_a_wrong_file_is_named_and_removed(site, root, write, served, message):
    site.files["x.bin"] = served
    with pytest.raises(BadFileError, match=f"{site.url('x.bin')}: .*{message}") as error:
        fetch_file(write.remote_file(CONTENT, "d/x.bin", site.url("x.bin")), root)
    assert "Set data.mirror to a folder or URL that holds d/x.bin, or put the file at" in str(error.value)
    assert write.visible(root) == []


@pytest.mark.parametrize(("status", "reason"), [(404, "Not Found"), (500, "Internal Server Error")])
def test_an_http_error_is_named_and_the_next_url_tried(site, root, write, status, reason):
    site.files |= {"bad.bin": CONTENT, "good.bin": CONTENT}
    site.status["bad.bin"] = status
    with pytest.raises(BadFileError, match=f"bad.bin: HTTP {status} {reason}"):
        fetch_file(write.remote_file(CONTENT, "d/x.bin", site.url("bad.bin")), root)
    assert write.visible(root) == []
    both = write.remote_file(CONTENT, "d/x.bin", site.url("bad.bin"), site.url("good.bin"))
    assert fetch_file(both, root).read_bytes() == CONTENT


def test_no_network_is_named(site, root, write):
    url = f"http://127.0.0.1:{closed_port()}/x.bin"
    with pytest.raises(BadFileError, match=rf"{url}: cannot connect \(ConnectionRefusedError: .*refused\)"):
        fetch_file(write.remote_file(CONTENT, "d/x.bin", url), root)
    assert write.visible(root) == []


def test_a_full_disk_is_named_and_nothing_stays(site, root, write, monkeypatch):
    site.files["x.bin"] = CONTENT

    def full(file, chunk):
        file.write(chunk[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloading, "_write", full)
    with pytest.raises(BadFileError, match=r"the disk is full: .*x\.bin could not be written, \d+ MiB are free"):
        fetch_file(write.remote_file(CONTENT, "d/x.bin", site.url("x.bin")), root)
    assert write.visible(root) == []


def test_threads_that_want_the_same_file_download_it_once(site, root, write):
    site.files["x.bin"] = CONTENT * 50
    remote = write.remote_file(CONTENT * 50, "d/x.bin", site.url("x.bin"))
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch_file(remote, root).read_bytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT * 50] * 4
    assert len(site.asked) == 1
