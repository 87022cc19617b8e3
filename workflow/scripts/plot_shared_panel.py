"""Similarity matrices within and between networks, before and after alignment."""

from netalike.plots.jobs import arrays_of, rows_of, save_figure
from netalike.plots.shared_response import shared_panel
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["block_contrast"])]
    title = f"Similarity within and between networks ({snakemake.wildcards.study})"
    save_figure(snakemake, shared_panel(arrays_of(snakemake)), drawn, title, "shared_panel")
