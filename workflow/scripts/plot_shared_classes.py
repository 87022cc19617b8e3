"""Similarity of classes by layer and epoch."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.shared_response import shared_classes
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["class_rsm"])]
    title = f"Similarity of classes ({snakemake.wildcards.study})"
    save_figure(snakemake, shared_classes(drawn), drawn, title, "shared_classes")
