"""Accuracy of networks on images as they are, and under attack."""

from netalike.plots.inversion_losses import inversion_accuracy
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "accuracy"]
    title = f"Clean and robust accuracy ({snakemake.wildcards.study})"
    save_figure(snakemake, inversion_accuracy(rows), drawn, title, "inversion_accuracy")
