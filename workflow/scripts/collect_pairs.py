"""Put the pairs of all panels, under all measures, into one table."""

import pandas as pd

from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    pairs = pd.concat([pd.read_parquet(file) for file in snakemake.input.pairs], ignore_index=True)
    pairs.to_parquet(snakemake.output.parquet, index=False)
    pairs.to_csv(snakemake.output.csv, index=False)
