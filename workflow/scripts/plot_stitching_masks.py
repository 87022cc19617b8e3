"""Stitching layers under masks, with other targets, and with sparse entries."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["experiment"].str.startswith(("masks_", "targets_", "l1_"))]
    title = f"Masks, targets and sparsity of stitching layers ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.stitching_masks(drawn), drawn, title, "stitching_masks")
