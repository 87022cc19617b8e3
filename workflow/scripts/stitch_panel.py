"""Stitch some pairs of networks of a panel, both ways."""

from netalike import comparison, data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.evidence.metering import Meter
from netalike.experiments.panel_stitching import stitch_pairs
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel, meter = {**snakemake.params.panel, "facts": snakemake.params.facts}, Meter("stitching")
    root, how = place_of(snakemake.config["data"]).root, panel["stitching"]
    train_set = data.load(panel["dataset"], "train", root, limit=how["n_train"])
    test_set = data.load(panel["dataset"], "test", root, limit=how["n_test"])
    members = comparison.load_members(dict(zip(panel["running"], snakemake.input.networks, strict=True)), panel)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    pairs = comparison.running_pairs(panel, comparison.pairs_of(panel, int(snakemake.wildcards.chunk)))
    found = stitch_pairs(members, pairs, train_set, test_set, panel, how, device, progress=True, meter=meter)
    constants = {"paper": "comparison", "experiment": f"stitching_{snakemake.wildcards.panel}"}
    of_images = {"dataset": panel["dataset"], "split": "test", "seed": panel["seed"], "n_samples": len(test_set)}
    measurements.write(found, snakemake.output.measurements, **constants, **of_images)
    meter.write(snakemake.output.timing)
