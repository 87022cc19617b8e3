"""Invert the same pairs of images through some networks and their untrained twins, and attack the networks."""

from pathlib import Path

from netalike import data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import inversion
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study, eps = snakemake.params.study, snakemake.params.eps
    checkpoints = Path(snakemake.params.checkpoints)
    images = data.load(study["dataset"], "test", place_of(snakemake.config["data"]).root, limit=study["n_images"])
    files = {Path(file).stem: file for file in snakemake.input.networks}
    members = inversion.participants(files, study, eps)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    rows, inverted = [], {}
    for member in members:
        of_member, found = inversion.invert_network(member, images, study, checkpoints, eps, device, progress=True)
        rows += of_member
        inverted |= found
    inversion.write_inverted(inverted, snakemake.output.images)
    constants = {"paper": "inversion", "dataset": study["dataset"], "split": "test", "seed": study["seed"]}
    constants["experiment"] = f"inversion_{snakemake.wildcards.study}"
    measurements.write(rows, snakemake.output.measurements, **constants)
    # only now: what was inverted before a break is not inverted again
    for member in members:
        for kind in study["seed_images"]:
            inversion.checkpoint_of(checkpoints, member.name, kind).unlink(missing_ok=True)
