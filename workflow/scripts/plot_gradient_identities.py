"""Exact identities of gradients, their kernel and the counts made of it."""

from netalike.plots.gradient_identities import gradient_identities
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "largest_difference"]
    title = f"Exact identities of gradients ({snakemake.wildcards.study})"
    save_figure(snakemake, gradient_identities(drawn), drawn, title, "gradient_identities")
