"""Train some networks of one family, one after the other, or go on where a run was cut off."""

from pathlib import Path

from netalike import data, networks, training
from netalike.data.place import place_of
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    family = snakemake.params.family
    root = place_of(snakemake.config["data"]).root
    train_set, test_set = (
        data.for_task(data.load(family["dataset"], split, root, limit), family["task"], snakemake.config["seed"])
        for split, limit in (("train", family["n_train"]), ("test", None))
    )
    robust = family["robust_training"]
    settings = training.AdversarialSettings(**robust) if robust else training.Settings(**family["training"])
    facts = {"task": family["task"], "n_train": len(train_set)}
    device = networks.resolve_device(snakemake.config["resources"]["device"])
    checkpoints = [Path(path) for path in snakemake.params.checkpoints]

    for weights, checkpoint, seed in zip(snakemake.output.weights, checkpoints, snakemake.params.seeds, strict=True):
        model, card, _ = training.train_network(
            family["architecture"], (train_set, test_set), settings, (seed, seed), checkpoint, device, True, facts
        )
        networks.save(model, weights, card)
        print(f"{weights}: accuracy {card.accuracy:.4f}", flush=True)
    # only now: Snakemake takes the outputs of a job that was killed away, and with them the networks already trained
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
