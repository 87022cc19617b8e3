"""Similarity matrices of copies of a network, before and after alignment."""

from netalike.plots.jobs import arrays_of, rows_of, save_figure
from netalike.plots.simulation import simulation_rsms
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["rsm_correlation"])]
    title = f"Similarity matrices of rotated and permuted copies ({snakemake.wildcards.study})"
    save_figure(snakemake, simulation_rsms(arrays_of(snakemake)), drawn, title, "simulation_rsms")
