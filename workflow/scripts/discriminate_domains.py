"""Train a discriminator between the base domain and each shifted one: what it cannot tell apart is alike."""

import shutil
from pathlib import Path

from netalike import data, networks, training
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import transfer
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    root = place_of(snakemake.config["data"]).root
    train_set = data.load(study["dataset"], "train", root, limit=study["n_train"])
    test_set = data.load(study["dataset"], "test", root, limit=study["n_images"])
    discriminator = study["discriminator"]
    measurements.write(
        transfer.domain_rows(
            train_set,
            test_set,
            study["domains"],
            training.Settings(**discriminator["training"]),
            discriminator["architecture"],
            [study["seed"] + seed for seed in discriminator["seeds"]],
            networks.resolve_device(snakemake.config["resources"]["device"]),
            Path(snakemake.params.checkpoints),
        ),
        snakemake.output.measurements,
        paper="deconfounded_cka",
        experiment=f"transfer_{snakemake.wildcards.study}",
        dataset=test_set.name,
        split=test_set.split,
        n_samples=len(test_set),
    )
    shutil.rmtree(snakemake.params.checkpoints)
