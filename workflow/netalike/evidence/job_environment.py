"""The environment that a job really ran in: recorded once for each environment, with a warning where it was not tested.

Of the standard library alone: every job imports this module, whatever its environment holds.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType

FOLDER = "results/environments"
EVERY_RULE = "every rule"  # the name where Snakemake ran without conda: one environment for all rules

# Module -> the distributions that may bring it. TensorFlow has a build without CUDA under another name.
_DISTRIBUTIONS = {
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "sklearn": ("scikit-learn",),
    "pandas": ("pandas",),
    "pyarrow": ("pyarrow",),
    "pydantic": ("pydantic",),
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
    "keras": ("keras",),
    "brainiak": ("brainiak",),
    "safetensors": ("safetensors",),
    "PIL": ("pillow",),
    "shapely": ("shapely",),
    "matplotlib": ("matplotlib",),
    "seaborn": ("seaborn",),
    "jinja2": ("jinja2",),
    "plotly": ("plotly",),
}
# Framework -> release that the environments in `envs` pin, and all results of this repository were made with. A patch
# release of the same is taken for tested.
TESTED = {"torch": "2.13", "torchvision": "0.28", "tensorflow": "2.21", "keras": "3.15", "brainiak": "0.12"}


@dataclass(frozen=True)
class JobEnvironment:
    """What one environment holds.

    Attributes
    ----------
    name : str
        Of the file in `envs` that it was made from, or `EVERY_RULE`.
    python : str
    packages : dict of str to str
        Version of each installed package that results depend on.
    """

    name: str
    python: str
    packages: dict[str, str] = field(default_factory=dict)


def current() -> JobEnvironment:
    """Describe the environment of this process, without importing any package.

    Returns
    -------
    JobEnvironment
        Inside a conda environment only of what lies in it: Snakemake puts its own packages behind those of a job, and
        these are not the environment's. Takes some milliseconds.
    """
    prefix = Path(sys.prefix)
    places = [path for path in sys.path if not _is_conda(prefix) or Path(path).is_relative_to(prefix)]
    found = {name: _version(name, places) for names in _DISTRIBUTIONS.values() for name in names}
    versions = {name: number for name, number in found.items() if number}
    return JobEnvironment(_name(prefix), platform.python_version(), versions)


def record(environment: JobEnvironment, log: str | Path) -> Path | None:
    """Write an environment into the folder `results/environments` beside the folder `logs`, unless it is there.

    Parameters
    ----------
    environment : JobEnvironment
    log : path
        The job's log file, somewhere in a folder ``logs``.

    Returns
    -------
    Path or None
        None where the log is in no such folder, or the file could not be written: a job must not fail for that.
    """
    parts = Path(log).parts
    if "logs" not in parts[:-1]:
        return None
    work = Path(*parts[: parts.index("logs")])
    path = work / FOLDER / f"{environment.name.replace(' ', '_')}.json"
    text = json.dumps(asdict(environment), indent=2, sort_keys=True) + "\n"
    try:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            _replace(path, text)
    except OSError:
        return None
    return path


def read(folder: str | Path) -> list[JobEnvironment]:
    """Read every recorded environment.

    Parameters
    ----------
    folder : path
        `results/environments` of a run; need not exist.

    Returns
    -------
    list of JobEnvironment
        By name; a file that is no record is left out.
    """
    found = []
    for path in sorted(Path(folder).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            given = json.loads(path.read_text(encoding="utf-8"))
            packages = {str(name): str(number) for name, number in dict(given["packages"]).items()}
            found.append(JobEnvironment(str(given["name"]), str(given["python"]), packages))
    return found


def warnings(environment: JobEnvironment, modules: Mapping[str, ModuleType] | None = None) -> list[str]:
    """Say what a reader of a job's log should know of the packages that the job used.

    Parameters
    ----------
    environment : JobEnvironment
        That of this process.
    modules : mapping of str to module, optional
        What was imported; this process's own by default.

    Returns
    -------
    list of str
        A sentence for each framework of a release that was not tested, and one for each package that is missing in the
        conda environment and was taken from Snakemake's own.
    """
    imported = sys.modules if modules is None else modules
    untested = [_untested(name, environment) for name in TESTED if name in imported]
    borrowed = [_borrowed(name, environment, imported[name]) for name in _DISTRIBUTIONS if name in imported]
    return [sentence for sentence in (*untested, *borrowed) if sentence]


def _untested(module: str, environment: JobEnvironment) -> str:
    for name in _DISTRIBUTIONS[module]:
        number, tested = environment.packages.get(name, ""), TESTED[module]
        if number and number.split(".")[:2] != tested.split("."):
            return (
                f"Warning: this job ran with {name} {number}, tested is {tested}: numbers may differ from those shown."
            )
    return ""


def _borrowed(module: str, environment: JobEnvironment, loaded: ModuleType) -> str:
    prefix, file = Path(sys.prefix), getattr(loaded, "__file__", None)
    if not _is_conda(prefix) or file is None or Path(file).is_relative_to(prefix):
        return ""
    return (
        f"Warning: {module} is not in the environment {environment.name}; this job took it from Snakemake's own. "
        f"Add it to envs/{environment.name}.yaml."
    )


def _is_conda(prefix: Path) -> bool:
    return (prefix / "conda-meta").is_dir()


def _name(prefix: Path) -> str:
    # Snakemake leaves the file that an environment was made from beside it, or in it where it built a container.
    for path in (Path(f"{prefix}.yaml"), prefix / "environment.yaml"):
        with contextlib.suppress(OSError):
            match = re.search(r"^name:\s*netalike-([\w-]+)\s*$", path.read_text(encoding="utf-8"), re.MULTILINE)
            if match:
                return match[1]
    return EVERY_RULE


def _version(name: str, places: list[str]) -> str:
    found = next(iter(Distribution.discover(name=name, path=places)), None)
    return found.version if found else ""


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # jobs end side by side: each writes a file of its own, and moves it into place
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
