"""All measures along the layers, between networks that differ in their seeds."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.panels import measures_grid
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[(rows["condition"] == "pair=same_family") & (rows["layer_a"] == rows["layer_b"])]
    figure = measures_grid(drawn, snakemake.params.panel["members"])
    save_figure(snakemake, figure, drawn, f"All measures by layer ({snakemake.wildcards.panel})", "measures_by_layer")
