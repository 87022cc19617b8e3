"""Train map alignment on labels with one kind of noise, round after round, and measure it."""

import shutil
from pathlib import Path

from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments.map_pictures import write_pictures
from netalike.experiments.map_sources import dataset_of, load_scenes
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    from netalike.experiments.map_alignment import MapStudy, align_noisy_maps
    from netalike.training.map_alignment import prepare_tensorflow

    prepare_tensorflow(snakemake.threads)
    study, noise, seed = snakemake.params.study, snakemake.wildcards.noise, int(snakemake.wildcards.seed)
    root = place_of(snakemake.config["data"]).root
    own_seed = study["seed"] + seed
    train, test = load_scenes(study, noise, root, own_seed)
    checkpoints = Path(snakemake.params.checkpoints)
    rows, pictures = align_noisy_maps(train, test, MapStudy.of_study(study, noise, own_seed), checkpoints)

    write_pictures(pictures, snakemake.output.pictures)
    constants = {"paper": "input_similarity", "dataset": dataset_of(study), "seed": own_seed}
    constants["experiment"] = f"map_alignment_{snakemake.wildcards.study}"
    measurements.write(rows, snakemake.output.measurements, **constants)
    # only now: what was trained before a break is not trained again
    shutil.rmtree(checkpoints, ignore_errors=True)
