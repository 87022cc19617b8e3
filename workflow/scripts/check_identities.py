"""Check what must hold exactly, in double precision, on recorded activations of a trained network."""

from netalike import comparison, data
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import identities
from netalike.scripting import log_to

IMAGES = 200

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    root = place_of(snakemake.config["data"]).root
    images = data.load(study["dataset"], "test", root, limit=min(IMAGES, study["n_images"]))
    first = next(iter(study["members"]))
    (member,) = comparison.load_members({first: snakemake.input.networks[0]}, {**study, "controls": []})
    measurements.write(
        identities.all_rows(member.name, member.model, images, member.layers, study["seed"]),
        snakemake.output.measurements,
        paper="deconfounded_cka",
        experiment=f"identities_{snakemake.wildcards.study}",
        dataset=images.name,
        split=images.split,
    )
