"""Fetch and check the aerial images, and write down what they hold."""

import json
from pathlib import Path

from netalike.data import aerial
from netalike.data.place import place_of
from netalike.data.polygon_files import read_polygons
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    place = place_of(snakemake.config["data"])
    folder = aerial.fetch_aerial(place.root, place.mirror, place.offline)
    facts = {
        "name": aerial.COLLECTION,
        "tiles": len(aerial.TILES),
        "buildings": len(read_polygons(folder / "buildings.geojson")),
        "citation": aerial.CITATION,
        "licence": aerial.LICENCE,
    }
    Path(snakemake.output.done).write_text(json.dumps(facts, indent=2) + "\n")
