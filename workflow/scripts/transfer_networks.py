"""Fine-tune some base networks on every shifted domain, and compare each with what became of it."""

from pathlib import Path

from netalike import comparison, data, networks, training
from netalike.data.place import place_of
from netalike.evidence import measurements
from netalike.experiments import transfer
from netalike.scripting import log_to

with log_to(snakemake.log[0], snakemake.threads):
    study = snakemake.params.study
    root = place_of(snakemake.config["data"]).root
    train_set = data.load(study["dataset"], "train", root, limit=study["n_train"])
    test_set = data.load(study["dataset"], "test", root, limit=study["n_images"])
    files = {Path(file).stem: file for file in snakemake.input.networks}
    rows = []
    for member in comparison.load_members(files, {**study, "controls": []}):
        rows += transfer.transfer_rows(
            member.name,
            member.model,
            train_set,
            test_set,
            study["domains"],
            training.Settings(**study["training"]),
            member.layers,
            study["seed"],
            study["n_images"],
            study["batch_size"],
            networks.resolve_device(snakemake.config["resources"]["device"]),
            Path(snakemake.params.checkpoints),
        )
    constants = {"paper": "deconfounded_cka", "experiment": f"transfer_{snakemake.wildcards.study}"}
    of_images = {"dataset": test_set.name, "split": "test", "n_samples": len(test_set), "seed": study["seed"]}
    measurements.write(rows, snakemake.output.measurements, **constants, **of_images)
    for name in files:
        for checkpoint in Path(snakemake.params.checkpoints).glob(f"{name}@*"):
            checkpoint.unlink()
