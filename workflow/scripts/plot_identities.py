"""Exact identities of deconfounded CKA, and the chance level of CKA."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    figure = plots.identities(rows)
    save_figure(
        snakemake, figure, rows, f"Exact identities and chance level ({snakemake.wildcards.study})", "identities"
    )
