"""Fit shared responses to some pairs of networks of a panel, layer by layer."""

from netalike import comparison
from netalike.evidence import measurements
from netalike.evidence.metering import Meter
from netalike.experiments.panel_alignment import align_pairs
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel, meter = snakemake.params.panel, Meter("alignment")
    recordings, orders = comparison.recordings_of(snakemake.input.recordings, panel)
    pairs = comparison.pairs_of(panel, int(snakemake.wildcards.chunk))
    found = align_pairs(recordings, orders, pairs, panel, panel["alignment"], progress=True, meter=meter)
    constants = {"paper": "comparison", "experiment": f"alignment_{snakemake.wildcards.panel}"}
    of_images = {"dataset": panel["dataset"], "split": "test", "seed": panel["seed"]}
    measurements.write(found, snakemake.output.measurements, **constants, **of_images)
    meter.write(snakemake.output.timing)
