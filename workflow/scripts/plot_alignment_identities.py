"""What holds exactly: known rotations come back, and BrainIAK gives the same."""

from netalike.plots.alignment_identities import alignment_identities
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["largest_difference"])]
    title = f"Recovered rotations, and agreement with BrainIAK ({snakemake.wildcards.study})"
    save_figure(snakemake, alignment_identities(drawn), drawn, title, "alignment_identities")
