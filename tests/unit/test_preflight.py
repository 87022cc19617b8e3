"""Each thing that can stand in the way of a run has its own message, and all come at once."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from netalike import configuration, preflight
from netalike.data.registry import specification
from netalike.errors import NetalikeError
from netalike.preflight import Machine

PYTORCH = frozenset(["torch", "torchvision", "safetensors", "sklearn", "scipy"])
REPORT = frozenset(["pandas", "pyarrow", "matplotlib", "seaborn", "jinja2", "plotly"])
EVERYTHING = PYTORCH | REPORT | {"tensorflow", "keras"}


def machine(**told) -> Machine:
    given = {"cpus": 4, "memory_mb": 64000, "snakemake": (9, 27), "packages": EVERYTHING, "free_gb": 100.0}
    return Machine(**{**given, **told})


def check(values, folder: Path, **options) -> list[str]:
    options.setdefault("machine", machine())
    return [str(problem) for problem in preflight.check(configuration.load(values), folder=folder, **options)]


def only(found: list[str], *parts: str) -> None:
    assert len(found) == 1, found
    for part in (*parts, "To do: "):
        assert part in found[0]


def family(**told) -> dict:
    return {"networks": {"mine": {"architecture": "lenet", "dataset": "digits", **told}}}


def test_the_default_preset_has_nothing_in_its_way(tmp_path):
    assert check({}, tmp_path) == []
    assert check({"data": {"offline": True}}, tmp_path) == []


def test_a_data_set_that_is_nowhere_is_named_with_the_command_that_fetches_it(tmp_path):
    values = {**family(dataset="mnist", training={}), "data": {"offline": True, "root": "kept"}}
    only(
        check(values, tmp_path), "data set mnist", "and 1 more", "no mirror is set", "netalike fetch mnist --data kept"
    )


def test_data_that_may_be_downloaded_are_no_problem(tmp_path):
    assert check(family(dataset="mnist", training={}), tmp_path) == []


def test_a_damaged_file_of_a_data_set_is_named_with_what_was_expected(tmp_path):
    remote = specification("mnist").files[0]
    file = tmp_path / "resources" / remote.path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"<html>quota</html>")
    parts = (f"{file} has 18 bytes, expected {remote.size}; it is an HTML page", "delete it", "netalike fetch mnist")
    only(check(family(dataset="mnist", training={}), tmp_path), *parts)


def test_a_damaged_marker_is_to_be_deleted(tmp_path):
    marker = tmp_path / "results/data/digits.json"
    marker.parent.mkdir(parents=True)
    marker.write_text('{"name": "dig')
    only(check({}, tmp_path), "the marker", "damaged", f"delete {marker}")


def test_a_mirror_that_is_an_address_contradicts_offline(tmp_path):
    values = {"data": {"offline": True, "mirror": "https://example.org/m"}}
    only(check(values, tmp_path), "data.offline is set", "https://example.org/m", "name a folder as data.mirror")


def test_a_mirror_folder_that_is_not_there_is_told_by_where_it_was_named(tmp_path):
    only(check({"data": {"mirror": "gone"}}, tmp_path), "data.mirror is gone", "no such folder")
    found = check({}, tmp_path, machine=machine(environment={"NETALIKE_MIRROR": "gone"}))
    only(found, "NETALIKE_MIRROR is gone", "correct or unset NETALIKE_MIRROR")


def test_published_networks_that_are_nowhere_are_named(tmp_path):
    values = family(architecture="tiny10", dataset="cifar10", seeds=2, weights="published:tiny10-authors")
    found = check({**values, "data": {"offline": True}}, tmp_path)
    assert [line for line in found if "networks tiny10-authors: networks/tiny10/in0-gn0.pt" in line]
    assert len(found) == 2  # and their data set


def test_a_robust_network_comes_with_the_command_that_gets_it(tmp_path):
    name = "robust-cifar10-l2:resnet50:0.5"
    values = family(architecture="robustness:cifar_resnet50", dataset="cifar10", weights=f"published:{name}")
    only(check(values, tmp_path), name, "curl -L --create-dirs", "cifar_l2_0_5.pt")


def test_weights_and_functions_of_ones_own_are_looked_for(tmp_path):
    values = family(architecture="file:nets.py:make", seeds=[0, 3], weights="w/{seed}.pt")
    found = check(values, tmp_path)
    assert len(found) == 2
    assert "networks.mine.weights: no such file: w/0.pt, w/3.pt" in found[0]
    assert f"networks.mine.architecture: there is no file {tmp_path / 'nets.py'}" in found[1]
    (tmp_path / "w").mkdir()
    for name in ("nets.py", "w/0.pt", "w/3.pt"):
        (tmp_path / name).touch()
    assert check(values, tmp_path) == []


def test_pretrained_weights_are_looked_for_where_torch_keeps_them(tmp_path):
    values = {**family(architecture="torchvision:resnet18:DEFAULT"), "data": {"offline": True}}
    there = machine(environment={"TORCH_HOME": str(tmp_path / "torch")})
    only(check(values, tmp_path, machine=there), "pretrained weights DEFAULT of resnet18", "torch/hub/checkpoints")
    (tmp_path / "torch/hub/checkpoints").mkdir(parents=True)
    (tmp_path / "torch/hub/checkpoints/resnet18-f37072fd.pth").touch()
    assert check(values, tmp_path, machine=there) == []


def test_recorded_activations_are_looked_for(tmp_path):
    values = {"panels": {"digits": {"recordings": {"net": "acts/net.npz"}, "compare": ["representation"]}}}
    only(check(values, tmp_path), "panels.digits.recordings.net", str(tmp_path / "acts/net.npz"))
    (tmp_path / "acts").mkdir()
    np.savez(tmp_path / "acts/net.npz", a=np.zeros((4, 2)))
    assert check(values, tmp_path) == []


def test_an_image_folder_needs_classes(tmp_path):
    values = {**family(dataset="leaves", training={}), "data": {"folders": {"leaves": {"path": "leaves"}}}}
    only(check(values, tmp_path), "there is no such folder", "data.folders.leaves.path")
    (tmp_path / "leaves").mkdir()
    only(check(values, tmp_path), "no folder in it", "one folder per class")


def test_a_gpu_that_is_not_visible(tmp_path):
    values = {"resources": {"device": "cuda:1"}}
    one = machine(gpus=1, environment={"CUDA_VISIBLE_DEVICES": "3"})
    only(check(values, tmp_path, machine=one), "cuda:1", "1 NVIDIA GPUs are visible", "CUDA_VISIBLE_DEVICES is '3'")
    assert check(values, tmp_path, machine=machine(gpus=2)) == []
    assert check(values, tmp_path, local=False) == []  # a login node's GPUs say nothing
    only(check({"resources": {"device": "mps"}}, tmp_path), "no Apple machine")


@pytest.mark.parametrize(("visible", "count"), [(None, 2), ("", 0), ("-1", 0), ("1", 1), ("0,1,2", 2)])
def test_gpus_are_counted_without_a_framework(tmp_path, visible, count):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert preflight.visible_gpus(environment, tmp_path) == count


def test_memory_and_threads_that_the_machine_has_not(tmp_path):
    only(check({}, tmp_path, machine=machine(memory_mb=2500)), "needs 3200 MB", "lower resources.memory_gb")
    only(check({}, tmp_path, most_mb=90000), "needs 90000 MB, this machine has 64000 MB", "more memory")
    values = {"resources": {"threads_per_job": 5}}
    only(check(values, tmp_path), "resources.threads_per_job is 5", "4 processors")
    found = check({}, tmp_path, machine=machine(environment={"OMP_NUM_THREADS": "many"}))
    only(found, "OMP_NUM_THREADS is 'many'")


def test_a_full_disk(tmp_path):
    only(check({}, tmp_path, machine=machine(free_gb=0.4)), "0.4 GB are free", "at least 2 GB")


def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "logs")
    (tmp_path / "logs").mkdir()
    only(check({}, tmp_path), f"{tmp_path / 'logs'} may not be written to", "snakemake --directory")


def test_a_file_where_a_folder_has_to_be(tmp_path):
    (tmp_path / "results").touch()
    only(check({}, tmp_path), "is a file, and results has to be a folder")


def test_an_old_snakemake(tmp_path):
    only(check({}, tmp_path, machine=machine(snakemake=(8, 30))), "8.30; the workflow needs 9.0", "snakemake>=9.0")
    only(check({}, tmp_path, machine=machine(snakemake=())), "not installed")


def test_packages_matter_only_without_conda_and_only_where_a_rule_needs_them(tmp_path):
    without = machine(packages=EVERYTHING - {"keras"}, environment={"PATH": str(tmp_path)})
    only(check({}, tmp_path, machine=without), "keras", "pip install 'netalike[tensorflow]'")
    assert check({}, tmp_path, machine=without, rules={"measure_panel"}) == []
    only(check({}, tmp_path, machine=without, conda=True), "no command `conda` on PATH")


def test_environments_that_are_not_made(tmp_path):
    (tmp_path / "conda").touch(mode=0o755)
    there = machine(environment={"PATH": str(tmp_path)})
    found = check({}, tmp_path, machine=there, conda=True, environments=["torch.yaml", "report.yaml"])
    only(found, "not made yet: torch.yaml, report.yaml", "--conda-create-envs-only")


def test_only_what_the_jobs_of_a_run_touch_is_looked_at(tmp_path):
    values = {**family(dataset="mnist", training={}), "data": {"offline": True}}
    assert check(values, tmp_path, files=["results/data/digits.json"]) == []
    assert len(check(values, tmp_path, files=["results/data/mnist.json"])) == 1


MANY = {
    "data": {"offline": True, "mirror": "https://example.org/m"},
    "resources": {"device": "cuda", "threads_per_job": 64},
    "networks": {
        "mine": {"architecture": "file:nets.py:make", "dataset": "mnist", "weights": "w.pt"},
        "robust": {
            "architecture": "robustness:cifar_resnet50",
            "dataset": "cifar10",
            "weights": "published:robust-cifar10-l2:resnet50:0",
        },
        "pretrained": {"architecture": "torchvision:vgg11:DEFAULT", "dataset": "digits"},
    },
    "panels": {"digits": {"recordings": {"net": "acts/net.npz"}, "compare": ["representation"]}},
}


def test_all_problems_come_at_once_each_with_its_own_message(tmp_path):
    poor = machine(memory_mb=1000, free_gb=0.1, packages=EVERYTHING - {"torch"}, environment={"OMP_NUM_THREADS": "0"})
    settings = configuration.load(MANY)
    found = preflight.check(settings, poor, folder=tmp_path)
    assert len(found) >= 12
    assert len({problem.found for problem in found}) == len(found)
    with pytest.raises(NetalikeError) as refused:
        preflight.require(settings, machine=poor, folder=tmp_path)
    text = str(refused.value)
    assert text.startswith(f"preflight: {len(found)} things stand in the way of this run:\n  1. mirror: ")
    assert all(str(problem) in text for problem in found)


def test_a_run_with_a_network_is_told_and_not_refused(tmp_path):
    settings = configuration.load({"resources": {"device": "cuda"}})
    text = preflight.require(settings, machine=machine(), folder=tmp_path)
    assert text.startswith("preflight: 1 thing stands in the way of this run:\n  1. GPU: ")
    assert preflight.require(configuration.load({}), machine=machine(), folder=tmp_path) == ""


def test_it_is_quick_on_this_machine(tmp_path):
    settings = configuration.load({"data": {"offline": True}})
    preflight.check(settings, folder=tmp_path)  # imports
    start = time.process_time()
    preflight.check(settings, folder=tmp_path)
    assert time.process_time() - start < 0.5


def test_the_command_prints_the_list_and_ends_with_1(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preflight, "this_machine", machine)
    Path("own.yaml").write_text("networks: {mine: {architecture: lenet, dataset: mnist, training: {}}}\n")
    assert preflight.main(["--configfile", "own.yaml", "--offline"]) == 1
    assert "1. data: data set mnist" in capsys.readouterr().out
    assert preflight.main([]) == 0
    assert "nothing stands in the way" in capsys.readouterr().out
