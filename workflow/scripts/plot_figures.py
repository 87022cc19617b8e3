"""Draw all figures of one study or panel, each by its own script, in one process."""

from netalike.plots.drawing import draw_figures
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    draw_figures(snakemake)
