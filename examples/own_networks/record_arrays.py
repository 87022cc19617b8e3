"""Activations from anywhere: one layer in an .npy file, several in a .safetensors file, a row for each test image."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from netalike import data

FILES = Path(__file__).parent / "files"
images = data.load(f"folder:{FILES / 'images'}", "test", FILES)
pixels = images.inputs(0, len(images)).numpy().reshape(len(images), -1)
np.save(FILES / "pixels.npy", pixels)  # what the images themselves say: a baseline for every network

rng = np.random.default_rng(0)
hidden = np.maximum(pixels @ rng.normal(0, pixels.shape[1] ** -0.5, (pixels.shape[1], 64)), 0).astype(np.float32)
logits = (hidden @ rng.normal(0, 0.1, (64, 4))).astype(np.float32)
save_file({"hidden": hidden, "logits": logits}, FILES / "numpy.safetensors")
