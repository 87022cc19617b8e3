"""Compare all networks of a panel on the images that were inverted through each of them."""

from netalike import comparison, data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.evidence.metering import Meter
from netalike.experiments import inversion
from netalike.experiments.panel_inversion import inverted_rows
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel = snakemake.params.panel
    meter = Meter.read("inversion", snakemake.input.timings)  # what the inversions cost is part of what a pair costs
    images = data.load(panel["dataset"], "test", place_of(snakemake.config["data"]).root, limit=panel["n_images"])
    members = comparison.load_members(dict(zip(panel["running"], snakemake.input.networks, strict=True)), panel)
    inverted = inversion.read_inverted(snakemake.input.images)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    pairs, how = comparison.running_pairs(panel, comparison.pairs_of(panel)), panel["inversion"]
    found = inverted_rows(members, inverted, images, pairs, panel, how, device, progress=True, meter=meter)
    constants = {"paper": "comparison", "experiment": f"inversion_{snakemake.wildcards.panel}"}
    of_images = {"dataset": panel["dataset"], "split": "test", "seed": panel["seed"]}
    measurements.write(found, snakemake.output.measurements, **constants, **of_images)
    meter.write(snakemake.output.timing)
