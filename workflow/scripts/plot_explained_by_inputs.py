"""Share of each layer's similarity structure that the inputs explain, trained against untrained networks."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.panels import by_family
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[(rows["quantity"] == "explained_by_inputs") & (rows["network_a"] != "noise")]
    figure = by_family(drawn, snakemake.params.panel["members"], plots.pve_by_depth)
    title = f"Share of the similarity structure explained by the inputs ({snakemake.wildcards.panel})"
    save_figure(snakemake, figure, drawn, title, "explained_by_inputs")
