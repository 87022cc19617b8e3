"""Compare all layers of all networks of a panel by CKA, with its controls."""

from netalike import comparison, data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements, rows
from netalike.evidence.metering import Meter
from netalike.measures.panel import compare_networks
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel = snakemake.params.panel
    root = place_of(snakemake.config["data"]).root
    images = data.load(panel["dataset"], "test", root, limit=panel["n_images"])
    members = comparison.load_members(dict(zip(panel["running"], snakemake.input.networks, strict=True)), panel)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    sources, permuted = comparison.sources_of(members, images, panel, device)

    meter, keys = Meter("representation"), rows.measure_keys(panel["estimators"])
    how = panel["batch_size"], permuted, panel["seed"], snakemake.config["resources"]["memory_gb"]
    with meter.networks(keys, len(members)):
        result = compare_networks(sources, images, panel["estimators"], *how, panel["whole_set_precision"])
    with meter.pairs(keys, len(comparison.pairs_of(panel))):
        pass  # they came with the one pass
    meter.write(snakemake.output.timing)
    measurements.write(
        rows.panel_rows(result, panel["members"]),
        snakemake.output.measurements,
        paper="deconfounded_cka",
        experiment=f"layers_{snakemake.wildcards.panel}",
        dataset=images.name,
        split=images.split,
        n_samples=len(images),
        seed=panel["seed"],
    )
