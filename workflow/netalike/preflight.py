"""What a run would stumble over on this machine, all of it at once, before the first job.

Looks and never changes anything: no download, no framework is imported, and a file that was found right before is not
read again. ``python -m netalike.preflight --configfile config.yaml`` shows the same list without Snakemake.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netalike.errors import NetalikeError
from netalike.preflight_files import MIRROR_VARIABLE, Need, Problem, data_problems, network_problems, place_problems

if TYPE_CHECKING:
    from netalike.configuration.models import Configuration

__all__ = ["Machine", "Problem", "check", "missing_environments", "report", "require", "this_machine"]

FREE_GB = 2.0
"""Free disk space, in GB, below which a run is not begun: results, figures and recorded activations of a small run."""
OLDEST_SNAKEMAKE = (9, 0)
"""The oldest Snakemake on which the workflow was run."""

# what a job imports, by the rule's environment file
_PACKAGES = {
    "torch": ("torch", "torchvision", "safetensors", "sklearn", "scipy"),
    "tensorflow": ("tensorflow", "keras"),
    "report": ("pandas", "pyarrow", "matplotlib", "seaborn", "jinja2", "plotly"),
}


@dataclass(frozen=True)
class Machine:
    """What there is on a machine; a test describes another one.

    Attributes
    ----------
    cpus : int
        Processors that this process may use.
    memory_mb : float
        Of the whole machine.
    gpus : int
        NVIDIA GPUs that this process may see.
    apple : bool
        Whether it may have the device ``mps``.
    snakemake : tuple of int
        Major and minor version; empty where it is not installed.
    packages : frozenset of str or None
        What can be imported; None looks it up.
    free_gb : float or None
        On every disk; None looks it up.
    environment : mapping of str to str
        Environment variables.
    """

    cpus: int
    memory_mb: float
    gpus: int = 0
    apple: bool = False
    snakemake: tuple[int, ...] = OLDEST_SNAKEMAKE
    packages: frozenset[str] | None = None
    free_gb: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def has(self, package: str) -> bool:
        """Whether a package can be imported; it is not imported."""
        if self.packages is not None:
            return package in self.packages
        return importlib.util.find_spec(package) is not None

    def free(self, folder: Path) -> float:
        """Free space, in GB, on the disk of a folder that need not exist yet."""
        if self.free_gb is not None:
            return self.free_gb
        return shutil.disk_usage(_existing(folder)).free / 1e9


def this_machine() -> Machine:
    """Describe the machine that this process runs on.

    Returns
    -------
    Machine
    """
    return Machine(
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6,
        gpus=visible_gpus(os.environ),
        apple=os.uname().sysname == "Darwin",
        snakemake=_snakemake_version(),
        environment=dict(os.environ),
    )


def visible_gpus(environment: Mapping[str, str], devices: Path = Path("/dev")) -> int:
    """Count the NVIDIA GPUs that a process would see, without a framework.

    Parameters
    ----------
    environment : mapping
        CUDA_VISIBLE_DEVICES in it hides some, or all.
    devices : Path
        Where the driver puts ``nvidia0``, ``nvidia1``, ...

    Returns
    -------
    int
    """
    there = len([path for path in devices.glob("nvidia*") if path.name.removeprefix("nvidia").isdecimal()])
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return there
    return min(there, len([name for name in chosen.split(",") if name.strip() not in ("", "-1")]))


def check(
    settings: Configuration,
    machine: Machine | None = None,
    *,
    files: Iterable[str] | None = None,
    rules: Collection[str] | None = None,
    local: bool = True,
    conda: bool = False,
    environments: Sequence[str] = (),
    most_mb: float = 0,
    folder: str | Path = ".",
) -> list[Problem]:
    """Find everything that would stop a run, or that it would not do as it was asked.

    Parameters
    ----------
    settings : Configuration
        Validated.
    machine : Machine, optional
        This one by default.
    files : iterable of str, optional
        What the jobs of the run read and write, as Snakemake names it: only the data and networks among them are
        looked at. All of the configuration by default.
    rules : collection of str, optional
        The names of their rules, for the environments that they need; all by default.
    local : bool
        Whether jobs run on this machine: processors, memory and GPU of a login node say nothing about a cluster's.
    conda : bool
        Whether jobs run in environments of conda, so that this one's packages do not matter.
    environments : sequence of str
        Environment files whose environments are not there; see `missing_environments`.
    most_mb : float
        Memory that the largest job asks for, in MB.
    folder : path
        Where the run writes ``results``, ``logs`` and ``.snakemake``.

    Returns
    -------
    list of Problem
        In the order in which they are best solved; empty if there is none.

    Notes
    -----
    About 0.1 s; the first look at a data set in the data root reads it in full, for its checksum.
    """
    machine = machine or this_machine()
    mirror = settings.data.mirror or machine.environment.get(MIRROR_VARIABLE) or None
    need = Need(settings, None if files is None else frozenset(files), mirror, Path(folder), machine.environment)
    return [
        *_snakemake_problems(machine),
        *place_problems(need),
        *data_problems(need),
        *network_problems(need),
        *_environment_problems(machine, environments, conda),
        *([] if conda else _package_problems(machine, _frameworks(settings, rules))),
        *_folder_problems(Path(folder)),
        *_disk_problems(machine, Path(folder)),
        *(_hardware_problems(settings, machine, most_mb) if local else []),
    ]


def report(problems: Sequence[Problem]) -> str:
    """Write a numbered list of problems, each with what to do.

    Parameters
    ----------
    problems : sequence of Problem

    Returns
    -------
    str
        Without a final newline.
    """
    count = "1 thing stands" if len(problems) == 1 else f"{len(problems)} things stand"
    lines = [f"{number}. {problem}" for number, problem in enumerate(problems, 1)]
    return "\n  ".join([f"preflight: {count} in the way of this run:", *lines])


def require(settings: Configuration, **options: Any) -> str:
    """Refuse a run that would stumble, where it is offline; elsewhere only say so.

    Parameters
    ----------
    settings : Configuration
    **options
        As for `check`.

    Returns
    -------
    str
        The report, to be shown; empty if there is nothing to report.

    Raises
    ------
    NetalikeError
        With all problems, if ``data.offline`` is set and there is one: such a machine is one where a person has asked
        for all of them at once, and where a job that fails after hours is costly.
    """
    problems = check(settings, **options)
    if problems and settings.data.offline:
        raise NetalikeError(report(problems))
    return report(problems) if problems else ""


def missing_environments(workflow: Any, files: Iterable[str | Path]) -> list[str]:
    """Find the environments of conda that Snakemake would have to make.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    files : iterable of path
        Environment files.

    Returns
    -------
    list of str
        The names of those files whose environment is not in ``--conda-prefix``, or ``.snakemake/conda``; of all,
        without a command ``conda``.
    """
    if shutil.which("conda") is None:  # which Snakemake asks for the platform
        return [Path(file).name for file in files]
    from snakemake.deployment.conda import Env  # type: ignore[import-untyped]

    folder = str(workflow.deployment_settings.conda_prefix or Path(".snakemake/conda").absolute())
    found = {Path(file): Env(workflow, env_file=str(file), envs_dir=folder) for file in files}
    return [file.name for file, env in found.items() if not Path(env.address).is_dir()]


def _snakemake_version() -> tuple[int, ...]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return tuple(int(part) for part in version("snakemake").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return ()


def _snakemake_problems(machine: Machine) -> Iterator[Problem]:
    if machine.snakemake < OLDEST_SNAKEMAKE:
        found = ".".join(map(str, machine.snakemake)) or "not installed"
        oldest = ".".join(map(str, OLDEST_SNAKEMAKE))
        yield Problem(
            "Snakemake", f"{found}; the workflow needs {oldest} or newer", f"pip install 'snakemake>={oldest}'"
        )


def _environment_problems(machine: Machine, environments: Sequence[str], conda: bool) -> Iterator[Problem]:
    if conda and not any(shutil.which(name, path=machine.environment.get("PATH")) for name in ("conda", "mamba")):
        yield Problem(
            "conda", "no command `conda` on PATH", "load your cluster's module for conda, or leave --use-conda"
        )
    if environments:
        names = ", ".join(environments)
        do = "on a machine with network access that sees this folder: snakemake --use-conda --conda-create-envs-only"
        yield Problem("environments", f"not made yet: {names}", f"{do} --cores 1")


def _frameworks(settings: Configuration, rules: Collection[str] | None) -> list[str]:
    keras = bool(settings.shared_response.alignments or settings.input_similarity.map_alignments)
    if rules is not None:
        keras = bool({"train_keras", "align_maps"} & set(rules))
    return ["torch", *(["tensorflow"] if keras else []), "report"]


def _package_problems(machine: Machine, frameworks: Sequence[str]) -> Iterator[Problem]:
    for framework in frameworks:
        absent = [package for package in _PACKAGES[framework] if not machine.has(package)]
        if absent:
            do = f"pip install 'netalike[{framework}]', or add --use-conda"
            yield Problem("packages", f"not installed in Snakemake's environment: {', '.join(absent)}", do)


def _folder_problems(folder: Path) -> Iterator[Problem]:
    for name in ("results", "logs", ".snakemake"):
        place = _existing(folder / name)
        if not place.is_dir():
            yield Problem("folder", f"{place} is a file, and {name} has to be a folder", f"move {place} away")
        elif not os.access(place, os.W_OK | os.X_OK):
            yield Problem("folder", f"{place} may not be written to", "run in a folder of yours: snakemake --directory")


def _disk_problems(machine: Machine, folder: Path) -> Iterator[Problem]:
    free = machine.free(folder / "results")
    if free < FREE_GB:
        what = f"{free:.1f} GB are free for {folder / 'results'}; a run needs at least {FREE_GB:.0f} GB"
        yield Problem("disk", what, "make room, or run on another disk: snakemake --directory")


def _hardware_problems(settings: Configuration, machine: Machine, most_mb: float) -> Iterator[Problem]:
    yield from _device_problems(settings.resources.device, machine)
    yield from _thread_problems(settings, machine)
    blocks = (settings.resources.memory_gb + 0.5) * 1000
    needed = max(most_mb, blocks)
    if needed > machine.memory_mb:
        lever = "lower resources.memory_gb" if blocks >= most_mb else "take fewer images, or a machine with more memory"
        yield Problem("memory", f"a job needs {needed:.0f} MB, this machine has {machine.memory_mb:.0f} MB", lever)


def _device_problems(device: str, machine: Machine) -> Iterator[Problem]:
    kind, _, index = device.partition(":")
    if kind == "cuda" and int(index or 0) >= machine.gpus:
        hidden = machine.environment.get("CUDA_VISIBLE_DEVICES")
        why = "" if hidden is None else f" (CUDA_VISIBLE_DEVICES is {hidden!r})"
        what = f"resources.device is {device}, and {machine.gpus} NVIDIA GPUs are visible here{why}"
        yield Problem("GPU", what, "ask the scheduler for a GPU, or set resources.device to cpu or auto")
    if kind == "mps" and not machine.apple:
        yield Problem("GPU", "resources.device is mps, and this is no Apple machine", "set resources.device to cpu")


def _thread_problems(settings: Configuration, machine: Machine) -> Iterator[Problem]:
    asked = {"resources.threads_per_job": settings.resources.threads_per_job}
    asked |= {f"networks.{name}.threads": family.threads or 1 for name, family in settings.networks.items()}
    for key, count in asked.items():
        if count > machine.cpus:
            what = f"{key} is {count}, and this machine has {machine.cpus} processors"
            yield Problem("threads", what, f"set {key} to {machine.cpus} or less")
    given = machine.environment.get("OMP_NUM_THREADS", "1")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in given.split(",")):
        yield Problem("threads", f"OMP_NUM_THREADS is {given!r}", "set it to a whole number of at least 1, or unset it")


def _existing(path: Path) -> Path:
    """The path, or the nearest of its parents that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what stands in the way of a run on this machine.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default; ``--help`` lists them.

    Returns
    -------
    int
        Exit status: 0 if there is nothing, else 1.
    """
    import argparse

    from netalike import configuration

    parser = argparse.ArgumentParser(prog="python -m netalike.preflight", description=__doc__)
    parser.add_argument("--configfile", type=Path, help="the preset quick by default")
    parser.add_argument("--offline", action="store_true", help="as with data.offline")
    parser.add_argument("--use-conda", action="store_true", help="jobs run in environments of conda")
    parser.add_argument("--cluster", action="store_true", help="jobs run on other machines")
    given = parser.parse_args(arguments)
    try:
        settings = configuration.load(given.configfile or {})
    except NetalikeError as error:
        parser.exit(2, f"error: {error}\n")
    if given.offline:
        settings = settings.model_copy(update={"data": settings.data.model_copy(update={"offline": True})})
    problems = check(settings, local=not given.cluster, conda=given.use_conda)
    print(report(problems) if problems else "preflight: nothing stands in the way of this run")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
