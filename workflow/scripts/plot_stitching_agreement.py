"""How often stitched networks say what their end network says, and how often both are wrong."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["agreement", "shared_errors"])]
    title = f"Agreement of stitched networks with their end network ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.stitching_agreement(drawn), drawn, title, "stitching_agreement")
