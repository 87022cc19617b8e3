"""Shared response models beside BrainIAK: ten iterations on the same activations, the objective, the memory.

    python benchmarks/alignment.py [--threads 1] [--repeats 5] [--images 2000] [--only PART ...]

Two sizes: 8 networks of 500 units with 100 shared features, and rigid 10 networks of 256 units; activations are a
shared response of decaying variance and noise.  They are float32, as recordings are; each work is done again in
float64.  BrainIAK gets them as it documents, units x images, contiguous, and without its log, so that it does not
compute its objective; ours always does.  Memory is measured in processes of their own, beyond that of the activations.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from brainiak.funcalign.srm import SRM
from numpy.typing import NDArray
from pairing import Row, difference, paired, write
from threadpoolctl import threadpool_limits

from netalike.alignment import SharedResponse

SEED, ITERATIONS = 0, 10
STATUS = Path("/proc/self/status")
_CHILD = "--child"
PARTS = ("float32", "float64", "memory")
Activations = list[NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Work:
    """N networks of `units` units, `features` shared features."""

    networks: int
    units: int
    features: int

    def title(self, images: int, dtype: str) -> str:
        rigid = ", rigid" if self.units == self.features else ""
        return f"{self.networks} networks x {self.units} units x {images} images, k = {self.features}{rigid}, {dtype}"

    def activations(self, images: int, dtype: str) -> Activations:
        random = np.random.default_rng(SEED)
        scale = 1 / np.sqrt(np.arange(1, self.features + 1))
        shared = random.standard_normal((images, self.features)) * scale
        found = []
        for _ in range(self.networks):
            basis = np.linalg.qr(random.standard_normal((self.units, self.features)))[0]
            noise = 0.5 / np.sqrt(self.units) * random.standard_normal((images, self.units))
            found.append((shared @ basis.T + noise + 0.1 * random.random(self.units)).astype(dtype))
        return found


WORKS = (Work(8, 500, 100), Work(10, 256, 256))


def ours(x: Activations, features: int) -> SharedResponse:
    return SharedResponse(features, center="brainiak", iterations=ITERATIONS, seed=SEED).fit(x)


def theirs(x: Activations, features: int) -> SRM:
    return SRM(n_iter=ITERATIONS, features=features, rand_seed=SEED).fit(x)


def times(work: Work, images: int, dtype: str, repeats: int) -> list[Row]:
    """Wall time of a fit, and how far the last objectives are from each other, relative."""
    x = work.activations(images, dtype)
    turned = [np.ascontiguousarray(one.T) for one in x]
    title = work.title(images, dtype)
    row = paired(title, "brainiak", lambda: ours(x, work.features), lambda: theirs(turned, work.features), 2.0, repeats)
    published = SharedResponse(
        work.features, center="brainiak", iterations=ITERATIONS, seed=SEED, implementation="brainiak"
    ).fit([one.astype(np.float64) for one in x])
    gap = abs(ours(x, work.features).objective_[-1] / published.objective_[-1] - 1)
    return [row, difference(f"{title}, objective, relative", "brainiak", float(gap), 1e-6)]


def memory(images: int) -> list[Row]:
    """Peak memory of a fit beyond that before it."""
    if not STATUS.exists():
        print("no /proc: memory is measured on Linux alone")
        return []
    return [memory_row(number, images, dtype) for dtype in ("float32", "float64") for number in range(len(WORKS))]


def memory_row(number: int, images: int, dtype: str) -> Row:
    mine, peer = (child(who, number, images, dtype) for who in ("ours", "theirs"))
    title, ratio = WORKS[number].title(images, dtype), peer / mine
    print(f"{title}: ours {mine:.0f} MB, brainiak {peer:.0f} MB", flush=True)
    return Row(title, "brainiak", version("brainiak"), "memory", "MB", mine, peer, ratio, ratio, ratio, 1.0)


def child(who: str, number: int, images: int, dtype: str) -> float:
    command = [sys.executable, __file__, _CHILD, who, str(number), str(images), dtype]
    # glibc would keep freed arrays for the next ones: nothing to see of either
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "100000", "MALLOC_TRIM_THRESHOLD_": "100000"}
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return float(told.split()[-1])


def only_fit(who: str, number: int, images: int, dtype: str) -> None:
    """Print the peak memory in MB of one fit beyond what was there before."""
    work = WORKS[number]
    x = work.activations(images, dtype)
    if who == "theirs":
        x = [np.ascontiguousarray(one.T) for one in x]
    fit = ours if who == "ours" else theirs
    fit([one[:50, :50].copy() for one in x], 5)  # buffers of the linear algebra library are there before
    with threadpool_limits(1), watched() as peak:
        fit(x, work.features)
    print(peak[1] - peak[0])


@contextmanager
def watched() -> Iterator[list[float]]:
    """Note the memory of the process at the start, and the most that it holds within the block, both in MB."""
    peak = [own_memory()] * 2
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            peak[1] = max(peak[1], own_memory())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def own_memory() -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    logging.getLogger("brainiak").setLevel(logging.WARNING)
    if sys.argv[1:2] == [_CHILD]:
        only_fit(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="of the linear algebra of both")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts alone; nothing is written"
    )
    options = parser.parse_args()
    rows = []
    with threadpool_limits(options.threads):
        for part in options.only:
            if part == "memory":
                rows += memory(options.images)
            else:
                rows += [row for work in WORKS for row in times(work, options.images, part, options.repeats)]
    if set(options.only) == set(PARTS):  # a part alone does not replace the whole
        write("alignment", rows)


if __name__ == "__main__":
    main()
