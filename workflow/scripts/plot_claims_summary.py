"""The claims of all papers in one figure."""

import pandas as pd

from netalike.plots.comparison_claims import claims_summary
from netalike.plots.comparison_jobs import save_claims_figure
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    claims = pd.read_parquet(snakemake.input.claims)
    title = f"What the papers claim, and what we find: {len(claims)} claims"
    save_claims_figure(snakemake, claims_summary(claims), claims, title, "claims_summary")
