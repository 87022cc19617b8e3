"""The published matrices, which no row of a study enters."""

from netalike.plots.inversion import inversion_published
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows.iloc[:0]
    title = f"The published matrices ({snakemake.wildcards.study})"
    save_figure(snakemake, inversion_published(), drawn, title, "inversion_published")
