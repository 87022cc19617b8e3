"""The rules of the stitching paper: their target, their jobs, and what a user's configuration makes of them."""

import re


def jobs_of(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w[\w-]*) +(\d+)$", text, re.MULTILINE)}


def test_the_paper_is_a_target(snakemake):
    done = snakemake("-n", "stitching")
    assert done.returncode == 0, done.stderr[-2000:]
    jobs = jobs_of(done.stdout + done.stderr)
    assert jobs["stitch_pairs"] == 2  # five pairs, three per job
    assert jobs["sweep_stitches"] == 2
    assert {name for name in jobs if name.startswith("plot_")} == {
        "plot_layers_tiny10-digits",
        "plot_sweeps_tiny10-digits",
    }
    drawn = set(re.findall(r"results/figures/stitching/[\w-]+/stitching_(\w+)\.svg", done.stdout + done.stderr))
    assert drawn == {"layers", "similarity", "agreement", "ranks", "training", "masks"}


def test_a_job_gets_the_networks_of_its_pairs_alone(snakemake):
    done = snakemake("-n", "-p", "results/stitching/layers_tiny10-digits/pairs-1.parquet")
    assert done.returncode == 0, done.stderr[-2000:]
    trained = set(re.findall(r"Training (tiny10-digits-s\d)", done.stdout + done.stderr))
    assert trained == {"tiny10-digits-s3", "tiny10-digits-s4", "tiny10-digits-s0"}


def test_pairs_per_job_divides_the_pairs(snakemake):
    one = "stitching={layers: {tiny10-digits: {pairs_per_job: 1}}}"
    done = snakemake("-n", "stitching", "--config", one)
    assert jobs_of(done.stdout + done.stderr)["stitch_pairs"] == 5


def test_a_mistake_names_the_nearest_method(snakemake):
    done = snakemake("-n", "--config", "stitching={layers: {tiny10-digits: {methods: [least_square]}}}")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "stitching.layers.tiny10-digits.methods[0]: unknown name" in text
    assert "nearest: least_squares" in text
