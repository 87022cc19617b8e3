"""Train Keras networks, one after the other, and record activations of test images at the logged epochs."""

import shutil
from pathlib import Path

from netalike import data
from netalike.data.place import place_of
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    from netalike.training.keras_networks import train_networks
    from netalike.training.map_alignment import prepare_tensorflow

    prepare_tensorflow(snakemake.threads)
    study = snakemake.params.study
    root = place_of(snakemake.config["data"]).root
    train_set = data.load(study["dataset"], "train", root, limit=study["n_train"])
    test_set = data.load(study["dataset"], "test", root)
    checkpoints, networks = Path(snakemake.params.checkpoints), Path(snakemake.output.networks)
    train_networks(study, train_set, test_set, snakemake.params.seeds, networks, study["seed"], checkpoints)
    # only now: what was trained before a break is not trained again
    shutil.rmtree(checkpoints, ignore_errors=True)
