"""Compare trained networks of the same and of other tasks, and untrained ones, layer by layer at equal depth."""

from netalike import comparison, data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import tasks
from netalike.measures.panel import compare_networks
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    images = data.load(study["dataset"], "test", place_of(snakemake.config["data"]).root, limit=study["n_images"])
    panel = {**study, "controls": ["untrained", "permuted_samples", "noise"]}
    members = comparison.load_members(dict(zip(study["members"], snakemake.input.networks, strict=True)), panel)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    sources, permuted = comparison.sources_of(members, images, panel, device)

    result = compare_networks(
        sources, images, ["published", "unbiased", "deconfounded"], study["batch_size"], permuted, study["seed"]
    )
    measurements.write(
        tasks.task_rows(result, study["tasks"]),
        snakemake.output.measurements,
        paper="deconfounded_cka",
        experiment=f"tasks_{snakemake.wildcards.study}",
        dataset=images.name,
        split=images.split,
        n_samples=len(images),
        seed=study["seed"],
    )
