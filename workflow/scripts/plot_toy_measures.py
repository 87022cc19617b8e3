"""The mean of every count of similar samples by frequency, and how alike the counts order the samples."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.toy import HARD, LESS_SOFT, SOFT, toy_measures
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    counts = rows["quantity"].isin([SOFT, LESS_SOFT, HARD]) & (rows["estimator"] == "corrected")
    orders = (rows["quantity"] == "rank_correlation_with_soft") & rows["condition"].str.contains("scope=samples")
    drawn = rows[(counts | orders) & (rows["n_samples"] == rows["n_samples"].max())]
    title = f"Every measure by frequency ({snakemake.wildcards.study})"
    save_figure(snakemake, toy_measures(drawn), drawn, title, "toy_measures")
