"""Train with and without a similarity term, with some seeds."""

from pathlib import Path

from netalike import data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import similarity_term
from netalike.scripting import log_to
from netalike.training.pair_stream import hold_out
from netalike.training.similarity_runs import forget_runs, train_runs

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    root = place_of(snakemake.config["data"]).root
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    pool = hold_out(data.load(study["dataset"], "train", root), study["n_validation"], study["seed"])
    settings = similarity_term.settings_of(study)
    wanted = similarity_term.runs_of(study, snakemake.params.seeds)
    checkpoints = Path(snakemake.params.checkpoints)
    runs = train_runs(pool, wanted, settings, checkpoints, device, progress=True)
    rows = [row for run in runs for row in similarity_term.run_rows(run, pool, settings)]
    experiment = f"similarity_term_{snakemake.wildcards.study}"
    constants = {"paper": "input_similarity", "experiment": experiment, "dataset": study["dataset"]}
    measurements.write(rows, snakemake.output.measurements, **constants)
    forget_runs(pool, wanted, settings, checkpoints)
