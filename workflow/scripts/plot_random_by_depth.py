"""CKA and deconfounded CKA of random and trained networks, by depth."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["cka", "deconfounded_cka"])]
    figure = plots.random_by_depth(drawn)
    save_figure(
        snakemake,
        figure,
        drawn,
        f"Random and trained networks by depth ({snakemake.wildcards.study})",
        "random_by_depth",
    )
