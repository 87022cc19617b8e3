"""Stitching layers of low rank: least squares against task loss."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["experiment"].str.startswith("ranks_")]
    title = f"Rank of the stitching layer, direct against task loss ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.stitching_ranks(drawn), drawn, title, "stitching_ranks")
