"""Fetch and check a data set, and write down what it holds."""

import json
from pathlib import Path

from netalike import data
from netalike.data.place import place_of
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    name = snakemake.wildcards.dataset
    place = place_of(snakemake.config["data"])
    data.fetch(name, place.root, place.mirror, place.offline)
    splits = {split: data.load(name, split, place.root) for split in ("train", "test")}
    facts = {
        "name": name,
        "n": {split: len(images) for split, images in splits.items()},
        "sha256": {split: images.fingerprint() for split, images in splits.items()},
        "classes": list(splits["test"].classes),
        "shape": list(splits["test"].inputs(0, 1).shape[1:]),
        "citation": splits["test"].spec.citation,
        "licence": splits["test"].spec.licence,
    }
    Path(snakemake.output.done).write_text(json.dumps(facts, indent=2) + "\n")
