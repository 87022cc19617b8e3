"""Check what holds exactly: known rotations come back, and BrainIAK gives the same as our own implementation."""

from netalike.evidence import measurements
from netalike.experiments.alignment_identities import identity_rows
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    experiment = f"exact_alignment_{snakemake.wildcards.study}"
    rows = identity_rows(snakemake.config["seed"])
    constants = {"paper": "shared_response", "experiment": experiment, "dataset": "gaussian"}
    measurements.write(rows, snakemake.output.measurements, **constants)
