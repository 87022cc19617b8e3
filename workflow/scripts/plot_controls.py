"""Controls with known answers beside the trained pairs."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.panels import matched
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = matched(rows[rows["quantity"].isin(["cka", "deconfounded_cka"])])
    figure, (axes,) = plots.new_figure(9.5, 6.5)
    plots.controls(axes, drawn, title=f"Controls ({snakemake.wildcards.panel})")
    save_figure(snakemake, figure, drawn, f"Controls with known answers ({snakemake.wildcards.panel})", "controls")
