"""Train one network, or go on training it where a run was cut off."""

from pathlib import Path

from netalike import data, networks, training
from netalike.data.place import place_of
from netalike.networks import Card
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    family, seed = snakemake.params.family, snakemake.params.seed
    place = place_of(snakemake.config["data"])
    train_set, test_set = (data.load(family["dataset"], split, place.root) for split in ("train", "test"))
    shape = {"channels": test_set.inputs(0, 1).shape[1], "classes": len(test_set.classes)}
    settings = training.Settings(**family["training"])
    checkpoint = Path(snakemake.params.checkpoint)
    device = networks.resolve_device(snakemake.config["resources"]["device"])

    model = networks.build(family["architecture"], seed=seed, **shape)
    history = training.train(model, train_set, test_set, settings, seed, checkpoint, progress=True, device=device)
    card = Card(
        architecture=family["architecture"],
        dataset=family["dataset"],
        seed=seed,
        batch_seed=seed,
        epochs=settings.epochs,
        accuracy=history.test_accuracy[-1],
        loss=history.test_loss[-1],
        data_sha256=train_set.fingerprint(),
        source="trained",
        settings=settings.model_dump(mode="json"),
        **shape,
    )
    networks.save(model, snakemake.output.weights, card)
    checkpoint.unlink(missing_ok=True)
