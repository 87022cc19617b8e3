"""Where a run's data are: the settings, the environment, and the folders that become data sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from netalike import data
from netalike.data import folder
from netalike.data.place import MIRROR_VARIABLE, Place, place_of


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(folder, "_REGISTERED", {})
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)


def settings(**other: object) -> dict[str, object]:
    return {"root": "resources", "mirror": None, "offline": False, "folders": {}, **other}


def test_the_settings_as_they_are():
    assert place_of(settings()) == Place(Path("resources"), None, False)
    assert place_of(settings(root="/data", mirror="https://mirror.example", offline=True)) == Place(
        Path("/data"), "https://mirror.example", True
    )


def test_the_environment_names_a_mirror_where_the_settings_do_not(monkeypatch):
    assert MIRROR_VARIABLE == "NETALIKE_MIRROR"
    monkeypatch.setenv("NETALIKE_MIRROR", "/mirrors/own")
    assert place_of(settings()).mirror == "/mirrors/own"
    assert place_of(settings(mirror="/mirrors/explicit")).mirror == "/mirrors/explicit"
    monkeypatch.setenv("NETALIKE_MIRROR", "")
    assert place_of(settings()).mirror is None


def test_folders_become_data_sets(tmp_path):
    for kind in ("oak", "elm", "fir"):
        for number in range(12):
            path = tmp_path / "leaves" / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), (number, 0, 0)).save(path)
    leaves = {"path": str(tmp_path / "leaves"), "size": 16, "channels": 1, "test_share": 0.5}
    assert "leaves" not in data.names()
    place_of(settings(folders={"leaves": leaves}))
    spec = data.specification("leaves")
    assert (spec.classes, spec.channels, spec.size) == (("elm", "fir", "oak"), 1, 16)
    counts = {split: len(data.load("leaves", split, tmp_path / "root")) for split in ("train", "test")}
    assert sum(counts.values()) == 36
    assert 8 < counts["test"] < 28  # about half
    place_of(settings(folders={"leaves": leaves}))  # each script of a run does it again
    assert data.names().count("leaves") == 1
