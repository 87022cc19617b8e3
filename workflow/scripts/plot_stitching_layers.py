"""Relative accuracy of stitched networks by layer, and that of the controls."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "relative_accuracy"]
    title = f"Relative accuracy of stitched networks by layer ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.stitching_layers(drawn), drawn, title, "stitching_layers")
