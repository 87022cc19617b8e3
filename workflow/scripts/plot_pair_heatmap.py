"""All pairs of a panel under all measures, standardised."""

from netalike.plots.comparison_pairs import pair_heatmap
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "pair_standardised"]
    figure = pair_heatmap(drawn, snakemake.params.panel["members"])
    save_figure(
        snakemake,
        figure,
        drawn,
        f"All pairs of networks under all measures ({snakemake.wildcards.panel})",
        "pair_heatmap",
    )
