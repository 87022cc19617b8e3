"""What a job ran with is written down once, and a job with something else than was tested says so."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from netalike.evidence import job_environment
from netalike.evidence.job_environment import TESTED, JobEnvironment
from netalike.page.environments import environments


def module(name: str, file: str | None = None) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = file
    return made


@pytest.fixture
def conda(tmp_path, monkeypatch):
    """A conda environment as Snakemake leaves it, and Snakemake's own packages behind it."""
    prefix, host = tmp_path / "env_", tmp_path / "host" / "site-packages"
    inside = prefix / "lib" / "site-packages"
    (prefix / "conda-meta").mkdir(parents=True)
    (tmp_path / "env_.yaml").write_text("# words\nname: netalike-report\nchannels: []\n")
    for place, name, number in ((inside, "numpy", "2.4.6"), (host, "numpy", "1.0"), (host, "torch", "2.2.0")):
        (place / f"{name}-{number}.dist-info").mkdir(parents=True)
        (place / f"{name}-{number}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {number}\n")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "path", [str(inside), str(host)])
    return prefix


def test_an_environment_is_named_after_its_file_and_holds_its_own_packages_alone(conda):
    found = job_environment.current()
    assert found.name == "report"
    assert found.packages == {"numpy": "2.4.6"}
    assert re.fullmatch(r"3\.\d+\.\d+\S*", found.python)


def test_without_conda_there_is_one_environment_for_every_rule(conda):
    (conda / "conda-meta").rmdir()
    (conda.parent / "env_.yaml").unlink()
    found = job_environment.current()
    assert found.name == "every rule"
    assert found.packages == {"numpy": "2.4.6", "torch": "2.2.0"}


def test_in_a_container_the_file_is_in_the_environment(conda):
    (conda.parent / "env_.yaml").rename(conda / "environment.yaml")
    assert job_environment.current().name == "report"


def test_a_record_is_written_once_and_read_back(tmp_path):
    environment = JobEnvironment("every rule", "3.11.7", {"torch": "2.13.0"})
    path = job_environment.record(environment, tmp_path / "logs" / "a" / "b.log")
    assert path == tmp_path / "results/environments/every_rule.json"
    written = path.stat().st_mtime_ns
    job_environment.record(environment, tmp_path / "logs" / "c.log")
    assert path.stat().st_mtime_ns == written
    assert [each.name for each in path.parent.iterdir()] == ["every_rule.json"]
    newer = JobEnvironment("every rule", "3.12.1", {"torch": "2.13.0"})
    job_environment.record(newer, tmp_path / "logs" / "c.log")
    assert job_environment.read(path.parent) == [newer]


def test_a_log_elsewhere_and_a_folder_that_cannot_be_written_leave_no_record(tmp_path):
    environment = JobEnvironment("torch", "3.11.7")
    assert job_environment.record(environment, tmp_path / "job.log") is None
    (tmp_path / "results").write_text("a file where a folder is expected")
    assert job_environment.record(environment, tmp_path / "logs" / "job.log") is None
    assert job_environment.read(tmp_path / "results/environments") == []


def test_a_file_that_is_no_record_is_left_out(tmp_path):
    for name, text in (("a", "no json"), ("b", "{}"), ("c", '{"name": "c", "python": "3", "packages": 7}')):
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "d.json").write_text('{"name": "d", "python": "3.11", "packages": {"numpy": "2.0"}}')
    assert job_environment.read(tmp_path) == [JobEnvironment("d", "3.11", {"numpy": "2.0"})]


@pytest.mark.parametrize("number", ["2.13.0", "2.13.1", "2.13.0+cpu"])
def test_a_release_that_was_tested_is_no_warning(number):
    environment = JobEnvironment("torch", "3.11.7", {"torch": number})
    assert job_environment.warnings(environment, {"torch": module("torch")}) == []


