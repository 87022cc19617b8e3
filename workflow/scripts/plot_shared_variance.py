"""Variance that a shared response explains on held-out images, by layer."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.shared_response import shared_variance
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["variance_explained"])]
    title = f"Variance explained by a shared response ({snakemake.wildcards.study})"
    save_figure(snakemake, shared_variance(drawn), drawn, title, "shared_variance")
