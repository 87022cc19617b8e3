"""Running the workflow as a user does, in a copy of the checkout."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
_NEEDED = ("Snakefile", "config.yaml", "rules", "envs", "profiles", "workflow")


@pytest.fixture(scope="session")
def checkout(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a run needs, without results."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in _NEEDED:
        source = repository / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy / name)
    return copy


@pytest.fixture(scope="session")
def snakemake(checkout: Path) -> Run:
    """Run Snakemake in the copy; its output and exit status come back."""

    def run(*arguments: str, cores: int = 2, environment: dict[str, str] | None = None):
        command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]
        env = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1", **(environment or {})}
        env.pop("PYTHONPATH", None)
        return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=600)

    return run
