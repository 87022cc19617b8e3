"""The workflow from the outside: dry runs, one figure, mistakes in the configuration, and a small run to the end."""

import json
import os
import shutil

import pandas as pd
import pytest

from netalike.evidence import measurements

# a panel of one family of two quickly trained networks, and a network of the user's own
SMALL = """
networks:
  tiny10-digits: null
  lenet-rotation-digits: {seeds: [5], training: {epochs: 1}}
  lenet_w2-digits: {seeds: 1, training: {epochs: 1}}
  lenet-plain-digits: null
  lenet-random-labels-digits: null
  lenet-shortcut-digits: {seeds: [15], training: {epochs: 1}}
  lenet-digits: {seeds: 2, training: {epochs: 1}}
  own: {architecture: "file:my_network.py:make", dataset: digits}
panels:
  digits:
    networks: [lenet-digits, own]
    n_images: 100
    batch_size: 50
    measures: [procrustes, cca]
    layers: {lenet-digits: [relu*], own: [middle, out]}
    alignment: {max_units: 10}
    gradients: {n_images: 16}
    stitching: {n_train: 64, n_test: 50}
    inversion: {pairs: 8, iterations: 2}
  recorded:
    dataset: digits
    keras: [digits]
    measure_images: 40
    measures: [procrustes]
deconfounded_cka:
  tasks:
    digits: {untrained_twins: 2, n_images: 100, batch_size: 50}
  transfers:
    digits:
      domains: ["rotation:90"]
      training: {epochs: 1}
      n_train: 200
      discriminator: {training: {epochs: 1}}
      n_images: 100
      batch_size: 50
  populations:
    digits:
      networks: [lenet-digits, lenet_w2-digits]
      corruptions: [fog]
      severities: [5]
      n_images: 100
      batch_size: 50
  demonstrations:
    digits: {networks: [lenet-digits, lenet_w2-digits], n_images: 100, batch_size: 20}
input_similarity:
  toys:
    clean: {frequencies: [1, 2], n: [32], seeds: 2, epochs: 2}
    noisy: null
  similarity_terms:
    digits: {seeds: 2, steps: 4, evaluate_every: 2, n_validation: 50}
  map_alignments:
    scenes:
      scenes: {n_train: 2, n_test: 1, size: 256}
      noise: [independent]
      training: {input_size: 172, batch_size: 1, steps: 2, fields_every: 2}
      rounds: 1
      patches: 8
stitching:
  layers:
    tiny10-digits:
      networks: [lenet-digits]
      pairs: 2
      layers: [relu2, relu3]
      n_train: 128
      n_images: 100
      training: {epochs: 1}
  sweeps:
    tiny10-digits: null
shared_response:
  simulations:
    xor: {repeats: 2, copies: 3, units: 10, features: 10, epochs: 20}
  alignments:
    digits:
      seeds: 2
      n_train: 64
      n_images: 80
      n_evaluate: 30
      training: {epochs: 2, logged: [0, 1, 2], max_units: 20}
  aligned_families:
    tiny10-digits: {networks: lenet-digits, layers: [relu3, relu4], n_images: 80, n_evaluate: 30, max_units: 20}
inversion:
  inversions:
    digits: {networks: [lenet-digits, lenet_w2-digits], n_images: 40, pairs: 8, batch_size: 8, iterations: 3}
"""
OWN = """
from torch import nn
from collections import OrderedDict

def make(channels, classes):
    return nn.Sequential(OrderedDict(
        flat=nn.Flatten(), middle=nn.Linear(channels * 1024, 20), act=nn.ReLU(), out=nn.Linear(20, classes)))
"""


@pytest.fixture(scope="module")
def small(checkout):
    (checkout / "small.yaml").write_text(SMALL)
    (checkout / "my_network.py").write_text(OWN)
    return ["--configfile", "small.yaml"]


@pytest.fixture(scope="module")
def finished(snakemake, checkout, small):
    done = snakemake(*small)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return checkout / "results"


