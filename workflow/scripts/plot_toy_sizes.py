"""The mean of every count of similar samples by the number of training samples."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.toy import HARD, LESS_SOFT, SOFT, toy_sizes
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    counts = rows["quantity"].isin([SOFT, LESS_SOFT, HARD]) & (rows["estimator"] == "corrected")
    drawn = rows[counts | (rows["quantity"] == "count_exponent")]
    title = f"Counts by number of training samples ({snakemake.wildcards.study})"
    save_figure(snakemake, toy_sizes(drawn), drawn, title, "toy_sizes")
