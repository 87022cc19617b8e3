"""Stitch pairs of networks with restricted stitching layers: ranks, sparsity, CKA, masks and targets."""

from pathlib import Path

from netalike import comparison, data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import stitching, stitching_sweeps
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study, name = snakemake.params.study, snakemake.wildcards.study
    root = place_of(snakemake.config["data"]).root
    files = {Path(file).stem: file for file in snakemake.input.networks}
    members = {member.name: member for member in comparison.load_members(files, {**study, "controls": []})}
    train_set = data.load(study["dataset"], "train", root, limit=study["n_train"])
    test_set = data.load(study["dataset"], "test", root, limit=study["n_images"])
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    job = stitching.Job.of_study(study, train_set, test_set, device)
    rows = []
    for front, end in snakemake.params.pairs:
        rows += stitching_sweeps.sweep_rows(members[front], members[end], study, job, name)
    constants = {"paper": "stitching", "dataset": study["dataset"], "seed": study["seed"]}
    measurements.write(rows, snakemake.output.measurements, **constants)
