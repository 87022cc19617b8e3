"""Similarity of networks on the targets, and on images inverted through each of them."""

from netalike.plots.inversion import inversion_similarity
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[(rows["quantity"] == "cka") & (rows["estimator"] == "published")]
    title = f"Similarity on targets and on inverted images ({snakemake.wildcards.study})"
    save_figure(snakemake, inversion_similarity(rows), drawn, title, "inversion_similarity")
