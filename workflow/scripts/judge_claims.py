"""Judge every claim against the table, and add what its rows cost and how to make them again."""

import json
from pathlib import Path

from netalike.evidence import claims, cost, measurements, redo
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    configuration = snakemake.params.configuration
    table = measurements.read(snakemake.input.measurements)
    folder = Path(snakemake.input.claims[0]).parent
    judged = claims.judge_all(claims.load(folder), table, configuration["preset"])
    judged = redo.with_cost(judged, cost.read("results/cost"), snakemake.params.experiments, configuration["preset"])
    judged.to_parquet(snakemake.output.parquet, index=False)
    measurements.write_csv(judged, snakemake.output.csv)
    Path(snakemake.output.configuration).write_text(json.dumps(configuration, indent=2) + "\n")
