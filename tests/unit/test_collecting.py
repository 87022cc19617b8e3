"""Everything that a run downloads, brought into place at once; here from a mirror folder."""

import gzip
import hashlib
from pathlib import Path

import pytest

from netalike import collecting, configuration
from netalike.data import published
from netalike.data.registry import RemoteFile


@pytest.fixture
def collection(monkeypatch) -> bytes:
    """Published networks of two small files, instead of the authors'."""
    content = gzip.compress(b"weights", mtime=0)
    sha256 = hashlib.sha256(content).hexdigest()
    files = tuple(RemoteFile(f"networks/tiny10/in{k}-gn{k}.pt", (), len(content), sha256) for k in (0, 1))
    monkeypatch.setattr(published, "files", lambda name: files)
    return content


def values(tmp_path: Path) -> dict:
    own = {"architecture": "tiny10", "dataset": "digits", "weights": None}
    data = {"root": str(tmp_path / "root"), "mirror": str(tmp_path / "mirror"), "offline": True}
    authors = {**own, "dataset": "cifar10", "weights": "published:tiny10-authors"}
    return {"data": data, "networks": {"authors": authors}}


def test_what_a_mirror_has_is_put_in_place_and_what_is_missing_is_told_at_the_end(tmp_path, collection):
    (tmp_path / "mirror/networks/tiny10").mkdir(parents=True)
    for k in (0, 1):
        (tmp_path / f"mirror/networks/tiny10/in{k}-gn{k}.pt").write_bytes(collection)
    shown: list[str] = []
    failed = collecting.collect(configuration.load(values(tmp_path)), shown.append)
    assert (tmp_path / "root/networks/tiny10/in1-gn1.pt").read_bytes() == collection
    assert "data set digits: nothing to fetch" in shown
    assert [line for line in shown if line.startswith("published:tiny10-authors: in ")]
    # CIFAR-10 is in no mirror here: it stopped nothing
    assert len(failed) == 1
    assert failed[0].startswith("data set cifar10: could not get ")


def test_the_command_ends_with_1_where_something_is_missing(tmp_path, collection, capsys):
    import yaml

    (tmp_path / "own.yaml").write_text(yaml.safe_dump(values(tmp_path)))
    assert collecting.main(["--configfile", str(tmp_path / "own.yaml")]) == 1
    assert "missing: data set cifar10: " in capsys.readouterr().out
    assert collecting.main([]) == 0
    assert "data set digits: nothing to fetch" in capsys.readouterr().out
