"""The losses of inversions, by iteration and at the end."""

from netalike.plots.inversion_losses import inversion_losses
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["inversion_loss", "inversion_loss_curve"])]
    title = f"Losses of the inversion ({snakemake.wildcards.study})"
    save_figure(snakemake, inversion_losses(rows), drawn, title, "inversion_losses")
