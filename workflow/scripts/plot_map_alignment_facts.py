"""Map alignment: whether patches that are similar to the network share facts of their scenes."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["fact_agreement"])]
    title = f"What similar patches share ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.map_alignment_facts(drawn), drawn, title, "map_alignment_facts")