@pytest.mark.parametrize(("distribution", "number"), [("torch", "2.6.0"), ("torch", "2.130.0"), ("torch", "3.13.0")])
def test_another_release_of_an_imported_framework_is_one_warning(distribution, number):
    environment = JobEnvironment("torch", "3.11.7", {distribution: number, "keras": "3.0.0", "scipy": "0.1"})
    [sentence] = job_environment.warnings(environment, {distribution: module(distribution), "scipy": module("scipy")})
    assert f"{distribution} {number}, tested is {TESTED[distribution]}" in sentence


def test_tensorflow_is_known_by_both_of_its_names():
    environment = JobEnvironment("tensorflow", "3.11.7", {"tensorflow-cpu": "2.18.0"})
    [sentence] = job_environment.warnings(environment, {"tensorflow": module("tensorflow")})
    assert "tensorflow-cpu 2.18.0" in sentence


def test_a_package_from_outside_the_environment_is_a_warning(conda):
    imported = {
        "torch": module("torch", str(conda.parent / "host/site-packages/torch/__init__.py")),
        "numpy": module("numpy", str(conda / "lib/site-packages/numpy/__init__.py")),
    }
    [sentence] = job_environment.warnings(job_environment.current(), imported)
    assert sentence.startswith("Warning: torch is not in the environment report")
    assert "envs/report.yaml" in sentence


def test_what_is_tested_is_what_the_environments_pin(repository):
    pinned = {}
    for path in (repository / "envs").glob("*.yaml"):
        for entry in yaml.safe_load(path.read_text())["dependencies"]:
            if isinstance(entry, dict):
                pinned |= dict(line.split(";")[0].strip().split("==") for line in entry["pip"])
    releases = {name: ".".join(pinned[name].split(".")[:2]) for name in TESTED}
    assert releases == TESTED


def test_a_job_records_its_environment_and_ends_its_log_with_the_warning(tmp_path, repository):
    packages = tmp_path / "packages"
    (packages / "keras-2.0.0.dist-info").mkdir(parents=True)
    (packages / "keras-2.0.0.dist-info" / "METADATA").write_text("Name: keras\nVersion: 2.0.0\n")
    (packages / "keras.py").write_text("")
    script = tmp_path / "script.py"
    script.write_text(
        "from netalike.scripting import log_to\n"
        "with log_to('logs/rule/job.log'):\n"
        "    import keras\n"
        "    print('working', flush=True)\n"
        "    raise ValueError('broken')\n"
    )
    path = os.pathsep.join([str(packages), str(repository / "workflow")])
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    lines = (tmp_path / "logs/rule/job.log").read_text().splitlines()
    assert lines[0] == "working"
    assert lines[1].startswith("Warning: this job ran with keras 2.0.0, tested is 3.15")
    assert lines[-1] == "ValueError: broken"  # the error is still the last that a log says
    assert sum(line.startswith("Warning") for line in lines) == 1
    assert done.stderr == "ValueError: broken (the whole story is in logs/rule/job.log)\n"
    record = json.loads((tmp_path / "results/environments/every_rule.json").read_text())
    assert record["packages"]["keras"] == "2.0.0"
    assert str(tmp_path) not in json.dumps(record)


def test_threads_of_a_job_without_pytorch_are_no_error(tmp_path, repository):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nsys.modules['torch'] = None\n"
        "from netalike.scripting import log_to\nwith log_to('logs/job.log', 2):\n    print('working')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(repository / "workflow")}
    subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "logs/job.log").read_text() == "working\n"


def test_the_page_shows_what_jobs_ran_with_beside_what_is_pinned(tmp_path: Path):
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/torch.yaml").write_text("dependencies: [python=3.11, {pip: [torch==2.13.0]}]\n")
    for name in ("torch", "every rule"):
        record = JobEnvironment(name, "3.11.7", {"torch": "2.12.0"})
        job_environment.record(record, tmp_path / "logs/job.log")
    pinned, everything = environments(tmp_path)
    assert (pinned.name, pinned.packages["torch"], pinned.ran) == (
        "torch",
        "2.13.0",
        {"python": "3.11.7", "torch": "2.12.0"},
    )
    assert (everything.name, everything.packages, everything.ran["torch"]) == ("every rule", {}, "2.12.0")
