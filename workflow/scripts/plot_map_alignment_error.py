"""Map alignment: distance of polygons from the truth before and after, by kind of noise and round."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["vertex_error"])]
    title = f"Error before and after map alignment ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.map_alignment_error(drawn), drawn, title, "map_alignment_error")
