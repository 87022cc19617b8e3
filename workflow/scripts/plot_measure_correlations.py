"""Which measures rank the pairs of a panel alike."""

from netalike.plots.comparison_correlations import measure_correlations
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "rank_correlation"]
    figure = measure_correlations(drawn)
    save_figure(
        snakemake,
        figure,
        drawn,
        f"Which measures rank pairs of networks alike ({snakemake.wildcards.panel})",
        "measure_correlations",
    )
