"""Similarity of copies before and after alignment, beside the published bars."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.simulation import simulation_bars
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["rsm_correlation"])]
    title = f"Rotated and permuted copies of a network ({snakemake.wildcards.study})"
    save_figure(snakemake, simulation_bars(drawn), drawn, title, "simulation_bars")
