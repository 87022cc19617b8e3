"""Bring networks from elsewhere into the run: fetch, check, evaluate, store as safetensors."""

from netalike import data, networks
from netalike.data.place import place_of
from netalike.networks.importing import fetch_published, import_network
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    family = snakemake.params.family
    place = place_of(snakemake.config["data"])
    test_set = data.load(family["dataset"], "test", place.root)
    fetch_published(family["weights"], place)

    jobs = zip(snakemake.params.files, snakemake.params.seeds, snakemake.output.weights, strict=True)
    for file, seed, output in jobs:
        model, card = import_network(family["architecture"], file, test_set, seed)
        networks.save(model, output, card)
        print(f"{output}: accuracy {card.accuracy:.4f}", flush=True)
