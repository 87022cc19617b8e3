"""The demonstration of the authors' library: two architectures layer by layer, with and without its division bug."""

from netalike import data, networks
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import demonstration
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    images = data.load(study["dataset"], "test", place_of(snakemake.config["data"]).root, limit=study["n_images"])
    files = zip(study["members"], snakemake.input.networks, strict=True)
    models = {network: networks.load(file)[0] for network, file in files}
    rows = [
        *demonstration.demonstration_rows(models, images, study["layers"], study["batch_size"], study["seed"]),
        *demonstration.resnet18_rows(images, study["batch_size"], study["seed"]),
    ]
    measurements.write(
        rows,
        snakemake.output.measurements,
        paper="deconfounded_cka",
        experiment=f"demonstration_{snakemake.wildcards.study}",
        dataset=images.name,
        split=images.split,
        n_samples=len(images),
        seed=study["seed"],
    )
