"""Map alignment: what is left of the displacements along the training."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["training_loss"])]
    title = f"Training curves of map alignment ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.map_alignment_training(drawn), drawn, title, "map_alignment_training")
