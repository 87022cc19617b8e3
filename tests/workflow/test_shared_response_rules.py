"""The rules of the shared-response paper: their target, their jobs, and what a user's configuration makes of them."""

import re


def jobs_of(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w[\w-]*) +(\d+)$", text, re.MULTILINE)}


def planned(snakemake, *arguments: str) -> dict[str, int]:
    done = snakemake("-n", *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    return jobs_of(done.stdout + done.stderr)


def refusal(snakemake, study: str) -> str:
    done = snakemake("-n", "--config", f"shared_response={{{study}}}")
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_the_paper_is_a_target(snakemake):
    jobs = planned(snakemake, "shared_response")
    assert jobs["simulate_alignment"] == 1  # ten repeats, fifty per job
    assert jobs["check_alignment"] == 1
    assert jobs["train_keras"] == 2  # five seeds, three per job
    assert jobs["align_networks"] == jobs["align_families"] == 1
    assert jobs["animate_trajectories"] == 2  # of the Keras networks, and of the family
    trained = {found[1] for found in (re.match(r"train_(.+)_\d+$", name) for name in jobs) if found}
    assert trained == {"tiny10-digits"}


def test_every_figure_is_drawn_of_each_study_that_it_is_of(snakemake):
    done = snakemake("-n", "shared_response")
    text = done.stdout + done.stderr
    drawn = set(re.findall(r"results/figures/shared_response/([\w-]+)/(\w+)\.svg", text))
    both = {f"shared_{name}" for name in ("panel", "variance", "consistency", "classes", "trajectories")}
    assert drawn == {
        *(("aligned_families_tiny10-digits", name) for name in both),
        *(("alignment_digits", name) for name in both | {"shared_development"}),
        *(("simulation_xor", f"simulation_{name}") for name in ("bars", "rsms")),
        ("exact_alignment_xor", "alignment_identities"),
    }
    assert {name for name in jobs_of(text) if name.startswith("plot_")} == {f"plot_{study}" for study, _ in drawn}


def test_repeats_per_job_divides_the_repeats(snakemake):
    one = "shared_response={simulations: {xor: {repeats: 10, repeats_per_job: 3}}}"
    assert planned(snakemake, "shared_response", "--config", one)["simulate_alignment"] == 4


def test_seeds_per_job_divides_the_networks(snakemake):
    one = "shared_response={alignments: {digits: {seeds: 5, seeds_per_job: 2}}}"
    jobs = planned(snakemake, "shared_response", "--config", one)
    assert jobs["train_keras"] == 3
    assert jobs["align_networks"] == 1


def test_a_study_that_is_removed_leaves_no_job(snakemake):
    jobs = planned(snakemake, "shared_response", "--config", "shared_response={alignments: {digits: null}}")
    assert not {"train_keras", "align_networks"} & set(jobs)
    assert jobs["animate_trajectories"] == jobs["align_families"] == 1


def short_alignment(controls: str) -> list[str]:
    training = "{architecture: mlp, epochs: 1, logged: [0, 1], layers: [dense2], max_units: 8}"
    study = f"{{seeds: 2, n_train: 64, n_images: 40, n_evaluate: 20, controls: {controls}, training: {training}}}"
    return ["--config", f"shared_response={{alignments: {{digits: {study}}}}}"]


def test_a_new_control_trains_nothing_again(snakemake):
    """Networks depend on how they are trained, and what is measured of them on what they are held against."""
    folder = "results/shared_response/alignment_digits"
    made = snakemake(f"{folder}/networks-0", *short_alignment("[shuffled]"))
    assert made.returncode == 0, made.stderr[-2000:]
    jobs = planned(snakemake, f"{folder}/measurements.parquet", *short_alignment("[shuffled, noise]"))
    assert "train_keras" not in jobs
    assert jobs["align_networks"] == 1


def test_an_unknown_layer_names_the_nearest(snakemake):
    text = refusal(snakemake, "aligned_families: {tiny10-digits: {layers: [bm3]}}")
    assert "shared_response.aligned_families.tiny10-digits.layers[0]: matches no layer of tiny10" in text
    assert "nearest: bn3" in text
    text = refusal(snakemake, "alignments: {digits: {training: {layers: [poool1]}}}")
    assert "conv_small has no layer 'poool1': it has pool1, pool2, dense, logits. Did you mean 'pool1'?" in text


def test_fewer_images_than_units_are_refused(snakemake):
    told = "a shared response of 400 features needs as many images to be fitted to, and 300 are not held out"
    text = refusal(snakemake, "aligned_families: {tiny10-digits: {max_units: 400}}")
    assert f"shared_response.aligned_families.tiny10-digits.max_units: {told}" in text
    text = refusal(snakemake, "alignments: {digits: {training: {max_units: 400}}}")
    assert f"shared_response.alignments.digits: {told}" in text
    assert "lower max_units or features, or raise n_images" in text


def test_one_network_is_refused(snakemake):
    text = refusal(snakemake, "alignments: {digits: {seeds: [3]}}")
    assert "shared_response.alignments.digits.seeds: too few" in text
    text = refusal(snakemake, "aligned_families: {tiny10-digits: {seeds: [3]}}")
    assert "tiny10-digits has one network, which has none to be aligned with" in text


def test_an_unknown_center_names_the_nearest(snakemake):
    text = refusal(snakemake, "alignments: {digits: {centers: [meen]}}")
    assert "shared_response.alignments.digits.centers[0]: unknown name" in text
    assert "nearest: mean" in text


def test_more_features_than_units_are_refused(snakemake):
    text = refusal(snakemake, "simulations: {xor: {features: 60}}")
    assert "shared_response.simulations.xor.features: 60 features cannot be had from 50 units" in text


def test_more_images_than_there_are_are_refused(snakemake):
    text = refusal(snakemake, "alignments: {digits: {n_images: 501}}")
    assert "shared_response.alignments.digits.n_images: more images than there are" in text
