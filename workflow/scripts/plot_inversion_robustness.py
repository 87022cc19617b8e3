"""Similarity of networks by the attacks that they were trained against."""

from netalike.plots.inversion import inversion_robustness
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].str.fullmatch("mean_(cka|deconfounded_cka|procrustes|stir|agreement)")]
    title = f"Similarity and robustness ({snakemake.wildcards.study})"
    save_figure(snakemake, inversion_robustness(rows), drawn, title, "inversion_robustness")
