"""Map alignment: the nearest neighbours of some patches."""

from netalike import plots
from netalike.experiments.map_pictures import read_pictures
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "soft_count"]
    pictures = [read_pictures(file) for file in snakemake.input.pictures]
    title = f"Nearest neighbours of patches ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.map_alignment_neighbours(pictures[0]), drawn, title, "map_alignment_neighbours")
