"""The denoising factor between its bounds, and the identity behind it, on networks trained on noisy labels."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.toy_denoising import toy_denoising
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["condition"].str.contains("noise=") & (rows["n_samples"] == rows["n_samples"].max())]
    title = f"Denoising of noisy labels ({snakemake.wildcards.study})"
    save_figure(snakemake, toy_denoising(drawn), drawn, title, "toy_denoising")
