"""Compute measures on the recorded activations of some pairs of networks of a panel."""

from netalike import comparison
from netalike.evidence import measurements, rows
from netalike.measures import of_quantity, recorded
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel = snakemake.params.panel
    recordings, orders = comparison.recordings_of(snakemake.input.recordings, panel)
    pairs = comparison.pairs_of(panel, int(snakemake.wildcards.chunk))
    measures = [measure for quantity in panel["measures"] for measure in of_quantity(quantity)]

    comparisons = recorded.compare_recorded(recordings, pairs, measures, panel["layer_pairs"], orders)
    measurements.write(
        rows.comparison_rows(comparisons, panel["members"]),
        snakemake.output.measurements,
        paper="comparison",
        experiment=f"measures_{snakemake.wildcards.panel}",
        dataset=panel["dataset"],
        split="test",
        n_samples=comparison.samples_in(recordings),
        seed=panel["seed"],
    )
