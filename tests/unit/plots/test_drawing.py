"""Several figures in one process: each script sees the job that a rule of its own would give it."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest

from netalike.evidence import measurements
from netalike.plots.drawing import Names, draw_figures, figure_jobs
from netalike.plots.jobs import rows_of


def job_of(folder, figures, inputs, **wildcards):
    return SimpleNamespace(
        input=Names(inputs),
        output=Names({name: str(folder / f"{name}.svg") for name in figures}),
        params=Names(panel={"n_images": 3}, figures=figures),
        wildcards=Names(wildcards),
        rule="plot_panel_small",
        log=[str(folder / "log")],
    )


def test_each_figure_gets_its_own_output_rows_and_script(tmp_path):
    figures = {
        "layers_unbiased": {"script": "layers", "wildcards": {"estimator": "unbiased"}, "rows": ["cka"]},
        "controls": {"script": "controls", "rows": ["cka", "measures"]},
    }
    inputs = {"cka": "cka.parquet", "measures": ["a.parquet", "b.parquet"], "timings": ["t.csv"]}
    layers, controls = figure_jobs(job_of(tmp_path, figures, inputs, panel="small"))
    assert layers.output.figure == str(tmp_path / "layers_unbiased.svg")
    assert layers.input.measurements == ["cka.parquet"]
    assert dict(layers.wildcards.items()) == {"panel": "small", "estimator": "unbiased"}
    assert (layers.params.figure, layers.params.panel, layers.rule) == ("layers", {"n_images": 3}, "plot_panel_small")
    assert controls.input.measurements == ["cka.parquet", "a.parquet", "b.parquet"]
    assert controls.input.timings == ["t.csv"]
    assert dict(controls.wildcards.items()) == {"panel": "small"}


def test_without_a_choice_a_figure_shows_the_measurements(tmp_path):
    (one,) = figure_jobs(job_of(tmp_path, {"ood": {"script": "ood"}}, {"measurements": "m.parquet"}, study="digits"))
    assert one.input.measurements == ["m.parquet"]


def test_scripts_run_one_after_the_other_in_one_process(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"plot_{name}.py").write_text(
            "import json, os, pathlib\n"
            f"told = {{'script': {name!r}, 'pid': os.getpid(), 'study': snakemake.wildcards.study}}\n"
            "pathlib.Path(snakemake.output.figure).write_text(json.dumps(told))\n"
        )
    figures = {"a": {"script": "a"}, "b": {"script": "b"}}
    draw_figures(job_of(tmp_path, figures, {"measurements": "m"}, study="toy"), tmp_path)
    first, second = (json.loads((tmp_path / f"{name}.svg").read_text()) for name in ("a", "b"))
    assert [first["script"], second["script"]] == ["a", "b"]
    assert first["study"] == second["study"] == "toy"
    assert first["pid"] == second["pid"]


def test_rows_are_read_once_and_belong_to_the_caller(tmp_path, monkeypatch):
    file = tmp_path / "m.parquet"
    row = {"quantity": "cka", "estimator": "unbiased", "value": 0.5, "status": "ok"}
    measurements.write([row], file, paper="stitching", experiment="layers_a", dataset="digits", seed=0)
    reads = []
    monkeypatch.setattr(measurements, "read", lambda files, read=measurements.read: reads.append(files) or read(files))
    (job,) = figure_jobs(job_of(tmp_path, {"ood": {"script": "ood"}}, {"measurements": str(file)}, study="a"))
    rows = rows_of(job)
    rows["value"] = 0.0
    assert rows_of(job)["value"].tolist() == [0.5]
    assert len(reads) == 1
    measurements.write([{**row, "value": 0.25}], file, paper="stitching", experiment="layers_a", dataset="d", seed=0)
    os.utime(file, ns=(1, 1))
    assert rows_of(job)["value"].tolist() == [0.25]
    assert len(reads) == 2


def test_a_name_that_is_not_there_is_an_error_that_names_the_others():
    with pytest.raises(AttributeError, match="no pictures: there is measurements, timings"):
        _ = Names(measurements="m", timings="t").pictures
    assert not hasattr(Names(), "pictures")
