"""CKA and deconfounded CKA of two networks layer by layer, corrected and with the division bug."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    figure = plots.demonstration(rows)
    save_figure(
        snakemake,
        figure,
        rows,
        f"Layer by layer, with and without the division bug ({snakemake.wildcards.study})",
        "demonstration",
    )
