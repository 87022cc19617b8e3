"""Compare all networks of a population on clean images, and hold each against the best under each corruption."""

from netalike import comparison, data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import population
from netalike.experiments.equal_depth import equal_depth_rows
from netalike.measures.panel import compare_networks
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    images = data.load(study["dataset"], "test", place_of(snakemake.config["data"]).root, limit=study["n_images"])
    panel = {**study, "controls": []}
    members = comparison.load_members(dict(zip(study["members"], snakemake.input.networks, strict=True)), panel)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    sources, _ = comparison.sources_of(members, images, panel, device)
    everyone = list(study["members"])  # as the control, each also with its samples in another order

    result = compare_networks(
        sources, images, ["published", "unbiased", "deconfounded"], study["batch_size"], everyone, study["seed"]
    )
    similarities = measurements.table(equal_depth_rows(result, population.population_relation))
    accuracies = measurements.read(snakemake.input.accuracies)
    with_best = measurements.table(population.with_best_rows(similarities, accuracies))
    constants = {"paper": "deconfounded_cka", "experiment": f"ood_{snakemake.wildcards.study}"}
    of_images = {"dataset": images.name, "split": images.split, "n_samples": len(images), "seed": study["seed"]}
    rows = [*similarities.to_dict("records"), *with_best.to_dict("records")]
    measurements.write(rows, snakemake.output.measurements, **constants, **of_images)
