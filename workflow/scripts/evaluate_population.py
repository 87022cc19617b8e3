"""Accuracy of every network of a population on the clean and the corrupted test images."""

from netalike import data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import population
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    images = data.load(study["dataset"], "test", place_of(snakemake.config["data"]).root, limit=study["n_images"])
    files = zip(study["members"], snakemake.input.networks, strict=True)
    measurements.write(
        population.accuracy_rows(
            {network: networks.load(file)[0] for network, file in files},
            images,
            study["corruptions"],
            study["severities"],
            study["seed"],
            networks.resolve_device(snakemake.config["resources"]["device"]),
        ),
        snakemake.output.measurements,
        paper="deconfounded_cka",
        experiment=f"ood_{snakemake.wildcards.study}",
        dataset=images.name,
        split=images.split,
        n_samples=len(images),
        seed=study["seed"],
    )
