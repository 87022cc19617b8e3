"""Accuracy along training with and without a similarity term, and how similar images become."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.similarity_term import similarity_term_curves
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["validation_accuracy", "gradient_cosine"])]
    title = f"Training with a similarity term ({snakemake.wildcards.study})"
    save_figure(snakemake, similarity_term_curves(drawn), drawn, title, "similarity_term_curves")
