"""One row per network and number: accuracy and loss on the test split."""

import json
from pathlib import Path

from netalike.evidence import measurements
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    rows = []
    for path in map(Path, snakemake.input.cards):
        card = json.loads(path.read_text())
        rows += [
            {
                "dataset": card["dataset"],
                "network_a": path.stem,
                "quantity": quantity,
                "estimator": "test",
                "condition": measurements.condition(source=card["source"]),
                "seed": card["seed"],
                "value": card[quantity],
            }
            for quantity in ("accuracy", "loss")
        ]
    measurements.write(rows, snakemake.output.measurements, paper="comparison", experiment="networks", split="test")
