"""Seeds, targets, and the images inverted through some networks."""

from netalike.plots.inversion_gallery import inversion_gallery
from netalike.plots.jobs import arrays_of, rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "inversion_loss"]
    title = f"Seeds, targets and inverted images ({snakemake.wildcards.study})"
    save_figure(snakemake, inversion_gallery(arrays_of(snakemake)), drawn, title, "inversion_gallery")
