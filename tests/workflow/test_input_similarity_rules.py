"""The rules of the input-similarity paper: their target, their jobs, and what a user's configuration makes of them."""

import re

OF_A_FAMILY = re.compile(r"train_.+_\d+|import_.+")


def jobs_of(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w[\w-]*) +(\d+)$", text, re.MULTILINE)}


def test_the_paper_is_a_target_that_trains_no_family_of_the_configuration(snakemake):
    done = snakemake("-n", "input_similarity")
    assert done.returncode == 0, done.stderr[-2000:]
    jobs = jobs_of(done.stdout + done.stderr)
    assert jobs["train_toys"] == jobs["measure_toys"] == 2  # a study of clean labels, and one of noisy labels
    assert jobs["train_with_similarity"] == 1
    assert jobs["check_gradients"] == 1
    assert not [name for name in jobs if OF_A_FAMILY.fullmatch(name)]


def test_a_paper_that_trains_families_shows_what_such_a_job_is_called(snakemake):
    done = snakemake("-n", "deconfounded_cka")
    assert "train_tiny10-digits_0" in [
        name for name in jobs_of(done.stdout + done.stderr) if OF_A_FAMILY.fullmatch(name)
    ]


def test_seeds_per_job_divides_the_seeds(snakemake):
    one = "input_similarity={similarity_terms: {digits: {seeds_per_job: 2}}}"
    done = snakemake("-n", "input_similarity", "--config", one)
    assert jobs_of(done.stdout + done.stderr)["train_with_similarity"] == 3


def test_a_kind_of_noise_is_a_job(snakemake):
    three = "input_similarity={map_alignments: {scenes: {noise: [independent, smooth, clean], seeds: 2}}}"
    done = snakemake("-n", "input_similarity", "--config", three)
    assert jobs_of(done.stdout + done.stderr)["align_maps"] == 6


def test_without_patches_their_similarity_is_not_drawn(snakemake):
    done = snakemake("-n", "input_similarity", "--config", "input_similarity={map_alignments: {scenes: {patches: 0}}}")
    drawn = set(re.findall(r"map_alignment_scenes/map_alignment_(\w+)\.svg", done.stdout + done.stderr))
    assert drawn == {"error", "accuracy", "training", "overlay"}


def test_real_tiles_are_fetched_once(snakemake):
    tiles = "input_similarity={map_alignments: {scenes: {source: tiles, noise: [independent, clean]}}}"
    done = snakemake("-n", "input_similarity", "--config", tiles)
    jobs = jobs_of(done.stdout + done.stderr)
    assert (jobs["fetch_aerial"], jobs["align_maps"]) == (1, 2)


def short_toy(exponent: int) -> list[str]:
    study = f"{{frequencies: [1], n: [16], seeds: 1, epochs: 2, exponents: [{exponent}]}}"
    return ["--config", f"input_similarity={{toys: {{clean: {study}}}}}"]


def test_a_new_exponent_trains_nothing_again(snakemake):
    """Networks depend on what they are trained with, and counts on what is counted."""
    folder = "results/input_similarity/toy_clean"
    made = snakemake(f"{folder}/networks-n16.safetensors", *short_toy(2))
    assert made.returncode == 0, made.stderr[-2000:]
    done = snakemake("-n", f"{folder}/measurements.parquet", *short_toy(3))
    jobs = jobs_of(done.stdout + done.stderr)
    assert "train_toys" not in jobs
    assert jobs["measure_toys"] == 1


def test_a_mistake_names_the_nearest_sign(snakemake):
    done = snakemake("-n", "--config", "input_similarity={similarity_terms: {digits: {signs: [minos]}}}")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "input_similarity.similarity_terms.digits.signs[0]: unknown name" in text
    assert "nearest: minus" in text


def test_too_many_held_out_images_are_refused(snakemake):
    done = snakemake("-n", "--config", "input_similarity={similarity_terms: {digits: {n_validation: 5000}}}")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "input_similarity.similarity_terms.digits.n_validation: digits has 1297 training images" in text
