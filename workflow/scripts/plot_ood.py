"""Similarity to the best network against the gap in accuracy under corruptions."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["condition"].str.contains("corruption=") & (rows["quantity"] != "accuracy")]
    figure = plots.ood(drawn)
    save_figure(
        snakemake, figure, drawn, f"Similarity and out-of-distribution accuracy ({snakemake.wildcards.study})", "ood"
    )
