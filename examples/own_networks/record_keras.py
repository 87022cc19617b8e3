"""A Keras network: its .keras file is read, and what its layers say of the test images becomes an .npz file."""

from pathlib import Path

import keras
import numpy as np

from netalike import data

FILES = Path(__file__).parent / "files"
if not (FILES / "mine.keras").exists():  # yours is there already
    keras.utils.set_random_seed(0)
    layers = [keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")]
    layers += [keras.layers.GlobalAveragePooling2D(name="pool"), keras.layers.Dense(4, name="logits")]
    keras.Sequential(layers).save(FILES / "mine.keras")

network = keras.saving.load_model(FILES / "mine.keras")
images = data.load(f"folder:{FILES / 'images'}", "test", FILES)
inputs = images.inputs(0, len(images)).numpy().transpose(0, 2, 3, 1)  # Keras has the channels last
recorder = keras.Model(network.inputs[0], {layer.name: layer.output for layer in network.layers})
np.savez(FILES / "keras.npz", **{name: np.asarray(found) for name, found in recorder(inputs).items()})
