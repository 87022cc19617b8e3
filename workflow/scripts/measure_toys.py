"""Count the similar samples of every network of a study of the toy problem, and check what it does to noise."""

from netalike.evidence import measurements
from netalike.experiments.toy import toy_rows
from netalike.experiments.toy_denoising import denoising_rows
from netalike.scripting import log_to
from netalike.training.toy import load_toys

with log_to(snakemake.log[0], snakemake.threads):
    study, experiment = snakemake.params.study, f"toy_{snakemake.wildcards.study}"
    trained = [load_toys(file) for file in snakemake.input.networks]
    counts = {key: study[key] for key in ("thresholds", "exponents", "bins")}
    rows = toy_rows(trained, experiment, **counts, shown=True)
    rows += denoising_rows(trained, experiment, study["bins"], shown=True)
    constants = {"paper": "input_similarity", "dataset": f"toy-{study['distribution']}"}
    measurements.write(rows, snakemake.output.measurements, **constants)
