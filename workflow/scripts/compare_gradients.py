"""Compare the input similarity of the networks of a panel: a kernel each, and then all pairs."""

from netalike import comparison, data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.evidence.metering import Meter
from netalike.experiments.panel_gradients import gradient_kernels, kernel_rows
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    panel, meter = snakemake.params.panel, Meter("gradients")
    root = place_of(snakemake.config["data"]).root
    n_images = min(panel["gradients"]["n_images"], panel["n_images"])
    images = data.load(panel["dataset"], "test", root, limit=n_images)
    members = comparison.load_members(dict(zip(panel["running"], snakemake.input.networks, strict=True)), panel)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    kernels = gradient_kernels(members, images, panel["gradients"], device, progress=True, meter=meter)
    pairs = comparison.running_pairs(panel, comparison.pairs_of(panel))
    found = kernel_rows(kernels, pairs, panel, meter=meter)
    constants = {"paper": "comparison", "experiment": f"gradients_{snakemake.wildcards.panel}"}
    of_images = {"dataset": panel["dataset"], "split": "test", "seed": panel["seed"], "n_samples": len(images)}
    measurements.write(found, snakemake.output.measurements, **constants, **of_images)
    meter.write(snakemake.output.timing)
