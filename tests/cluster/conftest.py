"""A SLURM cluster of two nodes on this machine, and copies of the checkout to run in."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

HERE = Path(__file__).resolve().parent
NEEDED = ("Snakefile", "config.yaml", "rules", "envs", "profiles", "workflow")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scancel", "scontrol")
ASKED = "NETALIKE_TEST_CLUSTER"
PLUGIN = "snakemake_executor_plugin_slurm"
INSTALL = "apt-get install -y --no-install-recommends slurm-wlm munge"


def missing() -> list[str]:
    """What this machine lacks for a cluster of its own, in words."""
    found = []
    absent = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if absent:
        found.append(f"{', '.join(absent)} ({INSTALL})")
    if importlib.util.find_spec(PLUGIN) is None:
        found.append(f"the executor plugin (pip install {PLUGIN.replace('_', '-')})")
    if os.geteuid() != 0:
        found.append("root, who alone can start slurmctld, slurmd and munged")
    if os.path.lexists("/etc/slurm/slurm.conf"):
        found.append("a machine without a SLURM of its own (/etc/slurm/slurm.conf exists)")
    return found


class Cluster:
    """The running cluster: which jobs there are and where, and how to break it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ask(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    def jobs(self, state: str = "all") -> dict[str, tuple[str, str, str]]:
        """Rule, state and node of each job, by its number; SLURM's own number order."""
        lines = self.ask("squeue", "--noheader", "--states", state, "--sort=i", "--format=%i|%k|%T|%N").splitlines()
        return {job: (comment, status, node) for job, comment, status, node in (line.split("|") for line in lines)}

    def running(self, rule: str) -> dict[str, str]:
        """Nodes of the running jobs of a rule, by the job's number."""
        return {job: node for job, (comment, _, node) in self.jobs("running").items() if rule in comment}

    def nodes(self) -> dict[str, str]:
        """State of each node, by its name; * where it does not answer."""
        lines = self.ask("sinfo", "--noheader", "--Node", "--format=%N|%t").splitlines()
        return dict(line.split("|") for line in lines)

    def kill_node(self, node: str) -> None:
        """As if a machine lost its power: its slurmd and all of its jobs' processes are gone."""
        doomed = [process for process in psutil.process_iter() if _runs_on(process, node)]
        steps = [parent for process in doomed for parent in process.parents() if "slurmstepd" in parent.name()]
        daemon = psutil.Process(int((self.folder / f"slurmd.{node}.pid").read_text()))
        for process in dict.fromkeys([daemon, *steps, *doomed]):
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue

    def wait_for(self, what: str, found: Callable[[], Any], seconds: float = 120) -> Any:
        """What a function returns as soon as that is true; the test fails where it never is."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if answer := found():
                return answer
            time.sleep(0.3)
        return pytest.fail(f"not within {seconds:g} s: {what}\n{self.jobs()}\n{self.nodes()}\n{self.logs()}")

    def logs(self) -> str:
        return "\n".join(f"{path.name}:\n{path.read_text()[-2000:]}" for path in (self.folder / "log").glob("*.log"))


def _runs_on(process: psutil.Process, node: str) -> bool:
    """Whether a process belongs to a job on a node: there is no other SLURM on this machine, see `missing`."""
    try:
        return process.environ().get("SLURMD_NODENAME") == node
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes with two CPUs each; skipped where the machine cannot have them, or nobody asked."""
    if os.environ.get(ASKED) != "1":
        pytest.skip(f"starts SLURM as root and takes minutes: make test-cluster, or {ASKED}=1")
    if lacking := missing():
        pytest.skip("no SLURM cluster here; needed: " + "; ".join(lacking))
    # short: a socket's path has at most 108 characters
    folder = Path("/tmp") / f"netalike-slurm-{os.getpid()}"
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    try:
        subprocess.run([HERE / "slurm_up.sh", folder, "2"], check=True, timeout=120)
        yield Cluster(folder)
    finally:
        subprocess.run([HERE / "slurm_down.sh", folder], check=False, timeout=60)
        del os.environ["SLURM_CONF"]
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def copies(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a copy of what a run needs, without results; with a configuration of its own, or the small one."""

    def make(name: str, configuration: str | None = None) -> Path:
        copy = tmp_path_factory.mktemp(name)
        for needed in NEEDED:
            source = repository / needed
            if source.is_dir():
                shutil.copytree(source, copy / needed, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, copy / needed)
        (copy / "small.yaml").write_text(configuration or (HERE / "small.yaml").read_text())
        return copy

    return make


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start Snakemake in a copy; its output goes to run.txt there."""

    def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "small.yaml"]
        env = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
        env.pop("PYTHONPATH", None)
        with (folder / "run.txt").open("a") as output:
            return subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT, text=True)

    return started


@pytest.fixture(scope="session")
def on_slurm() -> list[str]:
    """The profile, and what differs on a test's cluster.

    Nobody else waits there, and no database remembers jobs. No conda: the environment of the tests.
    """
    return [
        *("--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue", "--slurm-no-account"),
        *("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "15", "--jobs", "2"),
        *("--software-deployment-method", "env-modules"),
    ]
