"""Similarity between aligned networks over training, against that within networks."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.shared_response import shared_development
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["second_order_similarity", "second_order_of_network"])]
    title = f"Similarity of similarities over training ({snakemake.wildcards.study})"
    save_figure(snakemake, shared_development(drawn), drawn, title, "shared_development")
