"""Train all networks of a study of the toy problem that have one number of samples, in one loop."""

from pathlib import Path

from netalike.scripting import log_to
from netalike.training.toy import ToySettings, save_toys, toy_runs, train_toys

with log_to(snakemake.log[0], snakemake.threads):
    study, n = snakemake.params.study, int(snakemake.wildcards.n)
    grid = {key: study[key] for key in ("frequencies", "seeds", "distribution", "noise")}
    runs = toy_runs(n, **grid, data_seed=study["seed"])
    networks = Path(snakemake.output.networks)
    # beside the output, which Snakemake removes when a job is cut off
    checkpoint = networks.with_name(f".{networks.stem}.checkpoint")
    save_toys(train_toys(runs, ToySettings.of_study(study, n), checkpoint, shown=True), networks)
