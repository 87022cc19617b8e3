"""Check what must hold exactly of gradients, their kernel and the counts made of it, on small networks."""

from netalike.evidence import measurements
from netalike.experiments.gradient_identities import gradient_identity_rows
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    rows = gradient_identity_rows(f"gradient_identities_{snakemake.wildcards.study}", shown=True)
    measurements.write(rows, snakemake.output.measurements, paper="input_similarity", dataset="gaussian")
