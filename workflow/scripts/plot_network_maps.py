"""A map of the networks of a panel under each measure."""

from netalike.plots.comparison_maps import network_maps
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["map_position", "map_stress"])]
    figure = network_maps(drawn, snakemake.params.panel["members"])
    save_figure(
        snakemake,
        figure,
        drawn,
        f"The networks on a map under each measure ({snakemake.wildcards.panel})",
        "network_maps",
    )
