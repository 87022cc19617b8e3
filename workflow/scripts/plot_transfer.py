"""Similarity of fine-tuned networks to their base network against the similarity of their domains."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[(rows["quantity"] != "accuracy") & (rows["estimator"] != "discriminator_accuracy")]
    figure = plots.transfer(drawn)
    save_figure(snakemake, figure, drawn, f"Fine-tuning on shifted domains ({snakemake.wildcards.study})", "transfer")
