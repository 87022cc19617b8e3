"""Map alignment: a test scene with its true, noisy and corrected polygons."""

from netalike import plots
from netalike.experiments.map_pictures import read_pictures
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "vertex_error_of_scene"]
    pictures = [read_pictures(file) for file in snakemake.input.pictures]
    title = f"Image, noisy and corrected polygons ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.map_alignment_overlay(pictures), drawn, title, "map_alignment_overlay")
