"""Check that ImageNet is where it has to be put by hand, and write down what it holds."""

import json
from pathlib import Path

from netalike.data.imagenet import find_imagenet
from netalike.data.place import place_of
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    facts = find_imagenet(place_of(snakemake.config["data"]).root)
    Path(snakemake.output.done).write_text(json.dumps(facts, indent=2) + "\n")
