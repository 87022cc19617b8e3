"""Map alignment: share of vertices within a distance from the truth."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["accuracy"])]
    title = f"Cumulative accuracy of aligned polygons ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.map_alignment_accuracy(drawn), drawn, title, "map_alignment_accuracy")
