"""Robust networks beside standard ones, on the inverted images of either."""

from netalike.plots.inversion import inversion_asymmetry
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].str.fullmatch("(mean_)?(cka|deconfounded_cka|procrustes)_asymmetry")]
    title = f"Robust against standard networks, both ways ({snakemake.wildcards.study})"
    save_figure(snakemake, inversion_asymmetry(rows), drawn, title, "inversion_asymmetry")
