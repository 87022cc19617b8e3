"""What each measure can tell apart: the questions of a panel, with intervals."""

from netalike.plots.comparison_separation import measure_separation
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "separation"]
    figure = measure_separation(drawn)
    save_figure(
        snakemake,
        figure,
        drawn,
        f"What each measure can tell apart ({snakemake.wildcards.panel})",
        "measure_separation",
    )
