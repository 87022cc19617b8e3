"""Provenance names what a run was made with, never who made it or where."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from netalike.evidence.provenance import UNKNOWN, collect


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_the_commit_and_whether_files_differ(repository):
    clean = collect({}, "quick", repository)
    assert clean.commit == git(repository, "rev-parse", "HEAD")
    assert clean.dirty is False
    (repository / "file").write_text("2")
    assert collect({}, "quick", repository).dirty is True


def test_outside_a_repository_the_commit_is_unknown(tmp_path):
    found = collect({}, "quick", tmp_path)
    assert (found.commit, found.dirty) == (UNKNOWN, None)


def test_a_folder_inside_another_repository_does_not_show_its_commit(repository):
    inside = repository / "inside"
    inside.mkdir()
    assert collect({}, "quick", inside).commit == UNKNOWN


def test_a_repository_without_a_commit_is_no_error(tmp_path):
    git(tmp_path, "init", "-q")
    assert collect({}, "quick", tmp_path).commit == UNKNOWN


def test_without_git_the_commit_is_unknown(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert collect({}, "quick", repository).commit == UNKNOWN


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/home/alice/data/mnist", "…/mnist"),
        ("~alice/data", "…/data"),
        ("folder:/home/alice/photos", "folder:…/photos"),
        ("file:/home/alice/net.py:build", "file:…/net.py:build"),
        ("file:///home/alice/mirror", "…/mirror"),
        (r"C:\Users\alice\mirror", "…/mirror"),
        ("https://alice:secret@example.org/data/x", "https://example.org/data/x"),
        ("results/figures", "results/figures"),
        ("torchvision:resnet18:IMAGENET1K_V1", "torchvision:resnet18:IMAGENET1K_V1"),
        ("rank=8; 1/2 of them", "rank=8; 1/2 of them"),
    ],
)
def test_paths_outside_are_cut_and_secrets_dropped(tmp_path, given, expected):
    assert collect({"a": [{"b": given}]}, "quick", tmp_path).configuration == {"a": [{"b": expected}]}


def test_paths_inside_the_repository_are_relative(tmp_path):
    found = collect({"root": tmp_path / "resources" / "mnist"}, "quick", tmp_path)
    assert found.configuration == {"root": "resources/mnist"}


def test_no_host_user_or_home_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "secret-host")
    found = json.dumps(dataclasses.asdict(collect({"root": str(Path.home() / "x")}, "quick", tmp_path)))
    assert "secret-host" not in found
    assert str(tmp_path) not in found
    assert str(Path.home()) + "/" not in found
    assert getpass.getuser() == "root" or getpass.getuser() not in found


def test_fingerprints_come_from_what_the_data_rule_wrote(tmp_path):
    facts = tmp_path / "digits.json"
    facts.write_text(json.dumps({"name": "digits", "sha256": {"train": "ab", "test": "cd"}}))
    broken = tmp_path / "broken.json"
    broken.write_text("[]")
    found = collect({}, "quick", tmp_path, [facts, broken, tmp_path / "missing.json"])
    assert found.fingerprints == {"digits/train": "ab", "digits/test": "cd"}


def test_seeds_are_found_at_every_depth(tmp_path):
    config = {"seed": 1, "networks": {"seeds": [0, 1], "epochs": 3}, "a": {"b": {"batch_seed": 7}}}
    assert collect(config, "quick", tmp_path).seeds == {"seed": 1, "networks.seeds": [0, 1], "a.b.batch_seed": 7}


def test_versions_are_those_installed_and_only_those(tmp_path):
    packages = collect({}, "quick", tmp_path).packages
    assert packages["numpy"] == version("numpy")
    assert "netalike" in packages
    assert all(packages.values())


def test_the_time_can_be_fixed(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert collect({}, "quick", tmp_path).created == "1970-01-02T00:00:00Z"


def test_cores_are_those_that_may_be_used(tmp_path):
    assert 1 <= collect({}, "quick", tmp_path).cores <= (os.cpu_count() or 1)
