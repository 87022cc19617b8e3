"""Map alignment: denoising that the kernel predicts against that of the known noise."""

from netalike import plots
from netalike.plots.jobs import rows_of, save_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = rows_of(snakemake)
    drawn = rows[rows["quantity"].isin(["averaged_noise", "label_noise", "prediction_error"])]
    title = f"Predicted and true denoising of labels ({snakemake.wildcards.study})"
    save_figure(snakemake, plots.map_alignment_denoising(drawn), drawn, title, "map_alignment_denoising")
