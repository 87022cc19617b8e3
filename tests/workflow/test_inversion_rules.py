"""The rules of the inversion paper: their target, their jobs, and what a user's configuration makes of them."""

import re

STUDY = "networks: [lenet-digits, tiny10-digits], seeds: 0-2, n_images: 100, pairs: 16, iterations: 2"


def jobs_of(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w[\w-]*) +(\d+)$", text, re.MULTILINE)}


def small(more: str = "") -> list[str]:
    """A study of families of the preset; `more` follows its keys, each of which may be given again there."""
    keys = dict(re.findall(r"(\w+): (\[[^]]*\]|[^,]+)(?:, |$)", f"{STUDY}{f', {more}' if more else ''}"))
    text = ", ".join(f"{key}: {value}" for key, value in keys.items())
    return ["--config", f"inversion={{inversions: {{small: {{{text}}}}}}}"]


def planned(snakemake, *arguments: str) -> dict[str, int]:
    done = snakemake("-n", *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    return jobs_of(done.stdout + done.stderr)


def refusal(snakemake, more: str) -> str:
    done = snakemake("-n", *small(more))
    assert done.returncode != 0
    return done.stdout + done.stderr


MEASURED = "results/inversion/inversion_small/measurements.parquet"


def test_the_paper_is_a_target(snakemake):
    jobs = planned(snakemake, "inversion", *small())
    without = planned(snakemake, "inversion", "--config", "inversion={inversions: {digits: null, small: null}}")
    assert not {name for name in without if "inver" in name} - {"inversion"}
    assert jobs["compare_inverted"] == 2  # the preset's study, and the small one
    assert {name for name in jobs if name.startswith("plot_")} == {"plot_inversion_digits", "plot_inversion_small"}


def test_a_study_has_the_figures_that_it_has_something_for(snakemake):
    done = snakemake("-n", "inversion", *small())
    drawn = set(re.findall(r"inversion_(\w+)/inversion_(\w+)\.svg", done.stdout + done.stderr))
    names = {"similarity", "published", "gallery", "robustness", "losses", "accuracy"}
    # the small study has no robust networks to hold against its standard ones
    assert drawn == {("small", name) for name in names} | {("digits", name) for name in names | {"asymmetry"}}


def test_a_network_is_a_job(snakemake):
    jobs = planned(snakemake, MEASURED, *small())
    assert (jobs["invert_networks"], jobs["compare_inverted"]) == (6, 1)  # three networks of each family


def test_networks_per_job_divides_the_networks(snakemake):
    assert planned(snakemake, MEASURED, *small("networks_per_job: 4"))["invert_networks"] == 2


def test_a_job_gets_its_own_networks_alone(snakemake):
    place = "results/inversion/inversion_small/networks-1.parquet"
    done = snakemake("-n", "-p", place, *small("networks_per_job: 3, seeds: 0"))
    assert done.returncode != 0  # two networks are one portion
    done = snakemake("-n", "-p", place, *small("networks_per_job: 3"))
    assert done.returncode == 0, done.stderr[-2000:]
    trained = set(re.findall(r"Training ((?:tiny10|lenet)-digits-s\d)", done.stdout + done.stderr))
    assert trained
    assert all(name.startswith("tiny10") for name in trained)


def test_seeds_choose_networks_of_each_family(snakemake):
    assert planned(snakemake, MEASURED, *small("seeds: 1"))["invert_networks"] == 2


def test_more_pairs_than_images_are_refused(snakemake):
    text = refusal(snakemake, "pairs: 120")
    assert "inversion.inversions.small.pairs: 120 targets cannot be drawn from 100 images" in text


def test_a_last_batch_that_is_too_small_is_refused(snakemake):
    text = refusal(snakemake, "pairs: 17, batch_size: 16")
    assert "inversion.inversions.small.batch_size: the last batch of 17 images would have 1" in text


def test_more_images_than_there_are_are_refused(snakemake):
    assert "inversion.inversions.small.n_images: more images than there are" in refusal(snakemake, "n_images: 501")


def test_a_mistake_names_the_nearest(snakemake):
    text = refusal(snakemake, "networks: [lenet-digit]")
    assert "inversion.inversions.small.networks[0]: unknown family of networks" in text
    assert "nearest: lenet-digits" in text
    text = refusal(snakemake, "seed_images: [nois]")
    assert "inversion.inversions.small.seed_images[0]: unknown name" in text
    assert "nearest: noise" in text
    text = refusal(snakemake, "iteration: 3")
    assert "inversion.inversions.small.iteration: unknown key" in text
    assert "nearest: iterations" in text
