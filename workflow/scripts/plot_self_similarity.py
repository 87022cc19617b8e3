"""Similarity of each layer with itself: 1 by definition, whatever the estimator."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.panels import by_family
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[(rows["condition"] == "pair=self") & (rows["layer_a"] == rows["layer_b"])]
    figure = by_family(drawn, snakemake.params.panel["members"], plots.self_similarity)
    title = f"Every network is like itself ({snakemake.wildcards.panel})"
    save_figure(snakemake, figure, drawn, title, "self_similarity")
