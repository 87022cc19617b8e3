"""What a measure costs against what it can tell apart."""

from netalike.plots.comparison_cost import cost_pareto
from netalike.plots.comparison_jobs import timings_of
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "separation"]
    figure = cost_pareto(drawn, timings_of(snakemake))
    save_figure(
        snakemake,
        figure,
        drawn,
        f"What each measure costs and what it tells apart ({snakemake.wildcards.panel})",
        "cost_pareto",
    )
