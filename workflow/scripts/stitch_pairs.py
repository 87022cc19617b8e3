"""Stitch pairs of networks at every layer by every method, and the controls of the first pairs."""

from pathlib import Path

from netalike import comparison, data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import stitching
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study, name = snakemake.params.study, snakemake.wildcards.study
    root = place_of(snakemake.config["data"]).root
    files = {Path(file).stem: file for file in snakemake.input.networks}
    families = {network: study["members"][network] for network in files}
    panel = {**study, "members": families, "untrained_twins": len(files)}
    members = {member.name: member for member in comparison.load_members(files, panel)}
    train_set = data.load(study["dataset"], "train", root, limit=study["n_train"])
    test_set = data.load(study["dataset"], "test", root, limit=study["n_images"])
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    job = stitching.Job.of_study(study, train_set, test_set, device)
    rows = []
    for front, end in snakemake.params.pairs:
        rows += stitching.layer_rows(members[front], members[end], study["methods"], job, name)
        for control in study["controls"] if (front, end) in map(tuple, snakemake.params.controlled) else []:
            untrained = members.get(stitching.untrained_of(front))
            rows += stitching.control_rows(control, members[end], job, name, untrained)
    constants = {"paper": "stitching", "dataset": study["dataset"], "seed": study["seed"]}
    measurements.write(rows, snakemake.output.measurements, **constants)
