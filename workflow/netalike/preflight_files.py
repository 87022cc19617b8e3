"""Which files of data and networks a run would miss; see `netalike.preflight`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from netalike.data import published
from netalike.data.checks import is_valid, problem
from netalike.data.registry import RemoteFile, specification

if TYPE_CHECKING:
    from netalike.configuration.models import Configuration, NetworkFamily

MIRROR_VARIABLE = "NETALIKE_MIRROR"
"""Names the mirror where the configuration names none; as in `netalike.data.place`."""
_AERIAL = "aerial"
_SHOWN = 3


@dataclass(frozen=True)
class Problem:
    """One thing that stands in the way of a run.

    Attributes
    ----------
    about : str
        In a word: data, network, GPU, ...
    found : str
        What was found, and what was expected.
    do : str
        What to do.
    """

    about: str
    found: str
    do: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.about}: {self.found}. To do: {self.do}."


@dataclass(frozen=True)
class Need:
    """What a run wants, and where it looks for it.

    Attributes
    ----------
    settings : Configuration
    files : frozenset of str or None
        What its jobs read and write; None is everything that the configuration names.
    mirror : str or None
        Folder or URL.
    folder : Path
        The working folder.
    environment : mapping of str to str
        Environment variables.
    """

    settings: Configuration
    files: frozenset[str] | None
    mirror: str | None
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The data root."""
        return self.folder / self.settings.data.root

    @property
    def mirror_folder(self) -> Path | None:
        """The mirror, if it is a folder that is there."""
        if self.mirror is None or _is_url(self.mirror):
            return None
        place = self.folder / self.mirror
        return place if place.is_dir() else None

    def wants(self, file: str) -> bool:
        """Whether a job reads or writes a file."""
        return self.files is None or file in self.files

    def datasets(self) -> list[str]:
        """The data sets that jobs read."""
        trained_on = [family.dataset for family in self.settings.networks.values()]
        known = dict.fromkeys([*self.settings.datasets(), *trained_on])
        return [name for name in known if self.wants(f"results/data/{name}.json")]

    def families(self) -> list[tuple[str, NetworkFamily]]:
        """The families that jobs train, bring in or read."""
        return [
            (name, family)
            for name, family in self.settings.networks.items()
            if any(self.wants(f"results/networks/{name}-s{seed}.safetensors") for seed in family.seeds)
        ]

    def imported(self) -> list[tuple[str, NetworkFamily]]:
        """Those that come from elsewhere, and are not in the results yet."""
        return [
            (name, family)
            for name, family in self.families()
            if family.learning is None
            if not all((self.folder / f"results/networks/{name}-s{s}.safetensors").exists() for s in family.seeds)
        ]


def place_problems(need: Need) -> Iterator[Problem]:
    """Find what contradicts itself in where data come from."""
    mirror, offline = need.mirror, need.settings.data.offline
    if mirror is not None and _is_url(mirror) and offline:
        found = f"data.offline is set, and the mirror {mirror} is an address, which is never asked then"
        yield Problem("mirror", found, "name a folder as data.mirror, or leave data.offline")
    elif mirror is not None and not _is_url(mirror) and not (need.folder / mirror).is_dir():
        origin = "data.mirror" if need.settings.data.mirror else MIRROR_VARIABLE
        yield Problem("mirror", f"{origin} is {mirror}, and there is no such folder", f"correct or unset {origin}")
    root = need.root
    if root.exists() and not root.is_dir():
        yield Problem("data", f"data.root is {root}, which is a file", "name a folder")


def data_problems(need: Need) -> Iterator[Problem]:
    """Find data sets that are missing, damaged, or not to be had."""
    wanted = need.datasets()
    for name in wanted:
        yield from _marker_problems(need, name)
        if name == _AERIAL:
            yield from _remote_problems(need, "data set aerial", published.files(_AERIAL), _AERIAL)
        elif name == "imagenet":
            yield from _imagenet_problems(need)
        elif name in need.settings.data.folders or name.startswith("folder:"):
            yield from _image_folder_problems(need, name)
        else:
            yield from _dataset_problems(need, name)


def _marker_problems(need: Need, name: str) -> Iterator[Problem]:
    """A marker that was cut off makes every job that reads it fail."""
    marker = need.folder / f"results/data/{name}.json"
    if not marker.exists():
        return
    try:
        sound = json.loads(marker.read_text()).get("name") == name
    except (ValueError, AttributeError, OSError):
        sound = False
    if not sound:
        yield Problem("data", f"the marker {marker} is damaged", f"delete {marker}; it is made again from the data")


def _dataset_problems(need: Need, name: str) -> Iterator[Problem]:
    layouts = specification(name).layouts
    complete = [files for files in (layout.all_files() for layout in layouts) if _all_in(files, need.root)]
    offered = [layout.all_files() for layout in layouts if _all_in(layout.all_files(), need.mirror_folder)]
    files = (complete or offered or [layouts[0].all_files()])[0]
    yield from _remote_problems(need, f"data set {name}", files, name)


