"""Images of one's own: four classes of coloured shapes, 20 for training and 12 for testing of each."""

from pathlib import Path

import numpy as np
from PIL import Image

FILES = Path(__file__).parent / "files"
ROWS, COLUMNS = np.mgrid[:32, :32]
SHAPES = {
    "disc": lambda y, x: (ROWS - y) ** 2 + (COLUMNS - x) ** 2 < 64,
    "ring": lambda y, x: abs(np.hypot(ROWS - y, COLUMNS - x) - 8) < 2,
    "square": lambda y, x: np.maximum(abs(ROWS - y), abs(COLUMNS - x)) < 7,
    "cross": lambda y, x: np.minimum(abs(ROWS - y), abs(COLUMNS - x)) < 2,
}


def paint(shape, rng):
    """A shape in one random colour on another, somewhere near the middle, with some noise."""
    image = np.tile(rng.uniform(0, 255, 3), (32, 32, 1))
    image[shape(*rng.integers(10, 22, 2))] = rng.uniform(0, 255, 3)
    return Image.fromarray((image + rng.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8))


rng = np.random.default_rng(0)
for split, count in {"train": 20, "test": 12}.items():
    for name, shape in SHAPES.items():
        folder = FILES / "images" / split / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            paint(shape, rng).save(folder / f"{number:02}.png")
