"""How well each measure tells networks of the same task from other pairs."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["cka", "deconfounded_cka"])]
    figure = plots.separation(drawn)
    save_figure(
        snakemake,
        figure,
        drawn,
        f"Telling networks of the same task from others ({snakemake.wildcards.study})",
        "separation",
    )
