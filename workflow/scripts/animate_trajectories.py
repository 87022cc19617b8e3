"""Turn the trajectories of networks before and after alignment into a moving picture."""

import numpy as np

from netalike.plots.trajectories import animate_trajectories
from netalike.scripting import log_to

with log_to(snakemake.log[0]), np.load(snakemake.input.pictures, allow_pickle=False) as pictures:
    animate_trajectories(dict(pictures), snakemake.output.animation)
