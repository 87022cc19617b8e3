"""Compare our measures with independent implementations, on some pairs of a panel."""

from netalike import comparison
from netalike.evidence import measurements
from netalike.experiments.implementations import EXPERIMENT, chosen_pairs, implementation_rows
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel = snakemake.params.panel
    recordings, _ = comparison.recordings_of(snakemake.input.recordings, panel)
    measurements.write(
        implementation_rows(recordings, chosen_pairs(panel), seed=panel["seed"]),
        snakemake.output.measurements,
        paper="comparison",
        experiment=EXPERIMENT,
        dataset=panel["dataset"],
        split="test",
        seed=panel["seed"],
    )
