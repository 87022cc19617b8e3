"""Counts of similar samples of the toy problem, over position and curvature, by frequency."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.toy import toy_curvature
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[(rows["estimator"] == "by_position") & rows["quantity"].isin(["soft_count", "curvature"])]
    drawn = drawn[drawn["n_samples"] == drawn["n_samples"].max()]
    title = f"Soft counts by position, curvature and frequency ({snakemake.wildcards.study})"
    save_figure(snakemake, toy_curvature(drawn), drawn, title, "toy_curvature")
