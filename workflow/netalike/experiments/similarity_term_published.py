"""The published curves of the MNIST experiment, read off the figure that the authors' code ships."""

from __future__ import annotations

ACCURACIES = (0.5, 0.6, 0.7, 0.75)
"""Accuracies for which the first step that reaches them is measured."""

STEPS = (5, 10, 20, 30, 40, 50, 60, 80, 100, 120, 140)
"""Steps (mini-batches) at which the published curves were read."""

CURVES: dict[str, tuple[float, ...]] = {
    "baseline": (0.175, 0.188, 0.260, 0.383, 0.460, 0.536, 0.585, 0.666, 0.716, 0.741, 0.758),
    "plus": (0.228, 0.272, 0.364, 0.481, 0.550, 0.600, 0.651, 0.697, 0.727, 0.747, 0.764),
}
"""Mean validation accuracy over 60 runs by sign of the term; that of the published code is plus."""

READING_ERROR = 0.003
"""By how much a value of `CURVES` may be off."""

FIRST_STEPS: dict[str, dict[float, int]] = {
    "baseline": {0.3: 25, 0.4: 32, 0.5: 44, 0.6: 63, 0.7: 92, 0.75: 124},
    "plus": {0.3: 14, 0.4: 23, 0.5: 33, 0.6: 51, 0.7: 81, 0.75: 121},
}
"""First step at which the mean curve reaches an accuracy."""
