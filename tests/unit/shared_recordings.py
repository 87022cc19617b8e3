"""Recordings of made-up networks: rotated, noisy copies of one geometry, whose classes part as training goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Made:
    """A recording in memory."""

    name: str
    layers: tuple[str, ...]
    epochs: tuple[int | str, ...]
    labels: np.ndarray
    stored: dict = field(default_factory=dict)

    def activations(self, layer, epoch):
        return self.stored[layer, epoch]


def rotation(width: int, generator: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(generator.standard_normal((width, width)))
    return q * np.sign(np.diagonal(r))


def made(
    n_networks=4, n=300, widths=(24, 16), epochs=(0, 1, 5), classes=4, seed=0, noise=0.6, offset=2.0
) -> list[Made]:
    """Networks of `widths` units by layer; `offset` is a constant pattern, larger early in training."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n) % classes)
    layers = tuple(f"layer{i}" for i in range(1, len(widths) + 1))
    networks = [Made(f"conv-s{i}", layers, tuple(epochs), labels) for i in range(n_networks)]
    for layer, width in zip(layers, widths, strict=True):
        centres, inputs = generator.standard_normal((classes, width)), generator.standard_normal((n, width))
        constant = offset * generator.standard_normal(width)
        turns = [rotation(width, generator) for _ in networks]
        for number, epoch in enumerate(epochs):
            trained = 1.0 if len(epochs) == 1 else number / (len(epochs) - 1)
            shared = inputs + 2 * trained * centres[labels] + (1 - 0.8 * trained) * constant
            for network, turn in zip(networks, turns, strict=True):
                own = noise * generator.standard_normal((n, width))
                network.stored[layer, epoch] = (shared @ turn + own).astype(np.float32)
    return networks
