"""What a similarity term changes: paired differences, and the steps that an accuracy takes."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.similarity_term import similarity_term_differences
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"] == "validation_accuracy"]
    title = f"What the similarity term changes ({snakemake.wildcards.study})"
    save_figure(snakemake, similarity_term_differences(drawn), drawn, title, "similarity_term_differences")
