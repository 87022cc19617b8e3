"""Invert the same pairs of images through some networks of a panel and their untrained twins."""

from pathlib import Path

from netalike import comparison, data, networks
from netalike.data.place import place_of
from netalike.evidence.metering import Meter
from netalike.experiments import inversion
from netalike.experiments.panel_inversion import invert_members
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel, meter, chosen = snakemake.params.panel, Meter("inversion"), snakemake.params.networks
    images = data.load(panel["dataset"], "test", place_of(snakemake.config["data"]).root, limit=panel["n_images"])
    members = comparison.load_members(dict(zip(panel["running"], snakemake.input.networks, strict=True)), panel)
    members = [member for member in members if member.name.split("@")[0] in chosen]
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    checkpoints = Path(snakemake.params.checkpoints)
    how = panel["inversion"]
    inverted = invert_members(members, images, panel, how, device, checkpoints, progress=True, meter=meter)
    inversion.write_inverted(inverted, snakemake.output.images)
    meter.write(snakemake.output.timing)
    # only now: what was inverted before a break is not inverted again
    for member in members:
        for kind in how["seed_images"]:
            inversion.checkpoint_of(checkpoints, member.name, kind).unlink(missing_ok=True)