def test_a_dry_run_lists_the_jobs_of_the_default_preset(snakemake):
    done = snakemake("-n")
    assert done.returncode == 0, done.stderr
    jobs = dict(line.split() for line in (done.stdout + done.stderr).splitlines() if len(line.split()) == 2)
    assert jobs["train_lenet-digits_0"] == "1"
    assert "train_lenet-digits_1" not in jobs  # one job for all its networks
    assert jobs["transfer_networks"] == "2"
    assert jobs["judge_claims"] == "1"
    assert jobs["compare_panel"] == "1"
    assert jobs["build_page"] == "1"


@pytest.mark.parametrize("preset", ["standard", "paper"])
def test_a_dry_run_of_the_larger_presets_finds_every_rule(snakemake, preset):
    done = snakemake("-n", "--config", f"preset={preset}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "import_tiny10-authors" in done.stdout + done.stderr


def test_a_paper_is_a_target(snakemake):
    done = snakemake("-n", "deconfounded_cka")
    assert done.returncode == 0
    assert "plot_cka_digits" in done.stdout + done.stderr
    assert "plot_panel_digits" not in done.stdout + done.stderr


def test_a_panel_without_two_networks_of_a_family_has_no_figure_of_seeds(snakemake):
    figure = "results/figures/comparison/digits/measures_by_layer.svg"
    assert snakemake("-n", figure).returncode == 0
    done = snakemake("-n", "comparison", "--config", "panels={digits: {networks_per_family: 1}}")
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-2000:]
    assert "digits/network_maps.svg" in text
    assert figure not in text


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--config", "panels__digits__n_image=3"], ["panels.digits.n_image", "n_images"]),
        (["--config", "preset=quik"], ["quik", "quick"]),
        (["--config", "panels__digits__dataset=mnits"], ["panels.digits.dataset", "mnits", "mnist"]),
        (["--config", "panels__digits__batch_size=2"], ["panels.digits.batch_size", "2", "4"]),
        (["--config", "panels={digits: {measures: [procustes]}}"], ["procustes", "procrustes"]),
        (["--config", "networks={tiny10-digits: {architecture: tiny11}}"], ["tiny11", "tiny10"]),
    ],
)
def test_a_mistake_in_the_configuration_stops_before_anything_runs(snakemake, checkout, arguments, parts):
    done = snakemake("-n", *arguments)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in text
    assert "Job stats" not in text
    for part in parts:
        assert part in text


def test_a_key_that_stands_twice_is_refused(snakemake, checkout):
    (checkout / "twice.yaml").write_text("page: {title: one}\nseed: 1\npage: {title: two}\n")
    done = snakemake("-n", "--configfile", "twice.yaml")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "page: given twice" in text
    assert "line 1" in text
    assert "line 3" in text


def test_conda_without_the_search_path_is_refused_with_the_line_to_add(snakemake, checkout):
    # a profile of the user's own takes the place of profiles/default
    own = checkout / "profiles" / "own"
    own.mkdir()
    (own / "config.yaml").write_text("software-deployment-method: conda\n")
    done = snakemake("-n", "--workflow-profile", "profiles/own")
    shutil.rmtree(own)
    assert done.returncode != 0
    assert "conda-not-block-search-path-envvars: true" in done.stdout + done.stderr


def test_one_figure_can_be_made_alone(snakemake, small):
    done = snakemake("-n", "results/figures/deconfounded_cka/digits/layers_unbiased.svg", *small)
    assert done.returncode == 0
    assert "build_page" not in done.stdout + done.stderr


def test_a_run_ends_with_the_page_the_tables_and_the_figures(finished):
    table = measurements.read(finished / "tables/measurements.parquet")
    assert set(table["quantity"]) >= {"cka", "deconfounded_cka", "procrustes", "accuracy", "explained_by_inputs"}
    assert len(pd.read_csv(finished / "tables/measurements.csv")) == len(table)
    cards = list(finished.glob("figures/*/*/*.json"))
    studies = {"separation", "transfer", "ood", "demonstration", "identities"}
    assert {card.stem for card in cards} >= {
        *studies,
        "pair",
        "stitching_layers",
        "toy_curvature",
        "map_alignment_overlay",
    }
    for card in cards:
        content = json.loads(card.read_text())
        # the published matrices are no rows of a run
        assert content["n_rows"] > 0 or card.stem == "inversion_published", card.name
        assert all((card.parent / name).stat().st_size > 1000 for name in content["files"]), card.name
    assert "<html" in (finished / "index.html").read_text()
    assert not (finished / "comparison/digits/activations").exists()


