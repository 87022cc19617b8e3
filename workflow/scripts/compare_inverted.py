"""Compare all networks of a study on the images that were inverted through each of them."""

from pathlib import Path

import numpy as np

from netalike import data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import inversion
from netalike.experiments.inversion_comparison import compare_networks
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study, eps = snakemake.params.study, snakemake.params.eps
    images = data.load(study["dataset"], "test", place_of(snakemake.config["data"]).root, limit=study["n_images"])
    members = inversion.participants({Path(file).stem: file for file in snakemake.input.networks}, study, eps)
    inverted = inversion.read_inverted(snakemake.input.images)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    rows, pictures = compare_networks(members, inverted, images, study, eps, device, progress=True)
    np.savez_compressed(snakemake.output.pictures, **pictures)
    constants = {"paper": "inversion", "dataset": study["dataset"], "split": "test", "seed": study["seed"]}
    constants["experiment"] = f"inversion_{snakemake.wildcards.study}"
    measurements.write(rows, snakemake.output.measurements, **constants)
