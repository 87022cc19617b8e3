"""Train networks on the exclusive-or problem, copy them rotated and permuted, and align the copies."""

import numpy as np

from netalike.evidence import measurements
from netalike.experiments.simulation import simulate
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    rows, pictures = simulate(study, snakemake.params.repeats, study["seed"], shown=True)
    np.savez_compressed(snakemake.output.pictures, **pictures)
    experiment = f"simulation_{snakemake.wildcards.study}"
    measurements.write(rows, snakemake.output.measurements, paper="shared_response", experiment=experiment)
