"""The workflow with `--use-conda`: each environment is created by Snakemake, and the tables are those of a run without.

Run by `make test-conda`: it installs some gigabytes and takes minutes. `envs/README.md` says what it needs.
"""

import ast
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from netalike.evidence import measurements

NAMES = ("brainiak", "report", "tensorflow", "torch")
NEEDED = ("Snakefile", "config.yaml", "rules", "envs", "profiles", "workflow")
TABLE = "results/tables/measurements.parquet"
Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif("NETALIKE_TEST_CONDA" not in os.environ, reason="run by `make test-conda`")

# Imports the modules one by one, in a Python of the environment alone, and prints those that fail.
IMPORT = """
import importlib, json, sys
failed = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {error}"
print(json.dumps(failed))
"""


def timed(what: str, command: list[object], **options) -> subprocess.CompletedProcess[str]:
    start = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    print(f"{what}: {time.perf_counter() - start:.0f} s", file=sys.__stderr__, flush=True)
    assert done.returncode == 0, f"{what}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def pinned(repository: Path) -> dict[str, str]:
    """`PIP_CONSTRAINT` of this machine's complete set, so that all that the packages bring with them is pinned, too."""
    version = f"py{sys.version_info[0]}{sys.version_info[1]}"
    file = repository / f"envs/constraints-{version}-{sys.platform}-{platform.machine()}.txt"
    return {"PIP_CONSTRAINT": str(file)} if file.is_file() else {}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """All that the tests make; `NETALIKE_CONDA_FOLDER` keeps it, and a second call goes on from it."""
    kept = os.environ.get("NETALIKE_CONDA_FOLDER")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept).resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="netalike-conda-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def host(folder: Path, repository: Path) -> Path:
    """An environment with Snakemake and no framework, as on a cluster: a job can't take from it what its own lacks."""
    place = folder / "host"
    if not (place / "finished").exists():
        basic = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["dependencies"]
        timed("an environment for Snakemake", [sys.executable, "-m", "venv", "--clear", place])
        # py-rattler is what the stand-in for conda needs
        install = [place / "bin/python", "-m", "pip", "install", "--quiet", "snakemake", "py-rattler", *basic]
        timed("Snakemake installed", install, env={**os.environ, **pinned(repository)})
        (place / "finished").touch()
    return place / "bin"


@pytest.fixture(scope="module")
def conda(folder: Path, host: Path, repository: Path) -> dict[str, str]:
    """The variables that make `conda` work: a conda that is there, or a stand-in with a channel on this disk."""
    recipe = repository.parent / "shared" / "env"
    path = f"{host}{os.pathsep}{os.environ['PATH']}"
    if shutil.which("conda"):
        return {"PATH": path}
    if not (recipe / "mkchannel.py").is_file():
        pytest.skip("no `conda` on the PATH, and no recipe for a local channel in ../shared/env")
    if not (folder / "channel" / "condarc").exists():
        timed("a local channel", [host / "python", recipe / "mkchannel.py", folder / "channel"])
    return {
        "CONDARC": str(folder / "channel" / "condarc"),
        "CONDA_SHIM_PYTHON": str(host / "python"),
        "PATH": f"{recipe / 'conda-shim' / 'bin'}{os.pathsep}{path}",
    }


@pytest.fixture(scope="module")
def run(folder: Path, repository: Path) -> Run:
    """Run Snakemake in a copy of the checkout, of which there are two: with conda and without."""

    def start(name: str, python: object, *arguments: str, variables: dict[str, str]):
        copy = folder / name
        for part in NEEDED if not copy.exists() else ():
            source = repository / part
            (shutil.copytree if source.is_dir() else _copy)(source, copy / part)
        # all of the preset quick where it is asked for, which takes a quarter of an hour each
        asked = "preset: quick\n" if "NETALIKE_TEST_QUICK" in os.environ else None
        (copy / "small.yaml").write_text(asked or (repository / "tests/conda/small.yaml").read_text())
        own = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1", **pinned(repository), **variables}
        for variable in ("PYTHONPATH", "VIRTUAL_ENV"):
            own.pop(variable, None)
        command = [python, "-m", "snakemake", "--cores", "2", *arguments, "--configfile", "small.yaml"]
        return timed(f"{name}: snakemake {' '.join(arguments)}", command, cwd=copy, env=own)

    return start


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


@pytest.fixture(scope="module")
def created(run: Run, host: Path, conda: dict[str, str], folder: Path) -> dict[str, Path]:
    """Name of each environment -> its folder."""
    prefix = folder / "environments"
    options = ["--use-conda", "--conda-prefix", str(prefix), "--conda-create-envs-only"]
    run("with_conda", host / "python", *options, variables=conda)
    # a folder that was kept may also hold environments of earlier files
    files = {(folder / f"with_conda/envs/{name}.yaml").read_text(): name for name in NAMES}
    made = {files.get(path.read_text()): path.with_suffix("") for path in prefix.glob("*.yaml")}
    return {name: place for name, place in made.items() if name}


@pytest.fixture(scope="module")
def finished(run: Run, host: Path, conda: dict[str, str], folder: Path, created: dict[str, Path]) -> Path:
    prefix = str(folder / "environments")
    run("with_conda", host / "python", "--use-conda", "--conda-prefix", prefix, variables=conda)
    return folder / "with_conda"