def _remote_problems(need: Need, what: str, files: Sequence[RemoteFile], name: str) -> Iterator[Problem]:
    """Files that are wrong, and, where nothing may be downloaded, files that are nowhere."""
    there = [file for file in files if (need.root / file.path).is_file()]
    wrong = [file for file in there if not is_valid(need.root / file.path, file)]
    for file in wrong:
        path = need.root / file.path
        yield Problem("data", f"{path} {problem(path, file)}", f"delete it, and fetch it again: netalike fetch {name}")
    if not need.settings.data.offline:
        return
    if absent := [file for file in files if file not in there and not _all_in([file], need.mirror_folder)]:
        looked = f"{need.root}" + (f" nor in {need.mirror}" if need.mirror else "; no mirror is set")
        names = ", ".join(file.path for file in absent[:_SHOWN])
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        found = f"{what}: {names}{more} not in {looked}"
        do = f"with a network: netalike fetch {name} --data {need.settings.data.root}, or make fetch"
        yield Problem("data", found, do)


def _imagenet_problems(need: Need) -> Iterator[Problem]:
    folder = need.root / "imagenet"
    absent = [split for split in ("train", "val") if not (folder / split).is_dir()]
    if absent and not (folder / "val").is_dir():
        found = f"imagenet: {folder} has no folder val"
        yield Problem("data", found, f"put ImageNet there as its publisher lays it out: {folder}/val/n01440764/...")


def _image_folder_problems(need: Need, name: str) -> Iterator[Problem]:
    own = need.settings.data.folders.get(name)
    path = need.folder / (own.path if own is not None else name.removeprefix("folder:"))
    if not path.is_dir():
        key = f"data.folders.{name}.path" if own is not None else "the name of the data set"
        yield Problem("data", f"image folder {path}: there is no such folder", f"correct {key}")
    elif not any(child.is_dir() for child in path.iterdir()):
        yield Problem("data", f"image folder {path}: no folder in it", "sort the images into one folder per class")


def network_problems(need: Need) -> Iterator[Problem]:
    """Find networks from elsewhere that are missing, and recorded activations."""
    for name, family in need.imported():
        if family.weights is not None and family.weights.startswith("published:"):
            yield from _published_problems(need, family.weights.removeprefix("published:"))
        elif family.weights is not None:
            yield from _own_weights_problems(need, name, family)
        elif family.architecture.count(":") == 2 and family.architecture.startswith("torchvision:"):
            yield from _pretrained_problems(need, name, family.architecture)
    yield from _function_problems(need)
    yield from _recording_problems(need)


def _published_problems(need: Need, name: str) -> Iterator[Problem]:
    from netalike.networks.robust_names import is_robust_name, robust_checkpoint

    if not is_robust_name(name):
        yield from _remote_problems(need, f"networks {name}", published.files(name), name)
        return
    known = robust_checkpoint(name)
    if not _all_in([known.file], need.root) and not _all_in([known.file], need.mirror_folder):
        target = need.root / known.file.path
        do = f"curl -L --create-dirs -o {target} '{known.url}' (it has no checksum, so it is never fetched unasked)"
        yield Problem("network", f"{name} is not in {need.root}", do)


def _own_weights_problems(need: Need, name: str, family: NetworkFamily) -> Iterator[Problem]:
    files = [str(family.weights).replace("{seed}", str(seed)) for seed in family.seeds]
    if absent := [file for file in files if not (need.folder / file).is_file()]:
        found = f"networks.{name}.weights: no such file: {', '.join(absent[:_SHOWN])}"
        yield Problem("network", found, f"put it there, or correct networks.{name}.weights")


def _pretrained_problems(need: Need, name: str, architecture: str) -> Iterator[Problem]:
    """Weights that torchvision would download; their files begin with the architecture's name."""
    if not need.settings.data.offline:
        return
    home = Path(need.environment.get("HOME", "~")).expanduser()
    cache = Path(need.environment.get("XDG_CACHE_HOME") or home / ".cache")
    folder = Path(need.environment.get("TORCH_HOME") or cache / "torch") / "hub" / "checkpoints"
    _, model, weights = architecture.split(":")
    if not any(folder.glob(f"{model}*.pth")):
        found = f"networks.{name}: the pretrained weights {weights} of {model} are not in {folder}"
        do = f"with a network: netalike layers {architecture}, then copy that folder here, or set TORCH_HOME"
        yield Problem("network", found, do)


def _function_problems(need: Need) -> Iterator[Problem]:
    for name, family in need.families():
        if not family.architecture.startswith("file:"):
            continue
        path = need.folder / family.architecture.removeprefix("file:").rpartition(":")[0]
        if not path.is_file():
            found = f"networks.{name}.architecture: there is no file {path}"
            yield Problem("network", found, "write file:PATH:FUNCTION with the path from the folder of the run")


def _recording_problems(need: Need) -> Iterator[Problem]:
    for panel, settings in need.settings.panels.items():
        for name, file in settings.recordings.items():
            if need.wants(file) and not (need.folder / file).exists():
                found = f"panels.{panel}.recordings.{name}: there is no file {need.folder / file}"
                yield Problem(
                    "network", found, "record its activations first (docs/comparison.md), or correct the path"
                )


def _all_in(files: Sequence[RemoteFile], folder: Path | None) -> bool:
    """Whether all files lie in a folder, in their right size; they are not read."""
    if folder is None:
        return False
    paths = [(folder / file.path, file.size) for file in files]
    return all(path.is_file() and size in (None, os.stat(path).st_size) for path, size in paths)


def _is_url(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))
