"""CKA against relative accuracy along the training of a stitching layer, and under a penalty on CKA."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["experiment"].str.startswith(("trajectory_", "cka_reg_"))]
    title = f"CKA against relative accuracy along training ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.stitching_training(drawn), drawn, title, "stitching_training")
