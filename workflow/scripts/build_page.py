"""Build the page, the pages of papers and panels, and the table of what each job took."""

import pandas as pd

from netalike.configuration import Configuration, explain
from netalike.evidence import cost, measurements, provenance
from netalike.page import build, read_costs
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    settings = snakemake.params.configuration
    jobs = cost.read("results/cost")
    jobs.to_parquet(snakemake.output.cost_parquet, index=False)
    measurements.write_csv(jobs, snakemake.output.cost_csv)
    ran = provenance.collect(settings, settings["preset"], ".", snakemake.input.data)
    build(
        snakemake.output.page,
        measurements.read(snakemake.input.measurements),
        snakemake.input.cards,
        jobs,
        ran,
        claims=pd.read_parquet(snakemake.input.claims),
        title=settings["page"]["title"],
        embed_rows=settings["page"]["embed_rows"],
        differences=explain(Configuration.model_validate(settings)),
        measure_costs=read_costs(snakemake.input.get("measure_costs", [])),
        network_cards=snakemake.input.networks,
        repository=".",
    )
