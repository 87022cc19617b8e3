"""Layer-by-layer heatmaps of one estimator, mean over pairs of networks, one panel per pair of families."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.panels import family_matrices, grid_columns, grid_figure, of_estimator
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = of_estimator(rows_of(snakemake), snakemake.wildcards.estimator)
    matrices, drawn = family_matrices(rows, snakemake.params.panel["members"])
    label = plots.measure_label(*drawn[["quantity", "estimator"]].iloc[0])
    figure = grid_figure(matrices)
    plots.layer_heatmap_grid(
        figure, matrices, f"{label}, {plots.direction_label()}", vmin=None, columns=grid_columns(len(matrices))
    )
    title = f"Layer by layer: {label} ({snakemake.wildcards.panel})"
    save_figure(snakemake, figure, drawn, title, "layers")
