"""The published bars of the simulation, read off the figure of the authors' notebook (simulation/run_sim.ipynb)."""

from __future__ import annotations

from typing import NamedTuple


class Bar(NamedTuple):
    """A bar with the ends of its interval, 95 % over 50 repeats, as drawn."""

    value: float
    low: float
    high: float


BARS: dict[tuple[str, str, str], Bar] = {
    ("uniform_qr", "shared", "linear"): Bar(0.93, 0.91, 0.95),
    ("uniform_qr", "native", "linear"): Bar(0.12, 0.03, 0.20),
    ("uniform_qr", "shared", "rank"): Bar(0.79, 0.76, 0.81),
    ("uniform_qr", "native", "rank"): Bar(0.12, 0.03, 0.20),
    ("permutation", "shared", "linear"): Bar(0.89, 0.87, 0.92),
    ("permutation", "native", "linear"): Bar(-0.04, -0.17, 0.08),
    ("permutation", "shared", "rank"): Bar(0.75, 0.72, 0.77),
    ("permutation", "native", "rank"): Bar(-0.04, -0.17, 0.08),
}
"""By transform of the copies, space and measure. What the figure calls orthogonal is the QR factor of uniform numbers;
in the native space its rank correlation is Pearson's once more."""

READING_ERROR = 0.01
"""By how much a value may be off; the ends of an interval by 0.02, since the lines have rounded ends."""
