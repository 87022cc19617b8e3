"""Small scenes for the tests of map alignment: bright squares on a dark ground, whose polygons are known."""

import numpy as np

from netalike.data.scenes import Scene, clean_scene


def square_scene(name: str = "squares", size: int = 128, seed: int = 0, side: int = 16, count: int = 4) -> Scene:
    generator = np.random.default_rng(seed)
    image = np.full((size, size, 3), 60, np.uint8)
    polygons, facts = [], []
    places = generator.permutation([(r, c) for r in range(20, size - 36, 32) for c in range(20, size - 36, 32)])
    for row, column in places[:count]:
        image[row : row + side, column : column + side] = 200
        corners = [(row, column), (row, column + side), (row + side, column + side), (row + side, column)]
        polygons.append(np.array(corners, float))
        facts.append({"kind": "rectangle", "size": float(side), "angle": 0.0, "palette": "grey"})
    return clean_scene(name, image, polygons, facts)
