"""Layer-by-layer heatmaps of one pair of networks, one panel per estimator."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.panels import first_pair, grid_columns, grid_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    drawn = first_pair(rows_of(snakemake), snakemake.params.panel["members"])
    network_a, network_b = drawn[["network_a", "network_b"]].iloc[0]
    groups = drawn.groupby(["quantity", "estimator"], sort=False)
    matrices = {
        plots.measure_label(*names): plots.layer_matrix(rows).rename_axis(index=network_a, columns=network_b)
        for names, rows in groups
    }
    figure = grid_figure(matrices)
    plots.layer_heatmap_grid(
        figure, matrices, f"similarity, {plots.direction_label()}", vmin=None, columns=grid_columns(len(matrices))
    )
    save_figure(snakemake, figure, drawn, f"Layer by layer: {network_a} and {network_b}", "pair")
