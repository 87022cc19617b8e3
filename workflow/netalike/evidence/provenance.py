"""Where numbers come from: versions, commit, configuration, machine; nothing that names a person or a host."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

UNKNOWN = "unknown"

_PACKAGES = (
    "netalike",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "torch",
    "torchvision",
    "safetensors",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "brainiak",
    "snakemake",
    "matplotlib",
    "seaborn",
    "plotly",
    "jinja2",
    "pydantic",
)

# an absolute path where a word may start: at the beginning, or after a space, a quote or a separator; not in a URL
_PATH = re.compile(r"""(?:file://|(?<![^\s:=,;'"(\[]))(?:~[\w.-]*|[A-Za-z]:[\\/]|\\\\|/(?!/))[^\s:=,;'")\]]*""")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True)
class Provenance:
    """What a run was made with.

    Attributes
    ----------
    preset : str
    configuration : dict
        In force, with paths outside the repository cut to their last part.
    seeds : dict
        Every key of the configuration that names a seed, dotted, with its value.
    packages : dict
        Version of each installed package that matters.
    python, platform : str
    cores : int
        That this process may use.
    memory_gib : float or None
    commit : str
        Git commit of the repository, or "unknown".
    dirty : bool or None
        Whether files differ from the commit; None where that is unknown.
    created : str
        Time of the run, UTC, ISO 8601; from SOURCE_DATE_EPOCH where that is set.
    fingerprints : dict
        SHA-256 of each data set as it was used, under "name/split".
    """

    preset: str
    configuration: dict[str, Any] = field(default_factory=dict)
    seeds: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    python: str = UNKNOWN
    platform: str = UNKNOWN
    cores: int = 1
    memory_gib: float | None = None
    commit: str = UNKNOWN
    dirty: bool | None = None
    created: str = UNKNOWN
    fingerprints: dict[str, str] = field(default_factory=dict)


def collect(
    config: Mapping[str, Any],
    preset: str,
    repo_root: str | Path,
    data_facts: Iterable[str | Path] = (),
) -> Provenance:
    """Collect what a run is made with; what cannot be known is said to be unknown, never an error.

    Parameters
    ----------
    config : mapping
        The configuration in force.
    preset : str
    repo_root : path
        The checkout; need not be a git repository.
    data_facts : iterable of path
        What the rule that fetches a data set writes down: JSON with its `name` and the `sha256` of each split.

    Returns
    -------
    Provenance
        Without host names, user names and absolute paths.
    """
    root = Path(repo_root).resolve()
    configuration = _public(dict(config), root)
    commit, dirty = _commit(root)
    return Provenance(
        preset=preset,
        configuration=configuration,
        seeds=dict(_seeds(configuration)),
        packages=_versions(_PACKAGES),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}".strip() or UNKNOWN,
        cores=_cores(),
        memory_gib=_memory_gib(),
        commit=commit,
        dirty=dirty,
        created=_now(),
        fingerprints=dict(_fingerprints(data_facts)),
    )


def _public(value: Any, root: Path) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _public(entry, root) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_public(entry, root) for entry in value]
    if isinstance(value, str | Path):
        return _without_paths(str(value), root)
    return value


def _without_paths(text: str, root: Path) -> str:
    def shorten(match: re.Match[str]) -> str:
        path = match[0].removeprefix("file://")
        try:
            return Path(path).relative_to(root).as_posix()
        except ValueError:
            return "…/" + re.split(r"[\\/]", path.rstrip("\\/"))[-1]

    return _PATH.sub(shorten, _CREDENTIALS.sub("", text))


def _seeds(configuration: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            yield from _seeds(value, f"{prefix}{key}.")
        elif "seed" in key:
            yield f"{prefix}{key}", value


def _fingerprints(paths: Iterable[str | Path]) -> Iterable[tuple[str, str]]:
    for path in [paths] if isinstance(paths, str | Path) else paths:
        try:
            facts = json.loads(Path(path).read_text(encoding="utf-8"))
            splits = [(f"{facts['name']}/{split}", str(sha256)) for split, sha256 in facts["sha256"].items()]
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue  # the page then says that the fingerprint was not recorded
        yield from splits


def _versions(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an environment holds what its rules need, not everything
            continue
    if "netalike" not in found:
        from netalike import __version__

        found = {"netalike": __version__, **found}
    return found


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _commit(root: Path) -> tuple[str, bool | None]:
    top = _git(root, "rev-parse", "--show-toplevel")
    # A copy unpacked inside somebody else's repository must not show that repository's commit.
    if top is None or Path(top).resolve() != root:
        return UNKNOWN, None
    commit, status = _git(root, "rev-parse", "--verify", "HEAD"), _git(root, "status", "--porcelain")
    return commit or UNKNOWN, None if commit is None or status is None else bool(status)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        import psutil  # type: ignore[import-untyped]
    except ImportError:
        return None
    return round(float(psutil.virtual_memory().total) / 2**30, 1)


def _now() -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
