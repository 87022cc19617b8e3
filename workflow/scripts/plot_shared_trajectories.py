"""Trajectories of networks through images sorted by class, before and after alignment."""

from netalike.plots.jobs import arrays_of, rows_of, save_figure
from netalike.plots.trajectories import shared_trajectories
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["block_contrast"])]
    title = f"Trajectories before and after alignment ({snakemake.wildcards.study})"
    save_figure(snakemake, shared_trajectories(arrays_of(snakemake)), drawn, title, "shared_trajectories")
