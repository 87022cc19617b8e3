"""How consistent similarity matrices are across networks, by layer."""

from netalike.plots.jobs import rows_of, save_figure
from netalike.plots.shared_response import shared_consistency
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["consistency"])]
    title = f"Consistency of similarity matrices ({snakemake.wildcards.study})"
    save_figure(snakemake, shared_consistency(drawn), drawn, title, "shared_consistency")