@pytest.fixture(scope="module")
def without(run: Run, folder: Path) -> pd.DataFrame:
    if given := os.environ.get("NETALIKE_QUICK_RUN"):  # a run of quick that is there already
        return measurements.read(Path(given) / TABLE)
    run("without_conda", sys.executable, TABLE, variables={})
    return measurements.read(folder / "without_conda" / TABLE)


def test_snakemake_creates_the_four_environments(created):
    assert set(created) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_environment_has_the_versions_that_were_tested(created, repository, name):
    constraints = pinned(repository).get("PIP_CONSTRAINT")
    if not constraints:
        pytest.skip("no complete set of versions for this machine")
    lines = [line for line in Path(constraints).read_text().splitlines() if "==" in line]
    tested = {key.lower().replace("_", "-"): number for key, number in (line.split("==") for line in lines)}
    listed = timed(name, [created[name] / "bin/python", "-m", "pip", "list", "--format", "json"]).stdout
    installed = {each["name"].lower().replace("_", "-"): each["version"] for each in json.loads(listed)}
    # conda's own packages, not pip's
    ours = {key: number for key, number in installed.items() if key not in ("pip", "setuptools", "wheel")}
    assert len(ours) >= 12
    assert {key: number.split("+")[0] for key, number in ours.items()} == {key: tested.get(key) for key in ours}


@pytest.mark.parametrize("name", NAMES)
def test_an_environment_imports_what_the_scripts_of_its_rules_name(created, repository, name):
    modules = json.dumps(sorted(_modules(repository, name)))
    python = created[name] / "bin/python"
    own = {**os.environ, "PYTHONPATH": str(repository / "workflow"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = timed(f"{name} imports", [python, "-c", IMPORT, modules], env=own)
    assert json.loads(done.stdout.splitlines()[-1]) == {}


def _modules(repository: Path, name: str) -> set[str]:
    """Modules of netalike that the scripts of an environment's rules import, also inside their `with`."""
    found = set()
    for file in (repository / "rules").glob("*.smk"):
        for rule in re.split(r"^[ ]*rule\b.*:$", file.read_text(), flags=re.MULTILINE):
            script = re.search(r"scripts/([^\"]+)\"", rule)
            if f"envs/{name}.yaml" not in rule or script is None:
                continue
            pattern = "plot_*.py" if script[1] == "plot_figures.py" else script[1]  # which runs all of them
            for path in (repository / "workflow/scripts").glob(pattern):
                nodes = ast.walk(ast.parse(path.read_text()))
                found |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {module for module in found if module.startswith("netalike")}


def test_a_run_with_conda_ends_with_the_page(finished):
    assert "<html" in (finished / "results/index.html").read_text()
    ids = pd.read_parquet(finished / "results/tables/claims.parquet")["id"]
    assert len(ids) > 50


def test_every_environment_is_recorded_with_the_versions_that_it_pins(finished, created, repository):
    records = {path.stem: json.loads(path.read_text()) for path in (finished / "results/environments").glob("*.json")}
    assert set(records) == set(NAMES)
    for name, record in records.items():
        content = yaml.safe_load((repository / f"envs/{name}.yaml").read_text())
        [of_pip] = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
        pins = {_plain(line.split(";")[0].split("==")[0]): line.split(";")[0].split("==")[1].strip() for line in of_pip}
        # a build of PyTorch for one kind of processor says so after a plus sign
        recorded = {key: number.split("+")[0] for key, number in record["packages"].items() if key in pins}
        assert len(recorded) >= 5
        assert recorded == {key: pins[key] for key in recorded}
    assert {"torch", "torchvision"} <= set(records["torch"]["packages"])
    assert not {"torch", "tensorflow-cpu"} & set(records["report"]["packages"])
    page = (finished / "results/index.html").read_text()
    assert "<code>brainiak</code>: jobs ran with" in page


def _plain(text: str) -> str:
    return text.lower().replace("_", "-")


def test_no_job_took_a_package_from_elsewhere_or_ran_with_an_untested_one(finished):
    logs = list((finished / "logs").rglob("*.log"))
    assert len(logs) > 50
    assert [log.name for log in logs if "Warning: this job ran with" in log.read_text(errors="replace")] == []
    assert [log.name for log in logs if "this job took it from Snakemake" in log.read_text(errors="replace")] == []


def test_the_tables_are_those_of_a_run_without_conda(finished, without):
    table = measurements.read(finished / TABLE)
    # other implementations of our measures are installed beside the tests, and in no environment of a rule
    ours, theirs = (
        frame[frame["experiment"] != "implementations"].reset_index(drop=True) for frame in (table, without)
    )
    assert len(ours) > 1000
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_an_implementation_that_an_environment_lacks_is_a_row_that_says_so(finished, without):
    columns = ["estimator", "condition", "quantity"]
    rows = measurements.read(finished / TABLE).query("experiment == 'implementations'")
    absent = rows[rows["status"].str.endswith("is not installed")]
    assert len(absent) > 0
    assert absent["value"].isna().all()
    both = rows.merge(without.query("experiment == 'implementations'"), on=columns, suffixes=("", "_without"))
    assert (both["status"] == "ok").any()
    assert (both["value"] == both["value_without"])[both["status"] == "ok"].all()
