"""What the Snakefile's hooks tell, from Snakemake's own objects: here from stand-ins of them."""

from types import SimpleNamespace

import pytest

from netalike import configuration, preflight
from netalike.errors import NetalikeError
from netalike.hooks import Watch
from netalike.preflight import Machine


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    packages = frozenset(name for names in preflight._PACKAGES.values() for name in names)
    monkeypatch.setattr(preflight, "this_machine", lambda: Machine(4, 64000, packages=packages, free_gb=50))


def workflow(**told) -> SimpleNamespace:
    job = SimpleNamespace(
        input=["results/data/digits.json"],
        output=["results/networks/a-s0.safetensors"],
        rule=SimpleNamespace(name="train_a_0"),
        benchmark="results/cost/networks/train/a-0.tsv",
        threads=1,
        resources={"mem_mb": 2000},
    )
    given = {"local_exec": True, "cores": 2, "nodes": 2**63 - 1, "is_main_process": True}
    given["dag"] = SimpleNamespace(needrun_jobs=lambda: iter([job]))
    given["output_settings"] = SimpleNamespace(dryrun=False)
    return SimpleNamespace(**{**given, **told})


def test_a_run_says_what_is_ahead_and_what_it_made(tmp_path, capsys):
    watch = Watch(workflow(), configuration.load({}))
    watch.start()
    assert capsys.readouterr().out.startswith("1 job on 2 cores; how long")
    cost = tmp_path / "results/cost/networks/train"
    cost.mkdir(parents=True)
    (cost / "a-0.tsv").write_text("s\tcpu_time\n7.0\t6.0\n")
    watch.succeed()
    said = capsys.readouterr().out
    assert "1 networks" in said
    assert "Slowest:   networks/train 7 s" in said


def test_a_cluster_is_not_said_to_have_endless_nodes_and_its_gpus_are_not_looked_for_here(capsys):
    Watch(workflow(local_exec=False), configuration.load({"resources": {"device": "cuda"}})).start()
    assert capsys.readouterr().out.startswith("1 job on 1 nodes;")


def test_an_offline_run_is_refused_and_another_is_told(capsys):
    values = {"resources": {"device": "cuda"}}
    Watch(workflow(), configuration.load(values)).start()
    assert "1. GPU: resources.device is cuda" in capsys.readouterr().out
    with pytest.raises(NetalikeError, match="1 thing stands in the way"):
        Watch(workflow(), configuration.load({**values, "data": {"offline": True}})).start()


def test_missing_environments_are_told_before_conda_tries_to_make_them(monkeypatch, tmp_path):
    monkeypatch.setattr(preflight, "missing_environments", lambda workflow, files: ["torch.yaml"])
    offline = configuration.load({"data": {"offline": True}})
    with pytest.raises(NetalikeError, match=r"environments: not made yet: torch\.yaml"):
        Watch(workflow(), offline, conda=True).before_environments(["envs/torch.yaml"])
    # not in a dry run, in a job's own process, without conda, or with a network
    dry = workflow(output_settings=SimpleNamespace(dryrun=True))
    Watch(dry, offline, conda=True).before_environments([])
    Watch(workflow(is_main_process=False), offline, conda=True).before_environments([])
    Watch(workflow(), offline).before_environments([])
    Watch(workflow(), configuration.load({}), conda=True).before_environments([])


def test_a_failure_is_told_from_the_first_log(tmp_path, capsys):
    (tmp_path / "run.log").write_text("Error in rule x:\n    jobid: 1\n    log: x.log\n")
    Watch(workflow(), configuration.load({})).fail([str(tmp_path / "run.log")])
    assert "x, in x.log:" in capsys.readouterr().out
