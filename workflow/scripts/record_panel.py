"""Record the layers of all networks of a panel, controls included, into memory-mapped files."""

from pathlib import Path

from netalike import comparison, data, networks
from netalike.activations import record
from netalike.data.place import place_of
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel = snakemake.params.panel
    root = place_of(snakemake.config["data"]).root
    images = data.load(panel["dataset"], "test", root, limit=min(panel["measure_images"], panel["n_images"]))
    members = comparison.load_members(dict(zip(panel["members"], snakemake.input.networks, strict=True)), panel)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    for member in members:
        record(member.model, images, member.layers, Path(snakemake.output.recordings) / member.name, device=device)
