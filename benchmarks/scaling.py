"""How the cost of a panel grows with its networks: forward passes with the networks, the rest with their pairs.

    python benchmarks/scaling.py [--networks 5 10 20 40] [--images 128] [--repeats 3] [--threads 1]

Small untrained networks of three registered architectures on digits, by the library functions that a panel's rules
call: recorded layers and outputs, the pass of all CKA estimators, three measures on recorded activations at matched
layers, behaviour.  Every part is timed at every size, all sizes in turn, in seconds of the processor, so that others on
the machine do not count.  The median is fitted by ``a + b networks`` (recordings) or ``b networks + c pairs`` (the
rest), with no term below zero; the deviation is that of the worst size from the fit.  Forward passes are counted too:
a network's should be the same in every panel, but that a batch is run again where a layer's mean is large.
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, cycle, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pairing import Row, write
from scipy.optimize import nnls
from threadpoolctl import threadpool_limits

from netalike import data, measures, networks
from netalike.activations import record
from netalike.comparison import Member
from netalike.data import ImageSet
from netalike.experiments.panel_behaviour import behaviour_rows, record_outputs
from netalike.measures.panel import compare_networks
from netalike.measures.recorded import compare_recorded
from netalike.measures.sources import NetworkSource

ARCHITECTURES = ("mlp", "lenet", "vgg_small")
ESTIMATORS = ("published", "biased", "unbiased", "deconfounded")
MEASURES = ("procrustes", "linear_regression", "rsa")
LAYERS, SEED, BATCH = 3, 0, 64
ALLOWED = 0.25  # deviation from linear growth
PEER = "linear growth"


@dataclass
class Panel:
    """Some networks, and the forward passes that they have made."""

    members: list[Member]
    images: ImageSet
    forwards: int = 0
    outputs: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    recordings: dict[str, dict[str, NDArray[np.float32]]] = field(default_factory=dict)

    @classmethod
    def of(cls, count: int, images: ImageSet) -> Panel:
        panel = cls([member(i, name) for i, name in enumerate(islice(cycle(ARCHITECTURES), count))], images)
        for one in panel.members:
            one.model.register_forward_hook(panel.count)
        return panel

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return list(combinations([one.name for one in self.members], 2))

    def count(self, *_: object) -> None:
        self.forwards += 1

    def record(self, folder: Path) -> None:
        """Layers, to memory-mapped files."""
        for one in self.members:
            store = record(one.model, self.images, one.layers, folder / one.name, BATCH)
            self.recordings[one.name] = dict(store)

    def predict(self) -> None:
        """Outputs."""
        self.outputs = record_outputs(self.members, self.images, batch_size=BATCH, progress=False)

    def cka(self) -> None:
        """All estimators of CKA on all pairs of layers."""
        sources = [NetworkSource(one.name, one.model, one.layers, self.images) for one in self.members]
        compare_networks(sources, self.images, ESTIMATORS, BATCH, progress=False)

    def compare(self) -> None:
        """Measures at matched layers of all pairs."""
        chosen = [measures.measure(name) for name in MEASURES]
        for _ in compare_recorded(self.recordings, self.pairs, chosen, progress=False):
            pass

    def behaviour(self) -> None:
        """What the networks predict, with intervals."""
        panel = {"members": {one.name: one.name.split("-")[0] for one in self.members}, "seed": SEED}
        behaviour_rows(self.outputs, self.images.labels, self.pairs, {**panel, "dataset": "digits"})


def member(number: int, architecture: str) -> Member:
    """An untrained network, and layers of it at equal depths."""
    model = networks.build(architecture, channels=1, seed=SEED + number).eval()
    blocks = networks.select_layers(model, ["blocks"])
    places = np.linspace(0, len(blocks) - 1, min(LAYERS, len(blocks))).round().astype(int)
    return Member(f"{architecture}-{number}", model, [blocks[place] for place in places])


# what is fitted: parts that are done once per network, and those that are done for each pair
ONCE, EACH = ("recorded layers", "outputs"), ("CKA, all layers", "measures at matched layers", "behaviour")


def seconds(run: Callable[[], None]) -> float:
    """Processor time of one call, of all threads."""
    gc.collect()
    start = time.process_time()
    run()
    return time.process_time() - start


def timed(panel: Panel) -> dict[str, float]:
    """Seconds of each part."""
    with tempfile.TemporaryDirectory() as folder:
        steps: dict[str, Callable[[], None]] = {
            "recorded layers": lambda: panel.record(Path(folder)),
            "outputs": panel.predict,
            "CKA, all layers": panel.cka,
            "measures at matched layers": panel.compare,
            "behaviour": panel.behaviour,
        }
        return {name: seconds(step) for name, step in steps.items()}


@dataclass(frozen=True)
class Line:
    """A fit of the seconds of one part, at all sizes."""

    per_network: float
    per_pair: float
    deviation: float

    @classmethod
    def fit(cls, sizes: Sequence[int], times: Sequence[float], by_pair: bool) -> Line:
        """Least squares of relative errors."""
        n, t = np.array(sizes, dtype=float), np.array(times)
        columns = np.stack([n, n * (n - 1) / 2 if by_pair else np.ones_like(n)], axis=1)
        found, _ = nnls(columns / t[:, None], np.ones_like(t))
        per_network, other = (float(one) for one in found)
        return cls(per_network, other if by_pair else 0.0, float(np.abs(columns @ found / t - 1).max()))

    def added(self, networks: int) -> float:
        """Seconds that one more network costs a panel of so many."""
        return self.per_network + networks * self.per_pair


def rows_of(part: str, line: Line) -> list[Row]:
    told = [("seconds per network", "s", line.per_network), ("seconds per pair", "s", line.per_pair)]
    rows = [plain(part, figure, unit, value) for figure, unit, value in told if value]
    return [*rows, deviation(part, line.deviation)]


def plain(work: str, figure: str, unit: str, value: float) -> Row:
    """A number that has nothing beside it."""
    return Row(work, PEER, "", figure, unit, value, math.nan, math.nan, math.nan, math.nan, None)


def deviation(work: str, found: float) -> Row:
    ratio = ALLOWED / found if found else math.inf
    return Row(work, PEER, "", "largest deviation", "1", found, ALLOWED, ratio, ratio, ratio, 1.0)


def forward_rows(sizes: Sequence[int], forwards: Sequence[int]) -> list[Row]:
    """Forward passes of a network, and how far they are from being the same at every size."""
    each = [count / size for size, count in zip(sizes, forwards, strict=True)]
    passes = "forward passes, batches"
    print(f"{passes}: {', '.join(f'{count} of {size} networks' for size, count in zip(sizes, forwards, strict=True))}")
    return [
        plain(passes, "batches per network", "1", each[-1]),
        deviation(passes, max(abs(one / each[-1] - 1) for one in each)),
    ]


def measure(sizes: Sequence[int], images: ImageSet, repeats: int) -> list[Row]:
    """Time all parts at all sizes, in turn, so that the machine's drift is in all of them."""
    panels = [Panel.of(size, images) for size in sizes]
    timed(panels[0])  # libraries are loaded, and their buffers made
    panels[0].forwards = 0
    runs = [[timed(panel) for panel in panels] for _ in range(repeats)]
    rows = forward_rows(sizes, [panel.forwards // repeats for panel in panels])
    for part in (*ONCE, *EACH):
        times = [statistics.median(run[place][part] for run in runs) for place in range(len(sizes))]
        line = Line.fit(sizes, times, part in EACH)
        told = ", ".join(f"{size}: {t:.3f}" for size, t in zip(sizes, times, strict=True))
        print(
            f"{part}: {1e3 * line.per_network:.2f} ms a network, {1e3 * line.per_pair:.3f} ms a pair; "
            f"{line.deviation:.1%} from linear (allowed {ALLOWED:.0%}); seconds {told}; "
            f"one more network to {sizes[-1]}: {line.added(sizes[-1]):.3f} s",
            flush=True,
        )
        rows += rows_of(part, line)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, nargs="+", default=[5, 10, 20, 40], help="sizes of panels")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = data.load("digits", "test", limit=options.images)
    with threadpool_limits(options.threads):
        rows = measure(options.networks, images, options.repeats)
    write("scaling", rows)


if __name__ == "__main__":
    main()
