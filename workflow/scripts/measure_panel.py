"""Compute measures on the recorded activations of some pairs of networks of a panel."""

from netalike import comparison
from netalike.evidence import measurements, rows
from netalike.evidence.metering import Meter
from netalike.measures import of_quantity, recorded
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel, meter = snakemake.params.panel, Meter("representation")
    recordings, orders = comparison.recordings_of(snakemake.input.recordings, panel)
    pairs = comparison.pairs_of(panel, int(snakemake.wildcards.chunk))
    found = []
    for measure, chosen in comparison.measures_of(panel, pairs, of_quantity):
        with meter.pairs(measure.key, len(chosen)):
            found += recorded.compare_recorded(recordings, chosen, [measure], panel["layer_pairs"], orders)
    measurements.write(
        rows.comparison_rows(found, panel["members"]),
        snakemake.output.measurements,
        paper="comparison",
        experiment=f"measures_{snakemake.wildcards.panel}",
        dataset=panel["dataset"],
        split="test",
        n_samples=comparison.samples_in(recordings),
        seed=panel["seed"],
    )
    meter.write(snakemake.output.timing)
