"""Input similarity beside a Python loop of backward calls: the toy kernel, soft counts, three back ends, their memory.

    python benchmarks/gradients.py [--threads 1] [--repeats 3] [--samples 2048] [--images 1024] [--only PART ...]

One thread unless more are asked for: on a machine that is shared, threads that wait for each other tell of the
neighbours, and the peer, one sample at a time, gains nothing from a second one.

The toy network is the MLP of 21,057 parameters, the convolutional one that of the MNIST experiment (317,069).  The
peer is the way of the published code, written plainly here: one backward call per sample, all gradients stored; then
SciPy's cosine distances between all pairs for the kernel, or the product with the sum of the normalised gradients for
the soft counts.  Memory is measured in processes of their own.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pairing import Row, difference, paired, write
from scipy.spatial.distance import pdist, squareform
from torch import Tensor, nn

import netalike
from netalike import data, gradients

SEED = 0
STATUS = Path("/proc/self/status")
_CHILD = "--child"
MEMORY_LIMIT = 1000.0  # MB
PARTS = ("toy", "counts", "backends", "memory")


def toy_network() -> nn.Module:
    """2 -> 6 x 64 -> 1, ReLU: the published toy network, untrained."""
    torch.manual_seed(SEED)
    layers: list[nn.Module] = [nn.Linear(2, 64), nn.ReLU()]
    for _ in range(5):
        layers += [nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 1)).eval()


def toy_inputs(count: int) -> Tensor:
    """Points on the circle."""
    angle = 2 * np.pi * np.sort(np.random.default_rng(SEED).random(count))
    return torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)], 1)).float()


def mnist_network() -> nn.Module:
    """The network of the MNIST experiment, untrained."""
    torch.manual_seed(SEED)
    front = [nn.Conv2d(1, 32, 5), nn.PReLU(), nn.AvgPool2d(2), nn.Conv2d(32, 64, 5), nn.PReLU(), nn.AvgPool2d(2)]
    end = [nn.Flatten(), nn.Linear(1024, 256), nn.PReLU(), nn.Linear(256, 10)]
    return nn.Sequential(*front, *end).eval()


def mnist_images(count: int) -> tuple[Tensor, Tensor]:
    """MNIST, 28 x 28; without a mirror, random images of its size."""
    mirror = os.environ.get("NETALIKE_MIRROR")
    if mirror is None:
        print("no mirror (NETALIKE_MIRROR): random images", file=sys.stderr)
        generator = torch.Generator().manual_seed(SEED)
        shape = (count, 1, 28, 28)
        return torch.randn(shape, generator=generator), torch.randint(0, 10, (count,), generator=generator)
    found = data.load("mnist", "train", mirror, limit=count)
    return found.images.float().div(255).sub(0.1307).div(0.3081), found.labels


# --- the peer -------------------------------------------------------------------------------------------------------


def looped_gradients(model: nn.Module, inputs: Tensor, chosen: Tensor | None) -> NDArray[np.float32]:
    """One backward call per sample, of its chosen output, or the sum; gradients of all parameters in one row each."""
    rows = []
    for i, sample in enumerate(inputs):
        model.zero_grad()
        outputs = model(sample[None])[0]
        (outputs.sum() if chosen is None else outputs[chosen[i]]).backward()
        rows.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).numpy())
    return np.stack(rows)


def looped_kernel(model: nn.Module, inputs: Tensor) -> NDArray[np.float64]:
    """Cosines of all pairs; the published diagonal is 0, ones are put there."""
    gradients = looped_gradients(model, inputs, None)
    return squareform(1 - pdist(gradients, "cosine")) + np.eye(len(inputs))


def looped_counts(model: nn.Module, inputs: Tensor, chosen: Tensor | None) -> NDArray[np.float32]:
    """Soft counts of one output each, the sample itself counted."""
    gradients = looped_gradients(model, inputs, chosen)
    gradients /= np.linalg.norm(gradients, axis=1, keepdims=True)
    return gradients @ gradients.sum(0)


# --- times ----------------------------------------------------------------------------------------------------------


def toy_kernel(samples: int, repeats: int) -> list[Row]:
    """Similarity of all pairs: products of layers, against the loop and SciPy."""
    model, inputs = toy_network(), toy_inputs(samples)
    work = f"toy kernel, {samples} samples"
    found: dict[str, NDArray[np.floating]] = {}

    def ours() -> None:
        found["ours"] = gradients.gradient_kernel(model, inputs, progress=False).kernel

    def theirs() -> None:
        found["theirs"] = looped_kernel(model, inputs)

    ours()  # theirs takes minutes: no round of it to warm up
    row = paired(work, "scipy", ours, theirs, asked=100.0, repeats=repeats, warm_up=False)
    gap = float(np.abs(found["ours"] - found["theirs"]).max())
    return [row, difference(work, "scipy", gap, 1e-5)]


def soft_counts(count: int, repeats: int, outputs: str) -> list[Row]:
    """Soft counts of one output on MNIST: batched passes and products of layers, against the loop."""
    model, (images, labels) = mnist_network(), mnist_images(count)
    work = f"MNIST soft counts, {count} images, {outputs}"
    found: dict[str, NDArray[np.floating]] = {}

    def ours() -> None:
        found["ours"] = gradients.soft_counts_streamed(model, images, outputs, labels).numpy()

    def theirs() -> None:
        found["theirs"] = looped_counts(model, images, labels if outputs == "true-class" else None)

    ours()
    row = paired(work, "torch", ours, theirs, asked=10.0, repeats=repeats, warm_up=False)
    gap = float(np.abs(found["ours"] / found["theirs"] - 1).max())
    return [row, difference(f"{work}, relative", "torch", gap, 1e-4)]


def back_ends(count: int, repeats: int) -> list[Row]:
    """Soft counts by back end; "theirs" is our own back end in memory."""
    model, (images, labels) = mnist_network(), mnist_images(count)
    counts: dict[str, NDArray[np.floating]] = {}

    def counted(store: str) -> Callable[[], None]:
        def run() -> None:
            with tempfile.TemporaryDirectory() as folder:
                source = gradients.model_source(model, images, "true-class", labels, store, folder)
                counts[store] = source.soft_counts()

        return run

    rows = []
    for store in ("streaming", "disk"):
        work = f"MNIST soft counts, {count} images, {store} beside memory"
        rows.append(paired(work, "torch", counted(store), counted("memory"), asked=0.5, repeats=repeats))
        gap = float(np.abs(counts[store] / counts["memory"] - 1).max())
        rows.append(difference(f"{work}, relative", "torch", gap, 1e-5))
    return [replace(row, peer="netalike in memory", version=netalike.__version__) for row in rows]


# --- memory ---------------------------------------------------------------------------------------------------------


def memory(count: int) -> list[Row]:
    """Peak memory of the soft counts, and how it grows with the number of images."""
    if not STATUS.exists():
        print("no /proc: memory is measured on Linux alone")
        return []
    # the smaller peak of two processes: what the allocator happens to leave over differs by some MB
    peaks = {
        (store, n): min(child(store, n) for _ in range(2))
        for store in ("counts", "streaming", "disk")
        for n in (count, 4 * count)
        if (store, n) != ("counts", 4 * count)
    }
    extra, whole = peaks["counts", count]
    work = f"MNIST soft counts, {count} images"
    rows = [memory_row(work, extra, MEMORY_LIMIT), memory_row(f"{work}, the whole process", whole, MEMORY_LIMIT)]
    for store in ("streaming", "disk"):
        small, large = peaks[store, count][0], peaks[store, 4 * count][0]
        work = f"MNIST soft counts, {store}, {4 * count} images beside {count}"
        # flat: four times the images, and at most a fifth more memory
        rows.append(memory_row(work, large, small, asked=0.8))
    return rows


def child(store: str, count: int) -> tuple[float, float]:
    """Measure in a process of its own; return the peak in MB beyond what was there before, and in all."""
    command = [sys.executable, __file__, _CHILD, store, str(count)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    before, peak = float(told[-2]), float(told[-1])
    print(f"{store}, {count} images: {peak - before:.0f} MB beside {before:.0f} MB of PyTorch and images", flush=True)
    return peak - before, peak


def memory_row(work: str, megabytes: float, limit: float, asked: float = 1.0) -> Row:
    ratio = limit / megabytes
    return Row(work, "limit", version("torch"), "memory", "MB", megabytes, limit, ratio, ratio, ratio, asked)


def only_count(store: str, count: int) -> None:
    """Print the memory in MB before soft counts, and its peak during them."""
    torch.set_num_threads(1)
    model, (images, labels) = mnist_network(), mnist_images(count)
    give_back()
    with watched() as peak, tempfile.TemporaryDirectory() as folder:
        if store == "counts":
            gradients.soft_counts_streamed(model, images, "true-class", labels)
        else:
            gradients.model_source(model, images, "true-class", labels, store, folder).soft_counts()
    print(*peak)


@contextmanager
def watched() -> Iterator[list[float]]:
    """Note the memory of the process at the start, and the most that it holds within the block, both in MB.

    Memory of its own (RssAnon): pages of a mapped file are the system's, which takes them back when it needs them.
    """
    peak = [own_memory()] * 2
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            peak[1] = max(peak[1], own_memory())
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def give_back() -> None:
    """Give freed memory back to the system, so that what is held before is what is in use."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than GNU's has no such function
        ctypes.CDLL(None).malloc_trim(0)


def own_memory() -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    if sys.argv[1:2] == [_CHILD]:
        only_count(sys.argv[2], int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=2048, help="of the toy problem")
    parser.add_argument("--images", type=int, default=1024, help="of MNIST")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts alone; nothing is written"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts: dict[str, Callable[[], list[Row]]] = {
        "toy": lambda: toy_kernel(options.samples, options.repeats),
        "counts": lambda: [
            row for outputs in ("true-class", "sum") for row in soft_counts(options.images, options.repeats, outputs)
        ],
        "backends": lambda: back_ends(options.images // 2, options.repeats),
        "memory": lambda: memory(options.images),
    }
    rows = [row for name in options.only for row in parts[name]()]
    if set(options.only) == set(PARTS):  # a part alone does not replace the whole
        write("gradients", rows)


if __name__ == "__main__":
    main()
