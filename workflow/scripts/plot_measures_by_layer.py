"""All measures along the layers, between networks that differ in their seeds."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.panels import by_family
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[(rows["condition"] == "pair=same_family") & (rows["layer_a"] == rows["layer_b"])]
    figure = by_family(drawn, snakemake.params.panel["members"], plots.measure_by_layer)
    save_figure(snakemake, figure, drawn, f"All measures by layer ({snakemake.wildcards.panel})", "measures_by_layer")