def test_every_claim_has_a_verdict_and_none_is_certain_of_two_networks(finished, repository):
    claims = pd.read_parquet(finished / "tables/claims.parquet").set_index("id")
    ids = (repository / "workflow/claims/ids.txt").read_text().split("\n")
    assert set(claims.index) == {line for line in ids if line and not line.startswith(("#", "retired:"))}
    verdicts = claims["verdict"]
    assert verdicts["dcka-m1-partial-correlation"] == "reproduced"
    assert claims.loc["dcka-m1-partial-correlation", "value"] < 1e-10
    assert verdicts["dcka-a1-random-alike"] == "inconclusive"
    assert "an interval needs 5" in claims.loc["dcka-a1-random-alike", "reason"]
    assert verdicts["dcka-m1-projection-raises"] == "not run" or claims.loc["dcka-m1-projection-raises", "n_units"] < 5
    assert verdicts["dcka-m3-resnets"] == "not testable at this scale"
    assert claims.loc[verdicts == "not run", "value"].isna().all()
    tested = claims[claims["n_rows"] > 0]
    assert (tested["cpu_minutes"] > 0).all()
    assert verdicts[verdicts.index.str.startswith("stitch")].notna().sum() >= 10
    assert tested["command"].str.startswith("snakemake results/index.html --cores 2 --forcerun results/").all()
    for paper, of_paper in claims.groupby("paper"):
        page = (finished / f"papers/{paper}.html").read_text()
        assert all(f"#claim-{name}" in page for name in of_paper.index), paper


def test_one_job_trains_several_networks_and_leaves_no_checkpoint(finished):
    weights = [(finished / f"networks/lenet-digits-s{seed}.safetensors").read_bytes() for seed in (0, 1)]
    assert weights[0] != weights[1]
    cards = [json.loads((finished / f"networks/lenet-digits-s{seed}.json").read_text()) for seed in (0, 1)]
    assert [card["seed"] for card in cards] == [0, 1]
    assert not list((finished / "networks/checkpoints").rglob("*.safetensors"))
    rotation = json.loads((finished / "networks/lenet-rotation-digits-s5.json").read_text())
    assert (rotation["classes"], rotation["settings"]["task"]) == (4, "rotation")


def test_controls_come_out_as_they_must(finished):
    table = measurements.read(finished / "tables/measurements.parquet")
    of_panel = table[table["experiment"] == "layers_digits"]
    cka = of_panel[of_panel["quantity"].isin(["cka", "deconfounded_cka"])]
    itself = cka[(cka["condition"] == "pair=self") & (cka["layer_a"] == cka["layer_b"])]
    assert len(itself) == (2 * 4 + 2) * 5  # layers of all networks, times the estimators
    assert (itself["value"] - 1).abs().max() < 1e-9
    unbiased = cka[cka["estimator"] == "unbiased"]
    noise = unbiased[unbiased["condition"] == "pair=noise"]["value"]
    permuted = unbiased[unbiased["condition"] == "pair=permuted_samples"]["value"]
    assert noise.abs().max() < 0.1
    assert permuted.abs().mean() < 0.1
    # 1,024 independent units and 50 samples: the biased estimator takes noise for similarity
    biased = cka[(cka["quantity"] == "cka") & (cka["estimator"] == "published")]
    assert biased[biased["condition"] == "pair=noise"]["value"].mean() > noise.mean() + 0.15


