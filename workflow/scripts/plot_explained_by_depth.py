"""Share of variance of each layer's Gram matrix that the inputs explain, trained against untrained networks."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "explained_by_inputs"]
    figure, (axes,) = plots.new_figure(8.0, 3.6)
    plots.explained_by_depth(axes, drawn)
    save_figure(
        snakemake,
        figure,
        drawn,
        f"Share explained by the inputs, by depth ({snakemake.wildcards.study})",
        "explained_by_depth",
    )
