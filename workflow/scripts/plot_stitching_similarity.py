"""How like stitched activations are to the end network's own, and how accurate the stitches are."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["cka_unbiased", "fit_error", "relative_accuracy"])]
    title = f"Similarity and accuracy of stitches by layer ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.stitching_similarity(drawn), drawn, title, "stitching_similarity")