def test_under_every_measure_of_a_panel_the_controls_sit_where_they_must(finished):
    table = measurements.read(finished / "tables/measurements.parquet")
    rows = table[(table["experiment"] == "comparison_digits") & (table["quantity"] == "control_holds")]
    # a stitch that is trained on a few images does not find a network's own accuracy again
    known = rows[(rows["status"] == "ok") & ~rows["estimator"].str.endswith("/task_loss")]
    itself = known[~known["condition"].str.contains("control=noise")]
    assert itself["estimator"].nunique() >= 15
    # a unit that is silent on the half that a shared response is fitted to cannot be explained on the other
    assert set(itself.loc[itself["value"] != 1, "estimator"]) <= {"shared_variance/srm"}
    checks = table[(table["quantity"] == "control_check") & (table["estimator"] == "shared_variance/srm")]
    shared = checks[checks["condition"].str.contains("control=self|control=permuted_units")]
    assert (shared["value"] > 0.8).all()
    pairs = pd.read_parquet(finished / "tables/pairs.parquet")
    assert set(pairs["panel"]) == {"digits", "recorded"}
    assert set(pairs["family"]) == {
        "representation",
        "alignment",
        "behaviour",
        "gradients",
        "stitching",
        "inversion",
    }
    recorded = pairs[pairs["panel"] == "recorded"]
    assert set(recorded["family"]) == {"representation", "alignment", "behaviour"}
    assert {"conv_small-s0", "conv_small-s0@untrained"} <= {*recorded["network_a"], *recorded["network_b"]}


def test_our_measures_agree_with_other_implementations(finished):
    table = measurements.read(finished / "tables/measurements.parquet")
    rows = table[(table["experiment"] == "implementations") & (table["quantity"] == "largest_difference")]
    found = rows[rows["status"] == "ok"]
    assert len(found) >= 3  # scipy and scikit-learn are always there
    assert (found["value"] < 1e-4).all()
    assert rows.loc[rows["status"] != "ok", "status"].str.contains("is not installed|undefined").all()


def test_degenerate_measures_say_why(finished):
    table = measurements.read(finished / "tables/measurements.parquet")
    undefined = table[table["status"] != "ok"]
    assert len(undefined)
    assert undefined["value"].isna().all()
    assert undefined["status"].str.contains("samples of .* dimensions").any()


def test_a_second_run_does_nothing(snakemake, small, finished):
    done = snakemake(*small)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_two_runs_give_the_same_table_byte_for_byte(snakemake, small, finished, checkout):
    table = finished / "tables/measurements.parquet"
    first = table.read_bytes()
    kept = checkout / "first-results"
    shutil.move(finished, kept)
    done = snakemake("results/tables/measurements.parquet", *small)
    assert done.returncode == 0, done.stderr[-2000:]
    assert table.read_bytes() == first
    shutil.rmtree(finished)
    shutil.move(kept, finished)


def test_a_failing_job_says_so_in_one_line_and_keeps_what_is_done(snakemake, small, finished, checkout):
    (checkout / "my_network.py").write_text("def mak(channels, classes):\n    pass\n")
    weights = finished / "networks/own-s0.safetensors"
    kept = finished / "networks/lenet-digits-s0.safetensors"
    before = kept.stat().st_mtime_ns
    weights.unlink()
    done = snakemake("results/networks/own-s0.safetensors", *small)
    (checkout / "my_network.py").write_text(OWN)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "'make'" in text
    assert "'mak'" in text
    assert "Traceback" not in text
    assert kept.stat().st_mtime_ns == before


@pytest.mark.mirror
def test_the_authors_networks_are_imported_with_their_accuracy(snakemake, mirror, checkout):
    config = "networks={tiny10-authors: {seeds: [0, 1]}}"
    done = snakemake(
        "results/networks/tiny10-authors-s1.safetensors",
        "--config",
        "preset=standard",
        config,
        f"data__mirror={mirror}",
        environment={**os.environ},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    accuracies = [
        json.loads((checkout / f"results/networks/tiny10-authors-s{seed}.json").read_text())["accuracy"]
        for seed in (0, 1)
    ]
    assert accuracies == pytest.approx([0.8649, 0.8627], abs=5e-4)
