"""Align the trained networks of a family, layer by layer."""

from pathlib import Path

import numpy as np

from netalike import comparison, data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments.aligned_families import record_family
from netalike.experiments.shared_response import align_recordings
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    images = data.load(study["dataset"], "test", place_of(snakemake.config["data"]).root, limit=study["n_images"])
    files = {Path(file).stem: file for file in snakemake.input.networks}
    members = comparison.load_members(files, {**study, "untrained_twins": len(files)})
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    recordings = record_family(members, images, study["max_units"], study["seed"], study["batch_size"], device)
    rows, pictures = align_recordings(recordings, study, study["seed"])
    np.savez_compressed(snakemake.output.pictures, **pictures)
    constants = {"paper": "shared_response", "dataset": study["dataset"], "split": "test", "seed": study["seed"]}
    constants["experiment"] = f"aligned_families_{snakemake.wildcards.study}"
    measurements.write(rows, snakemake.output.measurements, **constants)
