"""Compare what the networks of a panel predict."""

from netalike import comparison
from netalike.evidence import measurements
from netalike.evidence.metering import Meter
from netalike.experiments.panel_behaviour import behaviour_rows
from netalike.experiments.panel_recordings import read_outputs
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel, meter = {**snakemake.params.panel, "facts": snakemake.params.facts}, Meter("behaviour")
    outputs, labels = read_outputs(snakemake.input.outputs)
    found = behaviour_rows(outputs, labels, comparison.pairs_of(panel), panel, meter=meter)
    constants = {"paper": "comparison", "experiment": f"behaviour_{snakemake.wildcards.panel}"}
    of_images = {"dataset": panel["dataset"], "split": "test", "seed": panel["seed"], "n_samples": len(labels)}
    measurements.write(found, snakemake.output.measurements, **constants, **of_images)
    meter.write(snakemake.output.timing)
