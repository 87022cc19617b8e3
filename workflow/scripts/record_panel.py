"""Record the layers and the outputs of all networks of a panel, controls included, into memory-mapped files."""

from pathlib import Path

from netalike import comparison, data, networks
from netalike.activations import record
from netalike.data.place import place_of
from netalike.experiments import panel_recordings
from netalike.experiments.panel_behaviour import record_outputs
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel, folder = snakemake.params.panel, Path(snakemake.output.recordings)
    files = dict(zip(panel["recordings"], snakemake.input.files, strict=True))
    root, limit = place_of(snakemake.config["data"]).root, min(panel["measure_images"], panel["n_images"])
    images = None if snakemake.input.keras else data.load(panel["dataset"], "test", root, limit=limit)
    members = comparison.load_members(dict(zip(panel["running"], snakemake.input.networks, strict=True)), panel)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    for member in members:
        record(member.model, images, member.layers, folder / member.name, device=device)
    outputs = record_outputs(members, images, device) if members else {}

    twins = comparison.twinned(panel)
    given, of_given = panel_recordings.copy_recordings(panel, files, snakemake.input.keras, twins, folder, images)
    labels = of_given if images is None else images.labels.numpy()
    panel_recordings.write_outputs({**outputs, **given}, labels, snakemake.output.outputs)
