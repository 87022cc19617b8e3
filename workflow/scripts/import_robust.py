"""Bring a published robust network into the run: fetch, check, evaluate, store as safetensors."""

from netalike import data, networks
from netalike.data.place import place_of
from netalike.networks.robust_importing import import_robust
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    family = snakemake.params.family
    place = place_of(snakemake.config["data"])
    test_set = data.load(family["dataset"], "test", place.root, limit=snakemake.params.n_images)
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    model, card = import_robust(family["weights"], place, test_set, device)
    networks.save(model, snakemake.output.weights[0], card)
    published = card.settings["published_accuracy"]
    print(f"{snakemake.output.weights[0]}: accuracy {card.accuracy:.4f}, published {published:.4f}", flush=True)
