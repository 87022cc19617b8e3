"""Say what the measures of a panel agree on, and what each tells apart."""

import pandas as pd

from netalike import comparison
from netalike.evidence import measurements
from netalike.experiments.panel_map import map_rows
from netalike.experiments.panel_pairs import pair_table
from netalike.experiments.panel_summary import summary_rows
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel = {**snakemake.params.panel, "facts": snakemake.params.facts}
    rows = pd.concat([measurements.read(file) for file in snakemake.input.measurements], ignore_index=True)
    pairs = pair_table(rows, panel, asked=comparison.pairs_of(panel))
    pairs.to_parquet(snakemake.output.pairs, index=False)
    found = [*summary_rows(pairs, panel, rows), *map_rows(pairs, panel)]
    constants = {"paper": "comparison", "experiment": f"comparison_{snakemake.wildcards.panel}"}
    of_images = {"dataset": panel["dataset"], "split": "test", "seed": panel["seed"]}
    measurements.write(found, snakemake.output.measurements, **constants, **of_images)
