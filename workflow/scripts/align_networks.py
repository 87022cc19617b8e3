"""Align Keras networks at every logged epoch of their training, layer by layer."""

import numpy as np

from netalike.activations.keras import read_networks, training_rows
from netalike.evidence import measurements
from netalike.experiments.shared_response import align_recordings
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    networks = read_networks(snakemake.input.networks)
    trained = [row for network in networks for row in training_rows(network)]
    rows, pictures = align_recordings(networks, study, study["seed"])
    np.savez_compressed(snakemake.output.pictures, **pictures)
    constants = {"paper": "shared_response", "dataset": study["dataset"], "seed": study["seed"]}
    constants["experiment"] = f"alignment_{snakemake.wildcards.study}"
    measurements.write([*trained, *rows], snakemake.output.measurements, **constants)
